"""Level of the drift test far out in the tail: how often it alarms though nothing has changed, by importance sampling.

`make bench ARGS=levels`; the names take a quarter of an hour, the rest some minutes. docs/statistics.md has the table.

Draws come from proposals in which unusual samples are common; each counts with its exact likelihood ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmarks.report import Row
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.homogeneity import homogeneity_p_values
from modelwatch.stats.drift.significance.names import expected_new, is_ids, names_p_value, split_reference, window_test

LEVELS = (1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Case:
    """A reference of N values and windows of n.

    shares: of fixed cells; None for ten cells at the reference's own quantiles, of which the true shares are random.
    spread: how many times more the proposal varies than the samples do.
    """

    name: str
    reference: int
    window: int
    shares: tuple[float, ...] | None = None
    spread: float = 3.0


def zipf(cells: int, exponent: float) -> tuple[float, ...]:
    """Shares that fall as a power of the rank."""
    weights = 1.0 / np.arange(1, cells + 1) ** exponent
    return tuple((weights / weights.sum()).tolist())


# Small, equal and large beside each other; the references that are small beside the window are the hard ones.
CASES = (
    Case("deciles 30 against 300", 30, 300),
    Case("deciles 30 against 1e6", 30, 1_000_000),
    Case("deciles 100 against 100", 100, 100),
    Case("deciles 100 against 2000", 100, 2_000),
    Case("deciles 10000 against 30", 10_000, 30),
    Case("deciles 10000 against 100", 10_000, 100),
    Case("deciles 10000 against 1e6", 10_000, 1_000_000),
    Case("fixed Zipf 100 against 10000", 100, 10_000, zipf(10, 1.5), 2.0),
    Case("fixed 90/10 100 against 10000", 100, 10_000, (0.9, 0.1), 6.0),
)


def run(*, quick: bool = False) -> Iterator[Row]:
    """The share of false alarms at each level, as a multiple of the level: at most 1 is right."""
    draws = 20_000 if quick else 200_000
    for case in CASES:
        for alpha, (level, error) in level_of(case, draws, np.random.default_rng(5)).items():
            yield Row(f"{case.name}, at {alpha:g}", level, "of the level", None, None, f"± {error:.2f}, {draws} draws")
    draws, alpha = (100 if quick else 1_000), 1e-2
    for names in NAMES:
        found = alarms_about_names(names, draws, alpha, np.random.default_rng(6))
        yield _row(names, found, alpha)
    references, alpha = (100 if quick else 2_500), 1e-3
    for names in GRID:
        yield _row(names, alarms_about_names(names, references, alpha, np.random.default_rng(7), windows=4), alpha)


def _row(names: Names, found: NameAlarms, alpha: float) -> Row:
    note = f"of {found.draws} draws, {found.ids} of ids; drift {found.drift}, unseen {found.unseen}"
    return Row(f"{names.name}, at {alpha:g}", found.drift / found.draws / alpha, "of the level", None, None, note)


def level_of(case: Case, draws: int, rng: np.random.Generator) -> Mapping[float, tuple[float, float]]:
    """By nominal level, the share of false alarms divided by it, and the standard error of that."""
    p_values, weights = _at_quantiles(case, draws, rng) if case.shares is None else _fixed(case, draws, rng)
    found = {}
    for alpha in LEVELS:
        counted = np.where(p_values < alpha, weights, 0.0) / alpha
        found[alpha] = (float(counted.mean()), float(counted.std() / np.sqrt(draws)))
    return found


def _at_quantiles(case: Case, draws: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The true shares of cells at the reference's quantiles are Dirichlet by its counts, whatever the distribution."""
    reference = np.full(10, case.reference // 10)
    concentration = reference.astype(np.float64)
    # One proposal varies `spread` times as much as the truth: as if the reference and the window were smaller.
    ratio = 1.0 / case.reference + 1.0 / case.window
    proposed = concentration / (case.reference * max(case.spread * ratio - 1.0 / case.window, 1e-12))
    windows = rng.multinomial(case.window, rng.dirichlet(proposed, draws))
    weights = np.exp(_dirichlet_multinomial(windows, concentration) - _dirichlet_multinomial(windows, proposed))
    return homogeneity_p_values(reference, windows), weights


def _fixed(case: Case, draws: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both samples are multinomial; the reference, which varies more, is proposed over-dispersed."""
    shares = np.array(case.shares)
    proposed = shares * case.reference / (case.spread - 1.0)
    # Half of the draws are as they come, so that no sample has a large weight.
    spread = rng.random(draws) < 0.8
    references = rng.multinomial(case.reference, np.where(spread[:, None], rng.dirichlet(proposed, draws), shares))
    truth = _multinomial(references, shares)
    weights = 1.0 / (0.8 * np.exp(_dirichlet_multinomial(references, proposed) - truth) + 0.2)
    windows = rng.multinomial(case.window, shares, draws)
    p_values = np.array(
        [homogeneity_p_values(r, c[None])[0] for r, c in zip(references, windows, strict=True)], dtype=np.float64
    )
    return p_values, weights


def _dirichlet_multinomial(counts: NDArray[np.int64], alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log-likelihood without what does not depend on alpha."""
    total = alpha.sum()
    return np.asarray(
        gammaln(total) - gammaln(total + counts.sum(axis=1)) + (gammaln(counts + alpha) - gammaln(alpha)).sum(axis=1)
    )


def _multinomial(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts @ np.log(shares))


@dataclass(frozen=True)
class Names:
    """A categorical feature of so many names, equally frequent at exponent 0; N reference values, windows of n."""

    kinds: int
    exponent: float
    reference: int
    window: int

    @property
    def name(self) -> str:
        """Name in the report."""
        how = f"Zipf {self.exponent:g}" if self.exponent else "uniform"
        return f"{how} over {self.kinds} names, {self.reference} against {self.window}"


@dataclass(frozen=True)
class NameAlarms:
    """Of so many draws in which nothing has changed, in how many drift and the rate of unseen categories said more.

    ids: the draws that were not judged, because the reference looked like a column of ids.
    """

    draws: int
    drift: int
    unseen: int
    ids: int


NAMES = (
    Names(50, 0.0, 300, 10_000),
    Names(50, 1.0, 10_000, 300),
    Names(500, 0.0, 10_000, 10_000),
    Names(2_000, 1.0, 5_000, 1_000),
    Names(5_000, 0.5, 10_000, 10_000),
    Names(50_000, 1.1, 10_000, 3_000),
    Names(50_000, 0.0, 10_000, 1_000),
)


# Small and large samples of few and of many names, at a level of looks that are not rare.
GRID = tuple(
    Names(kinds, exponent, reference, window)
    for kinds, exponent, reference, window in product((50, 500, 5_000), (0.0, 1.0), (300, 3_000), (300, 3_000))
)


def alarms_about_names(
    case: Names, references: int, level: float, rng: np.random.Generator, windows: int = 1
) -> NameAlarms:
    """Plain simulation: a fresh reference and so many windows of the same names, again and again."""
    shares = np.array(zipf(case.kinds, case.exponent))
    names = np.array([f"name {number}" for number in range(case.kinds)])
    drift = unseen = ids = 0
    for _ in range(references):
        drawn = rng.choice(case.kinds, case.reference, p=shares)
        binning, split = split_reference(names[drawn].tolist())
        cells = np.array([binning.cell(name) for name in names.tolist()])
        before = Profile(binning, np.bincount(cells[drawn], minlength=binning.size))
        if split is None or is_ids(before, split):
            ids += windows
            continue
        expected = expected_new(before, split)
        for _ in range(windows):
            seen = cells[rng.choice(case.kinds, case.window, p=shares)]
            now = Profile(binning, np.bincount(seen, minlength=binning.size))
            drift += window_test(before, now, split).p_value < level
            unseen += names_p_value(expected, now) < level
    return NameAlarms(references * windows, drift, unseen, ids)
