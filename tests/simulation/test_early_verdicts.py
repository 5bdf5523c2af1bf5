"""Early verdicts keep the budget however the delay of labels depends on them, and find what is worse.

The larger table: `python -m benchmarks.simulations.early_labels --draws 4000`.
"""

from __future__ import annotations

import pytest

from benchmarks.simulations.early_labels import SCENARIOS, Result, simulate


def result(name: str, draws: int) -> Result:
    [scenario] = [each for each in SCENARIOS if each.name == name]
    return simulate(scenario, draws)


@pytest.mark.parametrize(
    "name",
    ["independent, a window of 300", "frauds a little later: .60 against .65", "wrong ones sooner: .67 against .63"],
)
def test_a_window_that_is_no_worse_is_found_at_most_as_often_as_its_budget_allows(name: str) -> None:
    found = result(name, 1_000)
    assert found.judged > 100
    # What may hide in the labels that come early is taken off the loss, which keeps all of it far below the level.
    assert found.level <= 0.5


@pytest.mark.parametrize(
    "name",
    [
        "frauds sooner: .90 against .60",
        "frauds later: .30 against .65",
        "wrong ones sooner: .80 against .60",
        "wrong ones later: .50 against .65",
    ],
)
def test_nothing_is_judged_where_the_delay_clearly_depends_on_the_labels(name: str) -> None:
    found = result(name, 60)
    assert (found.judged, found.found) == (0, 0)


def test_a_loss_is_found_where_it_does_not() -> None:
    found = result("accuracy .90 to .80", 60)
    assert found.judged >= 55
    assert found.accuracy >= 55
