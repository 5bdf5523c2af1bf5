"""From two profiles to a verdict: large enough to matter, and too large for chance.

Pure: profiles and rules in, a judgement out. The states are never merged into one another: `insufficient_data`,
`no_data` and `no_reference` are not `stable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import msgspec

from modelwatch.measures import p_text, plain
from modelwatch.monitoring.checks.drift.reasons import (
    counts_as,
    dispersed_out_of_reach,
    out_of_reach,
    refusal,
    why_stable,
)
from modelwatch.monitoring.checks.drift.tolerance import (
    DRIFTED,
    ODDS,
    PRECEDENCE,
    PSI,
    Measure,
    Severity,
    Tolerance,
    deciding_measure,
)
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.drift.odds import Beyond, as_it_is, furthest_odds
from modelwatch.stats.drift.scores import psi_by_chance_of_many, psi_of_many
from modelwatch.stats.drift.significance.combined import combined_detectable, combined_needed, combined_tests
from modelwatch.stats.drift.significance.homogeneity import Homogeneity
from modelwatch.stats.drift.significance.names import Split, beside, window_detectable, window_needed, window_tests
from modelwatch.stats.drift.variation.overdispersion import Dispersion

# With a larger p-value nothing is found, and what chance adds to the size is not computed.
WORTH_A_SIZE = 0.05


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
    of all categories. beyond: as for `furthest_odds`. reference, current: shape (cells,)."""
    odds = furthest_odds(reference, current, alpha, beyond)
    if odds is None:
        return ()
    # The test of the whole decides about chance, so that no look takes more than its level; that it is this category
    # which has moved is what its own test is for.
    return (Measure(ODDS, odds.ratio, *allowed.of_odds(odds), max(p_value, odds.p_value), odds.cell),)


def needed_for(directed: bool) -> Callable[[Profile, float, Split | None], int | None]:
    """How many independent values it takes to see anything at all, by rules with directed tests or without."""
    return combined_needed if directed else window_needed
