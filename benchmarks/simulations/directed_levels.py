"""Level of the directed tests far out in the tail: how often they alarm though nothing has changed, by importance
sampling. `make bench ARGS=directed_levels`; docs/statistics.md has the table.

Windows and references are drawn from tilted shares, in which unusual samples are common, the one towards larger scores
and the other towards smaller ones; each draw counts with its exact likelihood ratio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Row
from modelwatch.stats.drift.directed import directed_tests, pooled_scores

Floats = NDArray[np.float64]

LEVELS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
# Standard deviations of the statistic that the proposals aim at.
AIMS = (0.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0)


@dataclass(frozen=True)
class Case:
    """References of N values and windows of n, in cells with these shares."""

    name: str
    reference: int
    window: int
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Level:
    """The share of false alarms divided by the level, and the standard error of that."""

    at: float
    location: float
    location_error: float
    scale: float
    scale_error: float


EVEN = tuple([1.0 / 200] * 200)
ATOM = tuple([0.005] * 10 + [0.9] + [0.005] * 10)
RATINGS = (0.1, 0.2, 0.4, 0.2, 0.1)
CASES = {
    case.name: case
    for case in (
        Case("continuous, 10000 against 30", 10_000, 30, EVEN),
        Case("continuous, 100 against 30", 100, 30, EVEN),
        Case("continuous, 100 against 10000", 100, 10_000, EVEN),
        Case("continuous, 30 against 1000", 30, 1_000, EVEN),
        Case("90 % one atom, 10000 against 30", 10_000, 30, ATOM),
        Case("90 % one atom, 100 against 100", 100, 100, ATOM),
        Case("five ratings, 100 against 30", 100, 30, RATINGS),
        Case("five ratings, 10000 against 300", 10_000, 300, RATINGS),
    )
}


def run(*, quick: bool = False) -> Iterator[Row]:
    """The share of false alarms at each level, as a multiple of the level: at most about 1 is right."""
    draws = 3_000 if quick else 20_000
    for name in CASES:
        for level in levels_of(name, draws):
            for test, value, error in (
                ("location", level.location, level.location_error),
                ("scale", level.scale, level.scale_error),
            ):
                note = f"± {error:.2f}, {draws} draws"
                yield Row(f"{test}, {name}, at {level.at:g}", value, "of the level", None, None, note)


def levels_of(name: str, draws: int) -> list[Level]:
    """The levels of both tests in a case of CASES."""
    case = CASES[name]
    found = []
    for place in (0, 1):
        rng = np.random.default_rng((7, place))
        references, windows, weights = _drawn(case, place, draws, rng)
        tests = directed_tests(references, windows)
        p_values = tests.scale_p_value if place else tests.location_p_value
        counted = [np.where(p_values < alpha, weights, 0.0) / alpha for alpha in LEVELS]
        found.append([(float(each.mean()), float(each.std() / np.sqrt(draws))) for each in counted])
    return [Level(alpha, *location, *scale) for alpha, location, scale in zip(LEVELS, found[0], found[1], strict=True)]


def _drawn(
    case: Case, place: int, draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """References, windows and how much each draw counts. place: 0 for tails of location, 1 for those of scale."""
    shares = np.array(case.shares)
    scores = pooled_scores(np.rint(shares[None] * 1e9).astype(np.int64))[place][0]
    scores = (scores - shares @ scores) / np.sqrt(shares @ scores**2 - (shares @ scores) ** 2)
    both = case.reference + case.window
    aims = np.array(AIMS) * np.sqrt(1.0 / case.reference + 1.0 / case.window)
    of_window, of_reference = aims * case.reference / both, -aims * case.window / both
    which = rng.integers(len(AIMS), size=draws)
    references = rng.multinomial(case.reference, _tilted(shares, scores, of_reference)[which])
    windows = rng.multinomial(case.window, _tilted(shares, scores, of_window)[which])
    ratios = (
        np.outer(windows @ scores, of_window)
        - case.window * _cumulants(shares, scores, of_window)
        + np.outer(references @ scores, of_reference)
        - case.reference * _cumulants(shares, scores, of_reference)
    )
    largest = ratios.max(axis=1)
    mixture = largest + np.log(np.exp(ratios - largest[:, None]).mean(axis=1))
    return references, windows, np.exp(-mixture)


def _cumulants(shares: Floats, scores: Floats, tilts: Floats) -> Floats:
    return np.asarray(np.log(np.exp(np.outer(tilts, scores)) @ shares))


def _tilted(shares: Floats, scores: Floats, tilts: Floats) -> Floats:
    """Shares with more of the large scores, shape (tilts, cells)."""
    weights = shares * np.exp(np.outer(tilts, scores))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
