"""Predictions and labels as services write them: one class in two spellings is one class, wherever it is counted."""

from __future__ import annotations

import pytest

from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.counting.binning import Scalar
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.support.background import background, run_out
from tests.support.data.labelled import later, send_labelled, set_labelled_reference
from tests.support.events import NOON

RULES = PerformanceRules.of(DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600), 0.02)

# How predictions are written, how labels are: the same two classes, the second of them the positive one.
SPELLINGS: list[tuple[tuple[Scalar, Scalar], tuple[Scalar, Scalar]]] = [
    # scikit-learn's predict and a boolean column of a database.
    ((0, 1), (False, True)),
    # A float column that a missing value made of an integer one (pandas), and its integers.
    ((0, 1), ("0.0", "1.0")),
    # str(bool) of Python, and JSON.
    (("False", "True"), (False, True)),
    # Fixed-width text of a data base.
    (("no  ", "yes "), ("no", "yes")),
    # macOS file names and form input: one letter, two Unicode forms.
    (("annule\u0301", "\u0301valide\u0301"), ("annulé", "\u0301validé")),
    (("no", "yes"), (0, 1)),
]


def rows(predicted: tuple[Scalar, Scalar], true: tuple[Scalar, Scalar]) -> list[Outcome]:
    """400 predictions, nine of ten right, a third of them of the second class."""
    found = []
    for number in range(400):
        said = number % 3 == 0
        truth = said != (number % 10 == 0)
        found.append(Outcome(predicted[said], None, true[truth]))
    return found


@pytest.mark.parametrize(("predicted", "true"), SPELLINGS)
def test_one_class_in_two_spellings_is_one_class(
    store: Store, predicted: tuple[Scalar, Scalar], true: tuple[Scalar, Scalar]
) -> None:
    clock = later(3)
    send_labelled(store, clock, rows(predicted, true), at=NOON)
    run_out(background(store, DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600), clock))
    report = check_performance(store, RULES, StreamKey("m", "1", "production"), clock())
    assert len(report.classes) == 2
    assert report.windows[0].metrics["accuracy"].value == 0.9


@pytest.mark.parametrize(("predicted", "true"), SPELLINGS)
def test_a_reference_and_production_may_write_one_class_in_two_ways(
    store: Store, predicted: tuple[Scalar, Scalar], true: tuple[Scalar, Scalar]
) -> None:
    clock = later(3)
    set_labelled_reference(store, rows(true, true))
    send_labelled(store, clock, rows(predicted, true), at=NOON)
    report = check_performance(store, RULES, StreamKey("m", "1", "production"), clock())
    assert len(report.classes) == 2
    accuracy = report.windows[0].metrics["accuracy"]
    assert accuracy.value == 0.9


@pytest.mark.parametrize("keys", [("a", "b"), ("a ", "B")])
def test_the_keys_of_probabilities_may_be_written_another_way(store: Store, keys: tuple[str, str]) -> None:
    clock = later(3)
    given: list[Probability] = [{keys[0]: 0.8, keys[1]: 0.2}, {keys[0]: 0.3, keys[1]: 0.7}]
    sent = [Outcome("ab"[number % 2], given[number % 2], "ab"[number % 2]) for number in range(400)]
    set_labelled_reference(store, sent)
    send_labelled(store, clock, sent, at=NOON)
    report = check_performance(store, RULES, StreamKey("m", "1", "production"), clock())
    assert report.windows[0].metrics["roc_auc"].value == 1.0
