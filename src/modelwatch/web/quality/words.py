"""Data quality in words: rules, and the sentence on what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.alerting.views.alerts import MemberReport
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.measures import BROKEN_RULES, RULE_NAMES
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.quality.report import QualityReport, RateReport, unjudged_values
from modelwatch.monitoring.scheduler.jobs.freshness import FreshnessReport
from modelwatch.views.newest_verdicts import JudgedQuality
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import moment, name, near, when
from modelwatch.web.frame.site import segment_of
from modelwatch.web.frame.verdict import Answer, Verdict, joined, link, strong, strong_name
from modelwatch.web.performance.lanes import hours
from modelwatch.web.performance.verdict import behind_words

STATES: dict[str, State] = {"alert": "alert", "warning": "warning", "stable": "stable", "no_data": "no_data"}
SEVERAL_REASONS = "Nothing has been judged yet, for several reasons: what is not judged has its own."
KINDS = ("data_quality", "volume", "freshness")
MOST_SAID = 2
NEVER = "Data quality has not been evaluated yet."


@dataclass(frozen=True, slots=True)
class QualityVerdict:
    """Inputs of the verdict's sentences. judged: None before the first evaluation. root: way to the service's root."""

    of_model: ModelFrame
    judged: JudgedQuality | None
    fresh: FreshnessReport | None
    findings: Sequence[MemberReport]
    root: str

    @property
    def began(self) -> MemberReport | None:
        """Finding in force that the verdict is about: the worst that is broken now, else the one that began first."""
        by_subject = {each.subject: each for each in self.findings}
        for feature, rule in self.broken:
            if (found := by_subject.get(f"{feature}: {rule.rule}")) is not None:
                return found
        return min(self.findings, key=onset_of_member, default=None)

    @property
    def report(self) -> QualityReport | None:
        """The report of the newest evaluation."""
        return None if self.judged is None else self.judged.report

    @property
    def state(self) -> State:
        """The state: that of open alerts, else of the newest evaluation."""
        found = [each.severity for each in self.of_model.alerts if each.kind in KINDS]
        if found:
            return "alert" if "alert" in found else "warning"
        return "unknown" if self.report is None else STATES.get(self.report.severity, "unknown")

    @property
    def broken(self) -> list[tuple[str, RateReport]]:
        """Features and their rules that are broken more often than they may be, the worst first."""
        if self.report is None:
            return []
        found = [
            (feature.feature_name, rule)
            for feature in self.report.features
            for rule in feature.rules
            if rule.severity in ("alert", "warning")
        ]
        return sorted(found, key=lambda each: (each[1].severity != "alert", -(each[1].change or 0.0)))

    @property
    def verdict(self) -> Verdict:
        """The block at the top of the page."""
        said = self._said()
        behind = behind_words(self.of_model, None if self.judged is None else self.judged.window_end)
        if not said:
            return Verdict(self.state, joined([self._calm(), *behind], " "))
        shown: list[str] = list(said[: MOST_SAID + 1])
        if len(said) > len(shown):
            shown.append(f"And {len(said) - len(shown)} more.")
        answers = [self._since(), self._how_bad(), self._what_to_do()]
        return Verdict(self.state, joined([*shown, *behind], " "), [each for each in answers if each.lines])

    def _calm(self) -> str:
        report = self.report
        alerts = [each for each in self.of_model.alerts if each.kind in KINDS]
        if alerts:
            return f"{alerts[0].title}: still open, although the newest evaluation does not find it."
        if report is None:
            return NEVER
        if report.severity == "stable":
            features, judged = len(report.features), [each.severity in KNOWN_STATES for each in report.features]
            of = "" if not features else " in 1 feature" if features == 1 else f" in {features} features"
            if features and not all(judged):
                of = f" in {sum(judged)} of {features} features"
            number = ", the volume" if any(each.severity in KNOWN_STATES for each in report.volume) else ""
            apart = "" if number else " The volume is not judged yet."
            return f"No issues: the values{of}{number} and the schema are as in the reference.{apart}"
        if report.reason:
            return report.reason
        groups = unjudged_values(report)
        if len({each.reason for each in groups}) > 1:
            return SEVERAL_REASONS
        return groups[0].reason or NEVER if groups else "Nothing has been judged yet."

    def _said(self) -> list[Markup]:
        """A sentence for each thing that is wrong."""
        found = [self._silence()] if self.fresh is not None and self.fresh.silent else []
        for feature, rule in self.broken:
            before = "" if rule.reference_rate is None else f" (reference {percent(rule.reference_rate)})"
            rate = strong(percent(rule.rate or 0.0))
            found.append(
                joined(
                    [
                        strong_name(feature),
                        f"is {BROKEN_RULES.get(rule.rule, rule.rule)} in",
                        joined([rate, before, "."], ""),
                    ],
                    " ",
                )
            )
        report = self.report
        if report is None:
            return found
        found += [
            joined([strong_name(each.feature_name), f"has {each.change}."], " ")
            for each in report.schema
            if each.severity in ("alert", "warning")
        ]
        for volume in report.volume:
            if volume.severity in ("alert", "warning") and volume.expected:
                share = volume.predictions / volume.expected
                found.append(
                    joined(
                        ["Volume of", volume.span, "is", joined([strong(percent(share)), " of the usual volume."], "")],
                        " ",
                    )
                )
        for feature_report in report.features:
            for code in feature_report.sentinels:
                if code.severity in ("alert", "warning"):
                    value = name(str(code.value))
                    found.append(
                        joined(
                            [
                                strong_name(feature_report.feature_name),
                                f"has {value} in {percent(code.share)}: it may stand for missing values.",
                            ],
                            " ",
                        )
                    )
        repeats = report.duplicates
        if repeats.severity in ("alert", "warning") and repeats.changed_share is not None:
            found.append(
                joined(
                    [strong(percent(repeats.changed_share)), "of predictions were repeated with different content."],
                    " ",
                )
            )
        return found

    def _silence(self) -> Markup:
        fresh = self.fresh
        assert fresh is not None, "used where it is there"
        silent = hours(fresh.silent_seconds or 0.0)
        usual = (
            "" if fresh.usual_gap_seconds is None else f"; the longest usual gap is {hours(fresh.usual_gap_seconds)}"
        )
        return joined(["No predictions for ", strong(silent), usual, "."], "")

    def _since(self) -> Answer:
        finding = self.began
        if finding is None:
            return Answer("Since", ())
        began, found = (when(at, self.of_model.now) for at in (onset_of_member(finding), finding.since))
        return Answer("Since", [moment(began), joined(["Found ", near(found), "."], "")])

    def _how_bad(self) -> Answer:
        lines: list[str] = []
        for feature, rule in self.broken[:1]:
            if rule.change is not None:
                points = f"+{number(rule.change * 100)} points"
                limit = "" if rule.alert_threshold is None else f", alert from +{number(rule.alert_threshold * 100)}"
                lines.append(
                    joined([f"{name(feature)}, {RULE_NAMES.get(rule.rule, rule.rule)}: ", strong(points), limit], "")
                )
        if self.report is not None and self.report.score is not None:
            lines.append(f"{percent(self.report.score)} of values have no issue, averaged over all features.")
        return Answer("How bad", lines)

    def _what_to_do(self) -> Answer:
        steps = {
            "missing": "look upstream for a join or a source that no longer fills it",
            "invalid_type": "look upstream for a change of type, unit or format",
            "unseen_category": "look for new names or another spelling",
            "below_range": "look for a change of unit, or a code for missing values",
            "above_range": "look for a change of unit, or a code for missing values",
        }
        lines: list[str] = [
            f"{feature_line}."
            for feature_line in dict.fromkeys(
                f"{name(feature)}: {steps[rule.rule]}" for feature, rule in self.broken[:1] if rule.rule in steps
            )
        ]
        ways: list[str] = [link("Runbook", f"{self.root}ui/runbooks#modeldataunsound")]
        ways += [
            link("Alert", f"{self.root}ui/alerts/{segment_of(each.alert_id)}")
            for each in self.of_model.alerts
            if each.kind in KINDS
        ][:1]
        return Answer("What to do", [*lines, joined(ways, " · ")])


def onset_of_member(finding: MemberReport) -> str:
    """Onset of the finding, as an RFC 3339 text: the estimate, or the first predictions that show it."""
    return finding.began or finding.bad_from
