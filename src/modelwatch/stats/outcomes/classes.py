"""Names of classes: which values of predictions, labels, references and probability maps mean one class.

Services write one class in several ways: 1 and 1.0, 1 and true, "yes" and True, "b" and "b ", two Unicode forms of one
letter. Values that differ only so are one class, but never two that one side itself keeps apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.categorical import category_name, name_counts, single_name
from modelwatch.stats.counting.numeric import Scalar

# A leading zero makes a code and no number.
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?")
# With more digits a text is no double any more.
EXACT_DIGITS = 15
BOOLEANS = {"true": "1", "false": "0"}
# So many values are remembered with their class.
MOST_KNOWN = 100
# Other spellings of a boolean. One side may also use them for classes of its own, such as letters.
SENSES = {"1": "1", "yes": "1", "y": "1", "t": "1", "0": "0", "no": "0", "n": "0", "f": "0"}

# A class is among the most frequent ones for sure where the first of the others is so many standard deviations below.
CLEARLY = 3.0


def counted_by_chance(matrix: NDArray[np.int64], next_frequency: int | None) -> NDArray[np.bool_]:
    """The counted classes that others, which are not counted one by one, may be as frequent as; shape (classes,).

    Which of them are counted, chance decided, by rows that are more than usual: in other rows they are less frequent,
    and recognised less often. matrix: confusion matrix of the rows that the classes were chosen by, shape
    (classes + 1, classes + 1), with all other classes last. next_frequency: labels and predictions of the most frequent
    other class; None where it is not known: then it is taken for as frequent as it can be.

    >>> several = np.array([[900, 0, 90], [0, 400, 5], [95, 4, 800]])
    >>> counted_by_chance(several, 20).tolist(), counted_by_chance(several, 790).tolist()
    ([False, False], [False, True])
    >>> counted_by_chance(several, None).tolist()
    [False, True]
    >>> counted_by_chance(np.array([[900, 0, 0], [0, 12, 0], [0, 0, 0]]), None).tolist()
    [False, False]
    """
    truth, predicted, hits = matrix.sum(axis=1)[:-1], matrix.sum(axis=0)[:-1], np.diagonal(matrix)[:-1]
    if not len(truth) or not (matrix[-1].any() or matrix[:, -1].any()):
        return np.zeros(len(truth), dtype=np.bool_)
    frequency = truth + predicted
    if next_frequency is None:
        # No other class was more frequent than the last of those that were chosen, nor than all others together.
        next_frequency = int(min(frequency.min(), matrix[-1].sum() + matrix[:, -1].sum()))
    # A hit counts in both, so the variance of their sum is larger than that of independent ones. That of the other
    # class is as much larger.
    variance = (frequency + 2.0 * hits) * (1.0 + next_frequency / np.maximum(frequency, 1))
    return np.asarray(frequency - next_frequency <= CLEARLY * np.sqrt(variance))


def class_name(value: Scalar) -> str | None:
    """The readable name of a class: its `category_name` in NFC without outer blanks; of a number, that of the number.

    None for None and NaN.

    >>> [class_name(value) for value in (" b ", "1.0", 1.0, "01", True, "True", None)]
    ['b', '1', '1', '01', 'true', 'True', None]
    """
    name = category_name(value)
    if name is None:
        return None
    name = unicodedata.normalize("NFC", name).strip()
    number = NUMBER.fullmatch(name)
    if number is None:
        return name
    whole, fraction = number[1], (number[2] or "").strip(".").rstrip("0")
    if fraction:
        return category_name(float(name)) if len(whole) + len(fraction) <= EXACT_DIGITS else name
    return f"-{whole}" if name.startswith("-") and whole != "0" else whole


def class_key(value: Scalar) -> str | None:
    """Key that the values of one class have in common: equal numbers and booleans are equal.

    >>> [class_key(value) for value in (True, "TRUE", 1, "1.0", "yes", "b ")]
    ['1', '1', '1', '1', 'yes', 'b']
    """
    name = class_name(value)
    return None if name is None else BOOLEANS.get(name.casefold(), name)


def _sense(key: str) -> str:
    """Sense shared by keys that mean one class unless one side keeps them apart: the case, a boolean's sense, or
    the number in single precision."""
    folded = key.casefold()
    return SENSES.get(folded) or single_name(folded)


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Finds the class that a value means among known ones. exact: those, each by its name.

    >>> known = class_names(("0", "1"))
    >>> [known.of(value) for value in (1, "1.0", True, "yes", "No", "fraud", None)]
    ['1', '1', '1', '1', '0', None, None]
    """

    exact: Mapping[str, str]
    _by_key: Mapping[str, str]
    _by_sense: Mapping[str, str]
    # What was found, by type and value: rows have few different ones.
    _known: dict[tuple[type, Scalar], str | None] = field(default_factory=dict, compare=False, repr=False)

    def of(self, value: Scalar) -> str | None:
        """The class that a value means; None when it is none of them."""
        if type(value) is str and (found := self.exact.get(value)) is not None:
            return found
        known, key = self._known, (type(value), value)
        if key in known:
            return known[key]
        found = self._found(value)
        # No NaN is another's equal.
        if len(known) < MOST_KNOWN and value == value:
            known[key] = found
        return found

    def _found(self, value: Scalar) -> str | None:
        name = value if type(value) is str else category_name(value)
        if name is None:
            return None
        found = self.exact.get(name)
        if found is not None:
            return found
        key = class_key(name)
        assert key is not None, "a name has a key"
        found = self._by_key.get(key)
        return self._by_sense.get(_sense(key)) if found is None else found

    def name(self, value: Scalar) -> str | None:
        """The class that a value means, or the key of one that is not known; None for a value that is missing."""
        found = self.of(value)
        return class_key(value) if found is None else found


@lru_cache(maxsize=4_096)
def class_names(classes: tuple[str, ...]) -> ClassNames:
    """The classes of these names. What two of them have in common means neither."""
    keys = [class_key(name) or "" for name in classes]
    by_key = _unambiguous(zip(keys, classes, strict=True))
    by_sense = _unambiguous((_sense(key), name) for key, name in zip(keys, classes, strict=True))
    return ClassNames({name: name for name in classes}, by_key, by_sense)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, name in pairs:
        found[key].append(name)
    return {key: names[0] for key, names in found.items() if len(names) == 1}


def share_of(shares: Mapping[str, float], value: Scalar) -> float | None:
    """The probability of a class in a map from class to probability; None when no key means it.

    >>> share_of({"False": 0.2, "True": 0.8}, 1), share_of({"prob_a": 0.2, "prob_b": 0.8}, "a")
    (0.8, None)
    """
    name = value if type(value) is str else category_name(value)
    if name is None:
        return None
    found = shares.get(name)
    if found is not None:
        return found
    key = class_names(tuple(shares)).of(name)
    return None if key is None else shares[key]


def count_classes(predictions: Sequence[Scalar], truths: Sequence[Scalar]) -> Counter[str]:
    """Number of values of each class, on both sides together, by its readable name: as predictions write it most often.

    Spellings that only differ in their case, or in how a boolean is said, are one class where no side has two of them.

    >>> sorted(count_classes([1, 0, 1], [True, False, True]).items())
    [('0', 2), ('1', 4)]
    >>> sorted(count_classes(["t", "y"], ["y", "t"]))
    ['t', 'y']
    """
    sides = [name_counts(side) for side in (predictions, truths)]
    spellings: list[defaultdict[str, Counter[str]]] = [defaultdict(Counter), defaultdict(Counter)]
    for spelled, side in zip(spellings, sides, strict=True):
        for name, n in side.items():
            key, readable = class_key(name), class_name(name)
            if key is not None and readable is not None:
                spelled[key][readable] += n
    by_sense = [_by_sense(spelled) for spelled in spellings]
    counts: Counter[str] = Counter()
    for sense in dict.fromkeys((*by_sense[0], *by_sense[1])):
        predicted, true = (keys.get(sense, []) for keys in by_sense)
        if len(predicted) <= 1 and len(true) <= 1:
            groups = [(predicted, true)]
        else:
            groups = [([key], [key]) for key in dict.fromkeys((*predicted, *true))]
        for pair in groups:
            names = [Counter[str](), Counter[str]()]
            for found, spelled, keys in zip(names, spellings, pair, strict=True):
                for key in keys:
                    found.update(spelled.get(key, {}))
            shown = names[0] or names[1]
            counts[min(shown, key=lambda name: (-shown[name], name))] += sum(sum(each.values()) for each in names)
    return counts


def _by_sense(keys: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(_sense(key), []).append(key)
    return found
