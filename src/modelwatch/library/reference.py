"""A reference without a service: the cells of each column of a data set, and the counts in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwatch.events import Scalar, Task
from modelwatch.library.label_columns import LabelColumns, label_columns
from modelwatch.library.labels import (
    LabelledReference,
    PackedLabels,
    labelled_reference,
    packed_labels,
    unpacked_labels,
)
from modelwatch.library.reading import Seconds, decoded, in_threads, progress_bar, seconds_of
from modelwatch.library.segment_counts import (
    Divided,
    PackedSegments,
    divided,
    packed_segments,
    segment_features,
    unpacked_segments,
)
from modelwatch.library.sources import Source, UnreadableColumn, source_of
from modelwatch.stats.counting.binning import decode_binning, encode_binning
from modelwatch.stats.counting.categorical import category_name
from modelwatch.stats.counting.datatypes import prediction_type
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.counting.numeric import binning_and_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import Split, decode_split, encode_split, split_names, split_reference
from modelwatch.stats.drift.variation.clusters import (
    Clusters,
    KeyedRows,
    clusters_of,
    decode_clusters,
    encode_clusters,
)
from modelwatch.stats.drift.variation.natural_variation import (
    Variation,
    decode_variation,
    encode_variation,
    variation_of_column,
)
from modelwatch.stats.errors import EmptySample, StatsError
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.storage.references.subjects import Subject

FORMAT = 1
SUFFIX = ".mw"
"""Of files with a saved reference."""


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The columns of a data set that are no features. ignore: those that are not compared."""

    prediction: str = "prediction"
    score: str = "prediction_probability"
    latency: str = "latency_ms"
    timestamp: str = "timestamp"
    ignore: tuple[str, ...] = ("prediction_id",)
    ground_truth: str = "ground_truth"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ColumnNames:
        """The names that are given as parameters; one that is ignored may be given alone. Raises TypeError for another
        parameter.

        >>> ColumnNames.of({"score": "p", "ignore": "row"}).ignore
        ('row',)
        """
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f": the names of columns are {', '.join(known)}"
                raise TypeError(f"there is no parameter {name!r}{hint}")
        ignore = given.get("ignore", cls().ignore)
        return cls(**{**given, "ignore": (ignore,) if isinstance(ignore, str) else tuple(ignore)})

    def subjects(self, names: Iterable[str]) -> dict[Subject, str]:
        """The columns to compare, by subject: features in their order, then prediction, score and latency."""
        kinds = {self.prediction: "prediction", self.score: "score", self.latency: "latency"}
        beside = {self.timestamp, self.ground_truth, *self.ignore}
        names = list(names)
        found = {Subject("feature", name): name for name in names if name not in kinds and name not in beside}
        return found | {Subject(kinds[name]): name for name in names if name in kinds}  # type: ignore[arg-type]

    def has_labels(self, names: Iterable[str]) -> bool:
        """True when one of these columns has the labels, and is not ignored."""
        return self.ground_truth in names and self.ground_truth not in self.ignore


@dataclass(frozen=True, slots=True)
class SubjectReference:
    """The reference of one subject.

    profile: its counts over its cells. split: how a categorical one was split for its tests. variation: how it varies
    over time, where it has times. clusters: how alike the values of one key are, where one was named.
    """

    profile: Profile
    split: Split | None = None
    variation: Variation | None = None
    clusters: Clusters | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """The cells and counts of a data set. Made once, saved beside a model, and compared with any number of others.

    rows: of the data set. subjects: by subject. left_out: columns that are not compared, and why. columns: names of
    those that are no features. labels: its labelled rows, where it has some. segments: its counts by segment, for each
    column that divides it. cluster_by: the feature whose values group rows that are alike.
    """

    rows: int
    subjects: Mapping[Subject, SubjectReference]
    left_out: Mapping[str, str] = field(default_factory=dict)
    columns: ColumnNames = field(default_factory=ColumnNames)
    labels: LabelledReference | None = None
    segments: tuple[Divided, ...] = ()
    cluster_by: str | None = None

    @classmethod
    def fit(
        cls,
        data: Any,
        *,
        task: Task | None = None,
        positive_class: Scalar = None,
        by: str | Sequence[str] = (),
        cluster_by: str | None = None,
        progress: bool | None = None,
        **columns: Any,
    ) -> Reference:
        """The reference of a data set: a frame, a mapping, a file or a folder. The parameters are those of `compare`.

        Raises TypeError for what is no data set, ValueError for one that can't be read or has no row, for a task or a
        positive class that its labels can't have, and for segments or groups by what is no feature.
        """
        names, source = ColumnNames.of(columns), source_of(data)
        if not source.rows:
            raise ValueError("the reference has no row")
        seconds = seconds_of(source, names.timestamp)
        subjects: dict[Subject, SubjectReference] = {}
        left_out: dict[str, str] = {}
        labels = None
        try:
            found_labels = label_columns(source, names)
        except UnreadableColumn as problem:
            found_labels, left_out[names.ground_truth] = None, str(problem)
        if found_labels is not None:
            times = None if seconds is None else seconds.listed()
            labels = labelled_reference(found_labels, times, StatedTask(task, positive_class))
            if labels is None:
                left_out[names.ground_truth] = found_labels.no_task
        # As of which kind predictions are, the labels tell.
        known = task if labels is None else labels.layout.task
        wanted = names.subjects(source.names)
        rows = None if cluster_by is None else _keyed_rows(source, wanted, cluster_by)
        with progress_bar(progress, "Reading the reference", len(wanted), source.rows) as done:
            fitted = in_threads(
                lambda subject: _fitted(source, wanted[subject], subject, seconds, known, rows), list(wanted), done
            )
        for subject, found in zip(wanted, fitted, strict=True):
            if isinstance(found, str):
                left_out[wanted[subject]] = found
            else:
                subjects[subject] = found
        segments = _divided(source, names, by, subjects, found_labels, labels)
        return cls(source.rows, subjects, left_out, names, labels, segments, cluster_by)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file. Raises OSError."""
        document = _Document(
            FORMAT,
            self.rows,
            [_packed(subject, each) for subject, each in self.subjects.items()],
            dict(self.left_out),
            self.columns,
            packed_labels(self.labels),
            packed_segments(self.segments, list(self.subjects)),
            self.cluster_by,
        )
        Path(path).write_bytes(msgspec.msgpack.encode(document))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Reference:
        """Reads what `save` wrote. Raises OSError, and ValueError for another file."""
        try:
            found = msgspec.msgpack.decode(Path(path).read_bytes(), type=_Document)
            if found.format != FORMAT:
                raise ValueError(f"it has the format {found.format}, which this release can't read")
            subjects = dict(map(_unpacked, found.subjects))
            labels = unpacked_labels(found.labels)
            segments = tuple(unpacked_segments(found.segments, list(subjects)))
        except (msgspec.DecodeError, StatsError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is no saved reference: {error}") from error
        return cls(found.rows, subjects, found.left_out, found.columns, labels, segments, found.cluster_by)


def _divided(
    source: Source,
    names: ColumnNames,
    by: str | Sequence[str],
    subjects: Mapping[Subject, SubjectReference],
    columns: LabelColumns | None,
    labels: LabelledReference | None,
) -> tuple[Divided, ...]:
    """The counts of a reference by segment. Raises ValueError for what is no feature of it."""
    features = segment_features([by] if isinstance(by, str) else by, subjects)
    if not features:
        return ()
    binnings = {subject: each.profile.binning for subject, each in subjects.items()}
    known = None if columns is None or labels is None else (columns, labels)
    return tuple(divided(source, features, binnings, names.subjects(source.names), known))


def _keyed_rows(source: Source, wanted: Mapping[Subject, str], key: str) -> KeyedRows:
    """The rows by a feature. Raises ValueError for what is no feature, or one that can't be compared."""
    subject = Subject("feature", key)
    if subject not in wanted:
        raise ValueError(f"cluster_by is {key!r}: the reference has no such feature")
    found = _fitted(source, key, subject, None, None, None)
    if isinstance(found, str):
        raise ValueError(f"cluster_by is {key!r}: {found}")
    return KeyedRows(key, decoded(source.column(key)).scalars(), found.profile.binning)


def _fitted(
    source: Source,
    name: str,
    subject: Subject,
    seconds: Seconds | None,
    task: Task | None,
    rows: KeyedRows | None,
) -> SubjectReference | str:
    """The reference of a column, or why it has none. rows: by the key, which has no clusters of its own."""
    from modelwatch.api.decoding.columns.schema import is_categorical

    try:
        found = source.column(name)
        column = decoded(found)
        categorical = is_categorical(found.type)
        if subject.kind == "prediction" and task is not None:
            categorical = task != "regression" or not np.isfinite(column.numbers()).any()
        elif subject.kind == "prediction" and not categorical:
            categorical = prediction_type(column.distinct()[1]) == "categorical"
        values = None if rows is None or subject == Subject("feature", rows.key) else column.scalars()
        if categorical and rows is not None and values is not None:
            binning, split = split_reference(values, rows.cluster_of)
            profile = Profile.of(binning, values)
        elif categorical:
            binning, split = split_names(_frequencies(*column.distinct()))
            counts = np.bincount(binning.cells(column).places, minlength=binning.size)
            profile = Profile(binning, counts)
        else:
            profile, split = Profile(*binning_and_counts(column.numbers())), None
    except EmptySample:
        return "it has no value in the reference"
    except (UnreadableColumn, StatsError) as problem:
        return str(problem)
    variation = None
    if seconds is not None:
        timed = column if seconds.all_known else column.take(np.flatnonzero(seconds.known))
        variation = variation_of_column(profile.binning, timed, seconds.of_known, np.random.default_rng(0))
    clusters = None if rows is None or values is None else clusters_of(profile, values, rows)
    return SubjectReference(profile, split, variation, clusters)


def _frequencies(codes: Any, values: Sequence[Any]) -> dict[str, int]:
    """Number of times that each name occurs. Raises EmptySample when none does."""
    counts = np.bincount(codes[codes >= 0], minlength=len(values)).tolist()
    found: dict[str, int] = {}
    for value, count in zip(values, counts, strict=True):
        name = category_name(value)
        if count and name is not None and not (isinstance(value, float) and not np.isfinite(value)):
            found[name] = found.get(name, 0) + count
    if not found:
        raise EmptySample("a categorical binning needs at least one reference value that is not null; there is none")
    return found


class _Packed(msgspec.Struct):
    kind: str
    name: str
    binning: bytes
    counts: bytes
    split: bytes | None
    variation: bytes | None
    clusters: bytes | None = None


class _Document(msgspec.Struct):
    format: int
    rows: int
    subjects: list[_Packed]
    left_out: dict[str, str]
    columns: ColumnNames
    labels: PackedLabels | None = None
    segments: list[PackedSegments] = []
    cluster_by: str | None = None


def _packed(subject: Subject, reference: SubjectReference) -> _Packed:
    profile, split, variation = reference.profile, reference.split, reference.variation
    return _Packed(
        subject.kind,
        subject.name,
        encode_binning(profile.binning),
        encode_counts(profile.counts),
        None if split is None else encode_split(split),
        None if variation is None else encode_variation(variation),
        None if reference.clusters is None else encode_clusters(reference.clusters),
    )


def _unpacked(packed: _Packed) -> tuple[Subject, SubjectReference]:
    profile = Profile(decode_binning(packed.binning), decode_counts(packed.counts))
    reference = SubjectReference(
        profile,
        None if packed.split is None else decode_split(packed.split),
        None if packed.variation is None else decode_variation(packed.variation),
        None if packed.clusters is None else decode_clusters(packed.clusters),
    )
    return Subject(packed.kind, packed.name), reference  # type: ignore[arg-type]
