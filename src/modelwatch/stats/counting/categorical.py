"""The cells of a categorical feature, frozen when its reference is set."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite, isnan
from typing import TYPE_CHECKING, Literal, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.kernel import CellPlaces
from modelwatch.stats.counting.numeric import Scalar, single
from modelwatch.stats.errors import EmptySample, MalformedProfile

if TYPE_CHECKING:
    from modelwatch.stats.counting.columns import Column

# 1: without naming, and a number that is written in another precision is another category.
CODEC_VERSION = 2
MAX_CATEGORIES = 100
MAX_RARE = 10_000
BESIDE_CELLS = 2
CATEGORICAL_MAGIC = b"MWC"
# Beyond this many bits an integer is written in base 16: Python refuses to print huge integers in base 10.
MAX_DECIMAL_BITS = 1024
PLAIN_WITHOUT_BOOL = frozenset((str, int, float, type(None)))
PLAIN = PLAIN_WITHOUT_BOOL | {bool}
# How names of numbers that are not whole begin and end; what else is one is told by reading it.
FRACTION = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")
SMALLEST_SINGLE = float(np.finfo(np.float32).tiny)
# With so many digits every number of single precision reads back as itself; with the first, all decimals so short do.
SINGLE_DIGITS = range(6, 10)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Naming:
    """Categories that the tests of a reference tell apart, named by a part of it that they do not count.

    named: its at most 100 most frequent names, each a cell; then come `other` and `unseen`. late: names that only the
    rest of the reference has: known to readers, `unseen` to the tests. complete: whether every name of the reference is
    kept; else `other` and `unseen` are one cell.
    """

    named: tuple[str, ...]
    late: frozenset[str]
    complete: bool

    @property
    def cells(self) -> int:
        """Number of cells of the tests."""
        return len(self.named) + 1 + self.complete


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalBinning:
    """One cell a category, then `other` (known but rare) and `unseen` (not in the reference).

    categories: at most 100, most frequent first, ties by name.
    rare: names counted as `other`, at most the 10,000 most frequent; a reference value beyond those is counted as
        `unseen` in the reference as in every window, so that both sides still follow one rule.
    naming: the cells of the tests, where they are others; then the fine cells are the parts that both have in common:
        the categories, further names that the tests tell apart, other, late, unseen.
    version: of the codec. In the second one a value whose name the reference does not have is counted where its
        `single_name` is: 0.1 as a float32 is 0.1, and 0.1 + 0.2 is 0.3. Names of the reference stay apart.
    id: hash of the content and of the codec version; profiles merge only when it is equal.
    size: length of a count vector: the fine cells, missing, invalid.
    Raises MalformedProfile when a name is there twice.

    >>> binning = categorical_binning(["b", "a", "b", None])
    >>> binning.coarse_labels()
    ('b', 'a', '(other)', '(unseen)')
    >>> binning.count(["a", "a", "z", None]).tolist()
    [0, 2, 0, 1, 1, 0]
    """

    categories: tuple[str, ...]
    rare: frozenset[str]
    naming: Naming | None = None
    version: int = CODEC_VERSION
    kind: Literal["categorical"] = field(default="categorical", init=False)
    id: str = field(init=False)
    size: int = field(init=False)
    n_fine: int = field(init=False)
    coarse_starts: NDArray[np.intp] = field(init=False, repr=False)
    test_cell_of: NDArray[np.intp] = field(init=False, repr=False)
    _cell_of: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len({*self.categories, *self.rare}) != len(self.categories) + len(self.rare):
            raise MalformedProfile("the categories of a binning are distinct, and none of them is rare")
        categories = len(self.categories)
        if self.naming is None:
            cells = [*self.categories]
            cell_of, n_fine = dict.fromkeys(self.rare, categories), categories + 2
            test_cells = list(range(n_fine))
        else:
            named, late = self.naming.named, self.naming.late
            further = [name for name in named if name not in set(self.categories)]
            cells = [*self.categories, *further]
            other, n_fine = len(cells), len(cells) + 3
            cell_of = {name: other + (name in late) for name in self.rare}
            place = {name: number for number, name in enumerate(named)}
            rest, unseen = len(named), self.naming.cells - 1
            test_cells = [place.get(name, unseen if name in late else rest) for name in cells] + [rest, unseen, unseen]
        cell_of.update({name: cell for cell, name in enumerate(cells)})
        if self.version > 1:
            cell_of = with_single_names(cell_of)
        object.__setattr__(self, "n_fine", n_fine)
        object.__setattr__(self, "size", n_fine + BESIDE_CELLS)
        object.__setattr__(self, "coarse_starts", np.array([*range(categories + 1), n_fine - 1], dtype=np.intp))
        object.__setattr__(self, "test_cell_of", np.array(test_cells, dtype=np.intp))
        object.__setattr__(self, "_cell_of", cell_of)
        object.__setattr__(self, "id", sha256(encode_categorical(self)).hexdigest()[:32])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CategoricalBinning) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def n_coarse(self) -> int:
        """Number of cells: the categories, other, unseen."""
        return len(self.categories) + 2

    def coarse_labels(self) -> tuple[str, ...]:
        """The name of every cell; `other` and `unseen` in parentheses."""
        return (*self.categories, "(other)", "(unseen)")

    def count(self, values: Sequence[Scalar]) -> NDArray[np.int64]:
        """The count vector of raw values, shape (size,).

        None and NaN are missing; ±inf and anything that is no scalar is invalid; everything else is compared by its
        `category_name`, then by its `single_name`.
        """
        vector = [0] * self.size
        missing, invalid = self.size - 2, self.size - 1
        for value, multiplicity in _tally(values):
            name = category_name(value) if _is_countable(value) else None
            if name is not None:
                vector[self.cell(name)] += multiplicity
            else:
                vector[missing if _is_missing(value) else invalid] += multiplicity
        return np.array(vector, dtype=np.int64)

    def cells(self, column: "Column") -> CellPlaces:
        """The cell of each value of a column in a count vector; values count as in `count`."""
        codes, values = column.distinct()
        names = [category_name(value) if _is_countable(value) else None for value in values]
        cells = [self.size - 1 if name is None else self.cell(name) for name in names]
        # What is missing has the code -1: the last one.
        return CellPlaces(np.array([*cells, self.size - 2], dtype=np.intp)[codes], self.size)

    def cells_of_few(self, values: Iterable[Scalar]) -> list[int]:
        """The cells of a count vector that values count in, one each."""
        return [self._cell_of_value(value) for value in values]

    def _cell_of_value(self, value: Scalar) -> int:
        name = value if type(value) is str else category_name(value) if _is_countable(value) else None
        if name is not None:
            return self.cell(name)
        return self.size - 2 if _is_missing(value) else self.size - 1

    def cell(self, name: str) -> int:
        """The fine cell in which a name counts; that of unseen names when it is none of the reference."""
        found = self._cell_of.get(name)
        if found is None and self.version > 1:
            found = self._cell_of.get(single_name(name))
        return self.n_fine - 1 if found is None else found


def category_name(value: Scalar) -> str | None:
    """The canonical text of a categorical value; None for None and NaN.

    Text is itself; booleans are "true" and "false"; equal numbers have equal names, so 3 and 3.0 are both "3".
    ±inf have the names "inf" and "-inf" for display, but a binning counts them as invalid.

    >>> [category_name(value) for value in (True, 3, 3.0, 2.5, "3", float("nan"))]
    ['true', '3', '3', '2.5', '3', None]
    """
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if isnan(value):
            return None
        if not value.is_integer():
            return repr(float(value))
    number = int(value)
    return str(number) if number.bit_length() <= MAX_DECIMAL_BITS else hex(number)


def name_counts(values: Iterable[Scalar]) -> Counter[str | None]:
    """Number of values of each `category_name`, in the order in which they come first; None are those without one.

    >>> name_counts([1, "a", 1.0, None, True])
    Counter({'1': 2, 'a': 1, None: 1, 'true': 1})
    """
    found: Counter[str | None] = Counter()
    # True and 1 are equal to a dictionary but not to us.
    for (_, value), n in Counter((type(value), value) for value in values).items():
        found[category_name(value)] += n
    return found


def single_name(name: str) -> str:
    """The name of the number in single precision, with the fewest digits; of whole numbers and of texts, the name.

    >>> [single_name(name) for name in ("0.10000000149011612", "0.30000000000000004", "16777217", "v1.5", "1.50")]
    ['0.1', '0.3', '16777217', 'v1.5', '1.50']
    """
    if FRACTION.fullmatch(name) is None:
        return name
    number = float(name)
    # A text with other digits than the number's name is no number, and below the smallest single all would be 0.
    if repr(number) != name or number.is_integer() or abs(number) < SMALLEST_SINGLE:
        return name
    held = single(number)
    texts = (float(f"{held:.{digits}g}") for digits in SINGLE_DIGITS)
    return category_name(next(text for text in texts if single(text) == held)) or name


def with_single_names(known: Mapping[str, T]) -> dict[str, T]:
    """Mapping of names to places, with names in single precision added where only one name has them.

    >>> with_single_names({"0.30000000000000004": 1, "0.5": 2})
    {'0.30000000000000004': 1, '0.5': 2, '0.3': 1}
    """
    further = [(text, name) for name in known if (text := single_name(name)) not in known]
    names = Counter(text for text, _ in further)
    return dict(known) | {text: known[name] for text, name in further if names[text] == 1}


def category_names(values: Sequence[Scalar]) -> list[str | None]:
    """The `category_name` of each value.

    >>> category_names(["a", 3.0, None])
    ['a', '3', None]
    """
    # Most values are text, and a call takes longer than the question.
    return [value if type(value) is str else category_name(value) for value in values]


def countable_names(values: Sequence[Scalar]) -> list[str | None]:
    """The name of each value that `name_frequencies` counts; None for the others."""
    return [value if type(value) is str else category_name(value) if _is_countable(value) else None for value in values]


def name_frequencies(sample: Sequence[Scalar]) -> Counter[str]:
    """Frequency of each name; None, NaN, ±inf and what is no scalar are dropped.

    Raises EmptySample when nothing is left.
    """
    frequency: Counter[str] = Counter()
    for value, multiplicity in _tally(sample):
        name = category_name(value) if _is_countable(value) else None
        if name is not None:
            frequency[name] += multiplicity
    if not frequency:
        raise EmptySample("a categorical binning needs at least one reference value that is not null; there is none")
    return frequency


def categorical_binning(sample: Sequence[Scalar]) -> CategoricalBinning:
    """The cells of a reference sample; None, NaN, ±inf and what is no scalar are dropped first.

    Raises EmptySample when nothing is left.

    >>> categorical_binning([1, 1.0, True]).categories
    ('1', 'true')
    """
    return binning_of_names(name_frequencies(sample))


def binning_of_names(frequency: Mapping[str, int], naming: Naming | None = None) -> CategoricalBinning:
    """The cells of names that occur so often. Raises MalformedProfile when a name is there twice."""
    names = sorted(frequency, key=lambda name: (-frequency[name], name))
    return CategoricalBinning(tuple(names[:MAX_CATEGORIES]), frozenset(names[MAX_CATEGORIES:][:MAX_RARE]), naming)


def encode_categorical(binning: CategoricalBinning) -> bytes:
    """Exact bytes of a categorical binning: magic, version, and a JSON array of lists of names.

    They are the categories and the rare ones; then, where tests have cells of their own, the named ones, the late ones,
    and whether all names are kept.
    """
    content: list[object] = [binning.categories, sorted(binning.rare)]
    if binning.naming is not None:
        content += [binning.naming.named, sorted(binning.naming.late), binning.naming.complete]
    return CATEGORICAL_MAGIC + bytes((binning.version,)) + json.dumps(content, separators=(",", ":")).encode("ascii")


def decode_categorical(raw: bytes) -> CategoricalBinning:
    """The binning of `encode_categorical`. Raises MalformedProfile for anything else."""
    version = raw[3] if len(raw) > 3 else 0
    if raw[:3] != CATEGORICAL_MAGIC or not 1 <= version <= CODEC_VERSION:
        raise MalformedProfile(f"expected a categorical binning of codec version {CODEC_VERSION}, got {raw[:4]!r}")
    try:
        content = json.loads(raw[4:].decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise MalformedProfile(f"the names of a categorical binning can't be read: {error}") from error
    if not (isinstance(content, list) and len(content) in (2, 5) and all(_are_names(part) for part in content[:4])):
        raise MalformedProfile("a categorical binning holds two lists of names, or four and whether these are all")
    categories, rare = content[:2]
    if len(categories) > MAX_CATEGORIES or len(rare) > MAX_RARE or len(set(rare)) != len(rare):
        raise MalformedProfile(
            f"a categorical binning holds at most {MAX_CATEGORIES} categories, {MAX_RARE} rare names"
        )
    naming = None
    if len(content) == 5:
        named, late, complete = content[2:]
        if len(named) > MAX_CATEGORIES or len(set(named)) != len(named) or {*named} & {*late} or version < 2:
            raise MalformedProfile("the tests name at most 100 categories, each once, and none of them late")
        naming = Naming(tuple(named), frozenset(late), bool(complete))
    return CategoricalBinning(tuple(categories), frozenset(rare), naming, version)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and isnan(value))


def _is_countable(value: object) -> TypeGuard[bool | int | float | str]:
    return isinstance(value, (str, int)) or (isinstance(value, float) and isfinite(value))


def _are_names(part: object) -> bool:
    return isinstance(part, list) and all(isinstance(name, str) for name in part)


def _tally(values: Sequence[Scalar]) -> Iterable[tuple[object, int]]:
    """Distinct values and how often each occurs. True and 1 are equal to a dictionary but not to us."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    types = set(map(type, values))
    if types <= PLAIN_WITHOUT_BOOL or types == {bool}:
        return Counter(values).items()
    if types <= PLAIN:
        return [(value, n) for (_, value), n in Counter(zip(map(type, values), values, strict=True)).items()]
    given: Sequence[object] = values
    return [(value.item() if isinstance(value, np.generic) else value, 1) for value in given]
