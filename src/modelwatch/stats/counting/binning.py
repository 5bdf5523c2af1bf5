"""Binnings: the cells a feature is counted in, and their exact bytes."""

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.categorical import (
    CATEGORICAL_MAGIC,
    CategoricalBinning,
    Naming,
    categorical_binning,
    category_name,
    decode_categorical,
    encode_categorical,
)
from modelwatch.stats.counting.numeric import (
    NUMERIC_MAGIC,
    NumericBinning,
    Scalar,
    decode_numeric,
    encode_numeric,
    numeric_binning,
)
from modelwatch.stats.errors import MalformedProfile

Binning = NumericBinning | CategoricalBinning

__all__ = [
    "Binning",
    "CategoricalBinning",
    "Naming",
    "NumericBinning",
    "Scalar",
    "categorical_binning",
    "category_name",
    "coarse_counts",
    "coarse_of",
    "decode_binning",
    "encode_binning",
    "numeric_binning",
]


def encode_binning(binning: Binning) -> bytes:
    """Bytes from which `decode_binning` restores the binning exactly, with the same id.

    >>> binning = categorical_binning(["a", "b"])
    >>> decode_binning(encode_binning(binning)) == binning
    True
    """
    return encode_numeric(binning) if isinstance(binning, NumericBinning) else encode_categorical(binning)


def decode_binning(raw: bytes) -> Binning:
    """The binning of `encode_binning`. Raises MalformedProfile for anything else."""
    raw = bytes(raw)
    if raw[:3] == NUMERIC_MAGIC:
        return decode_numeric(raw)
    if raw[:3] == CATEGORICAL_MAGIC:
        return decode_categorical(raw)
    raise MalformedProfile(f"these bytes are no binning: they start with {raw[:3]!r}")


def coarse_of(binning: Binning, cells: NDArray[np.integer]) -> NDArray[np.intp]:
    """The coarse cell that each of these fine cells is part of."""
    return binning.coarse_starts.searchsorted(cells, side="right") - 1


def coarse_counts(
    binning: Binning, cells: NDArray[np.integer], groups: NDArray[np.integer], number: int
) -> NDArray[np.int64]:
    """The counts in coarse cells of so many groups of values; shape (groups, coarse cells). cells, groups: the fine
    cell and the group of each value.

    >>> binning = numeric_binning([float(value) for value in range(1000)])
    >>> counts = coarse_counts(binning, np.array([0, 0, binning.n_fine - 1]), np.array([0, 1, 1]), 2)
    >>> counts.shape[1] == binning.n_coarse, counts[:, 0].tolist(), counts[:, -1].tolist()
    (True, [1, 1], [0, 1])
    """
    of_cells = coarse_of(binning, np.arange(binning.n_fine))
    counted = np.bincount(groups * binning.n_coarse + of_cells[cells], minlength=number * binning.n_coarse)
    return counted.reshape(number, binning.n_coarse)
