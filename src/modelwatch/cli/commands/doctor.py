"""`modelwatch doctor`: checks everything a service needs, and says what is wrong and what to do."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import shutil
import socket
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from modelwatch.cli.address import own_url
from modelwatch.cli.base import EXIT_FOUND, AsJson, print_json, print_out, settings_with
from modelwatch.cli.output import coloured, print_table
from modelwatch.times import MICROS_PER_SECOND

if TYPE_CHECKING:
    from modelwatch.config import Settings
    from modelwatch.errors import StoreUnavailable
    from modelwatch.storage.engine.store import Store

Status = Literal["ok", "warning", "failed", "skipped"]

GIGABYTE = 10**9
LITTLE_DISK_BYTES = GIGABYTE
NO_DISK_BYTES = GIGABYTE // 10
FSYNCS = 20
SLOW_FSYNC_MS = 25.0
CLOCKS_APART_SECONDS = 5.0
OLDEST_SQLITE = (3, 35, 0)  # INSERT ... RETURNING
OLDEST_POSTGRESQL = (15,)
SERVICE_NAME = "modelwatch"
HEALTH_SECONDS = 5.0
# Longer than SQLite itself waits for a lock.
WRITE_SECONDS = 15.0
TRAFFIC_SHOWN = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    status: Status
    detail: str


def doctor(as_json: AsJson = False) -> None:
    """Check everything a service needs here: settings, disk, store, port, clock. Exit code 1 if something fails."""
    findings = list(examine())
    failed = [finding for finding in findings if finding.status == "failed"]
    if as_json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        print_json({"healthy": not failed, "warnings": _warnings(findings), "checks": checks})
    else:
        _show(findings)
    if failed:
        raise typer.Exit(EXIT_FOUND)


def examine() -> Iterator[Finding]:
    """The result of every check. Without valid settings there is nothing more to check."""
    from modelwatch.errors import SettingsError

    try:
        settings = settings_with({})
    except SettingsError as error:
        yield Finding("settings", "failed", str(error))
        return
    warnings = "; ".join(settings.warnings)
    yield Finding("settings", "warning" if warnings else "ok", warnings or "all valid")
    yield from _folder(settings.data_dir)
    yield from _store(settings)
    yield from _channels(settings)
    yield _port(settings)
    yield _clock(settings.data_dir)


def _folder(folder: Path) -> Iterator[Finding]:
    present = _nearest(folder)
    if not os.access(present, os.W_OK | os.X_OK):
        yield Finding("data directory", "failed", f"{present} is not writable; set DATA_DIR to a writable folder")
        return
    made = "" if present == folder else "; the service creates it"
    yield Finding("data directory", "ok", f"{folder.absolute()} is writable{made}")
    free = shutil.disk_usage(present).free
    status: Status = "failed" if free < NO_DISK_BYTES else "warning" if free < LITTLE_DISK_BYTES else "ok"
    yield Finding("free disk", status, f"{free / GIGABYTE:,.1f} GB")
    try:
        with tempfile.TemporaryDirectory(prefix="modelwatch-doctor-", dir=present) as trial:
            yield _fsync(Path(trial) / "fsync")
            yield _file_lock(Path(trial) / "lock")
    except OSError as error:
        yield Finding("fsync", "failed", f"nothing can be written to {present}: {_reason(error)}")


def _fsync(path: Path) -> Finding:
    """Every commit waits for one: this bounds how fast single predictions can be acknowledged."""
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(b"\0" * 4096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1_000)
    median = statistics.median(times)
    detail = f"{median:.2f} ms median, {max(times):.2f} ms maximum"
    if median > SLOW_FSYNC_MS:
        return Finding("fsync", "warning", f"{detail}; each commit takes that long, so use a faster disk")
    return Finding("fsync", "ok", detail)


def _file_lock(path: Path) -> Finding:
    """The workers of one SQLite file take turns with it; some network file systems only pretend."""
    with path.open("a") as first, path.open("a") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Finding("file lock", "failed", f"this file system has no locks: {error.strerror}")
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding("file lock", "ok", "works")
    return Finding("file lock", "failed", "two holders at once: this file system's locks do not work")


def _store(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import DBAPIError

    from modelwatch.errors import StoreUnavailable, StoreUnsuitable
    from modelwatch.storage.engine.migrations import newest_version, schema_version
    from modelwatch.storage.engine.store import Store

    url = settings.safe_database_url
    is_sqlite = settings.database_url.startswith("sqlite:")
    if is_sqlite:
        version = ".".join(map(str, sqlite3.sqlite_version_info))
        old = sqlite3.sqlite_version_info < OLDEST_SQLITE
        yield Finding("SQLite", "failed" if old else "ok", f"{version}{'; 3.35 or newer is needed' if old else ''}")
        database = Path(settings.database_url.removeprefix("sqlite:///").partition("?")[0])
        if not database.exists():
            yield Finding("store", "ok", f"{url} is created when the service starts")
            yield Finding("schema", "skipped", f"{newest_version()} will be created")
            return
    try:
        store = Store(settings.database_url)
        try:
            began = time.perf_counter()
            store.ping()
            yield Finding("store", "ok", f"{url} answers in {(time.perf_counter() - began) * 1_000:.1f} ms")
            if not is_sqlite:
                yield _postgresql(store)
                yield _durability(store)
                yield _connections(store, settings)
            yield _writes(store)
            schema = schema_version(store)
            yield _schema(schema, newest_version())
            if schema == newest_version():
                yield _keys(store, settings)
                yield _traffic(store, settings)
                yield _store_clock(store)
        finally:
            store.close()
    except StoreUnavailable as error:
        yield Finding("store", "failed", f"{url}: {error.detail}")
    except StoreUnsuitable as error:
        yield Finding("store", "failed", f"{url}: {error}")
    except DBAPIError as error:
        yield Finding("store", "failed", f"{url}: {error.orig}")


def _postgresql(store: Store) -> Finding:
    with store.read() as connection:
        version = connection.dialect.server_version_info or (0,)
    old = version < OLDEST_POSTGRESQL
    detail = ".".join(map(str, version)) + ("; 15 or newer is needed" if old else "")
    return Finding("PostgreSQL", "failed" if old else "ok", detail)


def _durability(store: Store) -> Finding:
    """Asks the server whether a commit that it acknowledges is on its disk."""
    from sqlalchemy import text

    with store.read() as connection:
        off = [
            name
            for name in ("fsync", "synchronous_commit", "full_page_writes")
            if connection.execute(text(f"SHOW {name}")).scalar() == "off"
        ]
    if off:
        detail = f"{', '.join(off)} off: acknowledged predictions may be lost when the server's machine stops; set on"
        return Finding("durability", "warning", detail)
    return Finding("durability", "ok", "a commit is on the server's disk")


def _connections(store: Store, settings: Settings) -> Finding:
    """Compares what the workers of this service may open with the limits of the server, the database and the role."""
    from sqlalchemy import text

    query = text(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,"
        " datconnlimit, rolconnlimit FROM pg_database, pg_roles"
        " WHERE datname = current_database() AND rolname = current_user"
    )
    with store.read() as connection:
        row = connection.execute(query).one()
    allowed = min(limit for limit in row if limit >= 0)
    needed = settings.workers * settings.database_pool_size
    if needed > allowed:
        detail = (
            f"WORKERS x DATABASE_POOL_SIZE is {needed}, but server, database and role allow {allowed}: a worker that"
            " gets none stores nothing"
        )
        return Finding("connections", "warning", detail)
    return Finding("connections", "ok", f"up to {needed} of {allowed}; other services of this store have as many")


def _writes(store: Store) -> Finding:
    """Waits for a turn to write, as commits do, and writes nothing: readers don't see that others hold the lock."""
    from modelwatch.errors import StoreUnavailable
    from modelwatch.storage.engine.patience import Patience

    try:
        return Patience[Finding]().within(WRITE_SECONDS, partial(_turn_to_write, store))
    except StoreUnavailable:
        # The lock of a paused process never comes. A server has none that a transaction waits for.
        why = "another process holds the lock" if store.is_sqlite else "the server does not answer"
        return Finding("writes", "failed", f"no turn to write in {WRITE_SECONDS:g} s: {why}")


def _turn_to_write(store: Store) -> Finding:
    from sqlalchemy import text

    from modelwatch.errors import StoreUnavailable

    try:
        with store.write() as connection:
            # The first statement begins the transaction.
            asked = "SELECT 'off'" if store.is_sqlite else "SHOW transaction_read_only"
            read_only = connection.execute(text(asked)).scalar() == "on"
    except StoreUnavailable as error:
        to_do = "; end the program that holds the store's lock" if _is_locked(error) else ""
        return Finding("writes", "failed", f"{error.detail}{to_do}")
    if read_only:
        detail = (
            "the server is read-only (a standby, or default_transaction_read_only): DATABASE_URL must name the primary"
        )
        return Finding("writes", "failed", detail)
    return Finding("writes", "ok", "the store takes them")


def _is_locked(error: StoreUnavailable) -> bool:
    """True when SQLite has waited for the lock of another program in vain."""
    code = getattr(getattr(error.__cause__, "orig", None), "sqlite_errorcode", None)
    # The lowest byte is the error, those above it say where it came up.
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _store_clock(store: Store) -> Finding:
    """The processes of a store go by one clock each, and by that of its server; what they wrote tells of theirs."""
    from modelwatch.storage.engine.leases import newest_time, store_time

    now = time.time_ns() // 1_000
    apart = (store_time(store, now) - now) / MICROS_PER_SECOND
    ahead = (newest_time(store) - now) / MICROS_PER_SECOND
    if abs(apart) > CLOCKS_APART_SECONDS:
        detail = f"{apart:+.0f} s between the clocks of this machine and of the store's server; set one of them"
        return Finding("store's clock", "failed", detail)
    if ahead > CLOCKS_APART_SECONDS:
        detail = f"the newest stored time is {ahead:.0f} s in the future: a clock was ahead, or this one is behind"
        return Finding("store's clock", "warning", detail)
    return Finding("store's clock", "ok", "the store holds no times in the future")


def _keys(store: Store, settings: Settings) -> Finding:
    from modelwatch.errors import SettingsError
    from modelwatch.privacy import Keyring
    from modelwatch.storage.secrets.keys import check_keys

    try:
        check_keys(store, Keyring(settings.encryption_key))
    except SettingsError as error:
        return Finding("keys", "failed", str(error))
    number = len(settings.encryption_key)
    return Finding(
        "keys", "ok", f"{number} in ENCRYPTION_KEY, including all that the store needs" if number else "none needed"
    )


def _traffic(store: Store, settings: Settings) -> Finding:
    """Compares the look-backs of each model with its traffic."""
    from modelwatch.monitoring.checks.rules import DriftRules, rules_for
    from modelwatch.monitoring.proposals import proposal_for, rate_of
    from modelwatch.storage.counts.streams import streams
    from modelwatch.storage.references.monitors import all_monitors

    with store.read() as connection:
        configs = {each.model: each.config for each in all_monitors(connection)}
        present = streams(connection)
    defaults = DriftRules.of(settings)
    proposals = []
    for stream in present:
        seconds = stream.last_window_end - stream.first_window
        per_day = rate_of(stream.predictions, stream.first_window, stream.last_window_end)
        proposal = proposal_for(rules_for(defaults, configs.get(stream.model)), per_day, seconds)
        if proposal is not None:
            proposals.append(
                f"{stream.model} {stream.version} in {stream.environment}: {proposal.reason} Set drift.lookbacks to"
                f" [{', '.join(proposal.lookbacks)}] and schedule.every to {proposal.every} in its monitor."
            )
    if not proposals:
        return Finding(
            "traffic", "ok", "every model has enough predictions for its look-backs" if present else "none yet"
        )
    more = f" {len(proposals) - TRAFFIC_SHOWN} more have the same problem." if len(proposals) > TRAFFIC_SHOWN else ""
    return Finding("traffic", "warning", " ".join(proposals[:TRAFFIC_SHOWN]) + more)


def _schema(present: str | None, newest: str) -> Finding:
    if present == newest:
        return Finding("schema", "ok", newest)
    if present is None or present < newest:
        wanted = f"{present or 'none'}, {newest} is needed: `modelwatch migrate`, or the next start, updates it"
        return Finding("schema", "warning", wanted)
    return Finding("schema", "failed", f"{present} was made by a newer modelwatch; this one knows {newest}")


def _channels(settings: Settings) -> Iterator[Finding]:
    """Lists the channels for notifications. Nothing is sent: POST /api/v1/channels/NAME/test does."""
    from modelwatch.config.channels import channel_configs, placeholders_of, unreachable_links
    from modelwatch.errors import SettingsError

    try:
        configs = channel_configs(settings, os.environ)
    except SettingsError as error:
        yield Finding("channels", "failed", str(error))
        return
    if not configs:
        yield Finding(
            "channels", "warning", "none is configured: alerts are only shown on the pages (docs/channels.md)"
        )
        return
    yield Finding("channels", "ok", ", ".join(configs))
    if (nowhere := unreachable_links(settings)) is not None:
        yield Finding("channels", "warning", nowhere)
    for name, config in configs.items():
        if keys := placeholders_of(config):
            detail = f"{', '.join(keys)} of {name} looks like an unmodified example"
            yield Finding("channels", "warning", detail)


def _port(settings: Settings) -> Finding:
    import httpx

    host, port = settings.host, settings.port
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        try:
            # The certificate is for the name that others use.
            answer = httpx.get(f"{own_url(settings)}/health", timeout=HEALTH_SECONDS, trust_env=False, verify=False)  # noqa: S501
            health = answer.json()
        except (httpx.HTTPError, ValueError):
            health = None
        if health is None and error.errno != errno.EADDRINUSE:
            return Finding("port", "failed", f"{port} of {host}: {_reason(error)}")
        if not isinstance(health, dict) or health.get("service") != SERVICE_NAME:
            return Finding("port", "failed", f"{port} is used by another program")
        if health.get("status") == "healthy":
            return Finding("port", "ok", f"a healthy modelwatch serves {port}")
        checks = health.get("checks")
        why = [f"{name}: {text}" for name, text in (checks or {}).items() if text != "ok"]
        return Finding(
            "port", "failed", f"the modelwatch that serves {port} is {health.get('status')}; {'; '.join(why)}"
        )
    return Finding("port", "ok", f"{port} is free")


def _clock(folder: Path) -> Finding:
    """Event times are checked against this clock; the program's own files can't be from the future."""
    now = time.time()
    if now < Path(__file__).stat().st_mtime - 86_400:
        return Finding("clock", "failed", f"{time.ctime(now)} is before this program was installed; set the clock")
    present = _nearest(folder)
    if os.access(present, os.W_OK | os.X_OK):
        with tempfile.NamedTemporaryFile(dir=present) as file:
            apart = abs(Path(file.name).stat().st_mtime - time.time())
        if apart > CLOCKS_APART_SECONDS:
            return Finding("clock", "warning", f"{apart:.0f} s apart from the clock of the disk that holds {present}")
    return Finding("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    absolute = folder.absolute()
    return next(each for each in (absolute, *absolute.parents) if each.is_dir())


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _show(findings: list[Finding]) -> None:
    rows = ((each.check, coloured(each.status), each.detail) for each in findings)
    print_table(("check", "", "detail"), rows, texts=3)
    print_out(_summary(findings))


def _summary(findings: list[Finding]) -> str:
    """The last line: how many checks failed, and how many warnings there are."""
    failed, warnings = sum(finding.status == "failed" for finding in findings), _warnings(findings)
    if not failed and not warnings:
        return "All checks passed."
    told = f"{failed} of {len(findings)} checks failed" if failed else "No check failed"
    return told + (f", {warnings} warning{'s' * (warnings != 1)}." if warnings else ".")


def _warnings(findings: list[Finding]) -> int:
    return sum(finding.status == "warning" for finding in findings)
