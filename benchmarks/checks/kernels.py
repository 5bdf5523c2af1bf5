"""Processor time of counting values and of a drift check, beside numpy, scipy and the naive way, in one run.

python -m benchmarks.checks.kernels [--json] [--quick]
"""

import statistics
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binned_statistic, ks_2samp

from benchmarks.report import Row, less, measure, show
from modelwatch.stats.counting.binning import NumericBinning, categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat.shares import naive_psi_of_shares
from modelwatch.stats.drift.scores import drift_scores
from modelwatch.stats.drift.significance.homogeneity import homogeneity

Floats = NDArray[np.float64]
FEATURES = 50
CATEGORICAL = 10
PSEUDO_VALUES = 10_000
REPETITIONS, QUICK_REPETITIONS = 15, 7


def run(*, quick: bool = False) -> list[Row]:
    """All measurements; `quick` takes a tenth of the rows and of the repetitions."""
    rng = np.random.default_rng(0)
    return [
        *kernels(rng, QUICK_REPETITIONS if quick else REPETITIONS),
        *drift_check(rng, 10_000 if quick else 100_000, 3 if quick else 5),
    ]


def kernels(rng: np.random.Generator, repetitions: int) -> list[Row]:
    """ns a value of counting, for large and small batches."""
    values = rng.normal(size=100_000)
    binning = numeric_binning(rng.normal(size=100_000))
    few = NumericBinning(binning.coarse_edges, np.arange(binning.n_coarse), binning.low, binning.high, binning.scale)
    bounds = np.concatenate(([-np.inf], binning.edges, [np.inf]))
    coarse_bounds = np.concatenate(([-np.inf], binning.coarse_edges, [np.inf]))
    names = [f"category {i}" for i in range(40)]
    words = rng.choice(names, 100_000).tolist()
    categories = categorical_binning(names)
    single, batch = values[:1].tolist(), values[:20].tolist()

    def search() -> object:
        return np.bincount(binning.edges.searchsorted(values), minlength=binning.n_fine)

    def numpy_categories() -> object:
        return np.unique(np.array(words), return_counts=True)

    def numpy_single() -> object:
        return np.histogram(single, bounds)

    def numpy_batch() -> object:
        return np.histogram(batch, bounds)

    cases = [
        (
            "count 100k floats, 200 cells",
            binning.count_floats,
            values,
            lambda: np.histogram(values, bounds),
            "np.histogram",
        ),
        ("count 100k floats, 200 cells", binning.count_floats, values, search, "searchsorted + bincount"),
        (
            "count 100k floats, 200 cells",
            binning.count_floats,
            values,
            lambda: binned_statistic(values, None, "count", binning.edges),
            "scipy.stats.binned_statistic",
        ),
        (
            "count 100k floats, 10 cells",
            few.count_floats,
            values,
            lambda: np.histogram(values, coarse_bounds),
            "np.histogram",
        ),
        ("count 100k names", categories.count, words, numpy_categories, "np.unique"),
        ("count 1 scalar", binning.count, single, numpy_single, "np.histogram"),
        ("count 20 scalars", binning.count, batch, numpy_batch, "np.histogram"),
    ]
    rows = []
    for name, ours, data, theirs, rival in cases:
        loops = 1 if len(data) > 1000 else 1000
        mine, other = measure(
            lambda ours=ours, data=data, loops=loops: [ours(data) for _ in range(loops)],
            lambda theirs=theirs, loops=loops: [theirs() for _ in range(loops)],
            repetitions=repetitions,
            scale=1e9 / len(data) / loops,
        )
        rows.append(less(f"{name}, beside {rival}", "ns/value", mine, other, "processor time"))
    return [*rows, new_values(rng, binning, repetitions), floor(rng, binning, repetitions)]


def new_values(rng: np.random.Generator, binning: NumericBinning, repetitions: int) -> Row:
    """Counting columns of 1,000 values, never the same again: the processor would learn the steps of a search."""
    columns = rng.normal(size=(2_000, 1_000))
    mine, other = measure(
        lambda: [binning.count_floats(column) for column in columns],
        lambda: [np.bincount(binning.edges.searchsorted(column), minlength=binning.n_fine) for column in columns],
        repetitions=repetitions,
        scale=1e9 / columns.size,
    )
    title = "count 1,000 new floats, 200 cells, beside searchsorted + bincount"
    return less(title, "ns/value", mine, other, "2,000 columns; processor time")


def floor(rng: np.random.Generator, binning: NumericBinning, repetitions: int) -> Row:
    """Counting more values than any cache holds beside reading them once, which is the memory's bandwidth."""
    many = rng.normal(size=10_000_000)
    counted, read = measure(
        lambda: binning.count_floats(many), many.sum, repetitions=max(2, repetitions // 3), scale=1e9 / len(many)
    )
    note = f"against one pass over them, np.sum, {many.itemsize / statistics.median(read):.1f} GB/s"
    # No counting comes near it, and the bandwidth of shared machines changes: nothing to be compared with later.
    return replace(less("count 10m floats, 200 cells, beside the floor", "ns/value", counted, read, note), ratio=None)


def drift_check(rng: np.random.Generator, n: int, repetitions: int) -> list[Row]:
    """One drift check of 50 features against references of 1M rows, ours and the naive way."""
    sample = rng.normal(size=1_000_000)
    numeric = numeric_binning(sample)
    numeric_reference = Profile(numeric, numeric.count_floats(sample))
    numbers = [rng.normal(size=n) for _ in range(FEATURES - CATEGORICAL)]
    names = [f"category {i}" for i in range(20)]
    known = rng.choice(names, 1_000_000).tolist()
    categories = categorical_binning(known)
    categories_reference = Profile.of(categories, known)
    words = [rng.choice(names, n).tolist() for _ in range(CATEGORICAL)]
    pairs = [(numeric_reference, Profile(numeric, numeric.count_floats(values))) for values in numbers]
    pairs += [(categories_reference, Profile.of(categories, values)) for values in words]
    edges = np.quantile(sample, np.linspace(0.0, 1.0, 11))
    shares = np.histogram(sample, edges)[0] / len(sample)
    name_shares = np.unique(np.array(known), return_counts=True)[1] / len(known)

    def scores(reference: Profile, current: Profile) -> None:
        drift_scores(reference, current)
        homogeneity(reference.coarse, current.coarse)

    def from_counts() -> None:
        for reference, current in pairs:
            scores(reference, current)

    def from_rows() -> None:
        for values in numbers:
            scores(numeric_reference, Profile(numeric, numeric.count_floats(values)))
        for values in words:
            scores(categories_reference, Profile.of(categories, values))

    def naive() -> None:
        for values in numbers:
            naive_numeric(values, edges, shares, rng)
        for values in words:
            naive_categorical(values, name_shares)

    counts, rows, theirs = measure(from_counts, from_rows, naive, repetitions=repetitions, scale=1e3)
    what = f"{FEATURES} features x {n:,} rows"
    note = "against np.histogram or np.unique + PSI + KS on 10,000 re-sampled values"
    return [
        less(f"drift check, as in the service, {what}", "ms", counts, theirs, note),
        less(f"drift check, counting rows first, {what}", "ms", rows, theirs, note),
    ]


def naive_numeric(
    values: Floats, edges: Floats, shares: Floats, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The common way: the reference is kept as ten quantile bins and re-sampled for Kolmogorov-Smirnov."""
    current = np.histogram(values, edges)[0] / len(values)
    cells = rng.choice(len(shares), PSEUDO_VALUES, p=shares / shares.sum())
    pseudo = rng.uniform(edges[cells], edges[cells + 1])
    test = ks_2samp(pseudo, values)
    return naive_psi_of_shares(shares, current), float(test.statistic), float(test.pvalue)


def naive_categorical(values: list[str], shares: Floats) -> float:
    """The common way: count the raw values, then PSI."""
    return naive_psi_of_shares(shares, np.unique(np.array(values), return_counts=True)[1] / len(values))


def main() -> None:
    """Print the table."""
    show(run(quick="--quick" in sys.argv), sys.argv[1:])


if __name__ == "__main__":
    main()
