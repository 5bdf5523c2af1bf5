"""`modelwatch serve`: the service, in one process or several."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from modelwatch.cli.certificates import check_certificate, renewing_context
from modelwatch.cli.ending import FOUND, INTERRUPTED, OK, UNREACHABLE, USAGE, Stop
from modelwatch.cli.logs import logging_config
from modelwatch.cli.open_files import allow_open_files
from modelwatch.cli.output import say

if TYPE_CHECKING:
    from modelwatch.config import Settings

# Orchestrators kill a service after a grace period, often 30 s; requests get this share of our 10,
# beside SHUTDOWN_DRAIN_SECONDS before and 3 s after them.
GRACEFUL_SECONDS = 6
# Clients keep connections longer than uvicorn's 5 s, and would meet closed ones.
KEEP_ALIVE_SECONDS = 75
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MULTIPROCESS_PREFIX = "prometheus-"
NO_CHANNEL = "No notification channel is configured: alerts are shown on the pages alone (docs/channels.md)."

log = logging.getLogger(__name__)


def settings_with(overrides: Mapping[str, Any]) -> Settings:
    """The settings; options that are None were not given. Raises Stop that lists what is wrong."""
    from modelwatch.config import load_settings
    from modelwatch.errors import SettingsError

    try:
        return load_settings(**overrides)
    except SettingsError as error:
        raise Stop(str(error)) from error


def serve(overrides: Mapping[str, Any]) -> int:
    """Serves until it is told to stop, and returns the exit code. Raises Stop when it can't start."""
    settings = settings_with(overrides)
    port = _free_port(settings.host, settings.port)
    # The workers are processes of their own: what the options say reaches them through the environment.
    os.environ.update({name.upper(): _as_text(value) for name, value in overrides.items() if value is not None})
    os.environ["PORT"] = str(port)
    configuration = logging_config(settings.log_format, settings.debug)
    logging.config.dictConfig(configuration)
    for warning in settings.warnings:
        log.warning("%s", warning)
    allow_open_files(settings.max_connections)
    with _multiprocess_folder(settings):
        _check_files(settings)
        check_certificate(settings)
        schema = _prepared(settings)
        _announce(settings, port, schema)
        return _run(settings, port, configuration)


def _check_files(settings: Settings) -> None:
    """Raises Stop when the files that the settings name can't be used: the workers would only say so in a traceback."""
    from modelwatch.errors import SettingsError
    from modelwatch.service import check_files

    try:
        check_files(settings)
    except SettingsError as error:
        raise Stop(str(error)) from error


def _check_keys(settings: Settings) -> None:
    """Raises Stop when the keys of the settings don't fit what the store holds."""
    from modelwatch.errors import SettingsError
    from modelwatch.service import protect
    from modelwatch.storage.engine.store import Store

    store = Store(settings.database_url)
    try:
        protect(store, settings)
    except SettingsError as error:
        raise Stop(str(error)) from error
    finally:
        store.close()


def _check_access(settings: Settings) -> None:
    """Says so when keys are required and there are none yet."""
    from modelwatch.storage.engine.store import Store
    from modelwatch.storage.secrets.api_keys import all_keys

    if not settings.keys_required:
        return
    store = Store(settings.database_url)
    try:
        with store.read() as connection:
            none = not all_keys(connection)
    finally:
        store.close()
    if none:
        log.warning(
            "Requests need an API key, and there is none yet. Make one with: modelwatch keys create NAME --scope admin"
        )


def migrated(settings: Settings) -> str:
    """Brings the store's schema up to date and returns its version. Raises Stop when the store can't be used."""
    from modelwatch.errors import StoreUnavailable

    try:
        return _migrate(settings)
    except StoreUnavailable as error:
        raise Stop(f"The store {settings.safe_database_url} can't be used. {error.detail}", UNREACHABLE) from error


def _migrate(settings: Settings) -> str:
    """Raises StoreUnavailable, and Stop when waiting would not help."""
    from sqlalchemy.exc import DBAPIError

    from modelwatch.errors import StoreUnsuitable
    from modelwatch.storage.engine.migrations import migrate
    from modelwatch.storage.engine.store import Store

    try:
        store = Store(settings.database_url)
        try:
            return migrate(store)
        finally:
            store.close()
    except StoreUnsuitable as error:
        message = f"The store {settings.safe_database_url} can't be used. {error}"
        raise Stop(message) from error
    except DBAPIError as error:
        raise Stop(f"The store {settings.safe_database_url} can't be used: {error.orig}.") from error
    except OSError as error:
        raise Stop(
            f"The store {settings.safe_database_url} can't be made: {error.strerror}: {error.filename}."
            " DATA_DIR or DATABASE_URL must name a place that can be written.",
            USAGE,
        ) from error


def _prepared(settings: Settings) -> str:
    """The schema's version, or that the store is not there yet: a server may start later than its clients, a file not.

    Raises Stop when the store can't be used, or holds what the keys of the settings don't fit.
    """
    from modelwatch.errors import StoreUnavailable

    try:
        schema = _migrate(settings)
        _check_keys(settings)
        _check_access(settings)
    except StoreUnavailable as error:
        if settings.database_url.startswith("sqlite:"):
            raise Stop(f"The store {settings.safe_database_url} can't be used. {error.detail}", UNREACHABLE) from error
        log.warning(
            "The store %s is not there yet; the service waits for it. %s", settings.safe_database_url, error.detail
        )
        return "not known yet"
    return f"schema {schema}"


def _run(settings: Settings, port: int, configuration: dict[str, Any]) -> int:
    import uvicorn

    from modelwatch.cli.listening import BoundedConfig
    from modelwatch.cli.workers import supervise
    from modelwatch.service import create_app

    # uvicorn raises the signal that stopped it once more when all is done; an orderly stop is no failure.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    front = create_app(settings) if settings.workers == 1 else None
    config = BoundedConfig(
        front or "modelwatch.service:create_app",
        factory=front is None,
        host=settings.host,
        port=port,
        workers=settings.workers,
        log_config=configuration,
        access_log=settings.debug,
        server_header=False,
        # There are no web sockets here; uvicorn would give them to a library that happens to be installed.
        ws="none",
        limit_concurrency=settings.max_connections,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        ssl_certfile=settings.tls_certfile or None,
        ssl_keyfile=settings.tls_keyfile or None,
        ssl_context_factory=renewing_context if settings.tls_certfile else None,
    )
    try:
        if front is None:
            return OK if supervise(config) else FOUND
        uvicorn.Server(config).run()
    except SystemExit as end:
        return FOUND if end.code else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK if front.failure is None else FOUND


def _announce(settings: Settings, port: int, schema: str) -> None:
    from modelwatch.config.channels import channel_configs

    channels = channel_configs(settings, os.environ)
    host = "localhost" if settings.host in {"0.0.0.0", "::", "127.0.0.1"} else settings.host  # noqa: S104
    url = f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if settings.log_format == "json":
        log.info("modelwatch listens on %s, store %s (%s)", url, settings.safe_database_url, schema)
        if not channels:
            log.info(NO_CHANNEL)
        return
    say("modelwatch is starting")
    say(f"  Pages    {url}/ui/alerts")
    say(f"  API      {url}/api/v1")
    say(f"  Docs     {url}/docs")
    say(f"  Metrics  {url}/metrics")
    say(f"  Health   {url}/health")
    workers = "" if settings.workers == 1 else f", {settings.workers} workers"
    say(f"Store {settings.safe_database_url} ({schema}){workers}. Ctrl-C stops it.")
    if not channels:
        say(NO_CHANNEL)


def _free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises Stop when it can't be listened on."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise Stop(f"HOST {host!r} is not an address of this machine: {error.strerror}") from error
    except OSError as error:
        raise Stop(
            f"Port {port} of {host} can't be listened on: {(error.strerror or str(error)).lower()}."
            " Choose another with --port or PORT (0 takes any free one)."
        ) from error


@contextlib.contextmanager
def _multiprocess_folder(settings: Settings) -> Iterator[None]:
    """With several workers: a fresh folder where prometheus_client adds up what each of them counts.

    A folder is held by a lock on a file in it, so that those of killed services are known and removed. It is there
    before prometheus_client is imported, which looks for it then, and workers inherit what is imported.
    Raises Stop when it can't be made.
    """
    if (given := os.environ.pop(MULTIPROCESS_VARIABLE, None)) is not None:
        log.warning("%s=%s is not used: modelwatch makes a folder of its own", MULTIPROCESS_VARIABLE, given)
    if settings.workers == 1:
        yield
        return
    try:
        folder, held = _held_folder(settings.data_dir)
    except OSError as error:
        raise Stop(f"DATA_DIR can't be written: {error.strerror}: {error.filename}.", USAGE) from error
    os.environ[MULTIPROCESS_VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        held.close()
        shutil.rmtree(folder, ignore_errors=True)


def _held_folder(data_dir: Path) -> tuple[Path, IO[str]]:
    """A fresh folder and its lock; those that nobody holds are removed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir / f"{MULTIPROCESS_PREFIX}folders.lock", wait=True):
        for old in data_dir.glob(f"{MULTIPROCESS_PREFIX}*/"):
            with contextlib.suppress(BlockingIOError), _locked(old / "lock", wait=False):
                shutil.rmtree(old)
        folder = Path(tempfile.mkdtemp(prefix=MULTIPROCESS_PREFIX, dir=data_dir))
        return folder, _lock(folder / "lock", wait=False)


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    with _lock(path, wait=wait):
        yield


def _lock(path: Path, *, wait: bool) -> IO[str]:
    """An open file that is locked until it is closed. Raises BlockingIOError when another process has it."""
    import fcntl

    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        handle.close()
        raise
    return handle


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
