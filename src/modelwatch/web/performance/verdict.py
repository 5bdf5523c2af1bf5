"""The verdict on performance in words: what got worse, since when, how bad, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.findings import NOT_SHOWN
from modelwatch.measures import in_sentence, metric_change, metric_interval, metric_name, metric_value
from modelwatch.monitoring.checks.performance.judge import why_absent
from modelwatch.monitoring.checks.performance.report import EarlyReport, MetricReport, unjudged_metrics
from modelwatch.text import capitalized
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_HOUR
from modelwatch.views.newest_verdicts import JudgedPerformance
from modelwatch.views.performance.stretch import PerformanceStretch
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, microseconds, moment, name, near, when
from modelwatch.web.frame.site import segment_of
from modelwatch.web.frame.verdict import Answer, Verdict, joined, link, quiet, strong

STATES: dict[str, State] = {
    "alert": "alert",
    "warning": "warning",
    "shifted": "shifted",
    "stable": "stable",
    "no_data": "no_data",
}
LABELS, COVERAGE = "ground_truth", "label_coverage"
NEVER = "Performance has not been evaluated yet."
# Evaluations that are so far behind the data are said to be.
BEHIND_SECONDS = 2 * SECONDS_PER_HOUR
# How far the mean score and the share of positives are apart for the scores to be off.
OFF = 0.02


@dataclass(frozen=True, slots=True)
class PerformanceVerdict:
    """Inputs of the verdict's sentences. judged: None before the first evaluation. root: way to the service's root."""

    of_model: ModelFrame
    stretch: PerformanceStretch
    judged: JudgedPerformance | None
    root: str

    @property
    def alerts(self) -> list[AlertLine]:
        """The open alerts about performance and labels, the worst first."""
        found = [each for each in self.of_model.alerts if each.kind in ("performance", "label_drift")]
        return sorted(found, key=lambda each: (each.severity != "alert", onset_of(each)))

    @property
    def told(self) -> AlertLine | None:
        """The alert whose onset is told; None while nothing is found."""
        return alert_of_loss(self.of_model)

    @property
    def state(self) -> State:
        """The state of performance: that of its open alerts, else of the newest evaluation."""
        if self.alerts:
            return self.alerts[0].severity
        return "unknown" if self.judged is None else STATES.get(self.judged.report.severity, "unknown")

    @property
    def began(self) -> When | None:
        """Since when predictions are worse; None while nothing is found."""
        first = loss_began(self.of_model)
        return None if first is None else self.of_model.when(first)

    @property
    def worst(self) -> list[str]:
        """The metrics that are worse, those of an alert first, in the order of the watched ones."""
        if self.judged is None:
            return []
        order = list(self.stretch.levels)
        found = [each for each in self.judged.report.worst if each not in (LABELS, COVERAGE)]

        def rank(metric: str) -> tuple[bool, int]:
            judgement = self.judgement(metric)
            severe = judgement is not None and judgement.severity == "alert"
            return not severe, order.index(metric) if metric in order else len(order)

        return sorted(found, key=rank)

    @property
    def _by_chance(self) -> list[str]:
        """The watched metrics that lost as much as matters, by chance as far as is known."""
        judged = [(metric, self.judgement(metric)) for metric in self.stretch.levels]
        return [metric for metric, found in judged if found is not None and may_be_chance(found)]

    def judgement(self, metric: str) -> MetricReport | None:
        """Judgement of a metric by the newest evaluation."""
        window = None if self.judged is None else self.judged.window
        return None if window is None else window.metrics.get(metric)

    @property
    def verdict(self) -> Verdict:
        """The block at the top of the page."""
        behind = behind_words(self.of_model, None if self.judged is None else self.judged.window_end)
        if not self.worst and not (self.judged and self.judged.report.worst):
            return Verdict(self.state, joined([self._calm(), *behind], " "))
        answers = [self._since(), self._how_bad(), self._why(), self._what_to_do()]
        sentence = joined([self._sentence(), *behind], " ")
        return Verdict(self.state, sentence, [each for each in answers if each.lines])

    def _calm(self) -> str:
        stretch, judged = self.stretch, self.judged
        main = next(iter(stretch.levels), None)
        if stretch.outcomes is None or main is None:
            why = judged.report.reason if judged is not None and judged.report.reason else stretch.reason
            return why or NEVER
        said: list[str] = [self._now(main)]
        if judged is None:
            said.append(NEVER)
        elif self.state in ("shifted", "stable"):
            lower = [in_sentence(each) for each in self._by_chance]
            said.append(
                f"{capitalized(_listed(lower))} {'are' if len(lower) > 1 else 'is'} worse, which may be chance."
                if lower
                else "No watched metric is worse."
            )
            if self.state == "shifted":
                said.append(f"The labels have shifted, which is real, but {NOT_SHOWN}.")
        elif judged.report.severity == "immature" and judged.window is not None and judged.window.immature:
            said.append(f"Nothing has been judged yet: {judged.window.immature}.")
        elif judged.report.reason:
            said.append(judged.report.reason)
        elif groups := unjudged_metrics(judged.report):
            several = len({each.reason for each in groups}) > 1
            said.append("Not judged, for several reasons." if several else f"Not judged: {groups[0].reason}")
        return joined(said, " ")

    def _now(self, metric: str) -> Markup:
        """ "Accuracy is 84.2 % (83.3–85.0) since Sat 20:45; the reference had 89.8 %.\""""
        stretch = self.stretch
        assert stretch.outcomes is not None, "used where it is there"
        found, known = stretch.outcomes.metrics.get(metric), stretch.levels.get(metric)
        if found is None:
            return joined([f"{metric_name(metric)} is unknown: {why_absent(metric, stretch.task)}."], "")
        interval = metric_interval(metric, found)
        span = self._span()
        parts = [
            Markup("{} is ").format(metric_name(metric)),
            strong(metric_value(metric, found.value)),
            joined([" ", quiet(f"({interval})")], "") if interval else "",
            joined([" ", span], "") if span else "",
        ]
        if known is not None and known.reference is not None:
            parts += ["; reference: ", strong(metric_value(metric, known.reference))]
        return joined([*parts, "."], "")

    def _span(self) -> str:
        matured = self.stretch.matured
        if self.began is not None:
            return joined(["since ", near(self.began)], "")
        if matured is None:
            return ""
        start, end = (when(each, self.of_model.now) for each in (matured.start, matured.end))
        return joined(["from ", near(start), " to ", near(end)], "")

    @property
    def early(self) -> EarlyReport | None:
        """The window that is judged before most of its labels have come, where it decides."""
        found = None if self.judged is None else self.judged.report.early
        return found if found and found.decides else None

    def _early(self, early: EarlyReport) -> list[str]:
        """The metrics that are worse in the window that is judged early: those of all matured labels may be as ever."""
        said = []
        for metric in self.worst[:2]:
            found = early.window.metrics.get(metric)
            if found is not None and found.value is not None and found.reference is not None:
                now, before = metric_value(metric, found.value), metric_value(metric, found.reference)
                interval = metric_interval(metric, found)
                said.append(
                    joined(
                        [f"{metric_name(metric)} is ", strong(now), f" ({interval})", f"; the reference had {before}."],
                        "",
                    )
                )
        return [*said, f"This is early, on {percent(early.labelled_share)} of the usual labels."]

    def _sentence(self) -> Markup:
        said: list[str] = []
        if self.early is not None:
            said += self._early(self.early)
        elif self.worst and self.stretch.outcomes is not None:
            said.append(self._now(self.worst[0]))
            for metric in self.worst[1:2]:
                found, known = self.stretch.outcomes.metrics.get(metric), self.stretch.levels.get(metric)
                if found is not None and found.value is not None and known is not None and known.reference is not None:
                    now, before = metric_value(metric, found.value), metric_value(metric, known.reference)
                    said.append(f"{metric_name(metric)} is {now}; it was {before}.")
        elif self.worst:
            said.append(f"{_listed([metric_name(each) for each in self.worst])} got worse.")
        return joined([*said, *self._about_labels()], " ")

    def _about_labels(self) -> list[str]:
        window = None if self.judged is None else self.judged.window
        if window is None or self.judged is None:
            return []
        said, report = [], self.judged.report
        drift, came = window.label_drift, window.label_coverage
        if LABELS in report.worst and drift is not None and drift.loss is not None:
            if drift.by_odds:
                of_class = f" of {name(drift.odds_class)}" if isinstance(drift.odds_class, str) else ""
                what = f"odds{of_class} {number(drift.loss)} times"
            else:
                what = f"{'shift' if report.task == 'regression' else 'PSI'} {number(drift.loss)}"
            said.append(f"The labels themselves have shifted ({what}).")
        if COVERAGE in report.worst and came is not None and came.value is not None and came.reference is not None:
            said.append(f"Only {percent(came.value)} of predictions have a label; {percent(came.reference)} is usual.")
        return said

    def _since(self) -> Answer:
        began, alert = self.began, self.told
        if began is None or alert is None:
            return Answer("Since", ())
        found = when(alert.detected_at, self.of_model.now)
        lines: list[str] = [moment(began), joined(["Found ", near(found), ", once labels had arrived."], "")]
        return Answer("Since", lines)

    def _how_bad(self) -> Answer:
        lines: list[str] = []
        for metric in self.worst[:1]:
            judgement, of_stretch = self.judgement(metric), self.stretch.changes.get(metric)
            change = None if of_stretch is None else of_stretch.value
            if self.early is not None:
                change = None if judgement is None else judgement.change
            if change is None:
                continue
            said = joined([metric_name(metric), strong(metric_change(metric, change))], " ")
            limit = None if judgement is None else judgement.alert_threshold
            if limit:
                sign = 1.0 if change > 0 else -1.0
                said = joined([said, f"alert from {metric_change(metric, sign * limit)}"])
            lines.append(said)
        others = [in_sentence(each) for each in self.worst[1:]]
        if others:
            beyond = (
                f"{_listed(others)} {'are' if len(others) > 1 else 'is'} beyond {'their' if len(others) > 1 else 'its'}"
            )
            lines.append(f"{beyond[0].upper()}{beyond[1:]} thresholds as well.")
        return Answer("How bad", lines)

    def _why(self) -> Answer:
        outcomes, known = self.stretch.outcomes, self.stretch.reference
        if outcomes is None or known is None:
            return Answer("Why", ())
        lines: list[str] = []
        area = "roc_auc" if "roc_auc" in outcomes.metrics else "roc_auc_macro"
        now, before = outcomes.metrics.get(area), known.metrics.get(area)
        if now is not None and before is not None and now.value is not None and before.value is not None:
            values = f"({in_sentence(area)} {metric_value(area, now.value)}, was {metric_value(area, before.value)})"
            if area in self.worst:
                lines.append(
                    joined(
                        [strong("The ranking is worse"), f"{values}: the scores separate the classes less well."],
                        " ",
                    )
                )
            else:
                ranking = self._ranking(area, before.value - now.value)
                off = self._scores_off()
                lines.append(joined([f"{ranking} {values}: ", strong(off), "."], "") if off else f"{ranking} {values}.")
        if outcomes.mean_score is not None and outcomes.positive_share is not None:
            said, is_so = percent(outcomes.mean_score), percent(outcomes.positive_share)
            lines.append(f"The scores predict {said} {name(self.stretch.positive_class or 'positive')}; {is_so} are.")
        bias = outcomes.metrics.get("mean_error")
        if bias is not None and bias.value is not None and bias.low is not None and bias.high is not None:
            way = "too high" if bias.low > 0 else "too low" if bias.high < 0 else ""
            if way:
                lines.append(
                    joined(["Predictions are ", strong(way), f" by {number(abs(bias.value))} on average."], "")
                )
        return Answer("Why", lines)

    def _ranking(self, area: str, loss: float) -> str:
        """Clause on the ranking, where no finding says that it is worse. loss: of the area under the curve."""
        tested, change = self.judgement(area), self.stretch.changes.get(area)
        if tested is not None and may_be_chance(tested):
            return "The ranking is worse, which may be chance"
        if change is not None and change.high is not None and change.high < 0.0:
            return "The ranking is worse"
        # It was not tested, and the intervals of both leave it open.
        return "The ranking may be worse" if loss >= self._matters(area) else "The ranking holds"

    def _matters(self, area: str) -> float:
        """How much lower the area under the curve must be to matter."""
        levels = self.stretch.levels.get(area)
        if levels is None or levels.reference is None or levels.warning is None:
            return OFF
        return levels.reference - levels.warning

    def _scores_off(self) -> str:
        """Text on the mean error of the scores; empty when there is none."""
        outcomes = self.stretch.outcomes
        if outcomes is None or outcomes.mean_score is None or outcomes.positive_share is None:
            return ""
        lean = outcomes.mean_score - outcomes.positive_share
        return "" if abs(lean) < OFF else "the scores are too high" if lean > 0 else "the scores are too low"

    def _what_to_do(self) -> Answer:
        drifting = [each for each in self.of_model.alerts if each.kind == "feature_drift"]
        lines: list[str] = []
        if drifting:
            drift = link(
                "drift",
                f"{self.root}{self.of_model.below}/drift{self.of_model.selection.elsewhere()}",
            )
            then = "calibrate or retrain" if self._scores_off() else "retrain"
            lines.append(
                joined(
                    ["The inputs have shifted: look at the ", drift, ". If they are correct, ", strong(then), "."], ""
                )
            )
        else:
            where = link(
                "in which segments",
                f"{self.root}{self.of_model.below}/segments{self.of_model.selection.elsewhere()}",
            )
            lines.append(
                joined(
                    [
                        "The inputs have not drifted: check ",
                        where,
                        " it got worse, and whether the labels are correct.",
                    ],
                    "",
                )
            )
        ways = [link("Runbook", f"{self.root}ui/runbooks#modelperformancedegraded")]
        if self.told is not None:
            ways.append(link("Alert", f"{self.root}ui/alerts/{segment_of(self.told.alert_id)}"))
        lines.append(joined(ways, " · "))
        return Answer("What to do", lines)


def behind_words(of_model: ModelFrame, evaluated: int | None) -> list[Markup]:
    """Text on the progress of the evaluations, where they are well before the end of what is shown; otherwise empty.

    evaluated: the end of the newest window that was evaluated, in seconds; None before the first.
    """
    newest = of_model.newest
    if newest is None or evaluated is None:
        return []
    if min(of_model.end, newest.window_start) - evaluated < BEHIND_SECONDS:
        return []
    return [quiet(joined(["Evaluated up to ", near(of_model.when(evaluated)), "."], ""))]


def alert_of_loss(of_model: ModelFrame) -> AlertLine | None:
    """The open alert whose onset is that of a loss: the first about performance, else about labels; None without."""
    for kind in ("performance", "label_drift"):
        found = [each for each in of_model.alerts if each.kind == kind]
        if found:
            return min(found, key=onset_of)
    return None


def loss_began(of_model: ModelFrame) -> int | None:
    """Onset of what labels show, in seconds, since which a loss is measured; None without open alerts about it."""
    found = alert_of_loss(of_model)
    return None if found is None else onset_of(found)


def may_be_chance(found: MetricReport) -> bool:
    """True for a loss that would matter, and is no finding since chance explains it."""
    beyond = found.loss is not None and found.warning_threshold is not None and found.loss >= found.warning_threshold
    return beyond and found.severity == "stable"


def onset_of(alert: AlertLine) -> int:
    """Onset of an alert's findings in force, in seconds."""
    return microseconds(alert.since) // MICROS_PER_SECOND


def _listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence.

    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
