"""One run: services, clients and faults together, then the reckoning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from tests.chaos.faults import Faults
from tests.chaos.load import MODEL, SECOND, Client
from tests.chaos.outcome import Outcome, examine
from tests.support.data.streams import normal
from tests.support.servers.doubles import Receiver
from tests.support.servers.live_service import LiveService
from tests.support.servers.postgres import Cluster, cluster

SETTINGS = {
    "LEASE_SECONDS": "2",
    "DRIFT_CHECK_INTERVAL": "300",
    "LOOKBACKS": "1h,6h",
    "MIN_SAMPLES_FOR_DRIFT": "30",
    "FALSE_ALARM_BUDGET": "100",
    "WRITER_ROTATION_SECONDS": "5",
    "REQUEST_TIMEOUT_SECONDS": "3",
    "DATABASE_IDLE_TIMEOUT_SECONDS": "2",
    "DATABASE_LOCK_TIMEOUT_SECONDS": "2",
}
GIVE_UP_SECONDS = 60
HOURS_AFTERWARDS = 4


def run(
    engine: str,
    folder: Path,
    *,
    seconds: float,
    replicas: int,
    workers: int,
    clients: int,
    seed: int,
    pause: float = 0.0,
) -> Outcome:
    """Runs for so long under load and faults, and returns what came of it.

    engine: `sqlite`, which has one service, or `postgresql`, whose server keeps every commit on disk. pause: seconds
    that each client waits before it sends more; without it the load is all that the machine can do.
    """
    hours = max(4.0, min(24.0, seconds / 3))
    began = (int(time.time()) // 3_600 * 3_600 - int((hours + HOURS_AFTERWARDS) * 3_600)) * SECOND
    with ExitStack() as stack:
        hook = stack.enter_context(Receiver())
        url, server = stack.enter_context(_database(engine, folder))
        store = Store(url)
        stack.callback(store.close)
        services = [
            LiveService(
                folder / f"service-{number}",
                DATABASE_URL=url,
                WORKERS=str(workers),
                ALERT_WEBHOOK_URL=hook.url,
                PUBLIC_URL="http://modelwatch.example",
                **SETTINGS,
            )
            for number in range(replicas if server is not None else 1)
        ]
        for service in services:
            stack.callback(service.stop)
            service.start(wait=False)
        for service in services:
            service.wait_until_ready()
        _set_reference(services[0].url)
        urls = [service.url for service in services]
        threads = [Client(number, urls, began, hours, seconds, pause, seed) for number in range(clients)]
        for thread in threads:
            thread.start()
        faults = Faults(services, server, url.rpartition("/")[2], seed)
        faults.run(seconds)
        for thread in threads:
            thread.join(GIVE_UP_SECONDS)
            thread.give_up()
            thread.join()
        threads[0].send_afterwards(HOURS_AFTERWARDS)
        outcome = examine(urls, store, [each.taken for each in threads], hook)
        outcome.differences += [f"{each.name} failed: {each.failure}" for each in threads if each.failure]
        outcome.faults = dict(faults.done)
        for service in services:
            if (code := service.stop()) != 0:
                outcome.differences.append(f"a service ended with {code}")
        return outcome


@contextmanager
def _database(engine: str, folder: Path) -> Iterator[tuple[str, Cluster | None]]:
    folder.mkdir(parents=True, exist_ok=True)
    if engine == "sqlite":
        url = f"sqlite:///{folder / 'modelwatch.db'}"
        store = Store(url)
        migrate(store)
        store.close()
        yield url, None
        return
    with cluster(durable=True) as server, server.database() as url:
        yield url, server


def _set_reference(url: str) -> None:
    body = {"model_name": MODEL, "feature_name": "x", "data_type": "continuous", "values": normal(2_000)}
    answer = httpx.post(f"{url}/api/v1/reference", json=body, timeout=30)
    assert answer.status_code == 201, answer.text
