"""How often the drift test alarms though nothing has changed, far out in the tail, by importance sampling.

`make bench ARGS=levels`, some minutes. docs/statistics.md has the table.

Draws come from proposals in which unusual samples are common; each counts with its exact likelihood ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmarks.report import Row
from modelwatch.stats import homogeneity_p_values

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
