"""Predictions that stores are measured with: of some kinds, the same ones for each store that is measured."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.stores import new_id
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.store import Store

# Of earlier releases, too, this module and what it imports take nothing that they do not have.
MODEL = "fraud"
# The start of a base window, in microseconds.
START = 1_750_000_200_000_000
MICROSECONDS = 1_000_000
SHOPS = ["grocery", "fuel", "travel", "books"]
REFERENCE_ROWS = 2_000
# More than is carried over at once.
LATER_SECONDS = 3 * 86_400


@dataclass(frozen=True)
class Shape:
    """Predictions of a kind.

    rows: in a commit. decimals: of its numbers; None: full precision. known: numbers that the model knows, of which
    each prediction names other ones; None: those of each prediction.
    """

    name: str
    rows: int
    numbers: int
    categories: int
    decimals: int | None
    has_uuids: bool
    known: int | None = None

    def names(self) -> list[str]:
        """The names of its features, numbers first."""
        numbers = self.numbers if self.known is None else self.known
        return [f"number_{place}" for place in range(numbers)] + [
            f"category_{place}" for place in range(self.categories)
        ]

    def events(self, rng: np.random.Generator, batch: int, windows: int = 1) -> list[Prediction]:
        """A commit of it in one window, as live traffic has it. batch: makes its ids, and chooses among the windows."""
        values = rng.normal(100, 25, (self.rows, self.numbers))
        numbers = (values if self.decimals is None else values.round(self.decimals)).tolist()
        words = rng.choice(SHOPS, (self.rows, self.categories)).tolist()
        start = START + batch % windows * BASE_WINDOW_SECONDS * MICROSECONDS
        times = (start + np.sort(rng.integers(0, BASE_WINDOW_SECONDS * MICROSECONDS, self.rows))).tolist()
        names = [self.names()] * self.rows
        if self.known is not None:
            names = [rng.choice(each, self.numbers, replace=False).tolist() for each in names]
        return [
            Prediction(
                MODEL,
                "1",
                "production",
                str(uuid.UUID(bytes=rng.bytes(16))) if self.has_uuids else f"prediction-{batch}-{place}",
                at,
                dict(zip(names[place], [*row, *texts], strict=True)),
                "legitimate",
                0.9,
                latency_ms=45.2,
            )
            for place, (row, texts, at) in enumerate(zip(numbers, words, times, strict=True))
        ]

    def later(self, rng: np.random.Generator) -> Prediction:
        """One that comes so much later that the others are not counted again at once when a reference is set."""
        return msgspec.structs.replace(
            self.events(rng, 0)[0], prediction_id="later", timestamp=START + LATER_SECONDS * MICROSECONDS
        )

    def set_reference(self, store: Store, rng: np.random.Generator) -> None:
        """A new one, which has its cells at other places."""
        samples = [
            ReferenceSample("feature", name, "continuous", rng.normal(100, 25, REFERENCE_ROWS).tolist())
            if name.startswith("number")
            else ReferenceSample("feature", name, "categorical", rng.choice(SHOPS, REFERENCE_ROWS).tolist())
            for name in self.names()
        ]
        set_reference_frame(store, ReferenceFrame(MODEL, None, samples), now=START, new_id=new_id)


SHAPES = (
    Shape("50 numbers, 1,000 a commit", 1_000, 50, 0, None, has_uuids=False),
    Shape("40 prices and 10 categories, 1,000 a commit", 1_000, 40, 10, 2, has_uuids=True),
    Shape("8 prices and 2 categories, 32 a commit", 32, 8, 2, 2, has_uuids=True),
)
