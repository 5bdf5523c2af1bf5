"""Predictions, their probabilities and labels of a data set, read row by row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from modelwatch.events import Scalar
from modelwatch.library.sources import Source, UnreadableColumn, type_name
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout, Outcomes
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.stats.performance.mergeable import Floats
from modelwatch.stats.quality.codes import is_code_number

if TYPE_CHECKING:
    from modelwatch.library.reference import ColumnNames

# Where more of the scores are codes for missing ones, they are those of a ranking or a margin.
MOST_CODES = 0.01
MOST_CODE_VALUES = 2
# Other numbers beyond 0 to 1 are errors where they are few in number and share: else they are of another scale, where
# those beyond 1 are the surest (percent of a rare class).
MOST_ERRORS, MOST_ERRORS_SHARE = 9, 0.001

NO_TASK = "its labels do not determine a task: two classes or numbers are needed, in rows that have a prediction"


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Predictions, their probabilities and labels of a data set, row by row; None where one is missing.

    no_probabilities: why its scores are none, and left out. odd_scores: clause on single ones that are left out.
    """

    predictions: list[Scalar]
    probabilities: list[Probability]
    truths: list[Scalar]
    no_probabilities: str | None = None
    odd_scores: str | None = None

    def odd_values(self, layout: OutcomeLayout) -> list[str]:
        """Clauses on values that are left out of the metrics of this layout: scores, or numbers of a regression."""
        if layout.task != "regression":
            return [] if self.odd_scores is None else [self.odd_scores]
        sides = (("predictions", self.predictions), ("labels", self.truths))
        counted = [(what, sum(map(_is_infinite, values)), len(values)) for what, values in sides]
        return [f"{n:,} of {of:,} {what} {'is' if n == 1 else 'are'} infinite" for what, n, of in counted if n]

    @property
    def labelled_rows(self) -> list[int]:
        """Numbers of the rows that have a prediction and a label."""
        return [
            row
            for row, (prediction, truth) in enumerate(zip(self.predictions, self.truths, strict=True))
            if prediction is not None and truth is not None
        ]

    @property
    def no_task(self) -> str:
        """Why its labels determine no task, where they don't."""
        return NO_TASK if any(truth is not None for truth in self.truths) else "it has no label"

    @property
    def labelled(self) -> Outcomes:
        """The rows that have a prediction and a label."""
        zeros = [0.0] * len(self.truths)
        return Outcomes(self.predictions, self.probabilities, self.truths, zeros).some(self.labelled_rows)


def label_columns(source: Source, names: ColumnNames) -> LabelColumns | None:
    """The columns of a data set that performance is computed from; None without predictions or labels.

    Raises UnreadableColumn for predictions or labels of another type.
    """
    from modelwatch.api.decoding.columns.reading import category_values

    if names.prediction not in source.names or not names.has_labels(source.names):
        return None
    predictions = category_values(_scalars(source, names.prediction))
    truths = _scalars(source, names.ground_truth)
    try:
        given = probabilities_in(source, names)
    except UnreadableColumn as problem:
        # Predictions and labels give a performance without them.
        return LabelColumns(predictions, [None] * len(predictions), truths, f"the scores can't be read: {problem}")
    if given is None:
        return LabelColumns(predictions, [None] * len(predictions), truths)
    wrong, odd = _no_probabilities(given), None
    if wrong is not None:
        given = [None] * len(predictions)
    else:
        given, odd = _without_odd_scores(given)
    return LabelColumns(predictions, given, truths, wrong, odd)


def _no_probabilities(given: Sequence[Probability]) -> str | None:
    """Why scores are no probabilities, as those of a ranking or a margin; None where they are. Few of them, which lie
    between 0 and 1 by chance, tell nothing of how well the model ranks."""
    numbers = [number for each in given for number in _numbers_in(each)]
    found = np.array(numbers, dtype=np.float64)
    outside = found[np.isfinite(found) & ((found < 0.0) | (found > 1.0))]
    beyond = len(outside)
    usable = int(((found >= 0.0) & (found <= 1.0)).sum())
    if not beyond or (usable and _are_errors(outside, len(numbers))):
        return None
    are = "is" if beyond == 1 else "are"
    return f"{beyond:,} of {len(numbers):,} scores {are} not between 0 and 1, so they are no probabilities"


def _are_errors(outside: Floats, n: int) -> bool:
    """True when single numbers of n scores are codes or errors, and the others are probabilities all the same."""
    values = np.unique(outside)
    if len(values) <= MOST_CODE_VALUES and all(map(is_code_number, values.tolist())):
        return len(outside) <= MOST_CODES * n
    return len(outside) <= min(MOST_ERRORS, MOST_ERRORS_SHARE * n)


def _without_odd_scores(given: Sequence[Probability]) -> tuple[list[Probability], str | None]:
    """Probabilities, None where one can't be, and a clause on how many those are: an infinite one, or a code for
    missing, says nothing of the others."""
    odd = {row for row, each in enumerate(given) if any(number < 0.0 or number > 1.0 for number in _numbers_in(each))}
    if not odd:
        return list(given), None
    scored = sum(each is not None for each in given)
    are = "is" if len(odd) == 1 else "are"
    kept = [None if row in odd else each for row, each in enumerate(given)]
    return kept, f"{len(odd):,} of {scored:,} scores {are} not between 0 and 1"


def _numbers_in(given: Probability) -> Iterable[float]:
    """The probability, or those of all classes."""
    return () if given is None else given.values() if isinstance(given, Mapping) else (given,)


def _is_infinite(value: Scalar) -> bool:
    return isinstance(value, float) and math.isinf(value)


def probabilities_in(source: Source, names: ColumnNames) -> list[Probability] | None:
    """The probabilities of a data set, one number or one for each class; None without them. Raises UnreadableColumn."""
    from modelwatch.api.decoding.columns.batches import probabilities
    from modelwatch.api.decoding.values import clipped_all

    if names.score not in source.names:
        return None
    column = source.column(names.score)
    if column.null_count == len(column):
        return None
    try:
        return list(clipped_all(probabilities(column, {})))
    except (AttributeError, TypeError, ValueError):
        raise UnreadableColumn(
            f"their type is {type_name(column.type)}; a probability, or one for each class, is expected"
        ) from None


def _scalars(source: Source, name: str) -> list[Scalar]:
    from modelwatch.api.decoding.columns.reading import scalars
    from modelwatch.api.decoding.columns.schema import is_scalar

    column = source.column(name)
    if not is_scalar(column.type):
        raise UnreadableColumn(f"its type is {type_name(column.type)}; numbers, text and booleans can be compared")
    return scalars(column)
