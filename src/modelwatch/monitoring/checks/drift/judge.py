"""From two profiles to a verdict: large enough to matter, and too large for chance.

Pure: profiles and rules in, a judgement out. The states are never merged into one another: `insufficient_data`,
`no_data` and `no_reference` are not `stable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Literal, Protocol

import msgspec

from modelwatch.charts.drawing.numbers import number
from modelwatch.measures import p_needed, p_text, plain
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.combined import combined_detectable, combined_needed, combined_tests, effective_reach
from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.drift.names import Split, beside, is_ids, window_detectable, window_needed, window_tests
from modelwatch.stats.drift.odds import Beyond, CategoryOdds, as_it_is, furthest_odds
from modelwatch.stats.drift.scores import psi_by_chance_of_many, psi_of_many
from modelwatch.stats.drift.tests import Homogeneity
from modelwatch.stats.drift.variation.natural_variation import DEVIATE
from modelwatch.stats.drift.variation.overdispersion import Dispersion

Severity = Literal["stable", "shifted", "warning", "alert", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a subject.
PRECEDENCE: tuple[Severity, ...] = (
    "alert",
    "warning",
    "shifted",
    "stable",
    "insufficient_data",
    "no_data",
    "no_reference",
)

# Large enough to matter, and too large for chance.
DRIFTED: tuple[Severity, ...] = ("alert", "warning")

JS_WARNING_DISTANCE = 0.05
JS_ALERT_DISTANCE = 0.15
ROUNDING = 1e-9
# With a larger p-value nothing is found, and what chance adds to the size is not computed.
WORTH_A_SIZE = 0.05
# The names of the scores that decide.
PSI, ODDS = "PSI", "odds ratio"


class Configured(Protocol):
    """Configured size from which a shift matters. odds_ratio: 0 where odds are not judged."""

    @property
    def psi_warning(self) -> float: ...
    @property
    def psi_alert(self) -> float: ...
    @property
    def odds_ratio(self) -> float: ...


class Measure(msgspec.Struct, frozen=True, gc=False):
    """A score that decides: its size, from which size on it is a warning and an alert, and the chance of it.

    cell: the category that it is of; None when it is of all.
    """

    name: str
    size: float
    warning: float
    alert: float
    p_value: float
    cell: int | None = None

    def severity(self, alpha: float) -> Severity:
        """Large enough to matter, and too large for chance; else stable."""
        if self.size < self.warning or self.p_value >= alpha:
            return "stable"
        return "alert" if self.size >= self.alert else "warning"


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """Judgement of one window of one subject. Undefined fields are None; `reason` says why.

    measures: the scores that decide, the PSI first; none where nothing was judged.
    """

    severity: Severity
    psi: float | None
    test: Homogeneity | None
    alpha: float
    min_detectable_psi: float | None
    reason: str | None
    measures: tuple[Measure, ...] = ()

    @property
    def deciding(self) -> Measure | None:
        """The measure that says the worst; of equally bad ones the PSI."""
        return deciding_measure(self.measures, self.alpha)


def deciding_measure(measures: Sequence[Measure], alpha: float) -> Measure | None:
    """The measure that says the worst, of equally bad ones the first; None without any."""
    return min(measures, key=lambda each: PRECEDENCE.index(each.severity(alpha)), default=None)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Size from which a shift matters.

    natural: what the reference itself does in stretches as long, chance left out, if known. psi_natural: the PSI that
    a window shows which varies as the reference does, 0 if unknown; by_reference: whether that is why `psi_warning` is
    what it is, and psi_configured: what it would be; by_doubt: whether it is what the reference may do by itself
    without showing it. odds_ratio: how many times the odds of a category must have moved to matter, as configured; 0:
    the odds are not judged. natural_odds: how many times they move in the reference itself.
    """

    psi_warning: float
    psi_alert: float
    natural: float | None = None
    by_reference: bool = False
    odds_ratio: float = 0.0
    natural_odds: float | None = None
    psi_natural: float = 0.0
    psi_configured: float = math.inf
    by_doubt: bool = False

    def doubted(self, plausible: float) -> Tolerance:
        """The same where the PSI of a window that is as it should be may be as large as `plausible`: it is shown, and
        matters from there on."""
        if plausible <= self.psi_warning:
            return self
        return replace(
            self,
            psi_warning=plausible,
            psi_alert=max(self.psi_alert, plausible),
            by_reference=False,
            psi_configured=min(self.psi_configured, self.psi_warning),
            by_doubt=True,
        )

    def of_odds(self, odds: CategoryOdds) -> tuple[float, float]:
        """From which ratio of its odds on the shift of a category is a warning, and an alert: twice as far, as
        logarithms of odds are."""
        warning = math.log(self.odds_ratio)
        alert = 2.0 * warning
        if self.natural_odds is not None and self.natural_odds > 1.0:
            natural = math.log(self.natural_odds)
            allowed = (natural + DEVIATE * odds.error * min(1.0, natural / warning)) * (1.0 + ROUNDING)
            warning, alert = max(warning, allowed), max(alert, allowed)
        return math.exp(warning), math.exp(alert)


def tolerance(
    configured: Configured,
    natural: float | None,
    chance: float = 0.0,
    natural_odds: float | None = None,
) -> Tolerance:
    """The configured thresholds, or the reference's natural variation where that is larger.

    chance: the PSI that chance adds to a window of this size. A window that varies as the reference does shows its
    variation and chance together; where the reference hardly varies the configured threshold stands.
    """
    if not natural:
        return Tolerance(
            configured.psi_warning,
            configured.psi_alert,
            natural,
            odds_ratio=configured.odds_ratio,
            natural_odds=natural_odds,
        )
    # The margin is for rounding: a window that does exactly what the reference did is no drift.
    allowed = (natural + chance * min(1.0, natural / configured.psi_warning)) * (1.0 + ROUNDING)
    by_reference = allowed > configured.psi_warning
    warning, alert = max(configured.psi_warning, allowed), max(configured.psi_alert, allowed)
    return Tolerance(
        warning,
        alert,
        natural,
        by_reference,
        configured.odds_ratio,
        natural_odds,
        allowed,
        configured.psi_warning,
    )


@dataclass(frozen=True, slots=True)
class Case:
    """One subject to judge. windows: what it shows in each, and how large a shift must be to matter there.

    min_samples: number of values that a verdict needs. least: from so many on a shift that is no chance is `shifted`,
    however large; None: from `min_samples`. split: how a categorical reference was split for its tests.
    names_shifted: whether what is detected and small is `shifted`; in verdicts of earlier releases it is `stable`.
    directed: whether the directed tests are among those that decide, and sizes are less what chance adds; in verdicts
    of earlier releases neither is so. dispersions: how much more than by chance each window varies; none at all where
    the values of all are independent. least_reference: number of reference values without which nothing is judged.
    """

    reference: Profile
    split: Split | None
    min_samples: int
    windows: tuple[tuple[Profile, Tolerance], ...]
    names_shifted: bool = True
    directed: bool = True
    least: int | None = None
    dispersions: tuple[Dispersion | None, ...] = ()
    least_reference: int = 0

    def dispersion(self, window: int) -> Dispersion | None:
        """The dispersion of the window at this place."""
        return self.dispersions[window] if self.dispersions else None


def judge(
    reference: Profile,
    current: Profile,
    allowed: Tolerance,
    alpha: float,
    min_samples: int,
    split: Split | None = None,
) -> Judgement:
    """The verdict on one subject in one window."""
    [[found]] = judge_all([Case(reference, split, min_samples, ((current, allowed),))], alpha)
    return found


def judge_all(cases: Sequence[Case], alpha: float) -> list[list[Judgement]]:
    """The verdicts on each subject in each of its windows: scores and tests of all are computed together."""
    without = [[_without_values(case.reference, current, alpha) for current, _ in case.windows] for case in cases]
    compared = [[at for at, found in enumerate(of_case) if found is None] for of_case in without]
    pairs = [
        (case.reference, case.windows[at][0]) for case, places in zip(cases, compared, strict=True) for at in places
    ]
    scores = iter(psi_of_many(pairs))
    refusals = [refusal(case.reference, case.split, case.least_reference) for case in cases]
    tested = [
        (case, places)
        for case, places, refused in zip(cases, compared, refusals, strict=True)
        if places and not refused
    ]
    of_tested = _tests(tested)
    tests, chances = iter(of_tested), iter(_chances(tested, of_tested))
    found = []
    for case, of_case, places, refused in zip(cases, without, compared, refusals, strict=True):
        of_windows = zip(places, islice(scores, len(places)), strict=True)
        if refused:
            judged = [Judgement("insufficient_data", score, None, alpha, None, refused) for _, score in of_windows]
        elif places:
            reach = _Reach(case, alpha)
            judged = [
                _judged(case, at, score, next(chances), test, alpha, reach)
                for (at, score), test in zip(of_windows, next(tests), strict=True)
            ]
        else:
            judged = []
        rest = iter(judged)
        found.append([next(rest) if each is None else each for each in of_case])
    return found


def _tests(cases: Sequence[tuple[Case, Sequence[int]]]) -> list[list[Homogeneity]]:
    """The tests of the windows at these places of each case, by its rules."""
    by_rules: dict[bool, list[int]] = {}
    for place, (case, _) in enumerate(cases):
        by_rules.setdefault(case.directed, []).append(place)
    found: dict[int, list[Homogeneity]] = {}
    for directed, places in by_rules.items():
        chosen = [cases[at] for at in places]
        some = [(case.reference, case.split, [case.windows[at][0] for at in of_case]) for case, of_case in chosen]
        dispersions = [[case.dispersion(at) for at in of_case] for case, of_case in chosen]
        tests = combined_tests(some, dispersions) if directed else window_tests(some)
        found |= dict(zip(places, tests, strict=True))
    return [found[place] for place in range(len(cases))]


def _chances(cases: Sequence[tuple[Case, Sequence[int]]], tests: Sequence[Sequence[Homogeneity]]) -> list[float]:
    """What chance adds to the PSI of each window, one after the other; 0 where nothing asks for it."""
    of_windows = [
        (case, case.windows[at][0].n, test)
        for (case, places), of_case in zip(cases, tests, strict=True)
        for at, test in zip(places, of_case, strict=True)
    ]
    chances = [0.0] * len(of_windows)
    wanted = [
        place for place, (case, _, test) in enumerate(of_windows) if test.p_value < WORTH_A_SIZE and case.directed
    ]
    some = [(case.reference, case.split, n) for case, n, _ in map(of_windows.__getitem__, wanted)]
    for place, chance in zip(wanted, chances_of_psi(some), strict=True):
        chances[place] = chance
    return chances


def chances_of_psi(windows: Sequence[tuple[Profile, Split | None, int]]) -> list[float]:
    """The PSI that windows of so many values each have on average when nothing has changed, their unseen names
    included. windows: the reference of each, how it was split, and the number."""
    return psi_by_chance_of_many(
        [(reference, n, 0.0 if split is None else split.share_once(reference)) for reference, split, n in windows]
    )


class _Reach:
    """What the windows of a case can show."""

    def __init__(self, case: Case, alpha: float) -> None:
        of_rules = combined_detectable if case.directed else window_detectable
        self._detectable = of_rules(case.reference, alpha, case.split)
        self._case, self._alpha = case, alpha

    def smallest(self, n: int, df: int, dispersion: Dispersion | None) -> float | None:
        """The smallest PSI that a window of n values shows in the test with df degrees of freedom; None where it shows
        none. dispersion: of the window."""
        if not df:
            return None
        of_test = beside(self._case.split, dispersion)
        return self._detectable.of(n, df) if of_test is None else self._detectable.of_dispersed(n, df, of_test)

    @cached_property
    def needed(self) -> int | None:
        """How many values it takes to see anything at all; None when no number is enough."""
        return needed_for(self._case.directed)(self._case.reference, self._alpha, self._case.split)


def _without_values(reference: Profile, current: Profile, alpha: float) -> Judgement | None:
    """The judgement where a side has no values; None where both have some."""
    if current.n and reference.n:
        return None
    if current.total == 0:
        return Judgement("no_data", None, None, alpha, None, "No predictions in this window.")
    if reference.n == 0:
        return Judgement("no_reference", None, None, alpha, None, "The reference holds no valid value.")
    reason = f"All {current.total} values in this window are missing or invalid."
    return Judgement("no_data", None, None, alpha, None, reason)


def _judged(
    case: Case, at: int, score: float, chance: float, test: Homogeneity, alpha: float, reach: _Reach
) -> Judgement:
    """The judgement of a window by a score, what chance adds to it, and a test."""
    (current, allowed), dispersion = case.windows[at], case.dispersion(at) if case.dispersions else None
    n, needed = current.n, case.min_samples
    detectable = reach.smallest(n, test.df, dispersion)
    few = n < needed
    reason = f"{n} of at least {needed} values: {needed - n} more are needed." if few else ""
    if few and (case.least is None or n < case.least or test.p_value >= alpha):
        return Judgement("insufficient_data", score, test, alpha, detectable, reason)
    size = max(0.0, score - chance)
    measures = (
        Measure(PSI, size, allowed.psi_warning, allowed.psi_alert, test.p_value),
        *_of_odds(case.reference, current, allowed, test, alpha, case.split),
    )
    if few:
        beyond = size > allowed.psi_natural
        why = f"A real difference ({plain(p_text(test.p_value))}), whose size so few values don't tell: {reason}"
        severity: Severity = "shifted" if beyond else "insufficient_data"
        return Judgement(severity, score, test, alpha, detectable, why if beyond else reason, measures)
    severity = min([each.severity(alpha) for each in measures], key=PRECEDENCE.index)
    if severity != "stable":
        return Judgement(severity, score, test, alpha, detectable, None, measures)
    beyond_reach = out_of_reach(n, reach.needed)
    if beyond_reach is None and dispersion is not None:
        beyond_reach = _with_effective_n(
            dispersed_out_of_reach(case.reference, alpha, case.split, dispersion), current, test
        )
    if beyond_reach is not None:
        return Judgement("insufficient_data", score, test, alpha, detectable, beyond_reach)
    if case.names_shifted and test.p_value < alpha and allowed.psi_natural < size < allowed.psi_warning:
        severity = "shifted"
    explained = _with_effective_n(why_stable(measures, allowed, alpha, score), current, test)
    return Judgement(severity, score, test, alpha, detectable, explained, measures)


def _with_effective_n(reason: str | None, current: Profile, test: Homogeneity) -> str | None:
    """A reason with how many values count, where they are not independent."""
    if reason is None or test.effective_n is None:
        return reason
    return f"{reason} {counts_as(current.n, test.effective_n)}"


def counts_as(n: int, effective: float) -> str:
    """Sentence on values that are not independent.

    >>> counts_as(2_400, 36.9)
    'The 2,400 values count as about 37 independent ones.'
    >>> counts_as(168, 0.6)
    'The 168 values count as about one independent one.'
    """
    count = f"{max(effective, 1.0):,.0f}"
    return f"The {n:,} values count as about {'one independent one' if count == '1' else f'{count} independent ones'}."


def judge_size(case: Case, detected: Judgement, alpha: float) -> Judgement:
    """The judgement of the only window of a case by its size, where another judgement detected the shift."""
    [(current, allowed)] = case.windows
    assert detected.test is not None, "what is detected was tested"
    [score] = psi_of_many([(case.reference, current)])
    [chance] = chances_of_psi([(case.reference, case.split, current.n)])
    size = max(0.0, score - chance)
    p_value = detected.measures[0].p_value
    measures = (Measure(PSI, size, allowed.psi_warning, allowed.psi_alert, p_value),)
    severity: Severity = measures[0].severity(alpha)
    if severity == "stable" and p_value < alpha and size > allowed.psi_natural:
        severity = "shifted"
    reason = None if severity in DRIFTED else why_stable(measures, allowed, alpha, score)
    return Judgement(severity, score, detected.test, alpha, detected.min_detectable_psi, reason, measures)


def odds_cells(profile: Profile, split: Split | None) -> int:
    """Of how many cells the odds are compared: unseen names have a test of their own where they are split off, and are
    none in the reference by construction."""
    return len(profile.coarse) - (split is not None)


def _of_odds(
    reference: Profile, current: Profile, allowed: Tolerance, test: Homogeneity, alpha: float, split: Split | None
) -> tuple[Measure, ...]:
    if not allowed.odds_ratio or reference.binning.kind != "categorical":
        return ()
    cells = odds_cells(reference, split)
    return odds_measure(reference.coarse[:cells], current.coarse[:cells], allowed, test.p_value, alpha)


def odds_measure(
    reference: Counts,
    current: Counts,
    allowed: Tolerance,
    p_value: float,
    alpha: float,
    beyond: Beyond = as_it_is,
) -> tuple[Measure, ...]:
    """The odds of the category that has moved furthest; nothing where there are none to compare. p_value: of the test
    of all categories. beyond: as for `furthest_odds`."""
    odds = furthest_odds(reference, current, alpha, beyond)
    if odds is None:
        return ()
    # The test of the whole decides about chance, so that no look takes more than its level; that it is this category
    # which has moved is what its own test is for.
    return (Measure(ODDS, odds.ratio, *allowed.of_odds(odds), max(p_value, odds.p_value), odds.cell),)


def refusal(reference: Profile, split: Split | None, least: int) -> str | None:
    """Why no window is judged beside a reference, whatever it holds; None where windows are. least: number of values
    that a reference must hold."""
    if 0 < reference.n < least:
        return f"Not judged: the reference holds {reference.n} of at least {least} values that the tests need."
    if split is not None and is_ids(reference, split):
        return ids_reason(reference, split)
    return None


def ids_reason(reference: Profile, split: Split) -> str:
    """Why a column of ids is not judged."""
    percent = 100.0 * split.share_once(reference)
    alone = "have names that one value of the key alone has" if split.clusters else "occur only once"
    return (
        f"Not judged: {percent:.0f} % of the reference's values {alone}. This is a column of ids, in which"
        " new values are expected."
    )


def needed_for(directed: bool) -> Callable[[Profile, float, Split | None], int | None]:
    """How many independent values it takes to see anything at all, by rules with directed tests or without."""
    return combined_needed if directed else window_needed


def out_of_reach(n: int, needed: int | None) -> str | None:
    """Why a window of n values could show no shift; None where it could. needed: independent values that it takes."""
    if needed is None:
        return (
            "The reference is too small: no number of predictions could distinguish a shift from chance at this budget."
        )
    if needed > n:
        return (
            f"With {n} values, even the largest shift could not be distinguished from chance at this false-alarm"
            " budget:"
            f" {needed - n} more are needed."
        )
    return None


def dispersed_out_of_reach(reference: Profile, alpha: float, split: Split | None, dispersion: Dispersion) -> str | None:
    """The same of values that vary more than by chance."""
    effective, needed = effective_reach(reference, alpha, split, dispersion)
    if needed is not None and needed <= effective:
        return None
    why = "too little is known of what the reference varies by itself"
    if needed is not None:
        why = f"it takes {needed / effective:,.1f} times as many"
    return f"Even the largest shift could not be distinguished from chance at this false-alarm budget: {why}."


def why_stable(measures: Sequence[Measure], allowed: Tolerance, alpha: float, score: float) -> str | None:
    """Why a shift that is large, or real, is none that matters; None where there is nothing to explain. measures: the
    PSI first. score: the PSI as it is, with what chance adds."""
    psi = measures[0]
    if psi.p_value < alpha:
        why = ", which the reference itself reaches" if allowed.by_reference else ""
        if allowed.by_doubt:
            why = ", which so few values of the reference may hide of what the data do by themselves"
        less = f"{plain(number(psi.size))} less what chance adds, " if score >= psi.warning else ""
        size = f"{less}smaller than the PSI threshold {plain(number(psi.warning))}{why}"
        return f"A real difference ({plain(p_text(psi.p_value))}), but {size}."
    if score >= psi.warning or (allowed.by_doubt and score >= allowed.psi_configured):
        return f"PSI is above the threshold, but explained by chance: {p_needed(psi.p_value, alpha)}."
    if allowed.by_reference and score >= allowed.psi_configured:
        reached = f"the reference itself reaches {plain(number(psi.warning))} in stretches as long"
        return f"PSI is above the configured threshold {plain(number(allowed.psi_configured))}, but {reached}."
    return None


def psi_severity(score: float, rules: Configured) -> Severity:
    """The magnitude alone, by the customary thresholds."""
    return "alert" if score >= rules.psi_alert else "warning" if score >= rules.psi_warning else "stable"


def js_severity(distance: float) -> Severity:
    """Jensen-Shannon by the thresholds that its users know; it never decides."""
    return "alert" if distance >= JS_ALERT_DISTANCE else "warning" if distance >= JS_WARNING_DISTANCE else "stable"
