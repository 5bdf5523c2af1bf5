"""Content of the page of one subject of a model: what is shown, from views that have been read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from markupsafe import Markup

from modelwatch.alerting.onsets import TOGETHER_SECONDS
from modelwatch.charts.annotations import Event
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.small import level_bar
from modelwatch.measures import chance, chance_limit, psi_text
from modelwatch.monitoring.segments.report import SegmentLine, SegmentReport
from modelwatch.storage.references.subjects import Subject
from modelwatch.text import lookback
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.drift.subject_comparison import SubjectComparison
from modelwatch.views.drift.subject_series import SubjectSeries
from modelwatch.views.newest_verdicts import KINDS, OpenFinding
from modelwatch.web.drift.subject_comparison import (
    ComparedWindows,
    drawn_cells,
    drawn_comparison,
    named_categories,
    used_cells,
)
from modelwatch.web.drift.subject_lanes import SubjectLanes
from modelwatch.web.drift.subject_verdict import SubjectVerdict
from modelwatch.web.frame.model_frame import ModelFrame, steps_words
from modelwatch.web.frame.rendering import When, dated, drawn, microseconds, moments, near, size, when
from modelwatch.web.frame.verdict import Verdict, joined, strong

NAMES: dict[str, str] = {"prediction": "Prediction", "score": "Score", "latency": "Latency"}
MOST_BESIDE = 8
MOST_SEGMENTS = 10
# Findings that began so close to this one moved with it, in microseconds.


@dataclass(frozen=True, slots=True)
class Beside:
    """Another subject that moved at the same time: its name, the way to its page, its score and state."""

    name: str
    address: str
    score: str
    state: State


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """A segment's part in the drift of a subject: its value, the query that narrows the page to it, its part in the PSI
    and its share of the predictions as texts, how many times the share the part is, and a bar of the part."""

    value: str
    query: str
    part: str
    share: str
    times: str
    bar: Markup


@dataclass(frozen=True)
class SubjectPage:
    """A subject, its series over the stretch, and what it is compared with now.

    compared_windows: of the form. whole: of a segment the whole stretch as one step; None where all predictions are
    shown. segments: their parts in the drift; None where nothing drifts, or there are none.
    """

    of_model: ModelFrame
    subject: Subject
    series: SubjectSeries
    compared: SubjectComparison
    between: SubjectComparison | None
    whole: SubjectSeries | None
    segments: SegmentReport | None
    compared_windows: ComparedWindows
    findings: Sequence[OpenFinding]
    root: str

    @property
    def name(self) -> str:
        """Name of the subject."""
        return self.subject.name or NAMES[self.subject.kind]

    @cached_property
    def finding(self) -> OpenFinding | None:
        """The finding in force about the subject."""
        kind, known = KINDS[self.subject.kind], self.subject.name or self.subject.kind
        return next((each for each in self.findings if (each.kind, each.finding.subject) == (kind, known)), None)

    @cached_property
    def words(self) -> SubjectVerdict:
        """Inputs of the verdict's sentences."""
        since = self.series.began
        onset = None if since is None else when(since, self.of_model.now)
        return SubjectVerdict(self.of_model, self.compared, self.finding, onset, self.root)

    @cached_property
    def verdict(self) -> Verdict:
        """The block at the top; a segment is not judged by itself."""
        if self.whole is None:
            return self.words.verdict
        step = next(iter(self.whole.steps), None)
        if step is None or step.psi is None:
            return Verdict("no_data", "The segment has no values in this range.")
        parts = ["Segments are not judged on their own. Over the whole range the PSI is ", strong(psi_text(step.psi))]
        known = self.whole.compared_with == "reference_segment"
        against = "the same segment of the reference" if known else "the whole reference"
        return Verdict("unknown", joined([*parts, f" compared with {against}, from {step.n:,} values."], ""))

    @property
    def state(self) -> State:
        """State of the subject."""
        return self.verdict.state if self.whole is not None else self.words.state

    @cached_property
    def lanes(self) -> SubjectLanes:
        """The subject over time."""
        began = self.words.began if self.whole is None else None
        events = []
        if began is not None:
            text = f"began {began.short}" if self.finding is not None else f"since {began.short}"
            events = [Event(microseconds(began.iso) // MICROS_PER_SECOND, text, "since", moments(began))]
        named = named_categories(self.compared)[:1]
        return SubjectLanes(self.series, (self.of_model.start, self.of_model.end), events, named)

    @property
    def steps_words(self) -> str:
        """Text on the steps."""
        return steps_words(self.series)

    @cached_property
    def histogram(self) -> Markup:
        """The cells of the reference against those of now, with their parts in the PSI; then as a table."""
        if self.whole is None:
            return drawn_comparison(self.name, self.compared)
        reference, step = self.whole.reference, next(iter(self.whole.steps), None)
        if reference is None or step is None or not step.n:
            return Markup("")
        return drawn_cells(self.name, reference.cells, reference.edges, reference.shares, step.shares, None)

    @cached_property
    def of_windows(self) -> Markup:
        """The cells of the two windows of the form."""
        return Markup("") if self.between is None else drawn_comparison(self.name, self.between)

    @property
    def now_words(self) -> str:
        """Name of what is compared with the reference."""
        if self.whole is not None:
            return "the whole range"
        return _span_words(self.compared, self.of_model.now)

    @property
    def cells_words(self) -> str:
        """Text on the cells."""
        if self.compared.edges:
            return f"{len(self.compared.cells)} cells, fixed by the reference"
        return f"{len(used_cells(self.compared)):,} categories"

    @property
    def windows_words(self) -> str:
        """Names of the two windows of the form."""
        if self.between is None or self.between.before is None or self.between.after is None:
            return ""
        sides = (self.between.before, self.between.after)
        return joined([_stretch(each.start, each.end, self.of_model.now) for each in sides[::-1]], " against ")

    @property
    def numbers(self) -> list[tuple[str, str, bool]]:
        """Scores and counts of the check: name, value, whether it is bad. None of a segment."""
        if self.whole is not None:
            return []
        report, before, after = self.compared.report, self.compared.before, self.compared.after
        found: list[tuple[str, str, bool]] = []
        bad = report.severity in ("warning", "alert")
        if report.psi is not None:
            found.append(("PSI", psi_text(report.psi.score), bad))
        if report.odds is not None:
            found.append(("Odds of " + report.odds.category, f"{number(report.odds.ratio)} times", report.odds.decides))
        if report.ks_test is not None:
            found.append(("Kolmogorov–Smirnov", number(report.ks_test.statistic), False))
        if report.jensen_shannon is not None:
            found.append(("Jensen–Shannon", number(report.jensen_shannon.distance), False))
        if report.total_variation is not None:
            found.append(("Total variation", number(report.total_variation), False))
        if report.wasserstein is not None:
            found.append(("Wasserstein", f"{number(report.wasserstein)} sd", False))
        if before is not None and after is not None:
            if after.quantiles and after.quantiles[2] is not None and before.quantiles[2] is not None:
                found.append(("Median", f"{number(before.quantiles[2])} → {number(after.quantiles[2])}", False))
            found.append(("Values", f"{after.n:,}", False))
            found.append(("Reference", f"{before.n:,}", False))
            found.append(("Missing, invalid", f"{after.missing:,}, {after.invalid:,}", False))
            beyond = after.below_range + after.above_range
            found.append(
                ("Out of range", f"{beyond:,}", False)
                if self.compared.edges
                else ("Unseen", f"{after.unseen:,}", False)
            )
        return found

    @property
    def why(self) -> list[tuple[str, str]]:
        """Text on the evidence of the verdict. None of a segment."""
        if self.whole is not None:
            return []
        report = self.compared.report
        found: list[tuple[str, str]] = []
        evidence = report.evidence
        if evidence is not None:
            degrees = evidence.degrees_of_freedom
            found += [
                ("Test", f"chi-square, {degrees} degrees" if degrees else "exact, of single cells"),
                ("Statistic", number(evidence.statistic)),
                ("p", chance(evidence.p_value)),
                ("α, the limit", chance_limit(evidence.alpha)),
            ]
            if evidence.effective_n is not None:
                found.append(("Counts as", f"about {max(evidence.effective_n, 1.0):,.0f} independent predictions"))
            if evidence.min_detectable_psi is not None:
                found.append(("Smallest detectable PSI", psi_text(evidence.min_detectable_psi)))
        tolerance = report.tolerance
        if tolerance is not None:
            natural = tolerance.natural_variation
            found.append(("Natural variation", "unknown" if natural is None else f"PSI {number(natural)}"))
            found.append(("Warning, alert from", f"{number(tolerance.psi_warning)}, {number(tolerance.psi_alert)}"))
        if report.reference_state is not None:
            found.append(("Reference", "provisional" if report.reference_state == "provisional" else "own, active"))
        if report.reason:
            found.append(("Note", report.reason))
        return found

    @property
    def moved_with_it(self) -> list[Beside]:
        """Other subjects with findings that began within an hour of this one's."""
        own = self.finding
        if own is None:
            return []
        began = microseconds(own.finding.began or own.finding.since)
        found = []
        for each in self.findings:
            if each is own or each.kind not in KINDS.values():
                continue
            if (
                abs(microseconds(each.finding.began or each.finding.since) - began)
                <= TOGETHER_SECONDS * MICROS_PER_SECOND
            ):
                kind = "feature" if each.kind == "feature_drift" else each.finding.subject
                address = self.of_model.subject_address(kind, each.finding.subject)
                found.append(
                    Beside(
                        each.finding.subject,
                        address,
                        size(each.finding.score_name, each.finding.score),
                        each.finding.severity,
                    )
                )
        return found[:MOST_BESIDE]

    @cached_property
    def where(self) -> list[tuple[str, str, list[SegmentPart]]]:
        """Shift by segment feature: its name, its baseline, and the parts, the largest first."""
        found = []
        known = self.subject.name or self.subject.kind
        for feature in () if self.segments is None else self.segments.features:
            if feature.feature_name == known:
                # Its own values say nothing beside the cells above.
                continue
            drift = next((each for each in feature.drift if each.feature_name == known), None)
            if drift is None or drift.psi <= 0.0:
                continue
            lines = {line.segment: line for line in feature.segments}
            ranked = sorted(drift.contributions.items(), key=lambda each: (-each[1], each[0]))
            shown = [
                (lines[segment], contribution / drift.psi)
                for segment, contribution in ranked
                if segment in lines and lines[segment].predictions
            ][:MOST_SEGMENTS]
            parts = [self._part(line, part, shown[0][1]) for line, part in shown]
            against = "the reference" if drift.baseline == "reference" else "the preceding range"
            found.append((feature.feature_name, against, parts))
        return [each for each in found if each[2]]

    def _part(self, line: SegmentLine, part: float, largest: float) -> SegmentPart:
        feature, _, text = line.segment.partition("=")
        return SegmentPart(
            line.value,
            self.of_model.selection.elsewhere(segment=(feature, text)),
            percent(part),
            "–" if line.share is None else percent(line.share),
            "–" if not line.share else f"{part / line.share:.1f} ×",
            drawn(level_bar(f"Part of {line.value} in the PSI", max(part, 0.0), (), highest=largest, style="f-now")),
        )

    @property
    def address(self) -> str:
        """Way from the root to the page."""
        return self.of_model.subject_path(self.subject.kind, self.subject.name)

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Parameters of the address that the form keeps."""
        return parse_qsl(self.of_model.selection.query().removeprefix("?"))

    @property
    def csv(self) -> str:
        """Way from the root to the series as CSV."""
        return self._series("series.csv")

    @property
    def twin(self) -> str:
        """Way from the root to the series as JSON."""
        return self._series("series")

    def _series(self, last: str) -> str:
        subject = self.subject
        named: dict[str, str | None] = (
            {"feature": subject.name} if subject.kind == "feature" else {"kind": subject.kind}
        )
        return self.of_model.series_address(last, self.series, with_segment=True, **named)

    @property
    def began(self) -> When | None:
        """Since when it is so."""
        return self.words.began


def _span_words(compared: SubjectComparison, now: int) -> str:
    report = compared.report
    if report.lookback is not None:
        return f"the last {lookback(report.lookback)}"
    if report.window is None:
        return "now"
    if report.onset is not None:
        return joined(["since", near(when(report.window.start, now))], " ")
    return _stretch(report.window.start, report.window.end, now)


def _stretch(start: str | None, end: str | None, now: int) -> Markup:
    return joined([dated(when(each or "", now)) for each in (start, end)], " to ")
