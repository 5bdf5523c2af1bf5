"""The promise in numbers: how often the rule cries wolf when nothing is wrong, and how long a real shift goes unseen.

50 features, an evaluation every hour, 100 predictions an hour, a reference of 10,000 values. Hours are multinomial
draws over the ten cells of a continuous feature; looks that chi-square leaves in question go to the real `judge`.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import chdtrc
from scipy.stats import norm

from modelwatch.monitoring.verdicts import DriftRules, judge, tolerance
from modelwatch.stats import NumericBinning, Profile, numeric_binning

FEATURES, RATE, REFERENCE, HOURS = 50, 100, 10_000, 720
SPANS = (1, 6, 24)
CELLS = 10
BINNING = numeric_binning(np.random.default_rng(0).normal(size=100_000))

Counts = NDArray[np.int64]


def rules(budget: float) -> DriftRules:
    return DriftRules(0.1, 0.25, 0.05, RATE, budget, ("1h", "6h", "24h"), 3_600)


def profile(coarse: Counts, binning: NumericBinning) -> Profile:
    """A profile with these coarse counts: each stands in the first fine cell of its coarse one."""
    counts = np.zeros(binning.size, dtype=np.int64)
    counts[np.searchsorted(binning.coarse_of, np.arange(binning.n_coarse))] = coarse
    return Profile(binning, counts)


def look_backs(hours: Counts, span: int) -> Counts:
    """The sums of the last `span` hours, at each of the last 720 hours."""
    totals = np.vstack([np.zeros((1, CELLS), dtype=np.int64), hours.cumsum(axis=0)])
    ends = np.arange(len(hours) - HOURS + 1, len(hours) + 1)
    return totals[ends] - totals[ends - span]


def psi_and_p(reference: Counts, windows: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, total = windows.sum(axis=1, keepdims=True), reference.sum()
    p, q = np.maximum(reference / total, 1e-4), np.maximum(windows / n, 1e-4)
    both = windows + reference
    here, there = both * n / (n + total), both * total / (n + total)
    statistic = ((windows - here) ** 2 / here + (reference - there) ** 2 / there).sum(axis=1)
    return ((q - p) * np.log(q / p)).sum(axis=1), chdtrc(CELLS - 1, statistic)


def alarms_of_a_month(rng: np.random.Generator, budgets: tuple[float, ...]) -> tuple[dict[float, int], int]:
    """By budget, the (feature, hour) pairs at which the rule says drift; and those at which PSI > 0.1 would."""
    said, naive = dict.fromkeys(budgets, 0), 0
    for _ in range(FEATURES):
        reference = rng.multinomial(REFERENCE, np.full(CELLS, 1 / CELLS))
        hours = rng.multinomial(RATE, np.full(CELLS, 1 / CELLS), HOURS + max(SPANS))
        drifted = {budget: np.zeros(HOURS, dtype=bool) for budget in budgets}
        for span in SPANS:
            windows = look_backs(hours, span)
            psi, p = psi_and_p(reference, windows)
            naive += int((psi > 0.1).sum()) if span == 1 else 0
            for hour in np.flatnonzero((psi > 0.09) & (p < 1e-4)):
                for budget in budgets:
                    rule = rules(budget)
                    judgement = judge(
                        profile(reference, BINNING),
                        profile(windows[hour], BINNING),
                        tolerance(rule, None),
                        rule.alpha(FEATURES),
                        RATE,
                    )
                    drifted[budget][hour] |= judgement.severity in ("warning", "alert")
        for budget in budgets:
            said[budget] += int(drifted[budget].sum())
    return said, naive


def test_false_alarms_stay_within_the_budget() -> None:
    rng, months = np.random.default_rng(11), 24
    results = [alarms_of_a_month(rng, (1.0, 0.1)) for _ in range(months)]
    mean = {budget: sum(said[budget] for said, _ in results) / months for budget in (1.0, 0.1)}
    naive = sum(count for _, count in results) / months
    print(f"false alarms a month: {mean[1.0]:.2f} at budget 1, {mean[0.1]:.2f} at 0.1; {naive:,.0f} with PSI > 0.1")
    assert mean[1.0] <= 1.0
    assert mean[0.1] <= 0.1
    assert naive > 10_000


@pytest.mark.parametrize(("sigmas", "most_hours"), [(0.5, 4), (1.0, 1)])
def test_a_shift_is_seen_in_time(sigmas: float, most_hours: int) -> None:
    rng, rule = np.random.default_rng(12), rules(1.0)
    edges = norm.ppf(np.linspace(0, 1, CELLS + 1))
    shifted = np.diff(norm.cdf(edges - sigmas))
    delays = []
    for _ in range(150):
        reference = profile(rng.multinomial(REFERENCE, np.full(CELLS, 1 / CELLS)), BINNING)
        hours = list(rng.multinomial(RATE, np.full(CELLS, 1 / CELLS), max(SPANS)))
        for delay in range(1, 49):
            hours.append(rng.multinomial(RATE, shifted))
            windows = [profile(np.sum(hours[-span:], axis=0), BINNING) for span in SPANS]
            verdicts = [
                judge(reference, window, tolerance(rule, None), rule.alpha(FEATURES), RATE) for window in windows
            ]
            if any(verdict.severity in ("warning", "alert") for verdict in verdicts):
                delays.append(delay)
                break
    print(
        f"{sigmas} sigma: seen after {np.median(delays)} h in the median, {np.quantile(delays, 0.9)} h in 9 of 10 cases"
    )
    assert len(delays) == 150
    assert np.median(delays) <= most_hours
