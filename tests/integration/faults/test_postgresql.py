"""A service whose store is a PostgreSQL server that comes, goes, and comes back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from modelwatch.cli.commands.doctor import examine
from modelwatch.errors import StoreUnavailable, StoreUnsuitable
from modelwatch.storage.engine.drivers.postgresql import StoreOptions
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from tests.support.events import stored_and_counted
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.postgres import Cluster, cluster


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A server of one test, which may stop it."""
    with cluster() as server:
        yield server


def one(identity: str) -> dict[str, object]:
    return {"model_name": "m", "prediction_id": identity, "features": {"x": 1.5}, "prediction": "yes"}


def post(live: LiveService, identity: str, seconds: float = 40.0) -> httpx.Response:
    return httpx.post(f"{live.url}/api/v1/predictions", json=one(identity), timeout=seconds)


def status(live: LiveService, path: str) -> int | None:
    try:
        return httpx.get(f"{live.url}{path}", timeout=10).status_code
    except httpx.HTTPError:
        return None


def newer_database(server: Cluster) -> str:
    """The address of a database that a newer version has migrated."""
    server.execute("CREATE DATABASE newer")
    store = Store(server.url("newer"))
    migrate(store)
    store.close()
    server.execute("UPDATE alembic_version SET version_num = '9999'", "newer")
    return server.url("newer")


def test_the_service_waits_for_a_store_that_starts_later(server: Cluster, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE late")
    server.stop()
    live = LiveService(tmp_path, DATABASE_URL=server.url("late"))
    try:
        live.start(wait=False)
        eventually(lambda: status(live, "/livez") == 200, "the process answering")
        assert status(live, "/readyz") == 503
        refused = post(live, "early")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        assert status(live, "/api/v1/models") == 503
        server.start()
        live.wait_until_ready()
        assert post(live, "late").json()["status"] == "accepted"
        assert live.stop() == 0
    finally:
        live.stop()
    assert "waiting for its store" in live.output()
    assert "Traceback" not in live.output()


def test_a_service_that_waits_for_its_store_can_be_stopped(tmp_path: Path) -> None:
    live = LiveService(tmp_path, DATABASE_URL=f"postgresql://user:s3cr3t@127.0.0.1:{free_port()}/x")
    live.start(wait=False)
    eventually(lambda: status(live, "/livez") == 200, "the process answering")
    assert live.stop() == 0
    assert "s3cr3t" not in live.output()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_requests_wait_while_the_store_is_away_and_count_once_when_it_is_back(
    server: Cluster, tmp_path: Path, how: signal.Signals
) -> None:
    with server.database() as url, LiveService(tmp_path, DATABASE_URL=url, REQUEST_TIMEOUT_SECONDS="30") as live:
        assert post(live, "before").status_code == 202
        server.stop(how)
        answers: list[int] = []

        def send(number: int) -> None:
            answers.append(post(live, str(number)).status_code)

        clients = [threading.Thread(target=send, args=(number,)) for number in range(5)]
        for client in clients:
            client.start()
        eventually(lambda: status(live, "/readyz") == 503, "the service noticing")
        assert status(live, "/livez") == 200
        assert status(live, "/api/v1/models") == 503
        assert not answers
        server.start()
        for client in clients:
            client.join()
        assert answers == [202] * 5
        eventually(lambda: status(live, "/readyz") == 200, "the service being ready again")
        assert live.stop() == 0
        store = Store(url)
        assert stored_and_counted(store) == (6, 6)
        store.close()


def test_a_store_that_stays_away_is_503_in_time_and_the_retry_counts_once(server: Cluster, tmp_path: Path) -> None:
    with server.database() as url, LiveService(tmp_path, DATABASE_URL=url, REQUEST_TIMEOUT_SECONDS="1") as live:
        server.stop()
        began = time.monotonic()
        refused = post(live, "a")
        assert time.monotonic() - began < 5
        assert refused.status_code == 503
        assert refused.json()["type"] == "/problems/store-unavailable"
        assert int(refused.headers["retry-after"]) > 0
        server.start()
        eventually(lambda: post(live, "a").status_code == 202, "the retry")
        assert post(live, "a").json()["status"] == "duplicate"
        store = Store(url)
        assert stored_and_counted(store) == (1, 1)
        store.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_turns_out_to_be_newer_ends_the_service_with_a_failure(
    server: Cluster, tmp_path: Path, workers: str
) -> None:
    url = newer_database(server)
    server.stop()
    live = LiveService(tmp_path, DATABASE_URL=url, WORKERS=workers)
    live.start(wait=False)
    eventually(lambda: status(live, "/livez") == 200, "the process answering")
    server.start()
    assert live.wait() == 1
    assert "newer modelwatch" in live.output()
    assert "Traceback" not in live.output()


@pytest.mark.timeout(120)
def test_four_processes_that_start_at_once_migrate_once(server: Cluster, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE fresh")
    services = [LiveService(tmp_path / str(number), DATABASE_URL=server.url("fresh")) for number in range(4)]
    try:
        for live in services:
            live.start(wait=False)
        for live in services:
            live.wait_until_ready()
        assert len({httpx.get(f"{live.url}/version").text for live in services}) == 1
        assert all("Traceback" not in live.output() for live in services)
    finally:
        for live in services:
            live.stop()


def test_a_database_that_is_not_in_utf_8_is_refused_by_the_start_and_by_the_doctor(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreUnsuitable, match="The database's encoding is LATIN1"):
        Store(postgres.url("latin")).ping()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", postgres.url("latin"))
    [found] = [each for each in examine() if each.check == "store"]
    assert (found.status, "UTF8 is needed" in found.detail) == ("failed", True)
    live = LiveService(tmp_path, DATABASE_URL=postgres.url("latin"))
    live.start(wait=False)
    assert live.wait() == 2
    assert "UTF8 is needed" in live.output()
    postgres.execute("DROP DATABASE latin WITH (FORCE)")


def test_an_older_server_is_refused(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.database() as url:
        monkeypatch.setattr("modelwatch.storage.engine.drivers.postgresql.OLDEST_VERSION", 99)
        store = Store(url)
        with pytest.raises(StoreUnsuitable, match="version 99 or newer is needed"):
            store.ping()
        store.close()


def test_connections_have_a_name_and_limits(postgres: Cluster) -> None:
    options = StoreOptions(statement_seconds=0.2, lock_seconds=0.1, idle_seconds=0.3)
    with postgres.database() as url:
        store = Store(url, options)
        with store.read() as connection:
            name = connection.execute(text("SHOW application_name")).scalar_one()
            assert str(name).startswith("modelwatch ")
        with pytest.raises(StoreUnavailable, match="statement timeout"), store.read() as connection:
            connection.execute(text("SELECT pg_sleep(5)"))
        with store.write() as holder:
            store.exclusive(holder, "a name")
            with pytest.raises(StoreUnavailable, match="lock timeout"), store.write() as connection:
                store.exclusive(connection, "a name")
        with pytest.raises(StoreUnavailable):
            _pause_in_a_transaction(store, lambda: _is_free(postgres, url))
        store.ping()
        store.close()


def test_transactions_are_as_isolated_as_they_must_be_whatever_the_default_of_the_database(postgres: Cluster) -> None:
    with postgres.database() as url:
        postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_isolation = 'serializable'")
        store = Store(url)
        asked = text("SHOW transaction_isolation")
        for _ in range(2):  # a connection goes from a writer to a reader, and back
            with store.write() as connection:
                assert connection.execute(asked).scalar() == "read committed"
            with store.read() as connection:
                assert connection.execute(asked).scalar() == "repeatable read"
            with store.open_write() as connection:
                assert connection.execute(asked).scalar() == "read committed"
        store.close()


def test_readers_never_take_the_connection_of_the_ledger(postgres: Cluster) -> None:
    with postgres.database() as url:
        store = Store(url, StoreOptions(pool_size=2, wait_seconds=0.1))
        with store.read():
            with pytest.raises(StoreUnavailable, match="QueuePool"):
                store.ping()
            with store.open_write() as connection:
                assert connection.execute(text("SELECT 1")).scalar() == 1
        store.ping()
        store.close()


def test_at_the_end_readiness_goes_first_and_what_was_taken_is_committed(postgres: Cluster, tmp_path: Path) -> None:
    with (
        postgres.database() as url,
        LiveService(tmp_path, DATABASE_URL=url, SHUTDOWN_DRAIN_SECONDS="1") as live,
        httpx.Client(timeout=10) as client,
    ):
        assert client.post(f"{live.url}/api/v1/predictions", json=one("a")).status_code == 202
        began = time.monotonic()
        live.signal(signal.SIGTERM)
        eventually(lambda: status(live, "/readyz") == 503, "readiness going")
        assert client.post(f"{live.url}/api/v1/predictions", json=one("b")).status_code == 202
        assert live.wait() == 0
        assert time.monotonic() - began < 10
        store = Store(url)
        assert stored_and_counted(store) == (2, 2)
        with store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM writer WHERE NOT sealed")).scalar() == 0
            assert connection.execute(text("SELECT count(*) FROM lease WHERE holder <> ''")).scalar() == 0
        store.close()


def _pause_in_a_transaction(store: Store, until: Callable[[], bool]) -> None:
    with store.write() as connection:
        store.exclusive(connection, "a name")
        eventually(until, "the lock being free again")
        connection.execute(text("SELECT 1"))


def _is_free(server: Cluster, url: str) -> bool:
    database = url.rpartition("/")[2]
    [[free]] = server.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('a name', 0))", database)
    return bool(free)


def test_of_several_hosts_the_one_that_takes_writes_is_used(server: Cluster, tmp_path: Path) -> None:
    user, _, rest = server.url().rpartition("@")
    several = f"{user}@127.0.0.1:{free_port()},{rest}"
    prediction = {"model_name": "m", "prediction_id": "one", "features": {"x": 1.0}, "prediction": 1}
    with LiveService(tmp_path, DATABASE_URL=several) as live:
        sent = httpx.post(f"{live.url}/api/v1/predictions", json=prediction, timeout=30)
        assert sent.status_code == 202, sent.text
    assert server.execute("SELECT count(*) FROM prediction") == [(1,)]
