"""The service put together: settings in, a running ASGI application out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import platform
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from modelwatch.access import KnownKeys
from modelwatch.alerting.channels import build_channels
from modelwatch.alerting.delivery.actions import DeliveryActions
from modelwatch.alerting.delivery.threads import Delivery
from modelwatch.alerting.policy import AlertPolicy, policy_of
from modelwatch.alerting.queries import ChannelFacts
from modelwatch.alerting.service import AlertService
from modelwatch.api.app import Application, build_app
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits, uuid7
from modelwatch.api.front import Front
from modelwatch.api.state import ServiceState
from modelwatch.config import Settings, load_settings
from modelwatch.config.channels import channel_configs, channel_target
from modelwatch.config.documentation import release_version
from modelwatch.errors import StoreUnavailable
from modelwatch.exposition import Exposition
from modelwatch.ingest import Batcher
from modelwatch.monitoring.checks.performance.check import PerformanceCheck
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler.evaluator import Evaluator
from modelwatch.monitoring.scheduler.jobs.deletions import Deletions
from modelwatch.monitoring.scheduler.jobs.freshness import Freshness
from modelwatch.monitoring.scheduler.jobs.maintenance import Maintenance, SizeSamples
from modelwatch.monitoring.scheduler.jobs.retention import Keep, Retention
from modelwatch.monitoring.scheduler.runner import BackgroundJobs, Lease
from modelwatch.server.limits import keep_large_blocks_apart, keep_trimmed, trim, use_few_arenas
from modelwatch.server.process_reports import ProcessReporter
from modelwatch.server.startup import filed_monitors, protect
from modelwatch.storage.engine.drivers.postgresql import StoreOptions
from modelwatch.storage.engine.leases import store_time
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.maintenance.deletion import Deletion
from modelwatch.storage.references.monitors import monitor_of, put_monitor
from modelwatch.times import SECONDS_PER_DAY, microseconds_now
from modelwatch.views.service import Process
from modelwatch.web import build_pages

# The event loop must not wait the default 5 ms for a writer thread that is busy counting.
SWITCH_INTERVAL_SECONDS = 0.0005
# The lease is renewed and the other background jobs have their turn after each round of evaluations.
LONGEST_ROUND_SECONDS = 4.0
LONGEST_MAINTENANCE_SECONDS = 1.0

log = logging.getLogger(__name__)


def new_id() -> str:
    """A fresh UUIDv7."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom)


def create_app(settings: Settings | None = None) -> Front:
    """The application, by default with the settings of the environment: what uvicorn's workers import."""
    settings = settings or load_settings()
    # Before there are threads: those that have an arena keep it.
    use_few_arenas(os.environ)
    keep_large_blocks_apart(os.environ)
    prepare_types()
    return Front(
        partial(build_service, settings), version=release_version(), drain_seconds=settings.shutdown_drain_seconds
    )


def prepare_types() -> None:
    """Has msgspec look at each struct that may be decoded, before there are threads.

    It would do so when the first bytes come, and until it is through with the fields that are structs themselves, a
    thread that decodes the same struct ends the process with a segmentation fault (msgspec 0.22).
    """
    for kind in _subclasses(msgspec.Struct):
        with contextlib.suppress(TypeError):  # One that is never decoded may have fields that can't be.
            msgspec.json.Decoder(kind)


def _subclasses(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def openapi_document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of a service with these settings."""
    return build_service(settings).app.openapi()


def build_service(settings: Settings) -> Application:
    """Opens the store (and brings its schema up to date) and wires the parts; they start with the application."""
    store = Store(settings.database_url, StoreOptions.of(settings))
    schema = migrate(store)
    protect(store, settings)
    version = release_version()
    holder = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    rules = DriftRules.of(settings)
    channels = build_channels(settings, clock=microseconds_now, environ=os.environ)
    exposition = Exposition(
        store=store,
        clock=microseconds_now,
        version=version,
        max_features=settings.metrics_max_features,
        channels=tuple(channels),
        check_interval=settings.drift_check_interval,
        url=settings.reached_at,
        max_feature_series=settings.metrics_max_feature_series,
    )
    ledger = Ledger(
        store,
        clock=microseconds_now,
        new_id=lambda: uuid.uuid4().hex,
        host=holder,
        rotation_seconds=settings.writer_rotation_seconds,
        sample_rate=settings.prediction_sample_rate,
    )
    batcher = Batcher(
        ledger,
        exposition.counters,
        max_events=settings.max_buffer_size,
        max_bytes=settings.max_buffer_bytes,
        linger_seconds=settings.commit_linger_ms / 1_000,
        give_up_seconds=settings.request_timeout_seconds,
    )
    for filed in filed_monitors(settings.monitors_path, channels, bool(settings.encryption_key)):
        source = f"file:{filed.path.name}"
        put_monitor(
            store, filed.model, filed.config, source=source, actor="start", now=microseconds_now(), new_id=new_id
        )

    def store_clock() -> int:
        return store_time(store, microseconds_now())

    def policy(connection: Connection, model: str) -> AlertPolicy:
        monitor = monitor_of(connection, model)
        return policy_of(
            None if monitor is None else monitor.config,
            channels=tuple(channels),
            repeat_seconds=settings.alert_repeat_seconds,
            repeat_acknowledged_seconds=settings.alert_repeat_acknowledged_seconds,
        )

    alerts = AlertService(store, policy=policy, public_url=settings.reached_at, clock=microseconds_now, new_id=new_id)
    delivery = Delivery(
        store,
        channels,
        holder=holder,
        clock=microseconds_now,
        timer=time.perf_counter,
        rng=random.SystemRandom(),
        observer=exposition.notifications,
        lease_seconds=settings.lease_seconds,
        store_clock=store_clock,
    )

    def tick_alerts(lease: Lease, now: int) -> bool:
        alerts.tick(now)
        return False

    performance = PerformanceRules.of(rules, settings.performance_tolerance)

    def performance_rules(connection: Connection, model: str) -> PerformanceRules:
        monitor = monitor_of(connection, model)
        return performance.with_monitor(None if monitor is None else monitor.config)

    quality = QualityRules.of(rules)

    def quality_rules(connection: Connection, model: str) -> QualityRules:
        monitor = monitor_of(connection, model)
        return quality.with_monitor(None if monitor is None else monitor.config)

    evaluator = Evaluator(
        store,
        rules,
        alerts,
        exposition.counters,
        timer=time.perf_counter,
        new_id=new_id,
        round_seconds=min(LONGEST_ROUND_SECONDS, settings.lease_seconds / 3),
        beside_drift=(QualityCheck(store, quality_rules),),
        label_check=PerformanceCheck(store, performance_rules),
    )
    maintenance = Maintenance(
        store,
        new_id=new_id,
        provisional_size=settings.provisional_reference_size,
        rotation_seconds=settings.writer_rotation_seconds,
        label_seconds=settings.reference_data_window_days * SECONDS_PER_DAY,
        timer=time.perf_counter,
        round_seconds=min(LONGEST_MAINTENANCE_SECONDS, settings.lease_seconds / 3),
        folded=evaluator.reread,
    )
    freshness = Freshness(
        store,
        quality_rules,
        alerts,
        new_id=new_id,
        timer=time.perf_counter,
        round_seconds=min(LONGEST_MAINTENANCE_SECONDS, settings.lease_seconds / 3),
    )
    retention = Retention(
        store,
        Keep(settings.prediction_retention_days, settings.metrics_retention_days),
        rules,
        performance_rules,
        timer=time.perf_counter,
        round_seconds=min(LONGEST_MAINTENANCE_SECONDS, settings.lease_seconds / 3),
    )

    def end_alerts(deletion: Deletion) -> bool:
        part = deletion.part
        return alerts.forget(deletion.model, part.version, part.environment, actor=deletion.actor)

    deletions = Deletions(
        store,
        end_alerts,
        timer=time.perf_counter,
        new_id=new_id,
        round_seconds=min(LONGEST_MAINTENANCE_SECONDS, settings.lease_seconds / 3),
    )
    process = Process(version, schema, microseconds_now())
    jobs = BackgroundJobs(
        store,
        (maintenance, evaluator, freshness, tick_alerts, deletions, retention, SizeSamples(store)),
        exposition.counters,
        holder=holder,
        clock=microseconds_now,
        timer=time.perf_counter,
        lease_seconds=settings.lease_seconds,
        store_clock=store_clock,
    )
    reporter = ProcessReporter(store, holder, process, exposition.counters.counted, microseconds_now)
    state = ServiceState(
        settings=settings,
        store=store,
        batcher=batcher,
        decoder=Decoder(Limits.of(settings), microseconds_now, new_id),
        rules=rules,
        performance=performance,
        quality=quality,
        counters=exposition.counters,
        metrics=exposition,
        clock=microseconds_now,
        new_id=new_id,
        trim_memory=trim,
        process=process,
        alerts=alerts,
        deliveries=DeliveryActions(
            store, delivery, tuple(channels), clock=microseconds_now, timer=time.perf_counter, new_id=new_id
        ),
        channels=tuple(
            ChannelFacts(name, config.kind, channel_target(config))
            for name, config in channel_configs(settings, os.environ).items()
        ),
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        # What was imported and built stays: the collector need not look through it again under load.
        gc.collect()
        gc.freeze()
        batcher.start()
        jobs.start()
        delivery.start()
        reporter.start()
        trimming = asyncio.create_task(keep_trimmed())
        try:
            yield
        finally:
            trimming.cancel()
            await asyncio.gather(*map(asyncio.to_thread, (jobs.close, delivery.close, reporter.close, batcher.close)))
            await asyncio.to_thread(_seal, ledger)
            store.close()

    keys = KnownKeys(store, microseconds_now)
    return build_app(state, lifespan, build_pages(state, keys), keys)


def _seal(ledger: Ledger) -> None:
    try:
        ledger.close()
    except StoreUnavailable as error:
        log.warning("The writer could not be sealed, another process will do it later: %s", error.detail)
