"""Which values mean one class, and which never do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modelwatch.stats.counting.binning import Scalar
from modelwatch.stats.outcomes.classes import ClassNames, class_names, share_of
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout, decode_outcome_layout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout


@pytest.mark.parametrize(
    ("classes", "value", "expected"),
    [
        (("0", "1"), True, "1"),
        (("0", "1"), "1.0", "1"),
        (("0", "1"), 1.0, "1"),
        (("0", "1"), "FALSE", "0"),
        (("0", "1"), "yes", "1"),
        (("false", "true"), 1, "true"),
        (("False", "True"), True, "True"),
        (("no", "yes"), True, "yes"),
        (("no", "yes"), "N", "no"),
        (("a", "b"), "b ", "b"),
        (("a", "b"), "B", "b"),
        (("é", "o"), "e\u0301", "é"),
        (("2.5", "3"), "2.50", "2.5"),
        # What the classes themselves keep apart means neither of them.
        (("t", "y"), True, None),
        (("a", "A"), "A ", "A"),
        (("1", "2"), "01", None),
        (("a", "b"), "c", None),
        (("a", "b"), None, None),
    ],
)
def test_a_value_means_the_class_that_is_written_another_way(
    classes: tuple[str, ...], value: Scalar, expected: str | None
) -> None:
    assert class_names(classes).of(value) == expected


@pytest.mark.parametrize(
    ("predictions", "truths", "expected"),
    [
        ([1, 0], [True, False], ("0", "1")),
        ([1, 0], ["yes", "no"], ("0", "1")),
        (["True", "False"], [1, 0], ("False", "True")),
        (["b ", "a"], ["b", "a"], ("a", "b")),
        (["1.0", "0.0", "2.0"], [0, 1, 2], ("0", "1", "2")),
        (["e\u0301", "o"], ["é", "o"], ("o", "é")),
        # Letters are classes of their own, although some of them also say yes and no.
        (list("nyftx"), list("nyftx"), ("f", "n", "t", "x", "y")),
        (["a", "A"], ["a", "A"], ("A", "a")),
    ],
)
def test_the_classes_of_both_sides_are_counted_once(
    predictions: list[Scalar], truths: list[Scalar], expected: tuple[str, ...]
) -> None:
    assert outcome_layout(predictions, truths).classes == expected


def test_a_label_written_another_way_agrees_with_the_prediction() -> None:
    layout = OutcomeLayout("binary", ("0", "1"), "1", "positive")
    rows = [Outcome(1, 0.9, True), Outcome("0 ", 0.2, "false"), Outcome(1.0, 0.8, "0"), Outcome("x", 0.5, "x ")]
    confusion = OutcomeCounts.of(layout, rows).confusion
    assert confusion is not None
    assert (confusion.correct, confusion.n) == (3, 4)


def test_a_probability_is_found_by_what_its_key_means() -> None:
    assert share_of({"0.0": 0.3, "1.0": 0.7}, 1) == 0.7
    assert share_of({"b": 0.3, "a ": 0.7}, "a") == 0.7
    assert share_of({"prob_a": 0.3, "prob_b": 0.7}, "a") is None


def test_a_map_that_does_not_name_the_predicted_class_gives_no_scores() -> None:
    layout = outcome_layout(list("abc"), list("abc"), [{"a": 1.0}])
    rows = [Outcome("a", {"prob_a": 0.7, "prob_b": 0.2, "prob_c": 0.1}, "a"), Outcome("b", {"b": 0.6, "a": 0.4}, "b")]
    scores = OutcomeCounts.of(layout, rows).class_scores
    assert scores is not None
    assert (scores.n, scores.unscored) == (1, 1)


def test_a_layout_of_an_earlier_release_counts_as_it_did() -> None:
    document = json.loads(OutcomeLayout("binary", ("0", "1"), "1", "positive", naming="exact").encode())
    assert (document["format"], "naming" in document) == (1, False)
    layout = decode_outcome_layout(json.dumps(document).encode())
    assert layout.naming == "exact"
    counts = OutcomeCounts.of(layout, [Outcome(1, 0.5, True)])
    assert counts.confusion is not None
    assert counts.confusion.correct == 0
    assert decode_outcome_layout(layout.encode()) == layout


def test_numbers_that_are_written_as_text_are_numbers_of_a_regression() -> None:
    layout = outcome_layout([1.5, 2.5], ["1.5", " 3.5 "])
    counts = OutcomeCounts.of(layout, [Outcome(1.5, None, "1.5"), Outcome("2.5", None, "3.5"), Outcome(1.5, None, "?")])
    assert counts.regression is not None
    assert counts.regression.n == 2
    assert counts.regression.absolute_errors.mean * counts.regression.layout.scale == 0.5


def test_what_is_remembered_is_what_was_found() -> None:
    """Values that Python takes for one are told apart, and only some are remembered."""
    known = class_names(("1", "true", "2.5"))
    values = [True, 1, 1.0, "1", "True", float("nan"), None, 2.5, np.float64(2.5), *range(300), *map(str, range(300))]
    first = [known.of(value) for value in values]
    assert first == [known.of(value) for value in values]
    fresh = [ClassNames(known.exact, known._by_key, known._by_sense).of(value) for value in values]
    assert first == fresh
    assert first[:9] == ["true", "1", "1", "1", None, None, None, "2.5", "2.5"]
    assert len(known._known) <= 100
