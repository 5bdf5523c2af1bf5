"""Segments of a data set: the values of a column that divide its rows, and the counts of each, kept and read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.library.label_columns import LabelColumns
from modelwatch.library.labels import LabelledReference, batches
from modelwatch.library.reading import in_threads, quiet, read_column
from modelwatch.library.sources import Source
from modelwatch.stats.counting.binning import Binning, NumericBinning
from modelwatch.stats.counting.columns import Column
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.counting.kernel import CountsByGroup, Places
from modelwatch.stats.segments.segmentation import SegmentFeature, segment_feature
from modelwatch.storage.references.subjects import Subject

if TYPE_CHECKING:
    from modelwatch.library.reference import SubjectReference

# Into so many parts a column of numbers is cut.
PARTS = 4
Vectors = list[NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Divided:
    """Counts of a data set in the segments of one column, in the order of its texts.

    rows: of each segment. counts: by subject, of each segment, shape (binning.size,). outcomes: of the labelled rows of
    each segment; None without labels.
    """

    feature: SegmentFeature
    rows: list[int]
    counts: Mapping[Subject, Vectors]
    outcomes: Vectors | None = None


def segment_features(by: Sequence[str], subjects: Mapping[Subject, SubjectReference]) -> list[SegmentFeature]:
    """The definitions of segments by these columns of a reference. Raises ValueError for one that it does not have."""
    unknown = [name for name in by if Subject("feature", name) not in subjects]
    if unknown:
        raise ValueError(f"by names {', '.join(map(repr, unknown))}: no features of the reference")
    return [segment_feature(name, subjects[Subject("feature", name)].profile, PARTS) for name in dict.fromkeys(by)]


def divided(
    source: Source,
    features: Sequence[SegmentFeature],
    binnings: Mapping[Subject, Binning],
    wanted: Mapping[Subject, str],
    labels: tuple[LabelColumns, LabelledReference] | None,
) -> list[Divided]:
    """The counts of a data set in the segments of each feature. wanted: names of the columns of the subjects.

    labels: of the rows, and the reference in whose layout they are counted; None without. Raises UnreadableColumn.
    """
    groups = [
        _groups(feature, read_column(source, feature.feature, numbers=feature.cuts is not None)) for feature in features
    ]

    def work(subject: Subject) -> list[Vectors]:
        binning = binnings[subject]
        cells = binning.cells(read_column(source, wanted[subject], numbers=isinstance(binning, NumericBinning)))
        found = []
        for feature, of_rows in zip(features, groups, strict=True):
            counts = CountsByGroup(of_rows, len(feature.texts), cells.size)
            counts.add(0, cells)
            found.append(counts.totals())
        return found

    subjects = [subject for subject in binnings if subject in wanted]
    counted = dict(zip(subjects, in_threads(work, subjects, quiet), strict=True))
    return [
        Divided(
            feature,
            np.bincount(of_rows, minlength=len(feature.texts)).tolist(),
            {subject: vectors[place] for subject, vectors in counted.items()},
            None if labels is None else _outcomes(*labels, of_rows, len(feature.texts)),
        )
        for place, (feature, of_rows) in enumerate(zip(features, groups, strict=True))
    ]


def _groups(feature: SegmentFeature, column: Column) -> Places:
    """Of each row the place of its segment among the texts."""
    place = {text: number for number, text in enumerate(feature.texts)}
    if feature.cuts is not None:
        numbers = column.numbers()
        found = np.array(feature.cuts).searchsorted(numbers, side="left").astype(np.intp)
        found[np.isnan(numbers)] = place[feature.text_of(None)]
        found[np.isinf(numbers)] = place[feature.text_of(np.inf)]
        return found
    codes, values = column.distinct()
    # What is missing has the code -1: the last one.
    return np.array([place[feature.text_of(value)] for value in (*values, None)], dtype=np.intp)[codes]


def _outcomes(columns: LabelColumns, labels: LabelledReference, groups: Places, number: int) -> Vectors:
    layout, outcomes, rows = labels.layout, columns.labelled, groups[columns.labelled_rows]
    total = np.zeros((number, layout.size), dtype=np.int64)
    for batch in batches(len(outcomes)):
        entries = layout.entries(outcomes.some(batch))
        total += np.array(list(entries.sums(rows[batch.start : batch.stop], number, layout.size)))
    return list(total)


class PackedSegments(msgspec.Struct):
    """Segments of a reference as they are saved. counts: by subject, of each segment, its bytes."""

    feature: SegmentFeature
    rows: list[int]
    counts: list[list[bytes]]
    outcomes: list[bytes] | None = None


def packed_segments(found: Sequence[Divided], subjects: Sequence[Subject]) -> list[PackedSegments]:
    """What `unpacked_segments` turns back into the same. subjects: of the reference, in order."""
    return [
        PackedSegments(
            each.feature,
            each.rows,
            [[encode_counts(vector) for vector in each.counts[subject]] for subject in subjects],
            None if each.outcomes is None else [encode_counts(vector) for vector in each.outcomes],
        )
        for each in found
    ]


def unpacked_segments(packed: Sequence[PackedSegments], subjects: Sequence[Subject]) -> Iterator[Divided]:
    """Segments as they were saved. Raises StatsError for counts that are damaged."""
    for each in packed:
        counts = {
            subject: [decode_counts(raw) for raw in vectors]
            for subject, vectors in zip(subjects, each.counts, strict=True)
        }
        outcomes = None if each.outcomes is None else [decode_counts(raw) for raw in each.outcomes]
        yield Divided(each.feature, each.rows, counts, outcomes)
