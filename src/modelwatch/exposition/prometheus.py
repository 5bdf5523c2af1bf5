"""The answer to a scrape: event counters of the process (or of all workers of a host) and state gauges of the store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, values
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from modelwatch.errors import SettingsError
from modelwatch.exposition.alerts import NotificationCounters
from modelwatch.exposition.counters import EventCounters
from modelwatch.exposition.state import StateCollector
from modelwatch.exposition.text import encoded, written
from modelwatch.storage.engine.store import Store

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"


class Exposition:
    """The metrics that this process serves at /metrics, with the counters that it increments.

    With several workers on a host, PROMETHEUS_MULTIPROC_DIR names a directory that they share and that was empty when
    the first one started. It must be set before prometheus_client is imported; raises SettingsError otherwise.
    channels: names of those that are configured. check_interval: seconds between two evaluations, where no monitor says
    otherwise. url: where people reach the service. max_features, max_feature_series: see StateCollector.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], int],
        version: str,
        max_features: int,
        channels: Sequence[str] = (),
        check_interval: int = 3_600,
        url: str = "",
        max_feature_series: int = 50_000,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        events = CollectorRegistry()
        self.counters = EventCounters(events, max_features)
        self.notifications = NotificationCounters(events, channels)
        self._served = CollectorRegistry()
        if _shared_by_workers():
            self._served.register(_Workers(None))  # type: ignore[no-untyped-call]
        else:
            self._served.register(events)
            ProcessCollector(registry=self._served)
        self._served.register(_Info(version, url))
        self._state = StateCollector(store, max_features, clock, channels, check_interval, max_feature_series)

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """Body and content type of a scrape, in the format that the Accept header asks for."""
        try:
            _, content_type = choose_encoder(accept or "")
        except (TypeError, ValueError):  # a version that is no number: as if nothing had been asked for
            _, content_type = choose_encoder("")
        families = [*map(written, self._served.collect()), *self._state.collect()]
        return encoded(families, openmetrics=content_type.startswith("application/openmetrics-text")), content_type


class _Workers(MultiProcessCollector):
    """The counters of all workers of a host, and the gauges of those that live: what a killed one had in its queue no
    longer waits."""

    def collect(self) -> Iterable[Metric]:
        folder = Path(os.environ[MULTIPROCESS_DIR])
        for process in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
            if not _lives(process):
                # Another worker may be scraped at this moment, and be first.
                with contextlib.suppress(FileNotFoundError):
                    mark_process_dead(process)  # type: ignore[no-untyped-call]
        return super().collect()  # type: ignore[no-any-return, no-untyped-call]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Info(Collector):
    """The build and the address of its pages. (The library's own Info does not work with several workers.)"""

    def __init__(self, version: str, url: str) -> None:
        self._version = version
        self._url = url

    def collect(self) -> Iterable[Metric]:
        return [
            InfoMetricFamily("modelwatch_build", "Running version.", value={"version": self._version}),
            InfoMetricFamily("modelwatch_service", "Address of the service's pages.", value={"url": self._url}),
        ]


def _shared_by_workers() -> bool:
    wanted = MULTIPROCESS_DIR in os.environ
    if wanted and values.ValueClass is values.MutexValue:
        raise SettingsError(
            f"{MULTIPROCESS_DIR} was set after prometheus_client had been imported, so the counters of this process"
            " would be missing. Set it before the service is imported."
        )
    return wanted
