"""The service put together: settings in, a running ASGI application out."""

from __future__ import annotations

import gc
import logging
import os
import platform
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from typing import Any

from starlette.types import ASGIApp

from modelwatch.api.app import build_app
from modelwatch.api.fastpath import FastPath
from modelwatch.api.state import ServiceState
from modelwatch.api.wire import Decoder, Limits, uuid7
from modelwatch.config import Settings, load_settings
from modelwatch.exposition import Exposition
from modelwatch.ingest import Batcher
from modelwatch.monitoring import Chores, DriftRules
from modelwatch.storage import Ledger, Store
from modelwatch.storage.migrations import migrate

# The event loop must not wait the default 5 ms for a writer thread that is busy counting.
SWITCH_INTERVAL_SECONDS = 0.0005

log = logging.getLogger(__name__)


def service_version() -> str:
    """The installed version, or the source tree's when it runs uninstalled."""
    try:
        return distribution_version("modelwatch")
    except PackageNotFoundError:
        return "0.1.0"


def microseconds_now() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1_000


def new_id() -> str:
    """A fresh UUIDv7."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom)


def create_app() -> ASGIApp:
    """The application with the settings of the environment: what uvicorn's workers import."""
    return build_service(load_settings())


def openapi_document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of a service with these settings."""
    front = build_service(settings)
    assert isinstance(front, FastPath)
    return front.app.openapi()


def build_service(settings: Settings) -> ASGIApp:
    """Opens the store (and brings its schema up to date) and wires the parts; they start with the application."""
    store = Store(settings.database_url)
    schema = migrate(store)
    version = service_version()
    holder = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    rules = DriftRules.of(settings)
    exposition = Exposition(
        store=store, clock=microseconds_now, version=version, max_features=settings.metrics_max_features
    )
    ledger = Ledger(
        store,
        clock=microseconds_now,
        new_id=lambda: uuid.uuid4().hex,
        host=holder,
        rotation_seconds=settings.writer_rotation_seconds,
    )
    batcher = Batcher(
        ledger,
        exposition.counters,
        max_events=settings.max_buffer_size,
        max_bytes=settings.max_buffer_bytes,
        linger_seconds=settings.commit_linger_ms / 1_000,
        give_up_seconds=settings.request_timeout_seconds,
    )
    chores = Chores(
        store,
        rules,
        exposition.counters,
        holder=holder,
        clock=microseconds_now,
        timer=time.perf_counter,
        new_id=new_id,
        provisional_size=settings.provisional_reference_size,
        rotation_seconds=settings.writer_rotation_seconds,
    )
    state = ServiceState(
        settings=settings,
        store=store,
        batcher=batcher,
        decoder=Decoder(Limits.of(settings), microseconds_now, new_id),
        rules=rules,
        metrics=exposition,
        clock=microseconds_now,
        new_id=new_id,
        version=version,
        schema_version=schema,
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        # What was imported and built stays: the collector need not look through it again under load.
        gc.collect()
        gc.freeze()
        batcher.start()
        chores.start()
        try:
            yield
        finally:
            chores.close()
            batcher.close()
            ledger.close()
            store.close()

    return build_app(state, lifespan)
