"""The cells of a numeric feature, frozen when its reference is set.

Fine cells (about 200) carry Kolmogorov-Smirnov and Wasserstein, coarse cells (about 10, groups of fine ones) carry PSI,
Jensen-Shannon and the chi-square test. A value that holds at least 1/200 of the reference is an *atom* and gets a cell
of its own; without atoms a constant reference would put every smaller value into the same cell as the constant.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from math import isfinite, isnan
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.kernel import (
    BESIDE_CELLS,
    LARGEST_SINGLE,
    CellPlaces,
    bounds_of,
    count_rounded,
    count_values,
    rounded,
    search_cells,
    single_bounds_of,
)
from modelwatch.stats.errors import EmptySample, MalformedProfile

if TYPE_CHECKING:
    from modelwatch.stats.counting.columns import Column

Scalar = bool | int | float | str | None

FINE_SHARE = 200
COARSE_STEP = 20
HEAVY_SHARE = 10
# Up to this many values a loop over Python scalars is faster than building an array.
SCALAR_BATCH = 30
NUMERIC_HEADER = struct.Struct("<3sBdddI")
NUMERIC_MAGIC = b"MWN"
# 1: values as they are. 2: values rounded to single precision.
CODEC_VERSION = 2
SINGLE = struct.Struct("<f")
PLAIN_NUMBERS = frozenset((float, int, type(None)))


@dataclass(frozen=True, slots=True, eq=False)
class NumericBinning:
    """Right-closed cells of a numeric feature; the outer two are open to ±inf.

    edges: shape (n_fine - 1,), ascending, finite.
    coarse_of: shape (n_fine,), the coarse cell of every fine cell, ascending from 0 without gaps.
    low, high: smallest and largest reference value.
    scale: standard deviation of the reference (ddof=0); 0 for a constant.
    version: of the codec. In the second one values are rounded to single precision before they are counted, so that an
        atom holds what is the same number in another precision; low, high and the edges are of rounded values.
    atomic: shape (n_fine,), whether the cell can hold one single value only, so that nothing is hidden inside it.
    id: hash of the content and of the codec version; profiles merge only when it is equal.
    size: length of a count vector: the fine cells, then missing, invalid, below, above.
    bounds, single_bounds: what counting asks an array for, in double and in single precision.

    >>> binning = numeric_binning(np.array([0.0] * 5 + [1.5] * 3 + [2.0] * 3))
    >>> binning.coarse_labels()
    ('< 0', '= 0', '(0, 1.5)', '= 1.5', '(1.5, 2)', '= 2', '> 2')
    """

    edges: NDArray[np.float64]
    coarse_of: NDArray[np.intp]
    low: float
    high: float
    scale: float
    version: int = 1
    kind: Literal["continuous"] = field(default="continuous", init=False)
    atomic: NDArray[np.bool_] = field(init=False, repr=False)
    id: str = field(init=False)
    size: int = field(init=False)
    coarse_starts: NDArray[np.intp] = field(init=False, repr=False)
    bounds: NDArray[np.float64] = field(init=False, repr=False)
    single_bounds: NDArray[np.float32] = field(init=False, repr=False)
    _edge_list: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        edges = np.ascontiguousarray(self.edges, dtype=np.float64).copy()
        coarse_of = np.ascontiguousarray(self.coarse_of, dtype=np.intp).copy()
        _check_cells(edges, coarse_of)
        atomic = np.zeros(len(edges) + 1, dtype=np.bool_)
        atomic[1:-1] = np.nextafter(edges[:-1], np.inf) == edges[1:]
        starts = np.concatenate(([0], np.flatnonzero(np.diff(coarse_of)) + 1)).astype(np.intp)
        bounds = bounds_of(edges, self.low, self.high)
        single_bounds = single_bounds_of(bounds)
        for array in (edges, coarse_of, atomic, starts, bounds, single_bounds):
            array.flags.writeable = False
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "coarse_of", coarse_of)
        object.__setattr__(self, "atomic", atomic)
        object.__setattr__(self, "coarse_starts", starts)
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "single_bounds", single_bounds)
        object.__setattr__(self, "size", len(coarse_of) + BESIDE_CELLS)
        object.__setattr__(self, "_edge_list", edges.tolist())
        object.__setattr__(self, "id", sha256(encode_numeric(self)).hexdigest()[:32])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumericBinning) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def n_fine(self) -> int:
        """Number of fine cells."""
        return len(self.coarse_of)

    @property
    def n_coarse(self) -> int:
        """Number of coarse cells."""
        return len(self.coarse_starts)

    @property
    def coarse_edges(self) -> NDArray[np.float64]:
        """The edges between the coarse cells, shape (n_coarse - 1,)."""
        return self.edges[self.coarse_starts[1:] - 1]

    def coarse_labels(self) -> tuple[str, ...]:
        """A readable name for every coarse cell, such as "<= 31.2", "(31.2, 44]", "= 0" or "> 310.5"."""
        return _labels(self.coarse_edges.tobytes())

    def count(self, values: Sequence[Scalar]) -> NDArray[np.int64]:
        """The count vector of raw values, shape (size,).

        None and NaN are missing; booleans, text, ±inf and integers beyond the range of a float are invalid. Values
        outside the reference range are in the outer cells and in `below` or `above` too.
        """
        if isinstance(values, np.ndarray):
            if values.dtype.kind == "f":
                return self.count_floats(values.astype(np.float64, copy=False))
            values = values.tolist()
        if len(values) <= SCALAR_BATCH:
            return self._count_scalars(values)
        if PLAIN_NUMBERS.issuperset(map(type, values)):
            try:
                return self.count_floats(np.array(values, dtype=np.float64))
            except OverflowError:
                return self._count_scalars(values)
        return self._count_scalars(values)

    def count_floats(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The count vector of a one-dimensional float array, shape (size,). NaN is missing, ±inf is invalid."""
        if self.version > 1:
            return count_rounded(values, self.bounds, self.single_bounds)
        return count_values(values, self.bounds)

    def counted_as(self, value: float) -> float:
        """The value as it is compared with the edges."""
        return single(value) if self.version > 1 else value

    def last_at_or_below(self, edge: float) -> float:
        """Value, about, up to which numbers count as at or below an edge: half a rounding further than it is."""
        if self.version == 1 or abs(edge) >= LARGEST_SINGLE:
            return edge
        below = np.float32(edge)
        if float(below) > edge:
            below = np.nextafter(below, np.float32(-np.inf))
        return (float(below) + float(np.nextafter(below, np.float32(np.inf)))) / 2.0

    def cells(self, column: Column) -> CellPlaces:
        """The cell of each value of a column in a count vector; values count as in `count`."""
        numbers = column.numbers()
        return search_cells(rounded(numbers) if self.version > 1 else numbers, self.bounds)

    def cells_of_few(self, values: Iterable[Scalar]) -> list[int]:
        """The cells of a count vector that values count in; those out of the reference's range count in two."""
        cells: list[int] = []
        edges, low, high = self._edge_list, self.low, self.high
        missing, invalid, below, above = range(self.n_fine, self.size)
        for value in values:
            if value is None:
                cells.append(missing)
                continue
            number = value if type(value) is float else as_float(value)
            if number is None or not isfinite(number):
                cells.append(missing if number is not None and isnan(number) else invalid)
                continue
            number = self.counted_as(number)
            if number < low:
                cells.append(below)
            elif number > high:
                cells.append(above)
            cells.append(bisect_left(edges, number))
        return cells

    def _count_scalars(self, values: Sequence[Scalar]) -> NDArray[np.int64]:
        return np.bincount(np.array(self.cells_of_few(values), dtype=np.intp), minlength=self.size)


def single(value: float) -> float:
    """The value as single precision has it; what it can't hold stays as it is.

    >>> single(0.1) == single(0.10000000149011612), single(0.1 + 0.2) == single(0.3)
    (True, True)
    """
    return float(SINGLE.unpack(SINGLE.pack(value))[0]) if abs(value) <= LARGEST_SINGLE else value


def as_float(value: object) -> float | None:
    """The value as a float, or None when it is not a number or does not fit a float. A boolean is not a number.

    >>> as_float(3), as_float(True), as_float("3"), as_float(10**400)
    (3.0, None, None, None)
    """
    if type(value) is float:
        return value
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def numeric_binning(sample: NDArray[np.float64]) -> NumericBinning:
    """The cells of a reference sample, one-dimensional; NaN and ±inf are dropped first.

    Fine edges are the 199 inner 1/200 quantiles (linear interpolation) and the two edges of every atom. Coarse edges
    are the deciles and the two edges of every atom with at least a tenth of the mass.
    Raises EmptySample when no finite value is left.

    >>> binning = numeric_binning(np.arange(1000.0))
    >>> binning.n_fine, binning.n_coarse, binning.size
    (200, 10, 204)
    """
    return binning_and_counts(sample)[0]


def binning_and_counts(sample: NDArray[np.float64]) -> tuple[NumericBinning, NDArray[np.int64]]:
    """The cells of a reference sample, as by `numeric_binning`, and its counts in them, as by `count_floats`.

    The sample is sorted once for both. Raises EmptySample without a finite value.

    >>> binning, counts = binning_and_counts(np.array([3.0, 1.0, np.nan, 1.0]))
    >>> np.array_equal(counts, binning.count_floats(np.array([3.0, 1.0, np.nan, 1.0])))
    True
    """
    values = np.asarray(sample, dtype=np.float64)
    usable = np.isfinite(values)
    finite = np.sort(values if usable.all() else values[usable])
    finite += 0.0  # -0.0 becomes 0.0, so that equal cells have equal bytes
    if not len(finite):
        raise EmptySample("a numeric binning needs at least one finite reference value; the sample has none")
    atoms = _atoms(finite)
    # Two atoms that single precision can't tell apart stay two.
    version = CODEC_VERSION if len(atoms) and len(np.unique(rounded(atoms))) == len(atoms) else 1
    if version > 1:
        finite = rounded(finite)
    low, high = float(finite[0]), float(finite[-1])
    quantiles = _quantiles(finite, np.arange(1, FINE_SHARE) / FINE_SHARE)
    fine = _edges(quantiles, _atoms(finite))
    coarse = _edges(quantiles[COARSE_STEP - 1 :: COARSE_STEP], _frequent(finite, HEAVY_SHARE))
    coarse_of = np.append(coarse.searchsorted(fine, side="left"), len(coarse))
    binning = NumericBinning(fine, coarse_of, low, high, _standard_deviation(finite), version)
    counts = np.zeros(binning.size, dtype=np.int64)
    ends = np.concatenate(([0], finite.searchsorted(fine, side="right"), [len(finite)]))
    counts[: binning.n_fine] = np.diff(ends)
    counts[binning.n_fine] = np.count_nonzero(np.isnan(values))
    counts[binning.n_fine + 1] = len(values) - len(finite) - counts[binning.n_fine]
    return binning, counts


def encode_numeric(binning: NumericBinning) -> bytes:
    """Exact bytes of a numeric binning: header, edges as little-endian doubles, coarse cells as 16-bit integers."""
    header = NUMERIC_HEADER.pack(
        NUMERIC_MAGIC, binning.version, binning.low, binning.high, binning.scale, len(binning.edges)
    )
    return header + binning.edges.astype("<f8").tobytes() + binning.coarse_of.astype("<u2").tobytes()


def decode_numeric(raw: bytes) -> NumericBinning:
    """The binning of `encode_numeric`. Raises MalformedProfile for anything else."""
    if len(raw) < NUMERIC_HEADER.size:
        raise MalformedProfile(f"a numeric binning has at least {NUMERIC_HEADER.size} bytes, got {len(raw)}")
    magic, version, low, high, scale, n_edges = NUMERIC_HEADER.unpack_from(raw)
    if magic != NUMERIC_MAGIC or not 1 <= version <= CODEC_VERSION:
        raise MalformedProfile(f"expected a numeric binning of codec version {CODEC_VERSION}, got {raw[:4]!r}")
    middle = NUMERIC_HEADER.size + 8 * n_edges
    expected = middle + 2 * (n_edges + 1)
    if len(raw) != expected:
        raise MalformedProfile(f"a numeric binning of {n_edges} edges has {expected} bytes, got {len(raw)}")
    edges = np.frombuffer(raw[NUMERIC_HEADER.size : middle], dtype="<f8")
    coarse_of = np.frombuffer(raw[middle:], dtype="<u2")
    if not np.isfinite((low, high, scale)).all() or low > high or scale < 0.0:
        raise MalformedProfile(f"a numeric binning has finite low <= high and scale >= 0, got {low}, {high}, {scale}")
    return NumericBinning(edges.astype(np.float64), coarse_of.astype(np.intp), low, high, scale, version)


def _check_cells(edges: NDArray[np.float64], coarse_of: NDArray[np.intp]) -> None:
    if len(coarse_of) != len(edges) + 1:
        raise MalformedProfile(f"{len(edges)} edges make {len(edges) + 1} cells, but {len(coarse_of)} are grouped")
    if not np.isfinite(edges).all() or not (np.diff(edges) > 0.0).all():
        raise MalformedProfile("the edges of a numeric binning are finite and strictly ascending")
    steps = np.diff(coarse_of)
    if coarse_of[0] != 0 or not ((steps == 0) | (steps == 1)).all():
        raise MalformedProfile("coarse cells are groups of neighbouring fine cells, numbered from 0 without gaps")


def _atoms(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of a sorted sample with a cell of their own: all, if they are few, else the frequent ones."""
    changes = ascending[1:] != ascending[:-1]
    if np.count_nonzero(changes) < FINE_SHARE:
        return ascending[np.concatenate(([0], np.flatnonzero(changes) + 1))]
    return _frequent(ascending, FINE_SHARE)


def _frequent(ascending: NDArray[np.float64], share: int) -> NDArray[np.float64]:
    """The distinct values of a sorted sample that are at least one of `share` of it."""
    # Whatever is so frequent is at one of these places.
    found = np.unique(ascending[:: -(-len(ascending) // share)])
    numbers = ascending.searchsorted(found, side="right") - ascending.searchsorted(found, side="left")
    return found[numbers * share >= len(ascending)]


def _edges(quantiles: NDArray[np.float64], atoms: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # below the smallest double is -inf, which is no edge
        under_atoms = np.nextafter(atoms, -np.inf)
    edges = np.unique(np.concatenate((quantiles, under_atoms, atoms))) + 0.0
    return edges[np.isfinite(edges)]


def _quantiles(finite: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of a sorted sample by linear interpolation, to the bit those of `np.quantile`, which would sort it."""
    with np.errstate(over="ignore"):
        fits = bool(np.isfinite(finite[-1] - finite[0]))
    # The interpolation subtracts neighbours; a quarter of the largest doubles can't overflow, and is exact.
    unit = 1.0 if fits else 4.0
    places = shares * (len(finite) - 1)
    before = np.floor(places).astype(np.intp)
    low, high = finite[before] / unit, finite[np.minimum(before + 1, len(finite) - 1)] / unit
    part, step = places - before, high - low
    found = np.where(part < 0.5, low + step * part, high - step * (1.0 - part))
    return np.where(step == 0.0, low, found) * unit


def _standard_deviation(finite: NDArray[np.float64]) -> float:
    if finite[0] == finite[-1]:
        return 0.0
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        deviation = float(np.std(finite))
        if np.isfinite(deviation) and deviation > 0.0:
            return deviation
        largest = float(np.max(np.abs(finite)))
        return float(np.std(finite / largest)) * largest


@lru_cache(maxsize=4_096)
def _labels(edges: bytes) -> tuple[str, ...]:
    """By the bytes of the edges: each evaluation asks for the same ones, and zeros of two signs have two names."""
    bounds = np.frombuffer(edges).tolist()
    # An edge directly under the next one is the open lower side of an atom, and is shown as that atom.
    under_atom = [np.nextafter(a, np.inf) == b for a, b in pairwise(bounds)] + [False]
    shown = [bounds[i + 1] if under_atom[i] else bounds[i] for i in range(len(bounds))]
    if not shown:
        return ("any",)
    texts = shortest_distinct(shown)
    labels = [f"< {texts[0]}" if under_atom[0] else f"<= {texts[0]}"]
    for i in range(1, len(bounds)):
        if under_atom[i - 1]:
            labels.append(f"= {texts[i]}")
        else:
            labels.append(f"({texts[i - 1]}, {texts[i]}{')' if under_atom[i] else ']'}")
    return (*labels, f"> {texts[-1]}")


def shortest_distinct(numbers: list[float]) -> list[str]:
    """Texts with the fewest digits, at least 4, that keep different numbers different."""
    for digits in range(4, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            return texts
    return [repr(number) for number in numbers]
