"""Verdict of a model's overview: one sentence on all that is found, then since when, how bad, why and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelwatch.alerting.alert import Member
from modelwatch.alerting.onsets import are_together, onset_of
from modelwatch.alerting.views.runbook import runbook_for
from modelwatch.charts.drawing.marks import State
from modelwatch.findings import Kind
from modelwatch.measures import metric_change, metric_interval, metric_name, metric_value
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE
from modelwatch.text import capitalized, clipped, listed, lookback
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds
from modelwatch.views.models.sentence import DRIFT_KINDS, in_other_versions, members_of, own_subjects, sentence_of
from modelwatch.views.newest_verdicts import ModelSituation
from modelwatch.views.performance.outcomes import MetricValue
from modelwatch.views.performance.stretch import PerformanceStretch
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, from_limit, moment, name, near, size, size_name, unbroken, when
from modelwatch.web.frame.site import segment_of
from modelwatch.web.frame.verdict import Answer, Verdict, first_step, joined, link, quiet, strong
from modelwatch.web.performance.verdict import loss_began

LONGEST_STEP = 220
REASONS = 2


@dataclass(frozen=True, slots=True)
class OverviewVerdict:
    """Inputs of the verdict's sentences. stretch: performance since the onset, None without labels. behind: seconds of
    data that are still to be evaluated. root: the way to the service's root."""

    of_model: ModelFrame
    situation: ModelSituation
    stretch: PerformanceStretch | None
    behind: int
    root: str

    @property
    def members(self) -> list[Member]:
        """All findings in force, the worst first."""
        return members_of(self.situation.alerts)

    @property
    def of_version(self) -> list[Member]:
        """Those of the version that is shown: only they are about its charts and numbers."""
        return [each for each in self.members if each.version == self.version]

    @property
    def version(self) -> str | None:
        stream = self.of_model.stream
        return None if stream is None else stream.version

    def of_kind(self, *kinds: Kind) -> list[Member]:
        return members_of(self.situation.alerts, *kinds)

    @property
    def began(self) -> int | None:
        """Onset of the findings, in seconds; None without findings.

        By the data, if they have moved: labels tell it by hours only.
        """
        return min(map(self.onset, self.of_kind(*DRIFT_KINDS) or self.members), default=None)

    def onset(self, member: Member) -> int:
        """Onset of a finding, in seconds."""
        return onset_of(member.finding, self.of_model.first)

    @property
    def verdict(self) -> Verdict:
        """The block at the top of the page."""
        if not self.members:
            return Verdict(self.of_model.state, self._calm())
        answers = [self._since(), self._how_bad(), self._why(), self._what_to_do()]
        return Verdict(self.of_model.state, self._sentence(), [each for each in answers if each.lines])

    def _calm(self) -> str:
        situation, verdict = self.situation, self.situation.state(DRIFT)
        newest = self.of_model.newest
        arrived = None if newest is None else newest.arrived_at
        return sentence_of(
            self.of_model.state,
            (),
            None if verdict is None else verdict.severity,
            situation.headline(DRIFT),
            situation.headline(PERFORMANCE),
            behind=self.behind,
            silent=None if arrived is None else (self.of_model.now - arrived) // MICROS_PER_SECOND,
            has_reference=situation.reference is not None,
            without_alert=self.of_model.without_alert,
        )

    def _sentence(self) -> str:
        parts: list[str] = []
        moved = self.of_kind(*DRIFT_KINDS)
        if moved:
            parts.append(self._drift(moved))
        if self.of_kind("performance", "label_drift") and (metric := self._metric()) is not None:
            parts.append(metric)
        others = self.of_kind("freshness", "volume", "data_quality")
        if others or not parts:
            shown = (others or self.members)[:REASONS]
            parts += [f"{detail_of(each)}." for each in shown]
        return joined(parts, " ")

    def _drift(self, moved: Sequence[Member]) -> str:
        features = list(dict.fromkeys(each.finding.subject for each in moved if each.finding.kind == "feature_drift"))
        others = own_subjects(each.finding.subject for each in moved if each.finding.kind != "feature_drift")
        onsets = [self.onset(each) for each in moved]
        since_when = " since " if are_together(onsets) else ", the first since "
        since = joined([since_when, near(self.when(min(onsets)))], "")
        with_them = listed(others, len(others))
        where = in_other_versions(moved, self.version)
        if not features:
            word = "drifts" if len(others) == 1 else "drift"
            return joined([strong(f"{with_them[:1].upper()}{with_them[1:]} {word}"), where, since, "."], "")
        headline = self.situation.headline(DRIFT)
        total = headline.features if headline is not None else 0
        number = f"{len(features):,} of {total:,}" if total else f"{len(features):,}"
        plural = "feature" if len(features) == 1 and not total else "features"
        clause = strong(f"{number} {plural} {'drifts' if len(features) == 1 else 'drift'}")
        tail = f", and {with_them} with {'it' if len(features) == 1 else 'them'}." if others else "."
        return joined([clause, where, since, tail], "")

    def _main(self) -> tuple[str, MetricValue, float | None] | None:
        """The main metric since the onset, and that of the reference."""
        stretch = self.stretch
        found = None if stretch is None else stretch.outcomes
        if stretch is None or found is None:
            return None
        headline = self.situation.headline(PERFORMANCE)
        chosen = headline.subject if headline is not None else None
        metric = chosen if chosen in found.metrics else next(iter(stretch.levels or found.metrics), None)
        if metric is None or metric not in found.metrics:
            return None
        levels = stretch.levels.get(metric)
        return metric, found.metrics[metric], None if levels is None else levels.reference

    def _metric(self) -> str | None:
        main = self._main()
        if main is None:
            return None
        metric, value, reference = main
        interval = metric_interval(metric, value)
        parts = [f"{metric_name(metric)} is ", strong(metric_value(metric, value.value))]
        if interval:
            parts += [" ", quiet(f"({interval})")]
        began = loss_began(self.of_model)
        if began is not None and began < self.of_model.end:
            parts += [" since ", near(self.when(began))]
        if reference is not None:
            parts += ["; reference: ", strong(metric_value(metric, reference))]
        return joined([*parts, "."], "")

    def _since(self) -> Answer:
        began = self.began
        assert began is not None, "used where something is found"
        at = self.when(began)
        first = min(self.of_kind(*DRIFT_KINDS) or self.members, key=self.onset)
        found = self.when(first.finding.times.detected_at)
        lines = [joined([moment(at), f", {at.ago}" if at.ago else ""], ""), joined(["Found ", near(found), "."], "")]
        late = self.of_kind("performance")
        if late and late[0] is not first:
            confirmed = min(each.finding.times.detected_at for each in late)
            showed = "confirmed it" if confirmed >= first.finding.times.detected_at else "showed a loss before,"
            lines[-1] += joined([f" Labels {showed} ", near(self.when(confirmed)), "."], "")
        return Answer("Since", lines)

    def _how_bad(self) -> Answer:
        lines: list[str] = []
        moved = self.of_kind(*DRIFT_KINDS)
        if moved:
            worst = max(moved, key=lambda each: each.finding.score if each.finding.score_name == "PSI" else 0.0).finding
            parts = [f"{worst.score_name} up to ", strong(size(worst.score_name, worst.score)), from_limit(worst)]
            lines.append(joined(parts, ""))
        if self.of_kind("performance") and (main := self._main()) is not None:
            metric, value, reference = main
            if reference is not None and value.value is not None:
                lines.append(f"{metric_name(metric)} {metric_change(metric, value.value - reference)}.")
        if not lines:
            worst = self.members[0].finding
            said = f"{capitalized(size_name(worst.score_name))} {size(worst.score_name, worst.score)}"
            lines.append(f"{said}{from_limit(worst)}")
        return Answer("How bad", lines)

    def _why(self) -> Answer:
        ordered = [*self.of_kind(*DRIFT_KINDS), *self.of_kind("data_quality"), *self.of_kind("performance")]
        details = list(dict.fromkeys(detail_of(each) for each in ordered or self.members))
        return Answer("Why", [f"{each}." for each in details[: REASONS + 1]])

    def _what_to_do(self) -> Answer:
        # What moved explains what got worse, and the inputs what the model makes of them: that is where to begin.
        found = self.of_kind("feature_drift") or self.of_kind(*DRIFT_KINDS) or self.members
        worst = found[0]
        book = runbook_for(worst.finding.kind, worst.finding.severity, worst.finding.subject, self.of_model.model)
        alert = self.situation.alert_of(worst)
        ways = joined(
            [
                link("Runbook", f"{self.root}{book.page.removeprefix('/')}"),
                link("Alert", f"{self.root}ui/alerts/{segment_of(alert.id)}"),
            ],
            " · ",
        )
        subjects = {each.finding.subject for each in found if each.finding.kind == worst.finding.kind}
        return Answer("What to do", [first_step(worst.finding.kind, subjects, worst.finding.subject, book.steps), ways])

    def when(self, seconds: int) -> When:
        return when(iso_of_seconds(seconds), self.of_model.now)


def detail_of(member: Member) -> str:
    """Sentence on a finding, with its subject, without a full stop."""
    finding = member.finding
    detail = unbroken(clipped(finding.detail, LONGEST_STEP).rstrip("."))
    if finding.kind == "performance" and finding.lookback is not None:
        return f"{detail} in {lookback(finding.lookback)}"
    # These name what they are about.
    if finding.kind in ("freshness", "volume", "performance", "data_quality", "label_drift"):
        return detail
    return f"{name(finding.subject)}: {detail}"


def state_of(member: Member) -> State:
    """State of a finding."""
    return "alert" if member.finding.severity == "alert" else "warning"
