"""Frame of the pages about one model: which stream and stretch of time, its state, tabs and switches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlencode

from sqlalchemy import Connection

from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import UnknownResource, excerpt
from modelwatch.findings import Kind
from modelwatch.storage.counts.streams import Newest, first_data, newest_windows, streams_of
from modelwatch.storage.engine.models import StreamKey, require_model
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.verdicts.evaluations import evaluation_progress
from modelwatch.storage.verdicts.headlines import SEVERITIES, newest_of
from modelwatch.storage.verdicts.verdicts import DRIFT
from modelwatch.text import span
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds
from modelwatch.views.models.rows import ModelState, is_behind, model_state
from modelwatch.views.models.without_alert import DriftWithoutAlert, drift_without_alert
from modelwatch.web.frame.page_frame import Entry
from modelwatch.web.frame.rendering import When, when
from modelwatch.web.frame.selection import DEFAULT_RANGE, RANGES, Selection

# Name and last part of the address. Shown where there is such a page.
TABS = (
    ("Overview", ""),
    ("Drift", "drift"),
    ("Performance", "performance"),
    ("Quality", "quality"),
    ("Segments", "segments"),
    ("Compare", "compare"),
    ("Monitor", "monitor"),
)
TAB_OF_KIND: dict[Kind, str] = {
    "feature_drift": "drift",
    "prediction_drift": "drift",
    "latency_drift": "drift",
    "performance": "performance",
    "label_drift": "performance",
    "data_quality": "quality",
    "volume": "quality",
    "freshness": "quality",
}
RANGE_NAMES = {"6h": "6 h", "24h": "24 h", "48h": "48 h", "7d": "7 d", "30d": "30 d"}


class Stepped(Protocol):
    """A series: the lengths of its steps and of what each looks back over, in seconds."""

    @property
    def step_seconds(self) -> int: ...

    @property
    def window_seconds(self) -> int: ...


def steps_words(series: Stepped) -> str:
    """Clause on the steps of a series."""
    step, window = series.step_seconds, series.window_seconds
    further = f", each looks back {span(window)}" if window > step else ""
    return f"steps of {span(step)}{further}"


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """Frame of a page about a model.

    streams: all of the model. stream: the one that is shown; None before its first prediction. start, end: seconds of
    event time, aligned to base windows. newest: of its data. alerts: those open for the model in its environment. tab:
    the last part of the page's address. now: microseconds. without_alert: of a verdict of drift while no alert is open.
    first: start of the first data in its environment, in seconds.
    """

    model: str
    selection: Selection
    streams: Sequence[StreamKey]
    stream: StreamKey | None
    newest: Newest | None
    start: int
    end: int
    state: ModelState
    alerts: Sequence[AlertLine]
    tab: str
    paths: frozenset[str]
    now: int
    without_alert: DriftWithoutAlert | None = None
    first: int | None = None

    @property
    def below(self) -> str:
        """Way from the service's root to the model's overview."""
        return f"ui/models/{quote(self.model, safe='')}"

    @property
    def chosen(self) -> Selection:
        """The selection with the stream that is shown."""
        if self.stream is None:
            return self.selection
        _, version, environment = self.stream
        of = self.selection
        return Selection(version, environment, of.start, of.end, of.range, of.segment, of.sort, of.rows)

    @property
    def tabs(self) -> list[Entry]:
        """The tabs; their addresses are ways from the service's root."""
        found = []
        for name, last in TABS:
            path = "/models/{model_name:segment}" + (f"/{last}" if last else "")
            if path in self.paths:
                findings = sum(each.members for each in self.alerts if last and TAB_OF_KIND[each.kind] == last)
                address = self.below + (f"/{last}" if last else "") + self.selection.elsewhere()
                found.append(Entry(name, address, last == self.tab, findings))
        listed = f"ui/alerts?model={quote(self.model, safe='')}"
        return [*found, Entry("Alerts", listed, self.tab == "alerts", len(self.alerts))]

    @property
    def ranges(self) -> list[Entry]:
        """The switch of the range; addresses are queries."""
        of = self.selection
        current = None if of.start is not None else of.range or DEFAULT_RANGE
        return [
            Entry(RANGE_NAMES[each], of.query(range=each, start=None, end=None), each == current) for each in RANGES
        ]

    @property
    def versions(self) -> list[Entry]:
        """The switch of the version, in the environment that is shown; addresses are queries."""
        return [
            Entry(each.version, self.selection.query(version=each.version), each == self.stream)
            for each in self.streams
            if self.stream is not None and each.environment == self.stream.environment
        ]

    @property
    def environments(self) -> list[Entry]:
        """The switch of the environment; addresses are queries. The version is chosen anew where it is not there."""
        if self.stream is None:
            return []
        has = {each.environment for each in self.streams if each.version == self.stream.version}
        return [
            Entry(
                each,
                self.selection.query(environment=each, version=self.selection.version if each in has else None),
                each == self.stream.environment,
            )
            for each in sorted({each.environment for each in self.streams})
        ]

    def api_address(self, last: str, *, with_segment: bool = False, **more: str | None) -> str:
        """Way from the service's root to what the API says of the stream and stretch that are shown, below the model.

        with_segment: of the segment that is selected. more: other fields of the query, without those that are None.
        """
        fields = {
            **more,
            "version": None if self.stream is None else self.stream.version,
            "environment": None if self.stream is None else self.stream.environment,
            "start": iso_of_seconds(self.start),
            "end": iso_of_seconds(self.end),
            "segment": (self.selection.segment_text or None) if with_segment else None,
        }
        query = urlencode({name: value for name, value in fields.items() if value is not None}, quote_via=quote)
        return f"api/v1/models/{quote(self.model, safe='')}/{last}?{query}"

    def series_address(self, last: str, series: Stepped, *, with_segment: bool = False, **more: str | None) -> str:
        """The same of a series, in the steps in which it is shown."""
        step, window = (f"{each // 60}m" for each in (series.step_seconds, series.window_seconds))
        own = None if window == step else window
        return self.api_address(last, with_segment=with_segment, step=step, window=own, **more)

    def subject_path(self, kind: str, name: str) -> str:
        """Way from the service's root to the page of a subject, without a query. kind: feature, prediction, score or
        latency. name: of a feature."""
        return f"{self.below}/features/{quote(name, safe='')}" if kind == "feature" else f"{self.below}/{kind}"

    def subject_address(self, kind: str, name: str) -> str:
        """The same with the selection as its query."""
        return self.subject_path(kind, name) + self.selection.elsewhere()

    def when(self, seconds: int) -> When:
        """Moment in seconds."""
        return when(iso_of_seconds(seconds), self.now)


def model_frame(
    connection: Connection,
    model: str,
    selection: Selection,
    tab: str,
    paths: frozenset[str],
    alerts: Sequence[AlertLine],
    now: int,
) -> ModelFrame:
    """Frame of a page about a model: by default about the stream with the newest data, up to that.

    alerts: all that are open. now: microseconds. Raises UnknownModel, and UnknownResource for a version or an
    environment that has sent nothing.
    """
    require_model(connection, model)
    streams = streams_of(connection, model)
    newest = newest_windows(connection, model)
    wanted = [
        each
        for each in streams
        if selection.version in (None, each.version) and selection.environment in (None, each.environment)
    ]
    if not wanted and (selection.version is not None or selection.environment is not None):
        what = " in ".join(excerpt(each) for each in (selection.version, selection.environment) if each is not None)
        raise UnknownResource(f"{excerpt(model)} has sent nothing as {what}.")
    stream = max(wanted, key=lambda each: (newest[each].latest_ts if each in newest else 0, each), default=None)
    data = None if stream is None else newest.get(stream)
    until = now // MICROS_PER_SECOND if data is None else data.window_start + BASE_WINDOW_SECONDS
    start, end = selection.stretch(until)
    environment = None if stream is None else stream.environment
    of_model = [each for each in alerts if each.model_name == model and environment in (None, each.environment)]
    found = None if stream is None else newest_of(connection, [stream], DRIFT).get(stream)
    verdict = None if found is None else found[0]
    without_alert = None
    if stream is not None and verdict is not None and verdict.severity in SEVERITIES and not of_model:
        monitor = monitor_of(connection, model)
        monitors = {} if monitor is None else {model: monitor.config}
        without_alert = drift_without_alert(connection, [stream], monitors).get(stream)
    return ModelFrame(
        model=model,
        selection=selection,
        streams=streams,
        stream=stream,
        newest=data,
        start=start - start % BASE_WINDOW_SECONDS,
        end=end + -end % BASE_WINDOW_SECONDS,
        state=model_state(
            [each.severity for each in of_model],
            None if verdict is None else verdict.severity,
            has_data=data is not None,
            is_behind=is_behind(evaluation_progress(connection), data, verdict),
            is_resolved=without_alert is not None and without_alert.is_resolved,
        ),
        alerts=of_model,
        tab=tab,
        paths=paths,
        now=now,
        without_alert=without_alert,
        first=None if environment is None else first_data(connection, model, environment),
    )
