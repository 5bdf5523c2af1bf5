"""Clusters: predictions of one client, session or request, which are alike and count as fewer than they are.

A reference whose rows carry such a key knows how alike they are. How many predictions a window has of each, the counts
of the key in the window say: those of its frequent names one by one, those of the others as large as the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import Binning, CategoricalBinning, Scalar, coarse_counts
from modelwatch.stats.counting.categorical import category_names
from modelwatch.stats.counting.columns import column_of
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.overdispersion import (
    MIN_GROUPS,
    ON_AVERAGE,
    STATISTICS,
    CellScores,
    Dispersion,
    Overdispersion,
    overdispersion,
)
from modelwatch.stats.errors import MalformedProfile

# Of more clusters so many are looked at.
MOST_CLUSTERS = 20_000
# With fewer values a cell may by chance have none from the same cluster: it is taken to vary as all do on average at
# least.
LEAST_OF_CELL = 50
# Few clusters have heavier tails than a normal distribution: so many degrees of freedom each cluster gives at most,
# simulated with bursts of eight clients.
FREEDOM_OF_CLUSTER = 4.0


class KeyedRows:
    """The rows of a reference by the values of its key.

    keys: of each row; None, and what is no value, for a row that belongs to no other. cells: of the key as a feature.
    """

    def __init__(self, key: str, keys: Sequence[Scalar], cells: Binning) -> None:
        self.key = key
        places = cells.cells(column_of(keys)).places
        valid = places < cells.n_fine
        names = category_names([keys[row] for row in np.flatnonzero(valid).tolist()])
        # In the order of the names: the same rows in another order are the same clusters.
        numbers = {name: number for number, name in enumerate(sorted(set(names), key=str))}
        self.cluster_of = np.arange(len(places), dtype=np.int64) + len(places)
        self.cluster_of[valid] = [numbers[name] for name in names]
        sizes = np.unique(self.cluster_of, return_counts=True)[1].astype(np.float64)
        self.size = float((sizes**2).sum()) / max(len(places), 1)


class Clusters(msgspec.Struct, frozen=True):
    """How alike the values of one subject are that have the same key.

    key: the name of the feature. size: of the cluster of a row, on average over the rows of the reference. groups:
    those with a value. group_size, statistics, cells, varies: as `Overdispersion` has them; there are none of the
    statistics where nothing is known.
    """

    key: str
    size: float
    groups: int
    group_size: float
    statistics: tuple[float, ...]
    cells: tuple[float, ...]
    varies: bool

    def dispersion(self, n: int, n_reference: int, size: float | None) -> Dispersion | None:
        """The dispersion of a window of n values. size: of the cluster of one of its predictions, on average; None
        where it is unknown: as in the reference. None where clusters are no more alike than by chance."""
        if not self.varies or not n:
            return None
        found = Overdispersion(
            self.groups, self.group_size, np.array(self.statistics), np.array(self.cells), self.varies
        )
        in_window = min(self.size if size is None else size, float(n))
        most = FREEDOM_OF_CLUSTER * n / max(in_window, 1.0)
        dispersion = found.best_dispersion(n, n_reference, in_window, self.size, most)
        return replace(dispersion, times=1.0 + (self.size - 1.0) * self.statistics[ON_AVERAGE])

    def size_in(self, keys: Profile) -> float | None:
        """The size of the cluster of a prediction, on average over a window. keys: counts of the key in the window.

        Frequent names are counted one by one. Rarer and new ones are counted together: their clusters are taken to be
        as large as those of the whole reference, which is too large for clients that come again and again, and right
        for sessions and bursts. None where the window has no key, or one that is a number.

        >>> from modelwatch.stats.counting.categorical import categorical_binning
        >>> cells = categorical_binning(["a", "b"])
        >>> clusters = Clusters("client", 3.0, 2, 1.0, (), (), True)
        >>> clusters.size_in(Profile.of(cells, ["a"] * 6 + ["b"] * 2 + ["new"] * 2))
        4.4
        """
        binning = keys.binning
        if not keys.n or not isinstance(binning, CategoricalBinning):
            return None
        named, rest = keys.coarse[:-2].astype(np.float64), float(keys.coarse[-2:].sum())
        return float((named**2).sum() + rest * min(self.size, rest)) / keys.n


def clusters_of(reference: Profile, values: Sequence[Scalar], rows: KeyedRows) -> Clusters:
    """How alike the values of a subject are in the clusters of these rows. Nothing is known, and nothing varies, with
    fewer than ten clusters, where none has two of the values, and where all values are in one cell. reference: the
    profile of the values."""
    binning = reference.binning
    places = binning.cells(column_of(values)).places
    inside = places < binning.n_fine
    clusters: NDArray[np.int64] = rows.cluster_of[inside]
    values_in = places[inside]
    found, numbers = np.unique(clusters, return_inverse=True)
    if len(found) > MOST_CLUSTERS:
        chosen = np.random.default_rng(0).permutation(len(found)) < MOST_CLUSTERS
        place = np.cumsum(chosen) - 1
        kept = chosen[numbers]
        numbers, values_in, number = place[numbers[kept]], values_in[kept], MOST_CLUSTERS
    else:
        number = len(found)
    counts = coarse_counts(binning, values_in, numbers, number)
    between = overdispersion([counts], CellScores.of(reference))
    if between is None:
        return Clusters(rows.key, rows.size, len(found), len(clusters) / max(len(found), 1), (), (), False)
    rare = reference.coarse < LEAST_OF_CELL
    of_cells = np.where(rare, np.maximum(between.cells, between.statistics[ON_AVERAGE]), between.cells)
    return Clusters(
        rows.key,
        rows.size,
        between.groups,
        between.size,
        tuple(between.statistics.tolist()),
        tuple(of_cells.tolist()),
        between.varies,
    )


def encode_clusters(clusters: Clusters) -> bytes:
    """Bytes that `decode_clusters` turns back into the same."""
    return msgspec.json.encode(clusters)


def decode_clusters(raw: bytes) -> Clusters:
    """The clusters of their bytes. Raises MalformedProfile when they are none.

    >>> before = Clusters("client", 3.0, 40, 2.5, (0.1, 0.0, 0.1, 0.2), (0.1, 0.3), True)
    >>> decode_clusters(encode_clusters(before)) == before
    True
    """
    try:
        found = msgspec.json.decode(raw, type=Clusters)
    except msgspec.DecodeError as error:
        raise MalformedProfile(f"these are not the bytes of a reference's clusters: {error}") from error
    for name, least in (("size", 0.0), ("groups", 0), ("group_size", 0.0)):
        if getattr(found, name) < least:
            raise MalformedProfile(
                f"{name} of a reference's clusters is at least {least:g}, got {getattr(found, name)}"
            )
    known = len(found.statistics) == STATISTICS and found.groups >= MIN_GROUPS and found.group_size > 1.0
    if found.varies and not known:
        raise MalformedProfile(
            f"clusters that are alike are at least {MIN_GROUPS} of more than one value each, with {STATISTICS}"
            f" statistics, got {found.groups} of {found.group_size:g} with {len(found.statistics)}"
        )
    if min((*found.statistics, *found.cells), default=0.0) < 0.0:
        raise MalformedProfile("statistics and cells of a reference's clusters are no less than 0")
    return found
