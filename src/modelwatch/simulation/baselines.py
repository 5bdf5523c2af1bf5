"""The rules with a fixed threshold that other tools have, to compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.simulation.traffic import HOUR, Floats, Integers
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import ks_p_value
from modelwatch.stats.drift.scores import jensen_shannon_of_windows, ks_of_windows, psi_of_windows
from modelwatch.stats.drift.significance.homogeneity import homogeneity_p_values

DAY = 24 * HOUR
# The look-backs of these rules, in the order in which their looks are counted.
SPANS = (HOUR, DAY)

HALVINGS = 50

Verdicts = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A rule by which one feature drifts in one window. It knows no smallest sample: one value is enough.

    span: its look-back in seconds. drifted: from the counts of the reference and of windows, shape (windows, cells), to
    verdicts of shape (windows,); the cells are fine or coarse ones. ordered: whether it is for ordered features alone.
    """

    name: str
    title: str
    span: int
    fine: bool
    drifted: Callable[[Integers, Integers], Verdicts]
    ordered: bool = False


def baselines(features: int) -> tuple[Baseline, ...]:
    """The rules, for a model with so many features."""
    return (
        Baseline("psi_0.1_last_hour", "PSI > 0.1, last hour", HOUR, False, _psi_above(0.1)),
        Baseline("psi_0.25_last_hour", "PSI > 0.25, last hour", HOUR, False, _psi_above(0.25)),
        Baseline("psi_0.1_last_day", "PSI > 0.1, last day", DAY, False, _psi_above(0.1)),
        Baseline("js_0.1_last_hour", "Jensen-Shannon > 0.1, last hour", HOUR, False, _js_above(0.1)),
        Baseline("ks_0.05_last_day", "KS p < 0.05, last day", DAY, True, _ks_below(0.05), True),
        Baseline(
            "ks_bonferroni_last_day",
            "KS p < 0.05 / features, last day",
            DAY,
            True,
            _ks_below(0.05 / features),
            True,
        ),
        Baseline("test_0.05_last_day", "test of all cells p < 0.05, last day", DAY, False, _test_below(0.05)),
    )


def judged_by(rules: tuple[Baseline, ...], reference: Profile, looks: Integers) -> Mapping[str, Verdicts]:
    """The result of each rule at each evaluation, by its name; nothing of rules that are not for this feature.

    looks: shape (evaluations, spans, fine cells), the counts of the feature over SPANS.
    """
    coarse = np.add.reduceat(looks, reference.binning.coarse_starts, axis=-1)
    ordered = isinstance(reference.binning, NumericBinning)
    return {
        rule.name: rule.drifted(
            reference.fine if rule.fine else reference.coarse,
            (looks if rule.fine else coarse)[:, SPANS.index(rule.span)],
        )
        for rule in rules
        if ordered or not rule.ordered
    }


def _psi_above(threshold: float) -> Callable[[Integers, Integers], Verdicts]:
    return lambda reference, windows: psi_of_windows(reference, windows) > threshold


def _js_above(threshold: float) -> Callable[[Integers, Integers], Verdicts]:
    return lambda reference, windows: jensen_shannon_of_windows(reference, windows) > threshold


def _test_below(alpha: float) -> Callable[[Integers, Integers], Verdicts]:
    return lambda reference, windows: homogeneity_p_values(reference, windows) < alpha


def _ks_below(alpha: float) -> Callable[[Integers, Integers], Verdicts]:
    def drifted(reference: Integers, windows: Integers) -> Verdicts:
        limits = smallest_ks(alpha, int(reference.sum()), windows.sum(axis=1))
        return np.asarray(ks_of_windows(reference, windows) >= limits)

    return drifted


def smallest_ks(alpha: float, n_reference: int, n_current: Integers) -> Floats:
    """Kolmogorov-Smirnov statistic from which on the p-value is below alpha; inf without values.

    n_current: shape (windows,), and so is the result.
    """
    sizes, which = np.unique(n_current, return_inverse=True)
    limits = [_smallest_ks(alpha, round(n_reference * n / (n_reference + n))) for n in sizes.tolist()]
    return np.array(limits, dtype=np.float64)[which]


@lru_cache(maxsize=65_536)
def _smallest_ks(alpha: float, effective: int) -> float:
    if effective < 1:
        return np.inf
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        # Two samples of twice the size have the effective size in question.
        low, high = (low, middle) if ks_p_value(middle, 2 * effective, 2 * effective) < alpha else (middle, high)
    return high
