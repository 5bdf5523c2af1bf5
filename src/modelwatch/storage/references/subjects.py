"""Subjects: what of a model has a reference, is counted, and is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["provisional", "active", "retired"]


Kind = Literal["feature", "prediction", "score", "latency", "calls", "outcome", "segments"]


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A feature by its name, or the prediction, its score, its latency, or scores by predicted class."""

    kind: Kind
    name: str = ""


PREDICTION = Subject("prediction")
SCORE = Subject("score")
LATENCY = Subject("latency")
PREDICTED_SCORES = Subject("calls")

# The kind under which the reference table keeps the layout of the outcomes, and what the reference's own are.
OUTCOME: Kind = "outcome"
OUTCOMES = Subject(OUTCOME)
# And that under which it keeps what the segments of the model are.
SEGMENTS: Kind = "segments"
