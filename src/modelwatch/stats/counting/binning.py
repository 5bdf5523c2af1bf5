"""Binnings: the cells a feature is counted in, and their exact bytes."""

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
