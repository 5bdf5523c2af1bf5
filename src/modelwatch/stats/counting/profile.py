"""Profiles: counts of a sample over a binning. Merging is addition, erasure is subtraction; both are exact."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import Binning, NumericBinning, Scalar
from modelwatch.stats.errors import IncompatibleProfiles, MalformedProfile

CODEC_VERSION = 1
# Low nibble of the first byte: version. High nibble: width code, and whether the rest is compressed.
WIDTHS = ("<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8")
COMPRESSED = 0x80
WORTH_COMPRESSING = 1024


@dataclass(frozen=True, eq=False)
class Profile:
    """How the values of a sample fall into the cells of a binning.

    counts: shape (binning.size,), non-negative integers, read only: the fine cells, then what is counted beside them.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a", "a", "b"])
    >>> profile = Profile.of(binning, ["a", "z"]) + Profile.of(binning, [None])
    >>> profile.n, profile.total, profile.missing, profile.unseen
    (2, 3, 1, 1)
    """

    binning: Binning
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if counts.shape != (self.binning.size,) or counts.dtype.kind not in "iu":
            raise IncompatibleProfiles(
                f"binning {self.binning.id} counts {self.binning.size} cells as integers, "
                f"got shape {counts.shape} of {counts.dtype}"
            )
        view = counts.astype(np.int64, copy=False).view()
        if view.min() < 0:
            raise IncompatibleProfiles("the counts of a profile are never negative")
        view.flags.writeable = False
        object.__setattr__(self, "counts", view)

    @classmethod
    def empty(cls, binning: Binning) -> Self:
        """The profile of no values."""
        return cls(binning, np.zeros(binning.size, dtype=np.int64))

    @classmethod
    def of(cls, binning: Binning, values: Sequence[Scalar]) -> Self:
        """The profile of raw values (or of a float array) over a binning."""
        return cls(binning, binning.count(values))

    def __add__(self, other: "Profile") -> "Profile":
        """The profile of both samples together. Raises IncompatibleProfiles when the binnings differ."""
        self._check_same_cells(other)
        return Profile(self.binning, self.counts + other.counts)

    def __sub__(self, other: "Profile") -> "Profile":
        """The profile without the values of `other`.

        Raises IncompatibleProfiles when the binnings differ or when `other` is not contained in this profile.
        """
        self._check_same_cells(other)
        left = self.counts - other.counts
        if left.min() < 0:
            raise IncompatibleProfiles("a profile can only be subtracted from one that contains it")
        return Profile(self.binning, left)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Profile)
            and self.binning.id == other.binning.id
            and bool(np.array_equal(self.counts, other.counts))
        )

    def __hash__(self) -> int:
        return hash((self.binning.id, self.counts.tobytes()))

    @property
    def fine(self) -> NDArray[np.int64]:
        """Counts of the fine cells, shape (binning.n_fine,)."""
        return self.counts[: self.binning.n_fine]

    @cached_property
    def coarse(self) -> NDArray[np.int64]:
        """Counts of the coarse cells, shape (binning.n_coarse,)."""
        if len(self.binning.coarse_starts) == self.binning.n_fine:
            return self.fine
        sums = np.add.reduceat(self.fine, self.binning.coarse_starts)
        sums.flags.writeable = False
        return sums

    @cached_property
    def tested(self) -> NDArray[np.int64]:
        """Counts of the cells that are tested: those of the names in part of a categorical reference, or the coarse."""
        binning = self.binning
        if isinstance(binning, NumericBinning) or binning.naming is None:
            return self.coarse
        counts = np.zeros(binning.naming.cells, dtype=np.int64)
        np.add.at(counts, binning.test_cell_of, self.fine)
        counts.flags.writeable = False
        return counts

    @cached_property
    def n(self) -> int:
        """Number of valid values: those in a cell."""
        return int(self.fine.sum())

    @property
    def missing(self) -> int:
        """Number of null, NaN or absent values."""
        return int(self.counts[self.binning.n_fine])

    @property
    def invalid(self) -> int:
        """Number of values of a wrong type, or infinite."""
        return int(self.counts[self.binning.n_fine + 1])

    @property
    def total(self) -> int:
        """Number of values: valid, missing and invalid."""
        return self.n + self.missing + self.invalid

    @property
    def below(self) -> int:
        """Number of values below the reference minimum; 0 for a categorical feature."""
        return int(self.counts[-2]) if isinstance(self.binning, NumericBinning) else 0

    @property
    def above(self) -> int:
        """Number of values above the reference maximum; 0 for a categorical feature."""
        return int(self.counts[-1]) if isinstance(self.binning, NumericBinning) else 0

    @property
    def unseen(self) -> int:
        """Number of values of a category that the reference does not have; 0 for a numeric feature."""
        return 0 if isinstance(self.binning, NumericBinning) else int(self.fine[-1])

    def _check_same_cells(self, other: "Profile") -> None:
        if self.binning.id != other.binning.id:
            raise IncompatibleProfiles(
                f"profiles merge only over the same cells, got binnings {self.binning.id} and {other.binning.id}"
            )


def encode_counts(counts: NDArray[np.int64], *, signed: bool = False) -> bytes:
    """Compact bytes of a vector of integers of any length; signed: some of which may be negative.

    One byte says the version, the integer width and the compression; the rest are little-endian integers of the
    narrowest width, deflated only when they are longer than 1 KB and that makes them shorter.
    Raises MalformedProfile when the vector is not one-dimensional, not integer, or has a negative entry unasked.

    >>> encode_counts(np.array([0, 7, 255]))
    b'\\x01\\x00\\x07\\xff'
    """
    vector = np.asarray(counts)
    if vector.ndim != 1 or vector.dtype.kind not in "iu":
        raise MalformedProfile(f"counts are a vector of integers, got shape {vector.shape} of {vector.dtype}")
    smallest, largest = (int(vector.min()), int(vector.max())) if len(vector) else (0, 0)
    if smallest < 0 and not signed:
        raise MalformedProfile("counts are never negative")
    width = next(
        code for code, name in enumerate(WIDTHS) if np.iinfo(name).min <= smallest and largest <= np.iinfo(name).max
    )
    body = vector.astype(WIDTHS[width]).tobytes()
    first = CODEC_VERSION | width << 4
    if len(body) > WORTH_COMPRESSING:
        deflated = zlib.compress(body, level=1)
        if len(deflated) < len(body):
            return bytes((first | COMPRESSED,)) + deflated
    return bytes((first,)) + body


def decode_counts(raw: bytes) -> NDArray[np.int64]:
    """The vector of `encode_counts`, shape (length,). Raises MalformedProfile for anything else.

    >>> decode_counts(b"\\x01\\x00\\x07\\xff").tolist()
    [0, 7, 255]
    """
    raw = bytes(raw)
    if not raw:
        raise MalformedProfile("an encoded count vector has at least one byte, got none")
    first, body = raw[0], raw[1:]
    width = first >> 4 & 0x7
    if first & 0x0F != CODEC_VERSION or width >= len(WIDTHS):
        raise MalformedProfile(f"expected counts of codec version {CODEC_VERSION}, got first byte {first:#04x}")
    if first & COMPRESSED:
        inflate = zlib.decompressobj()
        try:
            body = inflate.decompress(body) + inflate.flush()
        except zlib.error as error:
            raise MalformedProfile(f"the compressed counts can't be read: {error}") from error
        if not inflate.eof or inflate.unused_data:
            raise MalformedProfile("the compressed counts are cut short or followed by other bytes")
    item = np.dtype(WIDTHS[width]).itemsize
    if len(body) % item:
        raise MalformedProfile(f"{len(body)} bytes are no whole number of {item}-byte counts")
    vector = np.frombuffer(body, dtype=WIDTHS[width])
    if WIDTHS[width] == "<u8" and len(vector) and vector.max() > np.iinfo(np.int64).max:
        raise MalformedProfile("a count is larger than a signed 64-bit integer")
    return vector.astype(np.int64)


VERSION = 1
# Deflating takes longer than writing so many bytes.
WORTH_COMPRESSING = 8_192
COMPRESSED = 0x80
HEADER = 6
AMOUNTS = ("<i1", "<i2", "<i4", "<i8")
LARGEST = tuple(int(np.iinfo(name).max) for name in AMOUNTS)


def encode_sparse(vector: NDArray[np.int64]) -> bytes:
    """Compact bytes of a vector of integers.

    >>> decode_sparse(encode_sparse(np.array([0, 0, -3, 70_000]))).tolist()
    [0, 0, -3, 70000]
    """
    places = np.flatnonzero(vector)
    amounts = vector[places]
    largest = int(np.abs(amounts).max()) if len(amounts) else 0
    width = next(code for code, most in enumerate(LARGEST) if largest <= most)
    body = places.astype("<u4").tobytes() + amounts.astype(AMOUNTS[width]).tobytes()
    deflated = zlib.compress(body, level=1) if len(body) > WORTH_COMPRESSING else body
    if len(deflated) < len(body):
        width, body = width | COMPRESSED, deflated
    return bytes((VERSION, width)) + len(vector).to_bytes(4, "little") + body


def decode_sparse(raw: bytes) -> NDArray[np.int64]:
    """The vector of `encode_sparse`, shape (length,). Raises MalformedProfile for anything else."""
    raw = bytes(raw)
    if len(raw) < HEADER or raw[0] != VERSION or (raw[1] & ~COMPRESSED) >= len(AMOUNTS):
        raise MalformedProfile(f"expected a sparse vector of version {VERSION}, got {raw[:2].hex()}")
    size, body = int.from_bytes(raw[2:HEADER], "little"), raw[HEADER:]
    if raw[1] & COMPRESSED:
        try:
            body = zlib.decompress(body)
        except zlib.error as error:
            raise MalformedProfile(f"the compressed vector can't be read: {error}") from error
    amounts = np.dtype(AMOUNTS[raw[1] & ~COMPRESSED])
    number, rest = divmod(len(body), 4 + amounts.itemsize)
    if rest:
        raise MalformedProfile(f"{len(body)} bytes are no whole number of entries of {4 + amounts.itemsize} bytes")
    places = np.frombuffer(body, dtype="<u4", count=number)
    if number and int(places.max()) >= size:
        raise MalformedProfile(f"place {int(places.max())} is beyond a vector of {size}")
    vector = np.zeros(size, dtype=np.int64)
    vector[places] = np.frombuffer(body, dtype=amounts, offset=4 * number)
    return vector
