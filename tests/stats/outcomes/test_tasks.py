"""What predictions and labels mean when nobody said it."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout, decode_outcome_layout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout
from modelwatch.stats.outcomes.tasks import infer_positive, infer_task, scores_about

Rng = np.random.Generator


def ids(kinds: int, n: int, right: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Ids of classes, so often right; a wrong one is any other."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, kinds, n)
    wrong = (true + rng.integers(1, kinds, n)) % kinds
    return np.where(rng.random(n) < right, true, wrong).tolist(), true.tolist()


def amounts(mean: float, n: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Counts, and the whole numbers that are expected of them."""
    rng = np.random.default_rng(seed)
    expected = rng.gamma(2.0, mean / 2.0, n)
    return np.round(expected).astype(int).tolist(), rng.poisson(expected).tolist()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kinds", [6, 9, 30])
def test_ids_of_classes_are_classes_however_many_there_are(kinds: int, seed: int) -> None:
    for right in (0.5, 0.85, 0.99):
        said, true = ids(kinds, 2_000, right, seed)
        assert infer_task(said, true, [])[0] == "classes"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("mean", [3.0, 10.0, 40.0])
def test_amounts_that_are_counted_are_a_regression(mean: float, seed: int) -> None:
    assert infer_task(*amounts(mean, 500, seed), [])[0] == "regression"


def test_what_comes_with_probabilities_is_a_class() -> None:
    said, true = ids(60, 500, 0.9)
    assert infer_task(said, true, [])[0] == "regression"
    assert infer_task(said, true, [0.5] * 500) == ("classes", "probabilities")
    assert len(outcome_layout(said, true, [0.5] * 500).classes) == 50


def test_probabilities_that_are_sent_as_predictions_are_recognised() -> None:
    layout = outcome_layout([0.1, 0.9, 0.4], [0, 1, 1])
    assert (layout.task, layout.task_from) == ("regression", "likelihoods")
    assert outcome_layout([0.1, 0.9, 0.4], [0.5, 1, 1]).task_from == "values"


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("fraud", "legitimate"), "fraud"),
        (("0", "1"), "1"),
        (("-1", "1"), "1"),
        (("false", "true"), "true"),
        (("No", "Yes"), "Yes"),
        (("Attrited Customer", "Existing Customer"), "Attrited Customer"),
        (("churned", "not_churned"), "churned"),
        (("approved", "not approved"), "approved"),
        (("benign", "malignant"), "malignant"),
        (("ham", "spam"), "spam"),
        (("attack", "normal"), "attack"),
        (("fully_paid", "charged_off"), "charged_off"),
        (("defaulted", "paid"), "defaulted"),
    ],
)
def test_names_tell_the_positive_class(classes: tuple[str, str], positive: str) -> None:
    assert infer_positive(classes, [], [], [])[::2] == (positive, "name")
    assert infer_positive(classes[::-1], [], [], [])[::2] == (positive, "name")


def scored(n: int, share: float, seed: int = 1) -> list[tuple[str, str, float]]:
    """Rows of `a` and `b`: prediction, truth, the probability of `b`."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(share, 1.0, n)
    truths = rng.random(n) < scores
    return [
        ("ab"[int(score > 0.5)], "ab"[int(truth)], float(score)) for score, truth in zip(scores, truths, strict=True)
    ]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0, 3.0])
def test_the_labelled_rows_tell_what_a_score_is_about(share: float) -> None:
    said, true, of_b = (list(column) for column in zip(*scored(300, share), strict=True))
    of_a = [1.0 - score for score in of_b]
    of_said = [max(score, 1.0 - score) for score in of_b]
    assert scores_about(("a", "b"), said, true, of_b) == "b"
    assert scores_about(("a", "b"), said, true, of_a) == "a"
    assert scores_about(("a", "b"), said, true, of_said) == ""
    assert scores_about(("a", "b"), said[:15], true[:15], of_b[:15]) is None


def test_the_class_that_scores_are_about_is_the_positive_one_where_no_name_tells() -> None:
    said, true, of_b = (list(column) for column in zip(*scored(300, 1.0), strict=True))
    assert infer_positive(("a", "b"), said, true, of_b) == ("b", "positive", "scores")
    assert infer_positive(("a", "b"), said, true, [1.0 - score for score in of_b]) == ("a", "positive", "scores")
    names = {"a": "fraud", "b": "legitimate"}
    said, true = [names[name] for name in said], [names[name] for name in true]
    assert infer_positive(("fraud", "legitimate"), said, true, of_b) == ("fraud", "negative", "name")


def test_the_rarer_class_is_the_positive_one_where_it_is_clearly_rarer() -> None:
    rows = ["x"] * 20 + ["y"] * 80
    assert infer_positive(("x", "y"), rows, rows, []) == ("x", "predicted", "rarer")
    rows = ["x"] * 45 + ["y"] * 55
    assert infer_positive(("x", "y"), rows, rows, []) == ("y", "predicted", "order")


def test_scores_of_the_other_class_count_as_their_complement() -> None:
    layout = OutcomeLayout("binary", ("fraud", "legitimate"), "fraud", "negative")
    rows = [Outcome("legitimate", 0.9, "legitimate"), Outcome("fraud", 0.2, "fraud")]
    assert (
        OutcomeCounts.of(layout, rows).scores
        == OutcomeCounts.of(
            OutcomeLayout("binary", ("fraud", "legitimate"), "fraud", "positive"),
            [Outcome("legitimate", 1.0 - 0.9, "legitimate"), Outcome("fraud", 0.8, "fraud")],
        ).scores
    )


def test_what_is_said_counts_before_what_is_inferred() -> None:
    said, true = ids(30, 1_000, 0.85)
    assert outcome_layout(said, true, task="regression").task == "regression"
    assert outcome_layout(*amounts(3.0, 500), task="multiclass").task == "multiclass"
    layout = outcome_layout(["fraud", "ok"], ["fraud", "ok"], positive_class="ok")
    assert (layout.positive, layout.score_of, layout.positive_from) == ("ok", "positive", "stated")
    two = outcome_layout(["a", "b"], ["a", "b"], task="multiclass")
    assert (two.task, two.positive, two.task_from) == ("multiclass", None, "stated")
    assert decode_outcome_layout(two.encode()) == two


def test_a_positive_class_that_was_said_does_not_turn_the_scores_of_the_predicted_class() -> None:
    said, true, of_b = (list(column) for column in zip(*scored(300, 1.0), strict=True))
    of_said = [max(score, 1.0 - score) for score in of_b]
    assert outcome_layout(said, true, of_said, "a").score_of == "predicted"
    assert outcome_layout(said, true, of_b, "b").score_of == "positive"
