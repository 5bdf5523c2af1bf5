"""Interpretation of a model's labels and scores, in sentences: its task, its positive class, unexpected labels."""

from __future__ import annotations

from dataclasses import dataclass

from modelwatch.charts.drawing.numbers import percent
from modelwatch.measures import plain
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClassCounts
from modelwatch.stats.outcomes.tasks import StatedTask

TASK = "set task in the model's monitor or with the reference"
POSITIVE = "set positive_class in the model's monitor or with the reference"
# With fewer labels of one window it may be chance that none is of a class that was predicted.
ENOUGH_LABELS = 20
# Share of the labels that are beyond the classes told apart from which on that is said.
LEAST_BEYOND = 0.01
UNNAMED = "the keys of prediction_probability do not include the predicted class: use the same names as in prediction"
NO_COMMON_CLASS = (
    "predictions and labels have no class in common: {predicted} are predicted, {labelled} are labels; use the same"
    " names for both"
)
NOT_OF_PREDICTED = (
    "prediction_probability is below one half for most predictions of {name!r}, so it is not that of the predicted"
    " class: " + POSITIVE
)
# With fewer calls it may be chance on which side of one half they lie.
ENOUGH_CALLS = 20


def task_reason(layout: OutcomeLayout, monitor: StatedTask) -> str | None:
    """Reason for the task, and what to do if it is wrong; None without a task."""
    if layout.task is None:
        return None
    if monitor.task == layout.task:
        return "Set in the model's monitor."
    numbers = layout.task == "regression"
    return {
        "": "Determined by an earlier release.",
        "stated": "Set with the reference.",
        "values": "The predictions are numbers, and not ids of classes."
        if numbers
        else "The predictions are texts or booleans.",
        "few": f"The predictions are few different whole numbers, so they are ids of classes. If not, {TASK}.",
        "probabilities": f"The predictions are whole numbers with probabilities, so ids of classes. If not, {TASK}.",
        "labels": "The predictions are whole numbers, and the labels of wrong ones "
        + ("are near them, as with amounts." if numbers else "are spread evenly, as with ids of classes.")
        + f" If they are {'ids of classes' if numbers else 'amounts'}, {TASK}.",
        "likelihoods": "The predictions are numbers between 0 and 1, taken for amounts.",
    }[layout.task_from]


def positive_class_reason(layout: OutcomeLayout, monitor: StatedTask) -> str | None:
    """Reason for the positive class, and what to do if it is wrong; None where there is none."""
    if layout.task != "binary":
        return None
    if monitor.positive_class is not None and layout.names.of(monitor.positive_class) == layout.positive:
        return "Set in the model's monitor."
    otherwise = f" If it is the other class, {POSITIVE}."
    return {
        "": "Determined by an earlier release: by the monitor, or the last of the two in alphabetical order."
        + otherwise,
        "stated": "Set with the reference.",
        "name": "Its name indicates it." + otherwise,
        "scores": "In the labelled rows prediction_probability agrees with this class." + otherwise,
        "rarer": "It is the rarer class of the labels." + otherwise,
        "order": "Nothing indicates it, so it is the last of the two in alphabetical order." + otherwise,
    }[layout.positive_from]


def meaning_warnings(layout: OutcomeLayout, monitor: StatedTask) -> list[str]:
    """Warnings where the interpretation may well be wrong, or differs from what was stated."""
    found = []
    if layout.task is not None and monitor.task not in (None, layout.task):
        found.append(
            f"The monitor says {monitor.task}, and the labels are counted as {layout.task}: they don't allow it, or the"
            " reference was set by an earlier release; set it again."
        )
    elif layout.task_from == "likelihoods":
        found.append(
            "The predictions are numbers between 0 and 1 and the labels two classes, so the predictions look like"
            " probabilities: send the class as prediction, and the number as prediction_probability."
        )
    elif layout.task_from == "labels" or (layout.task_from == "few" and layout.task == "multiclass"):
        kind = "numbers" if layout.task == "regression" else f"{len(layout.classes)} classes"
        found.append(f"The predictions are whole numbers, taken for {kind}. If that is wrong, {TASK}.")
    if (
        monitor.positive_class is not None
        and layout.names.of(monitor.positive_class) is None
        and layout.task is not None
    ):
        what = (
            f"no class: there are {_listed(layout)}" if layout.classes else f"no class, for the task is {layout.task}"
        )
        found.append(f"The positive_class of the monitor, {monitor.positive_class!r}, is {what}.")
    elif layout.positive_from == "order":
        found.append(
            f"Nothing indicates the positive class: {layout.positive!r} is used, the last in alphabetical order."
            f" Precision, recall and F1 are about it; {POSITIVE}."
        )
    if layout.positive_from == "stated" and layout.score_of == "predicted":
        found.append(
            "The labelled rows show that prediction_probability is about the predicted class, not the positive"
            " class, and it is used accordingly."
        )
    if layout.score_of == "negative":
        found.append(
            f"The labelled rows show that prediction_probability is about the other class than {layout.positive!r},"
            f" and it is used accordingly. If that is wrong, {POSITIVE}."
        )
    return found


@dataclass(frozen=True, slots=True)
class StrangeLabels:
    """Labels of classes that were never predicted and are not in the reference. names: as far as they are known."""

    n: int
    of: int
    names: tuple[str, ...]


def strange_labels(counts: OutcomeCounts, reference: OutcomeCounts | None) -> StrangeLabels:
    """Those among some outcomes. reference: of the labelled reference, or of no rows."""
    confusion = counts.confusion
    if confusion is None:
        return StrangeLabels(0, 0, ())
    truth, predicted = confusion.matrix.sum(axis=1), confusion.matrix.sum(axis=0)
    known = None if reference is None or reference.confusion is None else reference.confusion.matrix
    n, names = 0, []
    for place, name in enumerate(counts.layout.classes):
        in_reference = known is not None and known[place].sum() + known[:, place].sum() > 0
        if truth[place] and not predicted[place] and not in_reference:
            n += int(truth[place])
            names.append(name)
    if not counts.layout.is_full:
        # Both of a pair may be of the same new class; then it was predicted.
        n += int(truth[-1] - confusion.vector[-1])
    return StrangeLabels(n, confusion.n, tuple(names))


def beyond_classes(counts: OutcomeCounts) -> str | None:
    """What the means over classes leave out; None where they are over all classes, but for few labels."""
    confusion = counts.confusion
    if confusion is None or not counts.layout.is_full or not confusion.n:
        return None
    share = float(confusion.matrix[-1].sum() / confusion.n)
    if share < LEAST_BEYOND:
        return None
    return (
        f"{plain(percent(share))} of the labels are of other classes than the {len(counts.layout.classes)} most"
        " frequent ones: they count in accuracy, and not in the macro and weighted means over classes."
    )


def without_common_class(counts: OutcomeCounts, reference: OutcomeCounts | None) -> str | None:
    """Why the classes of predictions and labels can't be compared at all; None when they can."""
    confusion = counts.confusion
    if confusion is None or len(counts.layout.classes) < 3 or (reference is not None and reference.n):
        return None
    truth, predicted = confusion.matrix.sum(axis=1)[:-1], confusion.matrix.sum(axis=0)[:-1]
    if confusion.n < ENOUGH_LABELS or confusion.correct or ((truth > 0) & (predicted > 0)).any():
        return None
    classes = counts.layout.classes
    predicted_names, true_names = (
        ", ".join(repr(name) for name, n in zip(classes, side.tolist(), strict=True) if n)
        for side in (predicted, truth)
    )
    return NO_COMMON_CLASS.format(predicted=predicted_names, labelled=true_names)


def _listed(layout: OutcomeLayout) -> str:
    return ", ".join(repr(name) for name in layout.classes[:10])


def contradiction(calls: ScoreByPredictedClassCounts) -> str | None:
    """Why the probabilities can't be those of the predicted class, although none was stated; else None.

    A classifier rarely predicts what it holds for less likely than not, regardless of its threshold.
    """
    outcome = calls.layout.outcome
    if outcome.task != "binary" or outcome.score_of != "predicted":
        return None
    negative = calls.predicted_negative
    total = int(negative.sum())
    likely_positive = int(negative[len(negative) // 2 :].sum())
    if total >= ENOUGH_CALLS and 2 * likely_positive > total:
        name = next(each for each in outcome.classes if each != outcome.positive)
        return NOT_OF_PREDICTED.format(name=name)
    return None
