"""Layout of the counts of outcomes: the parts of the vector, and the cells that an outcome adds to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from modelwatch.stats.counting.categorical import category_name, category_names
from modelwatch.stats.counting.datatypes import is_finite_number, number_of
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.errors import MalformedProfile
from modelwatch.stats.outcomes.classes import ClassNames, class_names, share_of
from modelwatch.stats.outcomes.delays import DelayLayout, delay_cells
from modelwatch.stats.outcomes.tasks import (
    MAX_CLASSES,
    PositiveFrom,
    Probability,
    ScoreOf,
    Task,
    TaskFrom,
)
from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    ConfusionLayout,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    ScoreLayout,
)
from modelwatch.stats.performance.mergeable import Entries, Floats, Layout, slices

Naming = Literal["exact", "canonical"]
# Histograms of the scores of so many classes are kept; of more, the confusion matrix alone.
MAX_SCORED_CLASSES = 20
FORMAT = 2
# Layouts of this format knew classes by their exact names alone, and what was counted by them stays so.
EXACT_FORMAT = 1


class Outcome(NamedTuple):
    """A prediction and its truth. probability: of one class (see `OutcomeLayout.score_of`), or by class.

    delay: seconds from the prediction to its first label.
    """

    prediction: Scalar
    probability: Probability
    truth: Scalar
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Many outcomes, in columns."""

    predictions: list[Scalar] = field(default_factory=list)
    probabilities: list[Probability] = field(default_factory=list)
    truths: list[Scalar] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Outcomes:
        """These outcomes, in their order."""
        columns = cls()
        for outcome in outcomes:
            columns.add(*outcome)
        return columns

    def __len__(self) -> int:
        return len(self.delays)

    def add(self, prediction: Scalar, probability: Probability, truth: Scalar, delay: float) -> None:
        """Appends one."""
        self.predictions.append(prediction)
        self.probabilities.append(probability)
        self.truths.append(truth)
        self.delays.append(delay)

    def some(self, rows: Sequence[int]) -> Outcomes:
        """Outcomes of these rows."""
        columns = (self.predictions, self.probabilities, self.truths, self.delays)
        return Outcomes(*([column[row] for row in rows] for column in columns))  # type: ignore[arg-type]


class Part(NamedTuple):
    """A stretch of the vector."""

    name: Literal["delays", "confusion", "scores", "class_scores", "confidence", "regression"]
    layout: Layout
    place: slice


@dataclass(frozen=True)
class OutcomeLayout:
    """The counts kept of an outcome.

    task: None while nothing is known about the model's truth: then delays alone are counted.
    classes: in their order. positive: of two classes the one that precision, recall and scores are about.
    score_of: what a probability that is one number is about: the positive class, the other one ("negative"), or the
        class that was predicted.
    class_scores: whether the model sends the probabilities of all of its (more than two) classes.
    task_from, positive_from: what these rest on; empty for layouts of earlier releases.
    naming: whether values are known by what they mean (see classes.py), or by exact names, as in earlier releases.
    next_frequency: labels and predictions of the most frequent class beside `classes`, in the labelled rows that these
        were chosen by; None when there was no other one, and in layouts of earlier releases.
    """

    task: Task | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    score_of: ScoreOf = "predicted"
    class_scores: bool = False
    regression: RegressionLayout | None = None
    naming: Naming = "canonical"
    task_from: TaskFrom = ""
    positive_from: PositiveFrom = ""
    next_frequency: int | None = None

    def counts_like(self, other: OutcomeLayout) -> bool:
        """True when the other counts everything in the same cells, whatever the two rest on."""
        return self == replace(
            other, task_from=self.task_from, positive_from=self.positive_from, next_frequency=self.next_frequency
        )

    @property
    def is_full(self) -> bool:
        """True when there may be more classes than are told apart."""
        return len(self.classes) >= MAX_CLASSES

    @cached_property
    def names(self) -> ClassNames:
        """Finds the class that a value means."""
        return class_names(self.classes)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The stretches of the vector by name, in their order."""
        layouts: list[tuple[str, Layout]] = [("delays", DelayLayout())]
        if self.task == "regression" and self.regression is not None:
            layouts.append(("regression", self.regression))
        elif self.task == "binary":
            layouts += [("confusion", self.confusion), ("scores", ScoreLayout())]
        elif self.task == "multiclass":
            layouts += [("confusion", self.confusion), ("confidence", ScoreLayout())]
            if self.class_scores:
                layouts.append(("class_scores", ClassScoreLayout(self.classes)))
        places = slices([layout.size for _, layout in layouts])
        return {
            name: Part(name, layout, place)  # type: ignore[arg-type]
            for (name, layout), place in zip(layouts, places, strict=True)
        }

    @cached_property
    def confusion(self) -> ConfusionLayout:
        """The layout of the confusion matrix. Only for classifiers."""
        return ConfusionLayout(self.classes, self.positive if self.task == "binary" else None)

    @cached_property
    def size(self) -> int:
        """Length of a count vector."""
        return sum(part.layout.size for part in self.parts.values())

    @cached_property
    def id(self) -> str:
        """The fingerprint of the layout."""
        return hashlib.sha256(self.encode()).hexdigest()[:32]

    def encode(self) -> bytes:
        """Bytes that `decode_outcome_layout` turns back into the same layout."""
        document = asdict(self)
        # Layouts without one keep the bytes, and so the id, that they have in earlier releases.
        if self.next_frequency is None:
            del document["next_frequency"]
        if self.naming == "exact":
            document = {
                name: document[name] for name in document if name not in ("naming", "task_from", "positive_from")
            }
        number = EXACT_FORMAT if self.naming == "exact" else FORMAT
        return msgspec.json.encode({"format": number, **document}, order="sorted")

    def entries(self, outcomes: Outcomes | Sequence[Outcome]) -> Entries:
        """Increments of the vector by each outcome."""
        columns = outcomes if isinstance(outcomes, Outcomes) else Outcomes.of(outcomes)
        parts, probabilities = self.parts, columns.probabilities
        delays = delay_cells(np.array(columns.delays, dtype=np.float64))
        found = [Entries.ones(np.arange(len(columns)), delays)]
        if "regression" in parts:
            assert self.regression is not None
            number = _number if self.naming == "exact" else number_of
            predicted = np.array([number(value) for value in columns.predictions])
            truth = np.array([number(value) for value in columns.truths])
            errors = RegressionCounts.entries(self.regression, predicted, truth)
            found.append(errors.moved(parts["regression"].place.start))
        if "confusion" in parts:
            predicted_names, true_names = self.named(columns.predictions), self.named(columns.truths)
            pairs = ConfusionCounts.entries(self.confusion, predicted_names, true_names)
            found.append(pairs.moved(parts["confusion"].place.start))
            if "scores" in parts:
                scores = self._positive_scores(predicted_names, probabilities)
                positive = np.array([name == self.positive for name in true_names], dtype=np.bool_)
                found.append(ScoreCounts.entries(scores, positive).moved(parts["scores"].place.start))
            if "confidence" in parts:
                scores = np.array([self.confidence(*each) for each in zip(predicted_names, probabilities, strict=True)])
                right = np.array(
                    [true == name for true, name in zip(true_names, predicted_names, strict=True)], dtype=np.bool_
                )
                found.append(ScoreCounts.entries(scores, right).moved(parts["confidence"].place.start))
            if "class_scores" in parts:
                layout = ClassScoreLayout(self.classes)
                given = np.array(
                    [self._class_probabilities(*each) for each in zip(predicted_names, probabilities, strict=True)]
                )
                codes = layout.codes(true_names)
                entries = ClassScoreCounts.entries(layout, given.reshape(len(columns), len(self.classes)), codes)
                found.append(entries.moved(parts["class_scores"].place.start))
        return Entries.joined(found)

    def named(self, values: Sequence[Scalar]) -> list[str | None]:
        """The class that each value means, or the name of one that is not known."""
        if self.naming == "exact":
            return category_names(values)
        exact, name = self.names.exact, self.names.name
        # Most values are the names of classes, and a call takes longer than a look.
        return [exact[value] if type(value) is str and value in exact else name(value) for value in values]

    def share(self, shares: Mapping[str, float], value: Scalar) -> float | None:
        """The probability of a class in a map from class to probability; None when no key means it."""
        if self.naming == "exact":
            return shares.get(category_name(value) or "")
        return share_of(shares, value)

    def confidence(self, prediction: Scalar, probability: Probability) -> float:
        """The probability of the predicted class, where a single number is about that; NaN where it is unknown."""
        if isinstance(probability, Mapping):
            share = self.share(probability, prediction)
            return float("nan") if share is None else share
        return float("nan") if probability is None else probability

    def positive_score(self, prediction: Scalar, probability: Probability) -> float:
        """The probability of the positive class; NaN where it is unknown. Only for two classes."""
        if isinstance(probability, Mapping):
            share = self.share(probability, self.positive)
            if share is None:
                others = (self.share(probability, name) for name in self.classes)
                share = next((1.0 - other for other in others if other is not None), float("nan"))
            return share
        if probability is None:
            return float("nan")
        if self.score_of != "predicted":
            return probability if self.score_of == "positive" else 1.0 - probability
        name = category_name(prediction) if self.naming == "exact" else self.names.of(prediction)
        if name not in self.classes:
            return float("nan")
        return probability if name == self.positive else 1.0 - probability

    def _positive_scores(self, predictions: Sequence[Scalar], probabilities: Sequence[Probability]) -> Floats:
        if self.score_of != "positive":
            return np.array([self.positive_score(*each) for each in zip(predictions, probabilities, strict=True)])
        # What such a number is about needs no call to be told.
        return np.array(
            [
                probability if type(probability) is float else self.positive_score(prediction, probability)
                for prediction, probability in zip(predictions, probabilities, strict=True)
            ],
            dtype=np.float64,
        )

    def _class_probabilities(self, prediction: Scalar, probability: Probability) -> list[float]:
        """By class; a class that is not named has none. NaN for a row without a map, or whose map does not even name
        the class that was predicted: then its keys are no classes."""
        nothing = [float("nan")] * len(self.classes)
        if not isinstance(probability, Mapping):
            return nothing
        if self.naming == "exact":
            return [probability.get(name, 0.0) for name in self.classes]
        if prediction is not None and self.share(probability, prediction) is None:
            return nothing
        shares = [self.share(probability, name) for name in self.classes]
        return [share or 0.0 for share in shares] if any(share is not None for share in shares) else nothing


NO_OUTCOMES = OutcomeLayout()


def decode_outcome_layout(raw: bytes) -> OutcomeLayout:
    """The layout of its bytes. Raises MalformedProfile for anything else.

    >>> decode_outcome_layout(NO_OUTCOMES.encode()) == NO_OUTCOMES
    True
    """
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except msgspec.MsgspecError as error:
        raise MalformedProfile(f"the layout of the outcomes can't be read: {error}") from error
    if document.format not in (EXACT_FORMAT, FORMAT):
        raise MalformedProfile(f"the layout of the outcomes is of format {document.format}, expected {FORMAT}")
    return OutcomeLayout(
        document.task,
        document.classes,
        document.positive,
        document.score_of,
        document.class_scores,
        document.regression,
        document.naming,
        document.task_from,
        document.positive_from,
        document.next_frequency,
    )


class _Document(msgspec.Struct):
    format: int
    task: Task | None
    classes: tuple[str, ...]
    positive: str | None
    score_of: ScoreOf
    class_scores: bool
    regression: RegressionLayout | None
    naming: Naming = "exact"
    task_from: TaskFrom = ""
    positive_from: PositiveFrom = ""
    next_frequency: int | None = None


def _number(value: Scalar) -> float:
    return float(value) if is_finite_number(value) else float("nan")
