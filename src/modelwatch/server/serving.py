"""Serving: one process or several, from the checks before the start to the last request."""

from __future__ import annotations

import contextlib
import gc
import logging
import logging.config
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from modelwatch.config import Settings
from modelwatch.config.channels import channel_configs, unreachable_links
from modelwatch.errors import StartupError
from modelwatch.server.certificates import check_certificate, renewing_context
from modelwatch.server.limits import allow_open_files
from modelwatch.server.logs import logging_config
from modelwatch.server.startup import check_files, free_port, prepare_store

# Clients keep connections longer than uvicorn's 5 s, and would meet closed ones.
KEEP_ALIVE_SECONDS = 75
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
MULTIPROCESS_PREFIX = "prometheus-"
NO_CHANNEL = "No notification channel is configured: alerts are only shown on the pages (docs/channels.md)."

log = logging.getLogger(__name__)


def serve(settings: Settings, overrides: Mapping[str, Any], announce: Callable[[str], object]) -> bool:
    """Serves until it is stopped. Returns whether it started and ended as it should.

    overrides: the settings that options gave, by name; None: not given. announce: takes the lines for people that say
    where it listens. Raises StartupError, StoreUnreachable and SettingsError when it can't start.
    """
    port = free_port(settings.host, settings.port)
    # The workers are processes of their own: what the options say reaches them through the environment.
    os.environ.update({name.upper(): _as_text(value) for name, value in overrides.items() if value is not None})
    os.environ["PORT"] = str(port)
    configuration = logging_config(settings.log_format, settings.debug)
    logging.config.dictConfig(configuration)
    for warning in settings.warnings:
        log.warning("%s", warning)
    allow_open_files(settings.max_connections)
    with _multiprocess_folder(settings):
        check_files(settings)
        check_certificate(settings)
        schema = prepare_store(settings)
        _announce(settings, port, schema, announce)
        return _run(settings, port, configuration)


def _run(settings: Settings, port: int, configuration: dict[str, Any]) -> bool:
    # Imports prometheus_client, for which the folder of its counters must be there first.
    from modelwatch.server.build import create_app
    from modelwatch.server.connections import BoundedConfig
    from modelwatch.server.ending import GRACEFUL_SECONDS, EndingServer
    from modelwatch.server.workers import supervise

    # uvicorn raises the signal that stopped it once more when all is done; an orderly stop is no failure.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    front = create_app(settings) if settings.workers == 1 else None
    config = BoundedConfig(
        front or "modelwatch.server.build:create_app",
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
    # What was loaded stays, in pages that all workers share: the collector need never look through it.
    gc.freeze()
    gc.enable()
    try:
        if front is None:
            return supervise(config)
        EndingServer(config).run()
    except SystemExit as end:
        return not end.code
    return front.failure is None


def _announce(settings: Settings, port: int, schema: str, write: Callable[[str], object]) -> None:
    channels = channel_configs(settings, os.environ)
    if channels and (nowhere := unreachable_links(settings)) is not None:
        log.warning(nowhere)
    host = "localhost" if settings.host in {"0.0.0.0", "::", "127.0.0.1"} else settings.host  # noqa: S104
    url = f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    public = settings.public_url.rstrip("/")
    if settings.log_format == "json":
        address = f"{public}, listens on {url}" if public else f"listens on {url}"
        log.info("modelwatch %s, store %s (%s)", address, settings.safe_database_url, schema)
        if not channels:
            log.info(NO_CHANNEL)
        return
    write("modelwatch is starting")
    reached = public or url
    write(f"  Pages    {reached}/")
    write(f"  API      {reached}/api/v1")
    write(f"  Docs     {reached}/docs")
    if public:
        write(f"  Here     {url}/")
    write(f"  Metrics  {url}/metrics")
    write(f"  Health   {url}/health")
    workers = "" if settings.workers == 1 else f", {settings.workers} workers"
    write(f"Store {settings.safe_database_url} ({schema}){workers}. Ctrl-C stops it.")
    if not channels:
        write(NO_CHANNEL)


@contextlib.contextmanager
def _multiprocess_folder(settings: Settings) -> Iterator[None]:
    """With several workers: a fresh folder where prometheus_client adds up what each of them counts.

    A folder is held by a lock on a file in it, so that those of killed services are known and removed. It is there
    before prometheus_client is imported, which looks for it then, and workers inherit what is imported.
    Raises StartupError when it can't be made.
    """
    if (given := os.environ.pop(MULTIPROCESS_VARIABLE, None)) is not None:
        log.warning("%s=%s is ignored: modelwatch creates its own folder", MULTIPROCESS_VARIABLE, given)
    if settings.workers == 1:
        yield
        return
    try:
        folder, held = _held_folder(settings.data_dir)
    except OSError as error:
        raise StartupError(f"DATA_DIR can't be written: {error.strerror}: {error.filename}.") from error
    os.environ[MULTIPROCESS_VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        held.close()
        shutil.rmtree(folder, ignore_errors=True)


def _held_folder(data_dir: Path) -> tuple[Path, IO[str]]:
    """A fresh folder and its lock; unused ones are removed."""
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
