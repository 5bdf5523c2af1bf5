"""Page with the data quality of one model: a grid of rules and features, rates over time, schema, volume, silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from starlette.requests import Request

from modelwatch.api.state import ServiceState
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.measures import RULE_NAMES
from modelwatch.monitoring.checks.quality.report import FeatureQuality, RateReport, unjudged_values
from modelwatch.monitoring.scheduler.jobs.freshness import FreshnessReport, freshness_of
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.times import SECONDS_PER_HOUR
from modelwatch.views.newest_verdicts import JudgedQuality, judged_quality, open_findings
from modelwatch.views.quality.series import quality_series
from modelwatch.views.quality.volume import volume_series
from modelwatch.views.stretches.stretch import SeriesQuery, usual_step
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import name, subject, when
from modelwatch.web.frame.site import root_of, views_page
from modelwatch.web.performance.lanes import hours
from modelwatch.web.quality.charts import QualityCharts
from modelwatch.web.quality.words import KINDS, STATES, QualityVerdict, onset_of_member

MOST_FEATURES, MOST_NAMED = 200, 5


@dataclass(frozen=True, slots=True)
class GridCell:
    """One rule of one feature: its rates as texts; state None where the rule does not apply."""

    rate: str
    reference: str
    state: State | None
    reason: str


@dataclass(frozen=True, slots=True)
class GridRow:
    """A feature and its rules, in the order of RULE_NAMES. address: of its page."""

    feature: str
    address: str
    state: State
    cells: Sequence[GridCell]


@dataclass(frozen=True)
class QualityPage:
    """Page on the data quality of a stream."""

    of_model: ModelFrame
    judged: JudgedQuality | None
    charts: QualityCharts
    fresh: FreshnessReport
    words: QualityVerdict

    @property
    def csv(self) -> str:
        """Way from the root to the rates over time as CSV."""
        return self.of_model.api_address("quality/series.csv", with_segment=True)

    @property
    def rules(self) -> list[str]:
        """Heads of the columns of the grid."""
        return list(RULE_NAMES.values())

    @cached_property
    def grid(self) -> list[GridRow]:
        """A row a feature, the worst first."""
        report = self.words.report
        if report is None:
            return []
        rows = [self._row(feature) for feature in report.features]
        order: list[State] = ["alert", "warning", "unknown", "no_data", "stable"]
        return sorted(rows, key=lambda each: (order.index(each.state), each.feature))[:MOST_FEATURES]

    def _row(self, feature: FeatureQuality) -> GridRow:
        by_rule = {each.rule: each for each in feature.rules}
        address = self.of_model.subject_address("feature", feature.feature_name)
        state = STATES.get(feature.severity, "unknown")
        return GridRow(feature.feature_name, address, state, [_cell(by_rule.get(rule)) for rule in RULE_NAMES])

    @property
    def schema(self) -> list[tuple[State, str, str]]:
        """Changes of the schema: state, feature, and what has happened."""
        report = self.words.report
        return [
            (
                STATES.get(each.severity, "unknown"),
                each.feature_name,
                f"{each.change}: in {each.count:,} of {each.n:,} rows, in {each.reference_count:,} of the reference",
            )
            for each in (() if report is None else report.schema)
        ]

    @property
    def volumes(self) -> list[tuple[State, str, str, str]]:
        """Spans beside the same of earlier weeks: state, span, predictions, and what is usual or why not."""
        report = self.words.report
        found = []
        for each in () if report is None else report.volume:
            said = each.reason or "the usual volume is not known yet"
            if each.expected is not None and each.low is not None and each.high is not None:
                said = f"usual {number(each.expected)} ({each.low:,} to {each.high:,}), from {each.weeks} weeks"
            found.append(
                (
                    STATES.get(each.severity, "unknown"),
                    f"{each.span[:-1]} {each.span[-1]}",
                    # Without weeks to compare with, nothing is counted.
                    "–" if each.expected is None and not each.predictions else f"{each.predictions:,}",
                    said,
                )
            )
        return found

    @property
    def silence(self) -> tuple[State, str, str]:
        """Freshness of the traffic: state, sentence and reason."""
        fresh = self.fresh
        last = (
            "no prediction has arrived"
            if fresh.last_arrival is None
            else f"last {when(fresh.last_arrival, self.of_model.now).ago}"
        )
        if fresh.silent is None:
            return "unknown", last[0].upper() + last[1:], fresh.reason or ""
        usual = "" if fresh.usual_gap_seconds is None else f"longest usual gap {hours(fresh.usual_gap_seconds)}"
        limit = "" if fresh.limit_seconds is None else f"reported after {hours(fresh.limit_seconds)}"
        return (
            "alert" if fresh.silent else "stable",
            last[0].upper() + last[1:],
            ", ".join(filter(None, (usual, limit))),
        )

    @property
    def codes(self) -> list[tuple[State, str, str]]:
        """Values that seem to stand for missing ones, and values that are far out: state, feature, text."""
        report = self.words.report
        found: list[tuple[State, str, str]] = []
        for feature in () if report is None else report.features:
            for code in feature.sentinels:
                now, before = percent(code.share), percent(code.reference_share)
                said = f"{name(str(code.value))} in {now} of values, {before} in the reference"
                found.append((STATES.get(code.severity, "unknown"), feature.feature_name, said))
            for far in feature.extremes:
                said = f"{number(far.value)}, {number(far.times)} times as far from the median as the reference reaches"
                found.append(("warning", feature.feature_name, said))
        return found

    @property
    def dimensions(self) -> list[tuple[str, str]]:
        """The scores: all values, and by dimension."""
        report = self.words.report
        if report is None or report.score is None:
            return []
        rows = [("Values without issues", percent(report.score))]
        names = {"completeness": "not missing", "validity": "of the right type", "consistency": "as in the reference"}
        return rows + [
            (names.get(key, key).capitalize(), percent(_of(value))) for key, value in report.dimensions.items()
        ]

    @property
    def not_judged(self) -> list[tuple[str, str]]:
        """Subjects that are not judged, with the reasons."""
        report = self.words.report
        return [
            (listed([subject(each) for each in group.subjects], group.count), group.reason or "")
            for group in (() if report is None else unjudged_values(report))
        ]


def listed(names: Sequence[str], count: int) -> str:
    """The first five names of `count` subjects, and how many there are more.

    >>> listed(["age", "fare"], 4), listed([], 3)
    ('age, fare and 2 more', '3 others')
    """
    if not names:
        return f"{count:,} others"
    more = count - min(len(names), MOST_NAMED)
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _cell(rule: RateReport | None) -> GridCell:
    if rule is None:
        return GridCell("", "", None, "does not apply")
    reference = "" if rule.reference_rate is None else percent(rule.reference_rate)
    return GridCell(percent(_of(rule.rate)), reference, STATES.get(rule.severity, "unknown"), rule.reason or "")


def _of(value: float | None) -> float:
    return math.nan if value is None else float(value)


def read_page(state: ServiceState, of_model: ModelFrame, request: Request) -> QualityPage | None:
    """The page of the stream that is shown; None where the model has sent nothing."""
    stream = of_model.stream
    if stream is None:
        return None
    root = root_of(request)
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
        judged = judged_quality(connection, stream, of_model.end)
        rules = state.quality.with_monitor(None if monitor is None else monitor.config)
        fresh = freshness_of(connection, stream.model, stream.environment, rules, of_model.now)
        findings = [each.finding for each in open_findings(connection, stream) if each.kind in KINDS]
    words = QualityVerdict(of_model, judged, fresh, findings, root)
    segment = of_model.selection.segment_text
    step = usual_step(of_model.end - of_model.start)
    whole_hours = max(step, SECONDS_PER_HOUR)
    series_query = SeriesQuery(
        stream.model, stream.environment, stream.version, of_model.start, of_model.end, step, segment
    )
    end = of_model.end - of_model.end % SECONDS_PER_HOUR
    start = of_model.start - of_model.start % whole_hours
    volume = SeriesQuery(
        stream.model, stream.environment, stream.version, start, max(end, start + whole_hours), whole_hours
    )
    now = state.clock()
    charts = QualityCharts(
        of_model,
        quality_series(state.store, series_query, now),
        volume_series(state.store, volume, now),
        words.report,
        None if words.began is None else onset_of_member(words.began),
    )
    return QualityPage(of_model, judged, charts, fresh, words)


ROUTES = (
    views_page(
        "quality",
        "quality/quality.html",
        read_page,
        lambda of_model: of_model.api_address("quality/series", with_segment=True),
    ),
)
