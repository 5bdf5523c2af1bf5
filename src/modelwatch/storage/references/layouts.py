"""Layouts: which subjects a profile holds, in which binnings, at which place of its one vector of counts.

A profile row holds the counts of all subjects of a window, one after the other. The layout is a function of what the
reference table says for (model, generation, version), so it is stored nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, or_, select

from modelwatch.batches import PredictionBatch
from modelwatch.events import Prediction, Scalar
from modelwatch.stats.counting.binning import Binning, decode_binning
from modelwatch.stats.counting.columns import Column, column_of
from modelwatch.stats.counting.kernel import CellPlaces, CountsByGroup, Places
from modelwatch.stats.counting.together import count_together
from modelwatch.stats.outcomes.classes import share_of
from modelwatch.stats.outcomes.outcome_layout import NO_OUTCOMES, OutcomeLayout, decode_outcome_layout
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoredPrediction
from modelwatch.stats.segments.segmentation import NO_SEGMENTS, Segmentation, decode_segmentation
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import Decoded, remembered
from modelwatch.storage.engine.damage import decoded
from modelwatch.storage.engine.protection import Protection
from modelwatch.storage.references.subjects import (
    OUTCOME,
    PREDICTED_SCORES,
    SEGMENTS,
    Subject,
)

Counts = NDArray[np.int64]
Cell = TypeVar("Cell")


class Cells(Protocol):
    """The cells that a subject's values are counted in."""

    @property
    def id(self) -> str: ...

    @property
    def size(self) -> int: ...


def subject_column(subject: Subject, batch: PredictionBatch) -> Column:
    """The subject's value in each prediction, missing where it has none."""
    if subject.kind == "feature":
        return batch.feature(subject.name)
    return column_of(subject_values(subject, batch))


def subject_values(subject: Subject, events: Sequence[Prediction]) -> list[Scalar]:
    """The subject's value in each event, None where the event has none."""
    batch = PredictionBatch.of(events)
    if subject.kind == "feature":
        return batch.feature(subject.name).scalars()
    if subject.kind == "prediction":
        return batch.predictions
    if subject.kind == "latency":
        return list(batch.latencies)
    return [
        share_of(probability, prediction) if isinstance(probability, dict) else probability
        for prediction, probability in zip(batch.predictions, batch.probabilities, strict=True)
    ]


@dataclass(frozen=True)
class Layout:
    """The subjects of a profile in the order of their counts, and what is counted of labelled predictions.

    hashed: those whose categories have keyed hashes for names.
    """

    binnings: Mapping[Subject, Binning]
    outcome: OutcomeLayout = NO_OUTCOMES
    hashed: frozenset[Subject] = frozenset()

    @cached_property
    def predicted_scores(self) -> ScoreByPredictedClass | None:
        """The cells of the scores by call; None for a model without known classes."""
        return ScoreByPredictedClass(self.outcome) if self.outcome.task in ("binary", "multiclass") else None

    @cached_property
    def cells(self) -> dict[Subject, Cells]:
        """The cells of each subject, in the order of the counts; scores by predicted class come last."""
        ordered: dict[Subject, Cells] = {subject: self.binnings[subject] for subject in sorted(self.binnings)}
        if self.predicted_scores is not None:
            ordered[PREDICTED_SCORES] = self.predicted_scores
        return ordered

    @cached_property
    def slices(self) -> dict[Subject, slice]:
        result, start = {}, 0
        for subject, cells in self.cells.items():
            stop = start + cells.size
            result[subject] = slice(start, stop)
            start = stop
        return result

    @cached_property
    def size(self) -> int:
        return sum(cells.size for cells in self.cells.values())

    @cached_property
    def _counted(self) -> list[tuple[Subject, int, Binning, int]]:
        """Each subject but the scores by call: where its counts begin, its cells, and where missing values count."""
        return [
            (subject, start := self.slices[subject].start, binning, start + binning.cells_of_few([None])[0])
            for subject, binning in self.binnings.items()
        ]

    def count(self, events: Sequence[Prediction], protection: Protection | None = None) -> Counts:
        """The counts of all subjects over these events, as one vector. Else as `count_groups`.

        The result has the shape (size of the layout,).
        """
        [counts] = self.count_groups(PredictionBatch.of(events), np.zeros(len(events), dtype=np.intp), 1, protection)
        return counts

    def count_groups(
        self, batch: PredictionBatch, groups: Places, number: int, protection: Protection | None = None
    ) -> list[Counts]:
        """The counts of all subjects over predictions of one model: a vector for each group.

        groups: of each prediction, from 0 on. number: of groups. protection: what values are hashed with.
        Raises ProtectionUnavailable when there is a need and no key.
        """
        columns: list[tuple[int, Binning, Column]] = []
        # Of a wide model each row may name a few features: nobody has the others.
        absent: list[int] = []
        names = batch.feature_names
        for subject, start, binning, missing in self._counted:
            if subject.kind == "feature" and subject.name not in names:
                absent.append(missing)
            else:
                columns.append((start, binning, self._counted_column(subject, batch, protection)))
        scores = None
        if self.predicted_scores is not None:
            scored = list(map(ScoredPrediction, batch.predictions, batch.probabilities))
            scores = CellPlaces(self.predicted_scores.places(scored), self.predicted_scores.size)
        if number == 1:
            total = count_together(columns, self.size)
            total[absent] = len(batch)
            if scores is not None:
                total[self.slices[PREDICTED_SCORES]] = np.bincount(scores.places, minlength=scores.size)
            return [total]
        counts = CountsByGroup(groups, number, self.size)
        for start, binning, column in columns:
            counts.add(start, binning.cells(column))
        if scores is not None:
            counts.add(self.slices[PREDICTED_SCORES].start, scores)
        totals = counts.totals()
        if absent:
            for total, rows in zip(totals, np.bincount(groups, minlength=number).tolist(), strict=True):
                total[absent] = rows
        return totals

    def _counted_column(self, subject: Subject, batch: PredictionBatch, protection: Protection | None) -> Column:
        column = subject_column(subject, batch)
        if subject not in self.hashed:
            return column
        codes, values = column.distinct()
        hashes = (protection or Protection()).hash_all(batch.models[0], subject.name, values)
        # What is missing has the code -1: the last one.
        hashes.append(None)
        return column_of([hashes[code] for code in codes.tolist()])

    def part(self, subjects: Iterable[Subject]) -> Layout:
        """The layout of these subjects alone."""
        wanted = frozenset(subjects)
        binnings = {subject: binning for subject, binning in self.binnings.items() if subject in wanted}
        return Layout(binnings, self.outcome if PREDICTED_SCORES in wanted else NO_OUTCOMES, self.hashed & wanted)


@dataclass(frozen=True)
class ModelLayouts:
    """The layouts of one model in one generation: a common one, and one for each version with its own references.

    outcome_generation: the one since which the outcomes are laid out and divided into segments as they are.
    segment_generation: the one since which the segments are what they are; they are the same for all versions.
    """

    generation: int
    common: Layout
    by_version: Mapping[str, Layout] = field(default_factory=dict)
    outcome_generation: int = 0
    segmentation: Segmentation = NO_SEGMENTS
    segment_generation: int = 0

    def of(self, version: str) -> Layout:
        return self.by_version.get(version, self.common)


NO_LAYOUTS = ModelLayouts(0, Layout({}))


# Known by their content, so each is decoded once for as long as it is in use.
_binnings: Decoded[Binning] = Decoded()
_outcomes: Decoded[OutcomeLayout] = Decoded()
_segmentations: Decoded[Segmentation] = Decoded()


def binning_of(identity: str, raw: bytes) -> Binning:
    """The stored binning of this id."""
    return _binnings.get(identity, len(raw), lambda: decode_binning(raw))


def outcome_layout_of(identity: str, raw: bytes) -> OutcomeLayout:
    """The stored outcome layout of this id."""
    return _outcomes.get(identity, len(raw), lambda: decode_outcome_layout(raw))


def segmentation_of(identity: str, raw: bytes) -> Segmentation:
    """The stored segmentation of this id."""
    return _segmentations.get(identity, len(raw), lambda: decode_segmentation(raw))


def what_of(row: Any) -> str:
    """Name of a row of the references in the error that says it can't be read."""
    subject = row.kind if not row.name else f"{row.kind} {row.name!r}"
    return f"The stored reference {row.id} ({subject}) of {row.model!r}"


def cells_of(row: Any, of_content: Callable[[str, bytes], Cell]) -> Cell:
    """What a row of the references counts in: a binning, a layout of outcomes or a segmentation. Raises DamagedData
    when it can't be read."""
    return decoded(what_of(row), lambda raw: of_content(row.binning_id, raw), row.binning)


def read_layouts(connection: Connection, model: str, generation: int) -> ModelLayouts:
    """The layouts of a model in one of its generations. Raises DamagedData when a reference can't be read."""
    return remembered(
        connection, (read_layouts, model, generation), lambda: _read_layouts(connection, model, generation)
    )


def _read_layouts(connection: Connection, model: str, generation: int) -> ModelLayouts:
    table = tables.reference
    rows = connection.execute(
        select(
            table.c.id,
            table.c.model,
            table.c.version,
            table.c.kind,
            table.c.name,
            table.c.binning_id,
            table.c.binning,
            table.c.from_generation,
            table.c.hashed,
        ).where(
            table.c.model == model,
            table.c.from_generation <= generation,
            or_(table.c.to_generation.is_(None), table.c.to_generation > generation),
        )
    ).all()
    binnings: dict[str | None, dict[Subject, Binning]] = {None: {}}
    outcomes: dict[str | None, OutcomeLayout] = {}
    hashed: set[tuple[str | None, Subject]] = set()
    outcome_generation, segment_generation = 0, 0
    segmentation = NO_SEGMENTS
    for row in rows:
        if row.kind == OUTCOME:
            outcomes[row.version] = cells_of(row, outcome_layout_of)
            outcome_generation = max(outcome_generation, row.from_generation)
        elif row.kind == SEGMENTS:
            segmentation = cells_of(row, segmentation_of)
            segment_generation = row.from_generation
        else:
            chosen = binnings.setdefault(row.version, {})
            chosen[Subject(row.kind, row.name)] = cells_of(row, binning_of)
            if row.hashed:
                hashed.add((row.version, Subject(row.kind, row.name)))
    found = model_layouts(generation, binnings, outcomes, max(outcome_generation, segment_generation), hashed)
    return replace(found, segmentation=segmentation, segment_generation=segment_generation)


def model_layouts(
    generation: int,
    binnings: Mapping[str | None, Mapping[Subject, Binning]],
    outcomes: Mapping[str | None, OutcomeLayout] | None = None,
    outcome_generation: int = 0,
    hashed: Collection[tuple[str | None, Subject]] = (),
) -> ModelLayouts:
    """The layouts of what is in force: by version, and for every version that has none of its own under None."""
    known = outcomes or {}
    shared, common_outcome = binnings.get(None, {}), known.get(None, NO_OUTCOMES)
    versions = sorted({version for version in (*binnings, *known) if version is not None})
    common_hashed = frozenset(subject for version, subject in hashed if version is None)
    of_versions = {}
    for version in versions:
        of_its_own = binnings.get(version, {})
        own_hashed = frozenset(subject for subject in of_its_own if (version, subject) in hashed)
        of_versions[version] = Layout(
            {**shared, **of_its_own},
            known.get(version, common_outcome),
            (common_hashed - of_its_own.keys()) | own_hashed,
        )
    return ModelLayouts(generation, Layout(shared, common_outcome, common_hashed), of_versions, outcome_generation)
