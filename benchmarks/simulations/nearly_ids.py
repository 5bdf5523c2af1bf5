"""Columns that are nearly taken for ids: how often new names are told of though nothing has changed, among those
samples that are judged at all, and how often a fifth of new names is found.

`make bench ARGS=nearly_ids`; it takes some minutes. docs/statistics.md has the table. References are drawn, many at
once; of their windows the number of unseen values is binomial, so that what they show is computed, not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.report import Row
from benchmarks.simulations.levels import Names, zipf
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.significance.names import IDS_SHARE, LEAST_SEEN_ONCE, expected_by_once

LEVEL, NEW = 1e-3, 0.2
# So many values are drawn at once.
CHUNK = 2_000_000
# Few of these samples have so many repeats that they are not taken for ids.
CASES = tuple(
    (Names(kinds, exponent, reference, window), references)
    for kinds, exponent, reference, references in (
        (500, 0.0, 300, 40_000),
        (540, 0.0, 300, 80_000),
        (1_600, 0.0, 1_000, 20_000),
        (4_550, 0.0, 3_000, 10_000),
        (14_800, 0.0, 10_000, 3_000),
        (5_000, 1.0, 300, 4_000),
        (10_000, 1.0, 300, 6_000),
        (50_000, 1.0, 1_000, 2_000),
    )
    for window in (300, 3_000)
)


@dataclass(frozen=True)
class Judged:
    """judged: the share of the references that is not taken for ids. Of these alarms: the chance that a window alarms
    though nothing has changed; found: that one does of whose values a fifth has new names."""

    judged: float
    alarms: float
    found: float


def run(*, quick: bool = False) -> Iterator[Row]:
    """False alarms about new names at a level of 1e-3, as a multiple of it, among the references that are judged."""
    for case, references in CASES:
        told = told_of_new_names(case, references // 10 if quick else references, LEVEL, np.random.default_rng(8))
        note = f"{told.judged:.1%} of {references} references judged; a fifth of new names is found in {told.found:.0%}"
        yield Row(f"new names, {case.name}", told.alarms / LEVEL, "of the level", None, None, note)


def told_of_new_names(case: Names, references: int, level: float, rng: np.random.Generator) -> Judged:
    """Findings of windows against those of so many references that are not taken for ids."""
    once, twice, missed = _references(case, references, rng)
    kept = (once < IDS_SHARE * case.reference) & (once >= LEAST_SEEN_ONCE)
    if not kept.any():
        return Judged(0.0, 0.0, 0.0)

    @cache
    def needed(f1: int, f2: int) -> int:
        return _alarms_from(case, f1, f2, level)

    least = np.array([needed(*pair) for pair in zip(once[kept].tolist(), twice[kept].tolist(), strict=True)])
    now = missed[kept]
    alarms, found = (binom.sf(least - 1, case.window, share).mean() for share in (now, NEW + (1.0 - NEW) * now))
    return Judged(float(kept.mean()), float(alarms), float(found))


def _references(
    case: Names, references: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of each: names seen once, and twice, and the share of values that have names it does not have."""
    shares = np.array(zipf(case.kinds, case.exponent))
    once, twice, missed = [], [], []
    step = max(1, CHUNK // max(case.kinds, case.reference))
    for first in range(0, references, step):
        rows = min(step, references - first)
        drawn = rng.choice(case.kinds, (rows, case.reference), p=shares) + case.kinds * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * case.kinds).reshape(rows, case.kinds)
        once.append((counts == 1).sum(axis=1))
        twice.append((counts == 2).sum(axis=1))
        missed.append((counts == 0) @ shares)
    return np.concatenate(once), np.concatenate(twice), np.concatenate(missed)


def _alarms_from(case: Names, once: int, twice: int, level: float) -> int:
    """From how many unseen values on a window alarms; one more than it has where none do."""
    expected = expected_by_once(once, twice, case.reference)
    low, high = 0, case.window + 1
    while low < high:
        middle = (low + high) // 2
        if rate_increase_p_value(expected.hits, expected.n, middle, case.window) < level:
            high = middle
        else:
            low = middle + 1
    return low
