"""Content of a model's overview: what is shown, from views that have been read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.alerting.alert import Member
from modelwatch.alerting.onsets import TOGETHER_SECONDS
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.small import histogram_pair, spark_bars
from modelwatch.measures import metric_name, psi_text, quality_title
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE
from modelwatch.text import span
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_micros, iso_of_seconds
from modelwatch.views.drift.series import DriftLine, DriftSeries
from modelwatch.views.models.sentence import in_other_versions
from modelwatch.views.models.unwatched import JudgedSubject, Unwatched
from modelwatch.views.newest_verdicts import ModelSituation
from modelwatch.web.frame.model_frame import TAB_OF_KIND, ModelFrame
from modelwatch.web.frame.rendering import When, about, dated, drawn, name, near, size, when
from modelwatch.web.frame.verdict import Verdict, joined
from modelwatch.web.models.overview_lanes import OverviewLanes
from modelwatch.web.models.overview_verdict import OverviewVerdict, detail_of, state_of
from modelwatch.web.performance.segments_page import SegmentsPage

WRONG_SHOWN = 10
TILES_SHOWN = 12
SEGMENTS_SHOWN = 6
# What began within so many seconds of the first moved together.
STYLES = {"alert": "f-alert", "warning": "f-warning"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One finding: its state, name and way (empty without a page), value and a sentence."""

    state: State
    name: str
    way: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One subject: its state, name and way, its PSI now and over time, and the reference and now as a pair of
    histograms, empty where nothing is known."""

    state: State
    name: str
    way: str
    value: str
    chart: Markup
    pair: Markup


@dataclass(frozen=True, slots=True)
class Lost:
    """One segment: its name and way, its part in the change of the metric as text and bar, and the values."""

    name: str
    way: str
    part: str
    bar: Markup
    values: str
    certain: bool


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Overview of a model. judged: subjects of the newest verdict, by kind and name. segments: None where its monitor
    names none. next_evaluation: text on when that is."""

    of_model: ModelFrame
    situation: ModelSituation
    verdict_words: OverviewVerdict
    lanes: OverviewLanes
    drift: DriftSeries | None
    judged: Mapping[tuple[str, str], JudgedSubject]
    not_watched: Sequence[Unwatched]
    segments: SegmentsPage | None
    next_evaluation: str
    root: str

    @property
    def verdict(self) -> Verdict:
        return self.verdict_words.verdict

    @property
    def title(self) -> str:
        """Title of the lanes: their span of time."""
        seconds = self.of_model.end - self.of_model.start
        if self.of_model.selection.start is None and self.of_model.selection.end is None:
            return f"Last {span(seconds)}" if seconds >= SECONDS_PER_DAY * 3 else f"Last {seconds // 3_600} hours"
        return joined([dated(self.when_seconds(each)) for each in (self.of_model.start, self.of_model.end)], " to ")

    @property
    def wrong(self) -> list[Wrong]:
        """The findings, the worst first."""
        return [self._wrong(each) for each in self.verdict_words.members[:WRONG_SHOWN]]

    @property
    def findings(self) -> str:
        members, alerts = len(self.verdict_words.members), len(self.situation.alerts)
        counted = ((members, "finding"), (alerts, "alert"))
        return ", ".join(f"{number:,} {word}{'' if number == 1 else 's'}" for number, word in counted)

    def _wrong(self, member: Member) -> Wrong:
        finding = member.finding
        if finding.kind == "performance":
            subject, value = metric_name(finding.subject), size(finding.score_name, finding.score)
        else:
            subject = name(quality_title(finding.subject) if finding.kind == "data_quality" else finding.subject)
            value = f"PSI {psi_text(finding.score)}" if finding.score_name == "PSI" else ""
        # Without an estimate, all that is known is that the window shows it in which it was found.
        known = finding.began is not None or finding.kind == "performance"
        at = near(self.when_seconds(self.verdict_words.onset(member) if known else finding.times.detected_at))
        way = self.lanes.ways.get(finding.subject, "") or self._tab(TAB_OF_KIND[finding.kind])
        detail = detail_of(member).removeprefix(f"{subject}: ")
        where = in_other_versions([member], self.verdict_words.version)
        told = joined([detail, where and f";{where}", "; since " if known else "; found ", at], "")
        return Wrong(state_of(member), subject, way, value, told)

    def _tab(self, last: str) -> str:
        path = f"/models/{{model_name:segment}}/{last}"
        query = self.of_model.chosen.elsewhere()
        return f"{self.root}{self.of_model.below}/{last}{query}" if path in self.of_model.paths else ""

    @property
    def together(self) -> list[Tile]:
        """Subjects that began to drift within an hour of the first, inputs first; empty when it is alone."""
        moved = [each for each in self.verdict_words.of_version if each.finding.score_name == "PSI"]
        onset = self.verdict_words.onset
        first = min(map(onset, moved), default=0)
        names = dict.fromkeys(each.finding.subject for each in moved if onset(each) - first <= TOGETHER_SECONDS)
        lines = [] if self.drift is None else [each for each in self.drift.subjects if each.feature_name in names]
        return [self._tile(each) for each in lines[:6]] if len(lines) > 1 else []

    @property
    def together_since(self) -> When:
        return self.when_seconds(self.verdict_words.began or self.of_model.end)

    @property
    def tiles(self) -> list[Tile]:
        """Everything that is compared, the worst first."""
        if self.drift is None:
            return []
        return [self._tile(each) for each in sorted(self.drift.subjects, key=self._rank)[:TILES_SHOWN]]

    @property
    def compared(self) -> int:
        return 0 if self.drift is None else len(self.drift.subjects)

    @property
    def _shifted(self) -> Sequence[str]:
        """Subjects with real shifts that are not shown to matter, by the newest verdict."""
        headline = self.situation.headline(DRIFT)
        return () if headline is None else headline.shifted_names

    def _rank(self, line: DriftLine) -> tuple[bool, bool, bool, float]:
        name_of = line.feature_name
        is_calm = self._unalerted(line) is None
        return name_of not in self.lanes.found, is_calm, name_of not in self._shifted, -(self._psi(line) or 0.0)

    def _unalerted(self, line: DriftLine) -> State | None:
        """State of a subject that drifts by the newest verdict; None without, and where a person has resolved that."""
        found, without = self.judged.get((line.kind, line.feature_name)), self.of_model.without_alert
        if found is None or (without is not None and without.is_resolved):
            return None
        return "alert" if found.severity == "alert" else "warning" if found.severity == "warning" else None

    def _psi(self, line: DriftLine) -> float | None:
        """The PSI that was judged, as on the page of drift; where nothing was, that of the last step."""
        found = self.judged.get((line.kind, line.feature_name))
        return _last(line) if found is None or found.psi is None else found.psi.score

    def _tile(self, line: DriftLine) -> Tile:
        values = [math.nan if each is None else min(each, 1.0) for each in line.psi]
        styles = [STYLES.get(each, "f-reference") for each in line.severity]
        severity = line.severity[-1] if line.severity else "no_data"
        is_shifted = severity == "shifted" or line.feature_name in self._shifted
        judged: State = "shifted" if is_shifted else "stable" if severity in KNOWN_STATES else "unknown"
        if severity in ("alert", "warning") and (line.kind, line.feature_name) not in self.judged:
            # No verdict is about this: the last step says how it is.
            judged = severity
        title = name(line.feature_name)
        # Of what is wrong, the number that the finding has.
        scores = {
            each.finding.subject: each.finding.score
            for each in self.verdict_words.of_version
            if each.finding.score_name == "PSI"
        }
        last = scores.get(line.feature_name, self._psi(line))
        state = self.lanes.found.get(line.feature_name) or self._unalerted(line) or judged
        return Tile(
            state,
            title,
            self.lanes.ways.get(line.feature_name, ""),
            psi_text(last),
            drawn(spark_bars(f"PSI of {title}", values, styles=styles, threshold=line.psi_alert, highest=1.0)),
            _pair(title, line, moved=state in ("alert", "warning")),
        )

    @property
    def lost(self) -> list[Lost]:
        """Segments that lost most."""
        if self.segments is None:
            return []
        return [
            Lost(words, f"{self.root}{way}", part, bar, values, certain)
            for (words, way, part, values, certain), bar in zip(
                self.segments.worst[:SEGMENTS_SHOWN], self.segments.bars, strict=False
            )
        ]

    @property
    def why_no_segment(self) -> str:
        """Reason why no segment is shown, where the monitor names some."""
        if self.segments is None:
            return ""
        report = self.segments.report
        compared = any(each.baseline is not None and each.baseline.n for each in report.features)
        why = next((each.reason for each in report.features if each.reason), "There is nothing to compare them with.")
        return report.reason or (
            " ".join(["No segment is worse.", self.segments.mix_words]).strip() if compared else why
        )

    @property
    def up_to(self) -> list[tuple[str, str]]:
        """Text on the times up to which there are data and evaluations."""
        of_model, situation = self.of_model, self.situation
        found = []
        if of_model.newest is not None:
            found.append(("Data up to", self._moment(of_model.newest.latest_ts)))
        evaluated, labels = situation.state(DRIFT), situation.headline(PERFORMANCE)
        found.append(
            (
                "Evaluated up to",
                "not yet" if evaluated is None else self._moment(evaluated.window_end * MICROS_PER_SECOND),
            )
        )
        if labels is not None and labels.end is not None:
            found.append(("Labels evaluated", self._moment(labels.end * MICROS_PER_SECOND)))
        found.append(("Next evaluation", self.next_evaluation))
        if situation.reference is None:
            found.append(("Reference", "none"))
        else:
            kind = "own" if situation.reference[0] == "active" else "provisional"
            since = near(when(iso_of_micros(situation.reference[1]), of_model.now))
            found.append(("Reference", joined([kind, joined(["set ", since], "")])))
        return found

    def _moment(self, micros: int) -> str:
        at = when(iso_of_micros(micros - micros % MICROS_PER_SECOND), self.of_model.now)
        return joined([near(at), f"{about(self.of_model.now - micros)} ago" if at.ago else ""])

    def when_seconds(self, seconds: int) -> When:
        return when(iso_of_seconds(seconds), self.of_model.now)


def _last(line: DriftLine) -> float | None:
    return next((each for each in reversed(line.psi) if each is not None), None)


def _pair(title: str, line: DriftLine, *, moved: bool) -> Markup:
    before, now = sum(line.reference_cells), sum(line.current_cells)
    if not before or not now:
        return Markup("")
    sides = [each / before for each in line.reference_cells], [each / now for each in line.current_cells]
    return drawn(histogram_pair(f"{title}, reference and now", *sides, moved=moved))
