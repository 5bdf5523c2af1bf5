"""From the labelled counts of a reference and of a window to judgements: worse by enough to matter, and not by chance.

Pure: counts and rules in, judgements out. An immature window decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from modelwatch.measures import p_needed, p_text, plain, score_value
from modelwatch.monitoring.checks.drift.tolerance import ODDS, Measure
from modelwatch.monitoring.checks.observations import SizeNow
from modelwatch.monitoring.checks.performance.rules import LOSSES, PerformanceRules
from modelwatch.stats.drift.recovery import MeanSize
from modelwatch.stats.outcomes.classes import counted_by_chance
from modelwatch.stats.outcomes.natural_variation import (
    MetricVariation,
    beyond_natural,
)
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import (
    Estimate,
    Worsening,
    performance,
    worsening,
    worsening_metrics,
)
from modelwatch.stats.performance.intervals import Z
from modelwatch.stats.performance.worsening import EXACT

Severity = Literal["stable", "shifted", "warning", "alert", "immature", "insufficient_data", "no_reference", "no_data"]
# Worst first: the order in which one of several look-backs speaks for a metric.
PRECEDENCE: tuple[Severity, ...] = (
    "alert",
    "warning",
    "shifted",
    "stable",
    "immature",
    "insufficient_data",
    "no_data",
    "no_reference",
)
SEVERE = 2.0
AS_FREQUENT = (
    "Other classes are about as frequent as those that are counted one by one: which ones are, chance decided in the"
    " reference, where they come more often than later."
)
# The share of the counted classes that are so by chance, and that of the rows of other classes, from which on means
# over the counted classes are better in the reference than later.
MOST_BY_CHANCE, MOST_OTHERS = 0.5, 0.2
# Metrics of the probabilities of all classes.
OF_CLASS_SCORES = frozenset({"log_loss", "roc_auc_macro"})
# Ends of the names of metrics of the classes that are counted one by one.
OVER_CLASSES = ("_macro", "_weighted", "_micro", "balanced_accuracy")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric in one window. Fields are None where they are not defined; `reason` says why.

    loss: how much worse than the reference, or than the limit. threshold: the loss that decided the severity: that of
    an alert where it is one, else that of a warning; beyond a limit 0. warning_threshold, alert_threshold: both.
    by_limit: the user's limit is crossed, regardless of the reference. odds_ratio: of labels, how many times the odds
    of the class that moved most have grown or fallen; odds_class: that class. by_odds: whether that is the loss, and
    not the PSI. natural: how much the metric varies in the reference itself, as a standard deviation: of labels, the
    logarithm of the odds of the class that moved most. sizes: what the window shows of how large the loss may be.
    measures: of classes, all scores that may decide; the loss is the one that does.
    """

    name: str
    severity: Severity
    estimate: Estimate
    reference: float | None
    change: float | None
    loss: float | None
    threshold: float | None
    p_value: float | None
    alpha: float
    by_limit: bool
    reason: str | None
    odds_ratio: float | None = None
    by_odds: bool = False
    natural: float | None = None
    warning_threshold: float | None = None
    alert_threshold: float | None = None
    sizes: tuple[SizeNow, ...] = ()
    measures: tuple[Measure, ...] = ()
    odds_class: str | None = None

    @property
    def readings(self) -> tuple[Judgement, ...]:
        """The judgement by each of its measures, whichever decided; itself where there are none."""
        return tuple(self.by(each) for each in self.measures) or (self,)

    @property
    def cell(self) -> int | None:
        """The class whose odds the loss is of; None when it is another loss."""
        return next((each.cell for each in self.measures if each.name == ODDS and self.by_odds), None)

    def by(self, measure: Measure) -> Judgement:
        """The same judgement, by this measure."""
        return replace(
            self,
            loss=measure.size,
            threshold=measure.alert if measure.severity(self.alpha) == "alert" else measure.warning,
            p_value=measure.p_value,
            by_odds=measure.name == ODDS,
            warning_threshold=measure.warning,
            alert_threshold=measure.alert,
        )


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """The labelled rows of a window. immature: why it is not to be judged; None when it is."""

    counts: OutcomeCounts
    metrics: dict[str, Estimate]
    immature: str | None

    @classmethod
    def of(cls, counts: OutcomeCounts, immature: str | None) -> LabelledWindow:
        """The window with its metrics computed."""
        return cls(counts, metrics_of(counts), immature)


def metrics_of(counts: OutcomeCounts) -> dict[str, Estimate]:
    """Every metric of these counts by its name."""
    return {name: found for family in counts.families() for name, found in performance(family).items()}


def judge_metric(
    name: str,
    reference: OutcomeCounts | None,
    window: LabelledWindow,
    rules: PerformanceRules,
    alpha: float,
    natural: MetricVariation | None = None,
    *,
    few_decide: bool = True,
) -> Judgement:
    """The judgement on one metric of a window, against the reference and against the user's limit.

    natural: how the metric varies between stretches of the reference that are as long as the window. few_decide:
    whether a loss may be found in fewer labels than it takes to call the window stable.
    """
    estimate = window.metrics.get(name, absent(name, window.counts))
    nothing = nothing_to_judge(name, estimate, window, alpha)
    if nothing is not None:
        return nothing
    few = too_few(name, estimate, window, rules, alpha)
    if few is not None and not (few_decide and name in EXACT):
        return few
    beyond = None if few is not None else _beyond_limit(name, estimate, rules.limits.get(name))
    if beyond is not None:
        return Judgement(name, "alert", estimate, None, None, beyond, 0.0, None, alpha, True, None, alert_threshold=0.0)
    if estimate.value is None:
        return few or undecided(name, "insufficient_data", estimate, alpha, estimate.reason)
    # Where a limit is all that there is to judge by, it has just been kept.
    kept = name in rules.limits
    shortfall = _shortfall(name, estimate, rules.limits.get(name))
    compared = None if reference is None or not reference.n else _compared(name, reference, window.counts)
    if compared is not None:
        compared = beyond_natural(compared, natural)
    if compared is None or reference is None:
        reason = "The reference has no labels: nothing to compare with."
        return few or undecided(name, "stable" if kept else "no_reference", estimate, alpha, reason, shortfall)
    if compared.loss is None or compared.reference is None:
        state: Severity = "stable" if kept else "insufficient_data"
        return few or undecided(name, state, estimate, alpha, compared.reason, shortfall)
    if _flattered(name, reference):
        return few or undecided(
            name, "stable" if kept else "insufficient_data", estimate, alpha, AS_FREQUENT, shortfall
        )
    threshold = threshold_of(name, compared.reference, reference, rules)
    worse = compared.loss >= threshold and compared.p_value < alpha
    if few is not None and not worse:
        return few
    severity: Severity = "stable" if not worse else "alert" if compared.loss >= SEVERE * threshold else "warning"
    return Judgement(
        name,
        severity,
        estimate,
        compared.reference,
        compared.change,
        compared.loss,
        SEVERE * threshold if severity == "alert" else threshold,
        compared.p_value,
        alpha,
        False,
        None if worse else _why_stable(name, compared, threshold, alpha, natural),
        natural=None if natural is None else natural.deviation,
        warning_threshold=threshold,
        alert_threshold=SEVERE * threshold,
        sizes=(*shortfall, *_loss_size(name, threshold, compared)),
    )


def _flattered(name: str, reference: OutcomeCounts) -> bool:
    """True of a mean over classes that are the most frequent by chance in the reference: in it they are recognised more
    often than in other rows of the same model."""
    confusion = reference.confusion
    if confusion is None or not reference.layout.is_full or not name.endswith(OVER_CLASSES) or not confusion.n:
        return False
    others = confusion.matrix[-1].sum() / confusion.n
    return bool(
        others >= MOST_OTHERS
        and counted_by_chance(confusion.matrix, reference.layout.next_frequency).mean() >= MOST_BY_CHANCE
    )


def absent(name: str, counts: OutcomeCounts) -> Estimate:
    """A metric that these counts don't have, with why."""
    return Estimate(None, reason=why_absent(name, counts.layout.task))


def why_absent(name: str, task: str | None) -> str:
    """Why counts of this task don't have a metric."""
    if name in OF_CLASS_SCORES and task == "multiclass":
        return "it needs a probability of each class, of at most 20 classes"
    return "the task has no such metric"


def threshold_of(name: str, value: float, reference: OutcomeCounts, rules: PerformanceRules) -> float:
    """The loss of a metric from which on it matters. value: that of the reference."""
    if name not in LOSSES:
        return rules.tolerance
    if name == "mean_error" and reference.regression is not None:
        # A share of nearly nothing is nothing: the bias is measured by the size of the errors.
        errors = reference.regression.absolute_errors.mean * reference.regression.layout.scale
        return rules.relative_tolerance * errors
    return rules.relative_tolerance * abs(value)


def nothing_to_judge(name: str, estimate: Estimate, window: LabelledWindow, alpha: float) -> Judgement | None:
    """Judgement of a window that is empty or immature; None of any other."""
    n = window.counts.n
    if not n:
        return undecided(name, "no_data", estimate, alpha, "No labelled predictions in this window.")
    if window.immature is not None:
        return undecided(name, "immature", estimate, alpha, window.immature)
    return None


def too_few(
    name: str, estimate: Estimate, window: LabelledWindow, rules: PerformanceRules, alpha: float
) -> Judgement | None:
    """Judgement of a window with too few labels to be called stable; a loss that an exact test shows still counts."""
    n = window.counts.n
    if n < rules.min_samples:
        reason = f"{n} of at least {rules.min_samples} labelled predictions: {rules.min_samples - n} more are needed."
        return undecided(name, "insufficient_data", estimate, alpha, reason)
    return None


def undecided(
    name: str,
    severity: Severity,
    estimate: Estimate,
    alpha: float,
    reason: str | None,
    sizes: tuple[SizeNow, ...] = (),
) -> Judgement:
    """The judgement that nothing can be said, and why."""
    return Judgement(name, severity, estimate, None, None, None, None, None, alpha, False, reason, sizes=sizes)


def _compared(name: str, reference: OutcomeCounts, current: OutcomeCounts) -> Worsening | None:
    for before, after in zip(reference.families(), current.families(), strict=True):
        if name in worsening_metrics(before):
            return worsening(name, before, after)
    return None


def _beyond_limit(name: str, estimate: Estimate, limit: float | None) -> float | None:
    """Distance of the interval's near end beyond the limit; None when the interval is not wholly beyond it."""
    if limit is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    if name in LOSSES:
        near = min(abs(estimate.low), abs(estimate.high)) if estimate.low * estimate.high > 0.0 else 0.0
        return abs(estimate.value) - limit if near > limit else None
    return limit - estimate.value if estimate.high < limit else None


def _shortfall(name: str, estimate: Estimate, limit: float | None) -> tuple[SizeNow, ...]:
    """Distance by which the metric may be beyond the limit, by its interval."""
    if limit is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return ()
    beyond = abs(estimate.value) - limit if name in LOSSES else limit - estimate.value
    size = MeanSize(beyond, (estimate.high - estimate.low) / (2.0 * Z), estimate.n)
    return (SizeNow(shortfall_of(name), 0.0, size),)


def _loss_size(name: str, threshold: float, compared: Worsening) -> tuple[SizeNow, ...]:
    return () if compared.size is None else (SizeNow(loss_of(name), threshold, compared.size),)


def loss_of(name: str) -> str:
    """The name of the score of a metric against its reference."""
    return f"loss of {name}"


def shortfall_of(name: str) -> str:
    """The name of the score of a metric against a limit."""
    return f"shortfall of {name}"


def _why_stable(
    name: str, compared: Worsening, threshold: float, alpha: float, natural: MetricVariation | None
) -> str | None:
    assert compared.loss is not None
    score = loss_of(name)
    if compared.loss >= threshold:
        chance = p_needed(compared.p_value, alpha)
        swings = "" if natural is None else f" and the reference's own variation, {_size(score, natural.deviation)},"
        return f"Worse by {_size(score, compared.loss)}, but explained by chance{swings} with {chance}."
    if compared.p_value < alpha:
        beyond = plain(p_text(compared.p_value))
        return f"A real loss ({beyond}), but smaller than the tolerance of {_size(score, threshold)}."
    fallen = 0.0 if compared.change is None or name in LOSSES else -compared.change
    if fallen >= threshold:
        by_few = _size(score, fallen - compared.loss)
        return (
            f"{_size(score, fallen)} below the reference, but classes with few rows or none lower the mean of an"
            f" unchanged model by {by_few}."
        )
    return compared.reason


def _size(score: str, value: float) -> str:
    return plain(score_value(score, value))
