"""State of the routes: one object, made at start, that holds the service's parts."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from modelwatch.alerting.delivery.actions import DeliveryActions
from modelwatch.alerting.queries import ChannelFacts
from modelwatch.alerting.service import AlertService
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.problems import slug_of
from modelwatch.api.unknown_names import NearestModels
from modelwatch.config import Settings
from modelwatch.errors import INTERNAL_ERROR, InvalidInput
from modelwatch.ingest import Batcher
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.patience import Patience
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.received_profiles import TakenProfile
from modelwatch.views.service import EvaluationState, Process

# What clients send data to; what comes before it is wrong in the settings of some.
TAKES_DATA = re.compile(r"/(predictions|ground-truth|profiles|reference)(/batch)?/?$")
SENDS_DATA = frozenset({"POST", "PUT", "PATCH"})
# So many probes, and so many scrapes, are answered at once: a pair of Prometheus servers, and some by hand.
WATCHERS = 4


class Counters(Protocol):
    """Counters of events that the routes increment."""

    def rejected(self, reason: str, number: int = 1) -> None: ...

    def failed(self) -> None: ...

    def checked(self, model: str, seconds: float) -> None: ...

    def accepted(self, request: str, seconds: float) -> None: ...

    def profiled(self, model: str, taken: TakenProfile) -> None: ...


class Metrics(Protocol):
    """The exposition of all metrics."""

    def render(self, accept: str | None) -> tuple[bytes, str]: ...


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The parts of a running service.

    probe_threads, scrape_threads: those that wait for the store for a probe and for a scrape; requests that wait for
    it, however many, take no place there.
    """

    settings: Settings
    store: Store
    batcher: Batcher
    decoder: Decoder
    rules: DriftRules
    performance: PerformanceRules
    quality: QualityRules
    counters: Counters
    metrics: Metrics
    alerts: AlertService
    deliveries: DeliveryActions
    channels: tuple[ChannelFacts, ...]
    clock: Callable[[], int]
    new_id: Callable[[], str]
    trim_memory: Callable[[], Awaitable[None]]
    process: Process
    nearest: NearestModels = field(default_factory=NearestModels)
    probes: Patience[EvaluationState] = field(default_factory=Patience)
    probe_threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WATCHERS, "modelwatch-probe"))
    scrape_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(WATCHERS, "modelwatch-scrape")
    )

    @property
    def version(self) -> str:
        """Version of this process."""
        return self.process.version

    @property
    def schema_version(self) -> str:
        """Version of the store's schema that this process works with."""
        return self.process.schema_version

    @property
    def channel_names(self) -> frozenset[str]:
        """The channels that are configured."""
        return frozenset(channel.name for channel in self.channels)

    def count_refusal(self, error: Exception, method: str = "POST", path: str = "/predictions") -> None:
        """Counts a request that was refused, or that failed.

        By its reason where it brought data: of what asks, or changes an alert, nothing is missing in the counts. Of a
        batch without a valid row each row counts, as beside a valid one. An error of the service's own counts as one
        wherever it happens.
        """
        reason = slug_of(error)
        if method in SENDS_DATA and (taken := TAKES_DATA.search(path)):
            self.counters.rejected(reason, error.rows if taken[2] and isinstance(error, InvalidInput) else 1)
        if reason == INTERNAL_ERROR:
            self.counters.failed()
