"""Segments: which part of the traffic a prediction belongs to, by the value of a feature, frozen with the reference.

A prediction is in exactly one value of each segment feature: what the reference did not have is in `other`,
so the counts of a feature's values add up to those of all predictions. A segment is written as one text that names
both, such as `country=DE`.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import isfinite, isnan

import msgspec
import numpy as np

from modelwatch.stats.counting.binning import CategoricalBinning, NumericBinning, Scalar, category_name
from modelwatch.stats.counting.categorical import single_name, with_single_names
from modelwatch.stats.counting.columns import Column
from modelwatch.stats.counting.numeric import as_float, shortest_distinct
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import MalformedProfile

MAX_SEGMENT_FEATURES = 5
MAX_VALUES = 50
# A longer name is in `other`: segments are part of the keys of tables.
MAX_VALUE_LENGTH = 100
OTHER, MISSING, INVALID, UNKNOWN = "(other)", "(missing)", "(invalid)", "(unknown)"
FORMAT = 1

_OTHER, _MISSING, _INVALID, _UNKNOWN = -4, -3, -2, -1

_IN_FEATURE = re.compile(r"[%=\x00-\x1f\x7f]")
_IN_VALUE = re.compile(r"[%\x00-\x1f\x7f]|^\(")


@dataclass(frozen=True)
class SegmentFeature:
    """A feature whose values are segments.

    values: the most frequent categories of the reference, or the names of the cells of a numeric feature, in order.
    cuts: of a numeric feature, the edges between its right-closed cells, ascending; None for a categorical one.

    >>> country = SegmentFeature("country", ("DE", "(other)"))
    >>> country.texts[:3]
    ('country=DE', 'country=%28other)', 'country=(other)')
    >>> country.texts[3:]
    ('country=(missing)', 'country=(invalid)', 'country=(unknown)')
    >>> [country.text_of(value) for value in ("DE", "(other)", "XY", None)]
    ['country=DE', 'country=%28other)', 'country=(other)', 'country=(missing)']
    >>> SegmentFeature("amount", ("<= 10", "> 10"), (10.0,)).text_of(15)
    'amount=> 10'
    """

    feature: str
    values: tuple[str, ...]
    cuts: tuple[float, ...] | None = None

    @property
    def is_numeric(self) -> bool:
        """True when the segments are stretches of numbers."""
        return self.cuts is not None

    @cached_property
    def id(self) -> str:
        """The fingerprint of the definition."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:32]

    @cached_property
    def prefix(self) -> str:
        """Prefix of the texts of this feature's segments, and of no other feature's."""
        return _IN_FEATURE.sub(_escaped, self.feature) + "="

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Every segment in a fixed order.

        The last ones: in no category (not of numbers), missing, no such value, and stored before without the value.
        """
        if self.is_numeric:
            values = (*self.values, MISSING, INVALID, UNKNOWN)
        else:
            values = (*(_IN_VALUE.sub(_escaped, name) for name in self.values), OTHER, MISSING, INVALID, UNKNOWN)
        return tuple(self.prefix + value for value in values)

    @cached_property
    def _by_category(self) -> dict[str, str]:
        return with_single_names(dict(zip(self.values, self.texts, strict=False)))

    def text_of(self, value: object) -> str:
        """The segment of a value of the feature; what is absent is None."""
        if value is None:
            return self.texts[_MISSING]
        if self.cuts is not None:
            number = as_float(value)
            if number is None or not isfinite(number):
                return self.texts[_MISSING] if number is not None and isnan(number) else self.texts[_INVALID]
            return self.texts[bisect_left(self.cuts, number)]
        if isinstance(value, float) and not isfinite(value):
            return self.texts[_MISSING] if isnan(value) else self.texts[_INVALID]
        if not isinstance(value, (str, int, float)):
            return self.texts[_INVALID]
        name = value if isinstance(value, str) else category_name(value) or ""
        found = self._by_category.get(name)
        return self._by_category.get(single_name(name), self.texts[_OTHER]) if found is None else found

    def texts_of(self, column: Column) -> list[str]:
        """The segment of each value of the feature.

        >>> from modelwatch.stats.counting.columns import column_of
        >>> SegmentFeature("country", ("DE",)).texts_of(column_of(["DE", None]))
        ['country=DE', 'country=(missing)']
        """
        codes, values = column.distinct()
        # What is missing has the code -1: the last one.
        texts = [*map(self.text_of, values), self.text_of(None)]
        return [texts[code] for code in codes.tolist()]

    def carried(self, texts: Sequence[str]) -> str:
        """The segment of a value that is not known, by the segments of its prediction in an earlier definition.

        >>> country = SegmentFeature("country", ("DE",))
        >>> country.carried(["country=DE"]), country.carried(["country=FR"]), country.carried(["x=1"])
        ('country=DE', 'country=(other)', 'country=(unknown)')
        """
        known = next((text for text in texts if text.startswith(self.prefix)), None)
        if known is None or known in self.texts:
            return known or self.texts[_UNKNOWN]
        return self.texts[_UNKNOWN] if self.is_numeric else self.texts[_OTHER]


@dataclass(frozen=True)
class Segmentation:
    """The segment features of a model, in the order of its monitor.

    >>> segmentation = Segmentation((SegmentFeature("country", ("DE",)), SegmentFeature("x", ("<= 1", "> 1"), (1.0,))))
    >>> segmentation.of({"country": "DE", "x": 1.0})
    ('country=DE', 'x=<= 1')
    >>> decode_segmentation(segmentation.encode()) == segmentation
    True
    """

    features: tuple[SegmentFeature, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.features)

    @cached_property
    def id(self) -> str:
        """The fingerprint of all definitions."""
        return hashlib.sha256(self.encode()).hexdigest()[:32]

    def of(self, features: Mapping[str, Scalar]) -> tuple[str, ...]:
        """The segments of a prediction with these features: one for each segment feature, in their order."""
        return tuple([each.text_of(features.get(each.feature)) for each in self.features])

    def feature_of(self, text: str) -> SegmentFeature | None:
        """The feature of a segment; None when there is no such feature any more."""
        return next((each for each in self.features if text.startswith(each.prefix)), None)

    def encode(self) -> bytes:
        """Bytes that `decode_segmentation` turns back into the same segmentation."""
        return msgspec.json.encode({"format": FORMAT, "features": self.features})


NO_SEGMENTS = Segmentation()


class _Document(msgspec.Struct):
    format: int
    features: tuple[SegmentFeature, ...]


def decode_segmentation(raw: bytes) -> Segmentation:
    """The segmentation of its bytes. Raises MalformedProfile for anything else."""
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except msgspec.MsgspecError as error:
        raise MalformedProfile(f"the segments can't be read: {error}") from error
    if document.format != FORMAT:
        raise MalformedProfile(f"the segments are of format {document.format}, expected {FORMAT}")
    return Segmentation(document.features)


def segment_feature(feature: str, reference: Profile, parts: int) -> SegmentFeature:
    """The segments of a feature with this reference.

    Of a categorical one the 50 most frequent categories. Of a numeric one about `parts` cells with equally many values
    of the reference: the cuts are those edges of its binning that come nearest to the quantiles. Heavy values make
    fewer cells.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> values = np.arange(1.0, 1001.0)
    >>> segment_feature("x", Profile.of(numeric_binning(values), values), 4).values
    ('<= 250.8', '(250.8, 500.5]', '(500.5, 750.2]', '> 750.2')
    """
    binning = reference.binning
    if isinstance(binning, CategoricalBinning):
        names = [name for name in binning.categories if len(name) <= MAX_VALUE_LENGTH]
        return SegmentFeature(feature, tuple(names[:MAX_VALUES]))
    cuts, under = _cuts(binning, reference, parts)
    return SegmentFeature(feature, _cells(cuts, under), tuple(map(binning.last_at_or_below, cuts)))


def _cuts(binning: NumericBinning, reference: Profile, parts: int) -> tuple[list[float], list[bool]]:
    """The edges to cut at, and of each whether it lies directly under a value that has a cell of its own."""
    edges, below = binning.edges, np.cumsum(reference.fine)[:-1]
    inner = np.flatnonzero((below > 0) & (below < reference.n))
    if not len(inner):
        return [], []
    distances = [np.abs(below[inner] * parts - step * reference.n) for step in range(1, parts)]
    chosen = sorted({int(inner[distance.argmin()]) for distance in distances})
    return edges[chosen].tolist(), binning.atomic[np.array(chosen) + 1].tolist()


def _cells(cuts: list[float], under: list[bool]) -> tuple[str, ...]:
    """The names of the cells between the cuts."""
    if not cuts:
        return ("(all)",)
    # Adding 0 turns the -0.0 above the largest negative number into 0.0.
    shown = [float(np.nextafter(cut, np.inf)) + 0.0 if low else cut for cut, low in zip(cuts, under, strict=True)]
    texts = shortest_distinct(shown)
    cells = [f"< {texts[0]}" if under[0] else f"<= {texts[0]}"]
    for before, after in pairwise(range(len(cuts))):
        if texts[before] == texts[after]:
            cells.append(f"= {texts[after]}")
        else:
            cells.append(f"{'[('[not under[before]]}{texts[before]}, {texts[after]}{')]'[not under[after]]}")
    return (*cells, f">= {texts[-1]}" if under[-1] else f"> {texts[-1]}")


def _escaped(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"
