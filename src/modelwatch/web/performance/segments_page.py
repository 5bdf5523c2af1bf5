"""Page with the segments of one model: where it got worse, what each contributes to it, and what drifts there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request

from modelwatch.api.state import ServiceState
from modelwatch.charts.drawing.numbers import percent
from modelwatch.charts.rows import Contribution, waterfall
from modelwatch.charts.small import level_bar
from modelwatch.measures import (
    in_sentence,
    metric_change,
    metric_form,
    metric_interval,
    metric_name,
    metric_value,
    psi_text,
)
from modelwatch.monitoring.checks.performance.rules import LOSSES
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.monitoring.segments.evidence import SegmentQuery
from modelwatch.monitoring.segments.metric import loss_of
from modelwatch.monitoring.segments.report import SegmentFeatureReport, SegmentLine, SegmentReport, WorseSegment
from modelwatch.monitoring.segments.report_building import segment_report
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.page_frame import Entry
from modelwatch.web.frame.rendering import drawn, name, near, when
from modelwatch.web.frame.site import root_of, segment_of, views_page
from modelwatch.web.frame.verdict import Verdict, joined, quiet, strong

# A smaller part of a PSI is not shown.
LEAST_DRIFT = 0.01
MOST_BARS, MOST_LINES, MOST_WORST = 12, 50, 8
# Above this, times the number of segments that are compared, a difference may be chance.
CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment in a table: texts. address: of the performance page narrowed to it."""

    value: str
    address: str
    predictions: str
    share: str
    now: str
    interval: str
    before: str
    change: str
    certain: bool
    drift: str
    sound: str


@dataclass(frozen=True)
class SegmentsPage:
    """Page on the segments of a stream. root: way to the service's root."""

    of_model: ModelFrame
    report: SegmentReport
    root: str

    @property
    def metric(self) -> str:
        """The metric that is divided; empty while nothing is known about labels."""
        return self.report.metric or ""

    @property
    def metric_name(self) -> str:
        """Its name."""
        return metric_name(self.metric)

    @property
    def metric_words(self) -> str:
        """Its name inside of a sentence."""
        return in_sentence(self.metric)

    @property
    def metrics(self) -> list[Entry]:
        """The switch of the metric; addresses are queries."""
        known = METRICS_OF.get(self.metric, ())
        return [
            Entry(metric_name(each), self.of_model.selection.query(sort=each), each == self.metric) for each in known
        ]

    @property
    def verdict(self) -> Verdict:
        """Sentence on the change of the metric, and on the segment with most of it."""
        report, worst = self.report, self.report.worst
        if not report.features:
            return Verdict("unknown", "No segments are counted for this model.")
        if report.reason is not None:
            return Verdict("unknown", report.reason)
        if report.now is None or report.now.value is None:
            why = None if report.now is None else report.now.reason
            return Verdict("unknown", f"{self.metric_name} is unknown: {why or 'no labels yet'}.")
        now = metric_value(self.metric, report.now.value)
        said: list[str] = [
            joined(
                [f"{self.metric_name} is ", strong(now), " ", quiet(f"({metric_interval(self.metric, report.now)})")],
                "",
            ),
            joined([" from ", self.span], "") if self.span else "",
        ]
        before = next((each.before for each in report.features if each.before is not None), None)
        if before is not None and before.value is not None:
            kind = "reference:" if self._is_reference else "before:"
            said.append(f"; {kind} {metric_value(self.metric, before.value)}.")
        certain = [each for each in worst if _is_certain(each.adjusted_p_value)]
        if certain:
            first = certain[0]
            where = strong(segment_words(first.feature_name, _value_of(first)))
            said.append(joined([" ", where, f" got worse: it accounts for {self._part(first)} of the change."], ""))
        elif worst:
            said.append(" No segment is worse by more than chance.")
        else:
            said.append(" No segment is worse.")
        if self.mix_words:
            said.append(f" {self.mix_words}")
        state = self.of_model.state if certain and self.of_model.state in ("alert", "warning") else "stable"
        return Verdict(state, joined(said, ""))

    def _part(self, worse: WorseSegment, *, unit: bool = True) -> str:
        """What a segment changes in the metric by its own values; of a metric that isn't divided, its own change."""
        now = None if self.report.now is None else self.report.now.value
        return metric_change(self.metric, loss_of(self.metric, worse.own, now or 0.0), unit=unit)

    @property
    def mix_words(self) -> str:
        """Sentence on a shift in mix that is most of the loss of the metric; empty where it is not."""
        now = None if self.report.now is None else self.report.now.value
        found = [
            (loss_of(self.metric, each.mix, now), each)
            for each in self.report.features
            if now is not None
            and each.mix is not None
            and each.change is not None
            and 0.0 < loss_of(self.metric, each.change, now) < 2.0 * loss_of(self.metric, each.mix, now)
        ]
        if not found:
            return ""
        _, most = max(found, key=lambda pair: pair[0])
        change = metric_change(self.metric, most.mix)
        return f"A shift in the shares of {name(most.feature_name)} accounts for {change} of the change."

    def divided_words(self, feature: SegmentFeatureReport) -> str:
        """How much of a change comes from the segments themselves, and how much from their shares."""
        level, mix = (metric_change(self.metric, each) for each in (feature.level, feature.mix))
        return f"{level} by their own values, {mix} by a shift of their shares (mix)"

    @property
    def _is_reference(self) -> bool:
        return any(each.baseline is not None and each.baseline.kind == "reference" for each in self.report.features)

    @property
    def span(self) -> str:
        """The stretch that labels are of."""
        window = self.report.labelled
        if window is None:
            return ""
        return joined([near(when(each, self.of_model.now)) for each in (window.start, window.end)], " to ")

    def about(self, feature: SegmentFeatureReport) -> str:
        """Text on the baseline of a feature's segments."""
        baseline = feature.baseline
        if baseline is None or not baseline.n:
            return "nothing to compare with"
        if baseline.kind == "reference" or baseline.start is None or baseline.end is None:
            return "compared with the reference"
        start, end = (near(when(each, self.of_model.now)) for each in (baseline.start, baseline.end))
        return joined(["compared with ", start, " to ", end], "")

    def waterfall(self, feature: SegmentFeatureReport) -> Markup:
        """Contribution of each segment to the change of the metric; empty where that can't be divided."""
        parts = [
            (line, line.contribution.total)
            for line in feature.segments
            if line.contribution is not None and math.isfinite(line.contribution.total)
        ]
        if not parts:
            return Markup("")
        shown = [
            Contribution(name(line.value), value, certain=_is_certain(line.adjusted_p_value))
            for line, value in parts[:MOST_BARS]
        ]
        rest = [value for _, value in parts[MOST_BARS:]]
        if rest:
            shown.append(Contribution(f"{len(rest)} others", math.fsum(rest), certain=False))
        title = f"{self.metric_name} by {feature.feature_name}"
        worse = "more" if self.metric in LOSSES else "fewer"
        return drawn(waterfall(title, shown, form=metric_form(self.metric), worse=worse))

    def lines(self, feature: SegmentFeatureReport) -> list[SegmentRow]:
        """The segments of a feature, the worst first."""
        return [self._row(line) for line in feature.segments[:MOST_LINES]]

    def _row(self, line: SegmentLine) -> SegmentRow:
        drift = ", ".join(
            f"{name(each.feature_name)} {psi_text(each.contribution)}"
            for each in line.drift
            if each.contribution >= LEAST_DRIFT
        )
        metric, before = line.metric, line.before
        share = "" if line.share is None else percent(line.share)
        if line.share is not None and line.share_before is not None:
            share = f"{percent(line.share)} (was {percent(line.share_before)})"
        return SegmentRow(
            value=line.value,
            address=self.address("performance", line.segment),
            predictions=f"{line.predictions:,}",
            share=share,
            now="" if metric is None else metric_value(self.metric, metric.value),
            interval="" if metric is None else metric_interval(self.metric, metric),
            before="" if before is None else metric_value(self.metric, before.value),
            change="" if line.change is None else metric_change(self.metric, line.change, unit=False),
            certain=_is_certain(line.adjusted_p_value),
            drift=drift,
            sound="" if line.quality_score is None else percent(line.quality_score),
        )

    @property
    def worst(self) -> list[tuple[str, str, str, str, bool]]:
        """Segments over all features: text, address, own part, values before and now, whether it is certain."""
        found = []
        for each in self.report.worst[:MOST_WORST]:
            values = f"{metric_value(self.metric, each.before)} → {metric_value(self.metric, each.value)}, n {each.n:,}"
            found.append(
                (
                    segment_words(each.feature_name, _value_of(each)),
                    self.address("performance", each.segment),
                    self._part(each, unit=False),
                    values,
                    _is_certain(each.adjusted_p_value),
                )
            )
        return found

    @property
    def is_mixed(self) -> bool:
        """True where the bars of a segment beside these parts also count a shift of its share."""
        return any(each.mix for each in self.report.worst[:MOST_WORST])

    @property
    def bars(self) -> list[Markup]:
        """Sizes of those segments' parts as bars; hatched where chance may explain them."""
        shown = self.report.worst[:MOST_WORST]
        largest = max((each.own for each in shown), default=0.0)
        return [
            drawn(
                level_bar(
                    f"Part of {segment_words(each.feature_name, _value_of(each))}",
                    each.own,
                    (),
                    highest=largest or 1.0,
                    style="f-alert" if _is_certain(each.adjusted_p_value) else "f-unknown",
                    height=10.0,
                )
            )
            for each in shown
        ]

    @property
    def unit(self) -> str:
        """Unit of the parts of a change."""
        return (
            f"points of {in_sentence(self.metric)}"
            if metric_form(self.metric) == "percent"
            else in_sentence(self.metric)
        )

    def drift(self, feature: SegmentFeatureReport) -> list[tuple[str, str, str]]:
        """Features that drift most: name, PSI, and the segments that contribute most to it."""
        found = []
        for each in feature.drift:
            if each.psi < LEAST_DRIFT:
                continue
            parts = sorted(each.contributions.items(), key=lambda part: -part[1])[:3]
            texts = [f"{name(segment.partition('=')[2])} {psi_text(value)}" for segment, value in parts if value > 0.0]
            found.append((each.feature_name, psi_text(each.psi), ", ".join(texts)))
        return found

    def address(self, tab: str, segment: str) -> str:
        """Way from the service's root to a page of the model, narrowed to a segment."""
        feature, _, value = segment.partition("=")
        return f"{self.of_model.below}/{tab}{self.of_model.selection.elsewhere(segment=(feature, value))}"


# By metric, those of its task that may be chosen.
_TASKS: Sequence[tuple[str, ...]] = (
    ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"),
    ("accuracy", "f1_macro", "log_loss"),
    ("mae", "rmse", "mean_error"),
)
METRICS_OF = {metric: task for task in reversed(_TASKS) for metric in task}


def segment_words(feature: str, value: str) -> str:
    """A segment as people write it.

    >>> segment_words("country", "DE"), segment_words("amount", "> 10"), segment_words("amount", "(5, 10]")
    ('country = DE', 'amount > 10', 'amount in (5, 10]')
    """
    if value[:1] in ("<", ">", "="):
        return f"{feature} {value}"
    return (
        f"{feature} in {value}"
        if value[:1] in ("(", "[") and value[-1:] in ("]", ")") and "," in value
        else f"{feature} = {value}"
    )


def _is_certain(adjusted: float | None) -> bool:
    return adjusted is not None and adjusted < CHANCE


def _value_of(worse: WorseSegment) -> str:
    return worse.segment.partition("=")[2]


def read_page(state: ServiceState, of_model: ModelFrame, request: Request) -> SegmentsPage | None:
    """The page of the stream that is shown; None where the model has sent nothing."""
    stream = of_model.stream
    if stream is None:
        return None
    root = root_of(request)
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
    config = None if monitor is None else monitor.config
    drift, rules = rules_for(state.rules, config), state.performance.with_monitor(config)
    query = SegmentQuery(of_model.selection.sort, end=of_model.end, length=of_model.end - of_model.start)
    return SegmentsPage(of_model, segment_report(state.store, drift, rules, query, stream), root)


ROUTES = (
    views_page(
        "segments",
        "performance/segments.html",
        read_page,
        lambda of_model: f"api/v1/models/{segment_of(of_model.model)}/segments",
    ),
)
