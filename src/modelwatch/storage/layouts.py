"""Layouts: which subjects a profile holds, in which binnings, at which place of its one vector of counts.

A profile row holds the counts of all subjects of a window, one after the other. The layout is a function of what the
reference table says for (model, generation, version), so it is stored nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, or_, select

from modelwatch.events import Prediction, Scalar
from modelwatch.stats import Binning, category_name, decode_binning
from modelwatch.storage import tables

Kind = Literal["feature", "prediction", "score", "latency"]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What is counted: a feature by its name, or the prediction, its score or its latency."""

    kind: Kind
    name: str = ""


PREDICTION = Subject("prediction")
SCORE = Subject("score")
LATENCY = Subject("latency")


def subject_values(subject: Subject, events: Iterable[Prediction]) -> list[Scalar]:
    """The subject's value in each event, None where the event has none."""
    if subject.kind == "feature":
        name = subject.name
        return [event.features.get(name) for event in events]
    if subject.kind == "prediction":
        return [event.prediction for event in events]
    if subject.kind == "latency":
        return [event.latency_ms for event in events]
    return [score_of(event) for event in events]


def score_of(event: Prediction) -> float | None:
    """The probability as one number; of a map of classes, the one of the predicted class."""
    if isinstance(event.probability, dict):
        return event.probability.get(category_name(event.prediction) or "")
    return event.probability


@dataclass(frozen=True)
class Layout:
    """The subjects of a profile in the order of their counts."""

    binnings: Mapping[Subject, Binning]

    @cached_property
    def slices(self) -> dict[Subject, slice]:
        result, start = {}, 0
        for subject in sorted(self.binnings):
            stop = start + self.binnings[subject].size
            result[subject] = slice(start, stop)
            start = stop
        return result

    @cached_property
    def size(self) -> int:
        return sum(binning.size for binning in self.binnings.values())

    def count(self, events: list[Prediction]) -> Counts:
        """The counts of all subjects over these events, as one vector."""
        counts = np.zeros(self.size, dtype=np.int64)
        for subject, place in self.slices.items():
            counts[place] = self.binnings[subject].count(subject_values(subject, events))
        return counts


@dataclass(frozen=True)
class ModelLayouts:
    """The layouts of one model in one generation: a common one, and one for each version with its own references."""

    generation: int
    common: Layout
    by_version: Mapping[str, Layout] = field(default_factory=dict)

    def of(self, version: str) -> Layout:
        return self.by_version.get(version, self.common)


NO_LAYOUTS = ModelLayouts(0, Layout({}))


# Binnings are known by their content, so each is decoded once for as long as it is in use.
MAX_DECODED = 100_000
_known: dict[str, Binning] = {}


def binning_of(identity: str, raw: bytes) -> Binning:
    """The stored binning of this id."""
    found = _known.get(identity)
    if found is None:
        if len(_known) >= MAX_DECODED:
            _known.clear()
        found = _known[identity] = decode_binning(raw)
    return found


def read_layouts(connection: Connection, model: str, generation: int) -> ModelLayouts:
    """The layouts of a model in one of its generations."""
    table = tables.reference
    rows = connection.execute(
        select(table.c.version, table.c.kind, table.c.name, table.c.binning_id, table.c.binning).where(
            table.c.model == model,
            table.c.from_generation <= generation,
            or_(table.c.to_generation.is_(None), table.c.to_generation > generation),
        )
    ).all()
    common: dict[Subject, Binning] = {}
    own: dict[str, dict[Subject, Binning]] = {}
    for row in rows:
        chosen = common if row.version is None else own.setdefault(row.version, {})
        chosen[Subject(row.kind, row.name)] = binning_of(row.binning_id, row.binning)
    return model_layouts(generation, common, own)


def model_layouts(
    generation: int, common: Mapping[Subject, Binning], own: Mapping[str, Mapping[Subject, Binning]]
) -> ModelLayouts:
    """The layouts of these binnings: those of all versions, and by version those that it has of its own."""
    return ModelLayouts(
        generation, Layout(common), {version: Layout({**common, **binnings}) for version, binnings in own.items()}
    )
