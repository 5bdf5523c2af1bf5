"""The cells of all subjects of a reference, known by one id."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from modelwatch.stats.counting.binning import Binning
from modelwatch.storage.references.subjects import Subject


def binnings_id(binnings: Mapping[Subject, Binning]) -> str:
    """Id of the subjects and their cells: equal where the same is counted in the same cells.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> one, other = (categorical_binning([name]) for name in "ab")
    >>> first = binnings_id({Subject("feature", "x"): one, Subject("score"): other})
    >>> first == binnings_id({Subject("score"): other, Subject("feature", "x"): one}), len(first)
    (True, 32)
    """
    content = (f"{each.kind}\0{each.name}\0{binnings[each].id}" for each in sorted(binnings))
    return sha256("\0\0".join(content).encode("utf-8", "surrogatepass")).hexdigest()[:32]
