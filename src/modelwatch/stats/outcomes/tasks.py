"""Inference of what a model's predictions and labels mean, where it is not stated: the task, the positive class, what a
probability that is one number is about.

Each answer comes with what it rests on, so that people can be told, and can say otherwise.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwatch.stats.counting.categorical import name_counts
from modelwatch.stats.counting.datatypes import MAX_CLASS_IDS, inferred_type, is_finite_number, number_of
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.outcomes.classes import SENSES, class_key, class_names

Task = Literal["binary", "multiclass", "regression"]
ScoreOf = Literal["positive", "predicted", "negative"]
Probability = float | Mapping[str, float] | None
# What the task rests on: said by the user; the kind of the predictions; few different whole numbers; probabilities that
# were sent; how labels lie to predictions; and numbers that look like the probabilities of one of two classes.
TaskFrom = Literal["", "stated", "values", "few", "probabilities", "labels", "likelihoods"]
# What the positive class rests on: said by the user; its name; the class that the scores agree with; the rarer one; or
# nothing better than the order of the names.
PositiveFrom = Literal["", "stated", "name", "scores", "rarer", "order"]

# The most frequent classes of a model; the rest are `other`.
MAX_CLASSES = 50
# Whole numbers of so few kinds are always the ids of classes: nothing is lost when they count something.
ALWAYS_CLASSES = 5
# From so many wrong predictions on, how far off they are tells classes from numbers; and how much nearer to the label
# than another row's label they must be for numbers. Wrong ids of classes are 0.74 and more, wrong counts mostly below
# 0.65, in simulations of 300 to 2,000 rows (10 ids with structured confusions; Poisson counts of mean 3).
ENOUGH_WRONG = 30
NEARER = 0.7
# Rows with a label and a score from which on scores tell anything, and the log likelihood by which they must.
ENOUGH_SCORED = 20
DECISIVE_NATS = 10.0
LEAST_PROBABILITY = 1e-3
# The rarer class is told by a difference of so many standard deviations.
CLEARLY_RARER = 4.0

POSITIVE_NAMES = frozenset(
    "abnormal abuse accident anomalous anomaly attack attrition attrited bad bot canceled cancelled cancer churn"
    " churned churner claim click clicked conversion converted default defaulted defect defective disease diseased"
    " exited fail failed failure faulty fraud fraudulent infected intrusion malicious malignant malware outlier"
    " phishing pos positive readmitted sick spam toxic".split()
)
NEGATIVE_NAMES = frozenset(
    "active benign clean genuine good ham healthy intact legit legitimate neg negative none normal ok okay paid regular"
    " repaid retained safe stayed".split()
)
NEGATION = re.compile(r"(no|not|non|un|without)[\s_\-]*(?=.)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StatedTask:
    """The stated task and positive class of a model; None where not stated."""

    task: Task | None = None
    positive_class: Scalar = None


NOT_STATED = StatedTask()


def infer_task(
    predictions: Sequence[Scalar], truths: Sequence[Scalar], probabilities: Sequence[Probability]
) -> tuple[Literal["classes", "regression"], TaskFrom]:
    """The task of these predictions, of classes or of numbers, and what that rests on.

    Whole numbers are either. They are classes where there are few kinds, or a probability is sent with them, and
    numbers where there are very many. In between the wrong ones tell: those of numbers are near the label.

    >>> infer_task(["a", "b"], ["a", "a"], []), infer_task([0.5, 1.0], [1, 2], [])
    (('classes', 'values'), ('regression', 'values'))
    >>> infer_task(list(range(30)) * 9, list(range(30)) * 9, [])
    ('classes', 'labels')
    """
    present = [value for value in predictions if value is not None]
    if inferred_type(present) == "categorical":
        return "classes", "values"
    numbers = [float(value) for value in present if is_finite_number(value)]
    if any(not number.is_integer() for number in numbers):
        likely = all(0.0 <= number <= 1.0 for number in numbers)
        known = {class_key(value) for value in truths} - {None}
        return "regression", "likelihoods" if likely and len(known) == 2 and known <= {"0", "1"} else "values"
    kinds = len(set(numbers))
    if any(each is not None for each in probabilities):
        return "classes", "probabilities"
    true = [number_of(value) for value in truths]
    if kinds <= ALWAYS_CLASSES:
        fractions = sum(math.isfinite(number) and not number.is_integer() for number in true)
        return ("regression", "labels") if 2 * fractions > len(true) else ("classes", "few")
    if any(math.isfinite(number) and not number.is_integer() for number in true):
        return "regression", "labels"
    if kinds > MAX_CLASSES:
        return "regression", "values"
    rows = zip(map(number_of, predictions), true, strict=False)
    pairs = [pair for pair in rows if math.isfinite(pair[0]) and math.isfinite(pair[1])]
    wrong = sum(prediction != label for prediction, label in pairs)
    if wrong >= ENOUGH_WRONG:
        return ("regression" if nearness(pairs) < NEARER else "classes"), "labels"
    if kinds <= MAX_CLASS_IDS:
        return "classes", "few"
    return ("classes", "labels") if pairs and 2 * wrong <= len(pairs) else ("regression", "values")


def nearness(pairs: Sequence[tuple[float, float]]) -> float:
    """Distance of wrong predictions from their label, as a share of that from another row's label: near 1 for the
    ids of classes, less for numbers. NaN when none is wrong.

    >>> nearness([(1.0, 2.0), (9.0, 8.0)])
    0.25
    """
    predicted, true = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    wrong = predicted != true
    if not wrong.any():
        return math.nan
    values, counts = np.unique(true, return_counts=True)
    far = np.abs(predicted[wrong, None] - values[None, :])
    # Another label than the prediction, as often as it occurs: at least the row's own is one.
    weights = counts * (far > 0.0)
    usual = ((far * weights).sum(axis=1) / weights.sum(axis=1)).mean()
    return float(np.abs(predicted - true)[wrong].mean() / usual)


def infer_positive(
    classes: tuple[str, str],
    predictions: Sequence[Scalar],
    truths: Sequence[Scalar],
    probabilities: Sequence[Probability],
) -> tuple[str, ScoreOf, PositiveFrom]:
    """The positive one of two classes, the class that scores of one number are about, and the basis of the former.

    >>> infer_positive(("fraud", "legitimate"), [], [], [])
    ('fraud', 'predicted', 'name')
    >>> infer_positive(("a", "b"), ["b"] * 90 + ["a"] * 10, ["b"] * 90 + ["a"] * 10, [])
    ('a', 'predicted', 'rarer')
    """
    about = scores_about(classes, predictions, truths, probabilities)
    named = _by_name(classes)
    if named is not None:
        return named, score_of(named, about), "name"
    if about in classes:
        return about, "positive", "scores"
    rarer = _rarer(classes, truths)
    if rarer is not None:
        return rarer, "predicted", "rarer"
    return classes[-1], "predicted", "order"


def score_of(positive: str, about: str | None) -> ScoreOf:
    """The class that scores are about, as a layout writes it. about: as `scores_about` says."""
    if about in (None, ""):
        return "predicted"
    return "positive" if about == positive else "negative"


def scores_about(
    classes: tuple[str, str],
    predictions: Sequence[Scalar],
    truths: Sequence[Scalar],
    probabilities: Sequence[Probability],
) -> str | None:
    """The class of two that scores of one number are about, "" for the class that was predicted; None if labelled rows
    don't clearly tell.

    The three are compared by how likely they make the labels.

    >>> scores_about(("no", "yes"), ["no", "yes"] * 20, ["no", "yes"] * 20, [0.1, 0.9] * 20)
    'yes'
    >>> scores_about(("no", "yes"), ["no", "yes"] * 20, ["no", "yes"] * 20, [0.9, 0.9] * 20)
    ''
    """
    names = class_names(classes)
    scored = (
        (names.of(predicted), names.of(true), share)
        for predicted, true, share in zip(predictions, truths, probabilities, strict=False)
        if isinstance(share, float | int)
    )
    rows = [
        (called == classes[0], was == classes[0], share)
        for called, was, share in scored
        if called in classes and was in classes
    ]
    if len(rows) < ENOUGH_SCORED:
        return None
    predicted, true = (np.array([row[column] for row in rows], dtype=bool) for column in (0, 1))
    share = np.array([row[2] for row in rows], dtype=np.float64)
    of_first = {classes[0]: share, classes[1]: 1.0 - share, "": np.where(predicted, share, 1.0 - share)}
    likelihood = {}
    for about, first in of_first.items():
        of_truth = np.where(true, first, 1.0 - first).clip(LEAST_PROBABILITY, 1.0)
        likelihood[about] = float(np.log(of_truth).sum())
    best, second = sorted(likelihood, key=lambda about: -likelihood[about])[:2]
    return best if likelihood[best] - likelihood[second] >= DECISIVE_NATS else None


def _by_name(classes: tuple[str, str]) -> str | None:
    """The class whose name says that something is so, where the other's does not."""
    first, second = (_sense_of(name, other) for name, other in (classes, classes[::-1]))
    if first == second:
        return None
    return classes[0] if first > second else classes[1]


def _sense_of(name: str, other: str) -> int:
    """1 for a name of what is looked for, -1 for one of its absence, else 0. other: the name of the other class."""
    word = (class_key(name) or "").casefold()
    if re.fullmatch(r"-?[0-9.]+", word):
        # Of numbers, 1 beside 0 or -1 alone says anything.
        pair = {word, class_key(other) or ""}
        return int(pair in ({"0", "1"}, {"-1", "1"})) * (1 if word == "1" else -1)
    # A letter says yes or no only beside one that says the other.
    if word in SENSES and (len(word) > 1 or (class_key(other) or "").casefold() in SENSES):
        return 1 if SENSES[word] == "1" else -1
    parts = [part for part in re.split(r"[\W_]+", word) if part]
    plain = NEGATION.sub("", word, count=1)
    if plain != word and (plain == (class_key(other) or "").casefold() or set(parts) & {"no", "not", "non", "without"}):
        return -1
    if word in NEGATIVE_NAMES or set(parts) & NEGATIVE_NAMES:
        return -1
    return int(word in POSITIVE_NAMES or bool(set(parts) & POSITIVE_NAMES))


def _rarer(classes: tuple[str, str], truths: Sequence[Scalar]) -> str | None:
    names = class_names(classes)
    counts: Counter[str | None] = Counter()
    for name, n in name_counts(truths).items():
        counts[names.of(name)] += n
    first, second = (counts[name] for name in classes)
    if abs(first - second) < CLEARLY_RARER * math.sqrt(first + second):
        return None
    return min(classes, key=lambda name: counts[name])
