"""State of the routes: one object, made at start, that holds the service's parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from modelwatch.alerting.delivery.actions import DeliveryActions
from modelwatch.alerting.queries import ChannelFacts
from modelwatch.alerting.service import AlertService
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.nearest_models import NearestModels
from modelwatch.api.problems import is_fault_of_client, slug_of
from modelwatch.config import Settings
from modelwatch.ingest import Batcher
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.received_profiles import TakenProfile
from modelwatch.views.service import Process


class Counters(Protocol):
    """Counters of events that the routes increment."""

    def rejected(self, reason: str) -> None: ...

    def checked(self, model: str, seconds: float) -> None: ...

    def accepted(self, request: str, seconds: float) -> None: ...

    def profiled(self, model: str, taken: TakenProfile) -> None: ...


class Metrics(Protocol):
    """The exposition of all metrics."""

    def render(self, accept: str | None) -> tuple[bytes, str]: ...


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The parts of a running service."""

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

    def count_refusal(self, error: Exception, method: str = "POST") -> None:
        """Counts a request that was refused, or that failed, by its reason.

        A GET (of which HEAD is one here) brings no data: its refusals count where the fault is the service's.
        """
        if method != "GET" or not is_fault_of_client(error):
            self.counters.rejected(slug_of(error))
