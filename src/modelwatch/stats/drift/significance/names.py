"""The drift test of categories: names that were chosen without looking at what is counted, and unseen names.

The 100 most frequent names of a sample are large by chance, too, and its `unseen` is 0 by construction. So a third of
the reference names the cells, and the rest, which knows nothing of that choice, is what windows are tested against.

Values of one client are alike, and a part of them knows what the rest holds. Where the rows carry such a key, whole
clients are drawn for the naming part, and names that one client alone has count as those that occur once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import coarse_of
from modelwatch.stats.counting.categorical import (
    MAX_CATEGORIES,
    MAX_RARE,
    CategoricalBinning,
    Naming,
    binning_of_names,
    countable_names,
    name_frequencies,
)
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.counting.numeric import NumericBinning, Scalar
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import effective_rate_increase_p_value, rate_increase_p_value
from modelwatch.stats.drift.significance import homogeneity as drift_tests
from modelwatch.stats.drift.significance.homogeneity import Comparison, Homogeneity, Part, parts_of_tests
from modelwatch.stats.drift.significance.omnibus import Groups
from modelwatch.stats.drift.significance.power import DetectablePsi, samples_needed
from modelwatch.stats.drift.variation.overdispersion import ON_AVERAGE, Dispersion, widened_tail
from modelwatch.stats.errors import EmptySample, MalformedProfile

# A smaller reference has too little to give a part of it away, and nothing is judged beside it. Without a split, each
# name that chance left out of a reference would be new.
LEAST_SPLIT = 10
# References of such a size lose half of their power by a split. They are tested as a whole where at most one name
# occurs less than three times: chance can hardly have left out names that together are frequent.
WHOLE, MOST_RARE = range(15, 30), 1
NAMING_PART = 3
# A group of names is expected to hold so many values of the tested part, or clusters of them.
MIN_NAMED_GROUP = 10.0
OMNIBUS_WEIGHT = 0.35
WEIGHTS: Mapping[Part, float] = {"all cells": OMNIBUS_WEIGHT, "single cell": 0.35, "new names": 0.3}
# From so many names that were seen once on, they tell how many new ones are to be expected.
LEAST_SEEN_ONCE = 10
# With so large a share of values that were seen once, a column holds ids.
IDS_SHARE = 0.5
# Nearer to that share than so many standard errors, a column may well hold ids, and have more repeats by chance.
NEARLY_IDS = 2.0
# So many names are equally frequent by design. With fewer it may be chance, and does no harm.
LEAST_BALANCED = 30
# By format, how many numbers come before the counts; the second one is of clusters.
FORMAT, CLUSTERED_FORMAT = 1, 2
HEADERS = {FORMAT: 3, CLUSTERED_FORMAT: 4}
# With fewer clusters, as equally large ones, values are drawn. No cluster that holds a larger share of the values is
# given away: the part takes no more than half of them.
LEAST_CLUSTERS, LARGEST_NAMING = 10, 1.0 / 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Split of a categorical reference, and how often its names occur.

    naming: the counts of the part that named the cells, over the cells of the tests; shape (test cells,). once, twice:
    how many names the whole reference has once, and twice. clusters: where whole clusters were drawn, for how many
    equally large ones the reference counts; once and twice are then of names that one of them has, or two. 0: values
    were drawn, one by one.
    """

    naming: NDArray[np.int64]
    once: int
    twice: int
    clusters: int = 0

    def drawn(self, reference: Profile) -> int:
        """Number of draws, values or clusters, that `once` and `twice` are of."""
        return self.clusters or reference.n

    def share_once(self, reference: Profile) -> float:
        """The share of the reference's values with names that occur once."""
        return self.once / self.drawn(reference)

    def tested(self, reference: Profile) -> NDArray[np.int64]:
        """The counts of the part that is tested, shape (test cells,)."""
        return np.asarray(reference.tested - self.naming)


@dataclass(frozen=True, slots=True)
class ExpectedNew:
    """Expectation for unseen names: `hits` of `n` reference values that stand for new ones."""

    hits: int
    n: int


def split_reference(
    sample: Sequence[Scalar], clusters: NDArray[np.int64] | None = None
) -> tuple[CategoricalBinning, Split | None]:
    """The cells of a reference sample, and how it was split: at random, seeded by what it holds.

    clusters: the number of the cluster of each value, where those of one cluster are alike: whole clusters are drawn
    then, in the order of their numbers, unless they count as less than ten, or each has one value. None for the split
    of a sample of less than ten values, and of less than 30 that leave no room for new names.
    Raises EmptySample when no value is left.

    >>> binning, split = split_reference(["a"] * 60 + ["b"] * 30)
    >>> int(split.naming.sum()), split.tested(Profile.of(binning, ["a"] * 60 + ["b"] * 30)).sum()
    (30, np.int64(60))
    """
    frequency = name_frequencies(sample)
    return split_names(frequency, None if clusters is None else _ClusteredNames.of(frequency, sample, clusters))


def split_names(
    frequency: Mapping[str, int], clustered: _ClusteredNames | None = None
) -> tuple[CategoricalBinning, Split | None]:
    """The cells of names that occur so often, and how they were split, as by `split_reference`."""
    total = sum(frequency.values())
    names = sorted(frequency)
    counts = np.array([frequency[name] for name in names], dtype=np.int64)
    whole = clustered is None and total in WHOLE and int((counts <= 2).sum()) <= MOST_RARE
    if whole or total < LEAST_SPLIT:
        return binning_of_names(frequency), None
    content = "\0".join(f"{name}\0{count}" for name, count in zip(names, counts.tolist(), strict=True))
    rng = np.random.default_rng(list(sha256(content.encode("utf-8", "surrogatepass")).digest()))
    if clustered is None:
        part = rng.multivariate_hypergeometric(counts, total // NAMING_PART, method="marginals")
    else:
        part = clustered.drawn(rng)
    found = {name: count for name, count in zip(names, part.tolist(), strict=True) if count}
    named = sorted(found, key=lambda name: (-found[name], name))[:MAX_CATEGORIES]
    complete = len(names) <= MAX_CATEGORIES + MAX_RARE
    late = frozenset(name for name in names if name not in found)
    binning = binning_of_names(frequency)
    kept = late & {*binning.categories, *binning.rare}
    binning = CategoricalBinning(binning.categories, binning.rare, Naming(tuple(named), kept, complete))
    of_named = [found[name] for name in named]
    rest = int(part.sum()) - sum(of_named)
    naming = np.array([*of_named, rest, *([0] if complete else [])], dtype=np.int64)
    if clustered is None:
        return binning, Split(naming, int((counts == 1).sum()), int((counts == 2).sum()))
    return binning, Split(naming, *clustered.occurrences())


@dataclass(frozen=True, slots=True, eq=False)
class _ClusteredNames:
    """The names of values, and their clusters; both numbered from 0, names in alphabetical order, shape (values,)."""

    names: NDArray[np.int64]
    clusters: NDArray[np.int64]
    sizes: NDArray[np.int64]
    n_names: int

    @classmethod
    def of(
        cls, frequency: Mapping[str, int], sample: Sequence[Scalar], clusters: NDArray[np.int64]
    ) -> _ClusteredNames | None:
        """None where the clusters count as less than ten, and where each has one value."""
        numbers = {name: number for number, name in enumerate(sorted(frequency))}
        names = np.array([-1 if name is None else numbers[name] for name in countable_names(sample)], dtype=np.int64)
        _, of_values = np.unique(clusters[names >= 0], return_inverse=True)
        sizes = np.bincount(of_values)
        found = cls(names[names >= 0], of_values, sizes, len(numbers))
        return None if len(sizes) == len(of_values) or found.equally_large < LEAST_CLUSTERS else found

    @property
    def equally_large(self) -> float:
        """For how many equally large clusters these count, by that of a value on average."""
        return len(self.names) ** 2 / float((self.sizes.astype(np.float64) ** 2).sum())

    def drawn(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """How often each name occurs in clusters drawn at random, about a third of the values; none of those that hold
        much of them."""
        order = rng.permutation(np.flatnonzero(self.sizes <= LARGEST_NAMING * len(self.names)))
        before = np.cumsum(self.sizes[order]) - self.sizes[order]
        chosen = np.zeros(len(self.sizes), dtype=np.bool_)
        chosen[order[before < len(self.names) // NAMING_PART]] = True
        return np.bincount(self.names[chosen[self.clusters]], minlength=self.n_names)

    def occurrences(self) -> tuple[int, int, int]:
        """How many names one cluster has, how many two have, and the number of clusters: all by the values they hold,
        in clusters as large as that of a value is on average."""
        size, number = len(self.names) / self.equally_large, math.floor(self.equally_large)
        pairs, values = np.unique(self.clusters * self.n_names + self.names, return_counts=True)
        of_pairs = pairs % self.n_names
        in_clusters = np.bincount(of_pairs, minlength=self.n_names)[of_pairs]
        once, twice = (float(values[in_clusters == each].sum()) / each / size for each in (1, 2))
        return min(math.ceil(once), number), math.ceil(twice), number


def expected_new(reference: Profile, split: Split | None) -> ExpectedNew | None:
    """Expected number of values with unseen names; None where it is unknown.

    It is what names seen once tell (`expected_by_once`). With few of them, those that only the tested part of the
    reference has stand for new ones. Without a split, and for a binning whose names were told by the user, the
    reference's own unseen values do.

    >>> names = [str(number) for number in range(40)] * 5 + [f"once {number}" for number in range(20)]
    >>> binning, split = split_reference(names)
    >>> expected_new(Profile.of(binning, names), split)
    ExpectedNew(hits=21, n=220)
    """
    binning = reference.binning
    if split is None or not isinstance(binning, CategoricalBinning) or binning.naming is None:
        return ExpectedNew(reference.unseen, reference.n)
    if not binning.naming.complete or is_ids(reference, split):
        return None
    if split.once < LEAST_SEEN_ONCE:
        tested = split.tested(reference)
        hits, n = int(tested[-1]), int(tested.sum())
        if not split.clusters:
            return ExpectedNew(hits, n)
        each = split.clusters / reference.n
        return ExpectedNew(math.ceil(hits * each), math.ceil(n * each))
    return expected_by_once(split.once, split.twice, split.drawn(reference))


def expected_by_once(once: int, twice: int, n: int) -> ExpectedNew:
    """Expected number of values with new names after n values with so many names seen once, and twice.

    By Good and Turing, new names hold the share of values that were seen once; Esty's variance of that says how many
    values know it so well. What is nearly taken for ids is expected to have a standard error more: of a column that
    usually is taken for them, those samples alone are judged that have too few names seen once by chance.
    Source: Good (1953); Esty (1983), A normal limit law for a nonparametric estimator of the coverage.

    >>> expected_by_once(100, 40, 1_000), expected_by_once(140, 50, 300)
    (ExpectedNew(hits=54, n=529), ExpectedNew(hits=66, n=128))
    """
    share = once / n
    effective = math.floor(n / (1.0 + 2.0 * twice / (once * (1.0 - share))))
    error = math.sqrt(once * (1.0 - share) + 2.0 * twice) / n
    hits = math.ceil(once * effective / n) + 1
    if share + NEARLY_IDS * error > IDS_SHARE:
        hits = max(hits, math.ceil((share + error) * effective))
    return ExpectedNew(min(hits, effective), effective)


def is_ids(reference: Profile, split: Split | None) -> bool:
    """True when at least half of the reference's values occur in it once, or in one cluster: ids, of which new ones
    are no news."""
    return split is not None and reference.n > 0 and split.once >= IDS_SHARE * split.drawn(reference)


def times_each(reference: Profile) -> int | None:
    """Number of times that each name of the reference occurs, where at least 30 occur equally often, and more than
    once.

    >>> from modelwatch.stats.counting.categorical import categorical_binning
    >>> names = [str(number) for number in range(40)] * 3
    >>> times_each(Profile.of(categorical_binning(names), names))
    3
    """
    binning = reference.binning
    if not isinstance(binning, CategoricalBinning) or not binning.categories or reference.unseen:
        return None
    names, most = len(binning.categories) + len(binning.rare), int(reference.coarse[0])
    return most if names >= LEAST_BALANCED and most > 1 and reference.n == names * most else None


def names_p_value(
    expected: ExpectedNew | None, current: Profile, dispersion: Dispersion | None = None, tested: int = 0
) -> float:
    """One-sided, that the window has so many unseen names by chance; 1 where nothing is expected.

    dispersion: of the window, as `beside` has it, and tested: the number of reference values that it is of; what these
    vary more is in what is expected, which counts clusters, and not in the window again.
    """
    if expected is None or not expected.n:
        return 1.0
    if dispersion is None:
        return rate_increase_p_value(expected.hits, expected.n, current.unseen, current.n)
    n, _ = dispersion.parted(float(dispersion.effective[ON_AVERAGE]), current.n, tested)
    tail = effective_rate_increase_p_value(expected.hits, expected.n, current.unseen * n / max(current.n, 1), n)
    return widened_tail(tail, float(dispersion.freedom[ON_AVERAGE]))


def window_test(reference: Profile, current: Profile, split: Split | None = None) -> Homogeneity:
    """The test of a window against its reference; of categories with what new names say.

    Raises EmptySample when a side has no valid values.
    """
    if not reference.n or not current.n:
        raise EmptySample(f"the {'current' if reference.n else 'reference'} sample has no observations")
    [[found]] = window_tests([(reference, split, [current])])
    return found


def window_tests(cases: Sequence[tuple[Profile, Split | None, Sequence[Profile]]]) -> list[list[Homogeneity]]:
    """`window_test` of many references, how each was split, and windows of each; none without valid values."""
    of_names = [
        names_p_value(expected, current) if split is not None else math.nan
        for reference, split, windows in cases
        for expected in (None if split is None else expected_new(reference, split),)
        for current in windows
    ]
    weights = [drift_tests.WEIGHTS if split is None else WEIGHTS for _, split, _ in cases]
    parts = parts_of_tests([comparison(*case) for case in cases])
    found = parts.together(weights, new=np.array(of_names))
    return [list(islice(found, len(windows))) for _, _, windows in cases]


def comparison(
    reference: Profile,
    split: Split | None,
    windows: Sequence[Profile],
    dispersions: Sequence[Dispersion | None] = (),
) -> Comparison:
    """What the tests of all cells and of each compare: the tested part of a reference, and windows in its cells.

    dispersions: of each window, over the coarse cells; none at all where the values of all are independent.
    """
    r = reference.tested if split is None else split.tested(reference)
    groups = Groups.of(r) if split is None else _groups(r, split)
    binning = reference.binning
    # The tested cells of numbers are the coarse ones, which are known.
    of_windows = [each.coarse if isinstance(binning, NumericBinning) else each.tested for each in windows]
    tested = np.array(of_windows, dtype=np.int64).reshape(len(windows), len(r))
    if isinstance(binning, CategoricalBinning) and any(dispersions):
        coarse = coarse_of(binning, np.arange(binning.n_fine))
        parts = np.stack((coarse, binning.test_cell_of), axis=1)
        dispersions = [None if each is None else each.over(parts, len(r)) for each in dispersions]
    return Comparison(r, tested, groups, [beside(split, each) for each in dispersions])


def beside(split: Split | None, dispersion: Dispersion | None) -> Dispersion | None:
    """The dispersion of a window beside the counts of its reference: they vary more where clusters were drawn."""
    if dispersion is None or (split is not None and split.clusters):
        return dispersion
    return dispersion.independent_draws()


def names_are_unknown(split: Split, dispersion: Dispersion | None) -> bool:
    """True where the values of one cluster are alike, and clusters were too few or too unequal to be drawn: names that
    occur once among the values then say little of how many new ones come. dispersion: of a window."""
    return not split.clusters and dispersion is not None and dispersion.times > 1.0


def window_needed(reference: Profile, alpha: float, split: Split | None = None) -> int | None:
    """The smallest window for which the test can reach `alpha` at all, as `samples_needed` says it."""
    if split is None:
        return samples_needed(reference.tested, alpha)
    return samples_needed(split.tested(reference), alpha * OMNIBUS_WEIGHT / drift_tests.OMNIBUS_WEIGHT)


def window_detectable(reference: Profile, alpha: float, split: Split | None = None) -> DetectablePsi:
    """The smallest PSI that windows show with probability 0.8."""
    if split is None:
        return DetectablePsi(reference.n, alpha)
    tested = reference.n - int(split.naming.sum())
    return DetectablePsi(tested, alpha * OMNIBUS_WEIGHT / drift_tests.OMNIBUS_WEIGHT)


def encode_split(split: Split) -> bytes:
    """Bytes that `decode_split` turns back into the same split."""
    header = [FORMAT, split.once, split.twice]
    if split.clusters:
        header = [CLUSTERED_FORMAT, split.once, split.twice, split.clusters]
    return encode_counts(np.concatenate((header, split.naming)).astype(np.int64))


def decode_split(raw: bytes) -> Split:
    """The split of its bytes. Raises MalformedProfile when they are not one.

    >>> before = Split(np.array([3, 2, 0]), 4, 1)
    >>> after = decode_split(encode_split(before))
    >>> after.naming.tolist(), after.once, after.twice
    ([3, 2, 0], 4, 1)
    """
    numbers = decode_counts(raw)
    header = HEADERS.get(int(numbers[0])) if len(numbers) else None
    if header is None or len(numbers) <= header:
        raise MalformedProfile("these are not the bytes of how a reference was split")
    if numbers.min() < 0 or not numbers[header:].any():
        raise MalformedProfile("a split holds counts of at least one value that names cells, none of them below 0")
    found = Split(numbers[header:], *numbers[1:header].tolist())
    if header == HEADERS[CLUSTERED_FORMAT]:
        if found.clusters < 1:
            raise MalformedProfile(f"a split by clusters has at least 1 of them, got clusters = {found.clusters}")
        if max(found.once, found.twice) > found.clusters:
            raise MalformedProfile(
                f"of {found.clusters} clusters no more have names alone, got once = {found.once}, twice = {found.twice}"
            )
    return found


def _groups(tested: NDArray[np.int64], split: Split) -> Groups:
    """Groups of names by the part that named them: by the tested part, a cell would be kept because it is large."""
    sizes = split.naming.astype(np.float64) * (float(tested.sum()) / float(split.naming.sum()))
    values = float(tested.sum() + split.naming.sum())
    return Groups.of(tested, sizes, MIN_NAMED_GROUP * (values / split.clusters if split.clusters else 1.0))
