"""Checks and preparation before the service starts: files, the store, keys, the port."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from modelwatch.alerting.channels import build_channels
from modelwatch.config import Settings
from modelwatch.config.monitors.files import FiledMonitor, FileProblem, monitor_files, read_monitors
from modelwatch.config.monitors.monitor import needs_a_key
from modelwatch.errors import SettingsError, StartupError, StoreUnavailable, StoreUnreachable, StoreUnsuitable
from modelwatch.privacy import Keyring
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import all_keys
from modelwatch.storage.secrets.keys import open_protection
from modelwatch.times import microseconds_now

log = logging.getLogger(__name__)


def check_files(settings: Settings) -> None:
    """Raises SettingsError when CHANNELS_FILE or MONITORS_PATH can't be used; lists everything that is wrong."""
    channels = build_channels(settings, clock=microseconds_now, environ=os.environ)
    filed_monitors(settings.monitors_path, channels, bool(settings.encryption_key))


def filed_monitors(path: str, channels: Collection[str], has_key: bool) -> list[FiledMonitor]:
    """The monitors in a file or folder; none for no path. has_key: whether features can be hashed and encrypted.

    Raises SettingsError that lists what is wrong with them.
    """
    if not path:
        return []
    files = monitor_files(Path(path))
    if not files:
        raise SettingsError(f"MONITORS_PATH is {path}: there is no such file, or no .yaml, .yml or .json in the folder")
    monitors, problems = read_monitors(files)
    known = ", ".join(sorted(channels)) or "none"
    for monitor in monitors:
        problems += [
            FileProblem(monitor.path, monitor.pointer + pointer, f"No channel is named {name!r}; there are: {known}")
            for pointer, name in monitor.config.alerts.named_channels()
            if name not in channels
        ]
        problems += [
            FileProblem(monitor.path, monitor.pointer + pointer, needs_a_key(treatment))
            for pointer, treatment in monitor.config.privacy.needing_a_key()
            if not has_key
        ]
    if problems:
        raise SettingsError("The monitors can't be applied:\n" + "\n".join(f"  - {each}" for each in problems))
    return monitors


def protect(store: Store, settings: Settings) -> None:
    """Gives the store the keys of the settings. Raises SettingsError when they don't fit what the store holds."""
    store.protection = open_protection(
        store,
        Keyring(settings.encryption_key),
        settings.privacy_store,
        now=microseconds_now(),
        random_bytes=os.urandom,
    )


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """The store of these settings, closed at the end.

    Raises StoreUnreachable when it does not answer, here or in the block, and StartupError when it can't be used.
    """
    where = settings.safe_database_url
    try:
        store = Store(settings.database_url)
        try:
            yield store
        finally:
            store.close()
    except StoreUnavailable as error:
        raise StoreUnreachable(where, error.detail) from error
    except StoreUnsuitable as error:
        raise StartupError(f"The store {where} can't be used. {error}") from error
    except DBAPIError as error:
        raise StartupError(f"The store {where} can't be used: {error.orig}.") from error


def migrate_store(settings: Settings) -> str:
    """Brings the store's schema up to date and returns its version.

    Raises StoreUnreachable when the store does not answer, and StartupError when waiting would not help.
    """
    try:
        with opened_store(settings) as store:
            return migrate(store)
    except OSError as error:
        raise StartupError(
            f"The store {settings.safe_database_url} can't be created: {error.strerror}: {error.filename}."
            " DATA_DIR or DATABASE_URL must name a writable place."
        ) from error


def prepare_store(settings: Settings) -> str:
    """The schema's version, or that the store is not there yet: a server may start later than its clients, a file not.

    Raises StartupError when the store can't be used, and SettingsError when it holds what the keys don't fit.
    """
    try:
        schema = migrate_store(settings)
        with opened_store(settings) as store:
            protect(store, settings)
            with store.read() as connection:
                locked_out = settings.keys_required and not all_keys(connection)
    except StoreUnreachable as error:
        if settings.database_url.startswith("sqlite:"):
            raise
        log.warning(
            "The store %s is not available yet; the service waits for it. %s", settings.safe_database_url, error.detail
        )
        return "not known yet"
    if locked_out:
        log.warning(
            "Requests need an API key, and there is none yet. Create one with: modelwatch keys create NAME --scope"
            " admin"
        )
    return f"schema {schema}"


def free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises StartupError when it can't be listened on."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise StartupError(f"HOST {host!r} is not an address of this machine: {error.strerror}") from error
    except OSError as error:
        raise StartupError(
            f"Port {port} of {host} can't be used: {(error.strerror or str(error)).lower()}."
            " Choose another with --port or PORT (0 takes any free one)."
        ) from error
