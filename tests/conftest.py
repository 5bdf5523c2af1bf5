"""What every test may use."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import _config as httpx_config
from httpx._transports import default as httpx_transports
from hypothesis import HealthCheck, settings

from modelwatch.storage.engine import damage
from modelwatch.storage.engine.drivers import sqlite
from modelwatch.storage.engine.store import Store
from tests.proofs.definitions import Sources
from tests.proofs.lock import Mode, Proofs
from tests.support.data.data_sets import DataSets
from tests.support.events import open_store
from tests.support.examples import AT_NIGHT, IN_A_RUN
from tests.support.servers.postgres import Cluster, cluster
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.shortcuts import UNSYNCED, compile_statements_once

# A shell starts background jobs with Ctrl-C ignored, and so would be every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]
PROOFS = REPOSITORY / "tests" / "proofs" / "lock.json"
RAN = "a proof that ran"
DATA = REPOSITORY / "tests" / "data"
SHARED_DATA = REPOSITORY / ".." / "shared" / "data"

# A busy machine is not a failure, and a run can be repeated: in CI the examples are always the same. Every night there
# are others, and more.
settings.register_profile("run", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=IN_A_RUN)
settings.register_profile("ci", parent=settings.get_profile("run"), derandomize=True)
settings.register_profile("night", parent=settings.get_profile("run"), max_examples=AT_NIGHT)
settings.load_profile(os.environ.get("MODELWATCH_EXAMPLES") or ("ci" if "CI" in os.environ else "run"))


@functools.cache
def _usual_tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _shared_tls(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        return _usual_tls()
    return httpx.create_ssl_context(verify, cert, trust_env)


# To read the certificates of all authorities takes longer than a request, and `httpx.get` does it each time.
httpx_transports.create_ssl_context = _shared_tls
# By itself it gives up after five seconds, which a busy machine may take.
httpx_config.DEFAULT_TIMEOUT_CONFIG.read = 60.0


def pytest_configure() -> None:
    """A store of a test waits for no disk, and neither does one of a process that is forked for a test."""
    sqlite.PRAGMAS = UNSYNCED
    compile_statements_once()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins with files of its own: what one has compiled, the others find, and in a fresh checkout to
    compile all that is asserted takes longer than to import it."""
    worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    tests = REPOSITORY / "tests"
    asked_for = [Path(each).absolute() for each in session.config.args]
    files = sorted(tests.rglob("test_*.py")) if tests in asked_for else []
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        # A file that can't be imported is told when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(REPOSITORY).with_suffix("").parts))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the tests that may take longest: with several workers none of them is what all others wait for."""
    items.sort(key=_longest_first, reverse=True)
    for item in items:
        if "proofs" in getattr(item, "fixturenames", ()):
            item.add_marker("proof")


def _longest_first(item: pytest.Item) -> tuple[float, bool]:
    """How long it may take at most, where it says so, and whether it starts services of its own."""
    marker = item.get_closest_marker("timeout")
    live = isinstance(item, pytest.Function) and (hasattr(item.module, "LiveService") or "service" in item.fixturenames)
    return 0.0 if marker is None else float(marker.args[0]), live


def pytest_collection_finish() -> None:
    """Tests and what they import stay to the end: to look for garbage in them took a sixth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_of_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test can't read is logged, also where another has logged the same within the hour."""
    monkeypatch.setattr(damage, "_logged", {})


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def sources() -> Sources:
    """The code of the repository."""
    return Sources(
        {
            "modelwatch": REPOSITORY / "src" / "modelwatch",
            "tests": REPOSITORY / "tests",
            "benchmarks": REPOSITORY / "benchmarks",
        }
    )


@pytest.fixture(scope="session")
def measured() -> dict[tuple[str, str], Any]:
    """What proofs have measured in this run, by name and digest."""
    return {}


@pytest.fixture
def proofs(sources: Sources, measured: dict[tuple[str, str], Any], request: pytest.FixtureRequest) -> Iterator[Proofs]:
    """Runs what a long proof measures when something that it uses has changed; otherwise it is read from the lock."""
    found = Proofs(PROOFS, sources, Mode(os.environ.get("MODELWATCH_PROOFS", "")), measured)
    yield found
    request.node.user_properties += [(RAN, name) for name in found.ran]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which proofs took their time, and how they are recorded."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, [])]
    ran = {value for each in reports for name, value in each.user_properties if name == RAN}
    if ran and not os.environ.get("MODELWATCH_PROOFS"):
        terminalreporter.section("proofs that ran, because what they use has changed (`make proofs` records them)")
        for name in sorted(ran):
            terminalreporter.line(name)


@pytest.fixture(scope="session")
def shared_data() -> DataSets:
    """The real data sets. Two that have no open licence are beside the checkout, if anywhere: their tests may skip."""
    return DataSets(DATA, SHARED_DATA)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `both_engines` run on each engine of the store."""
    if "engine" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_engines"):
        metafunc.parametrize("engine", ENGINES)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that tests share, each with databases of its own. Skips where there is none, fails in CI."""
    with cluster() as server:
        yield server


@pytest.fixture
def engine() -> str:
    """The engine of the store: SQLite, and where a test or its module is marked `both_engines` PostgreSQL as well."""
    return "sqlite"


@pytest.fixture
def store_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh, migrated store, which nobody has opened yet."""
    if engine == "sqlite":
        open_store(tmp_path).close()
        yield f"sqlite:///{tmp_path / 'modelwatch.db'}"
    else:
        server: Cluster = request.getfixturevalue("postgres")
        with server.database() as url:
            yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh, migrated store."""
    store = Store(store_url)
    yield store
    store.close()


@pytest.fixture(scope="session")
def fresh_stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshStores]:
    """Opens stores by engine, for tests that need a fresh one for each of their examples."""
    stores = FreshStores(tmp_path_factory, lambda: request.getfixturevalue("postgres"))
    yield stores
    stores.close()
