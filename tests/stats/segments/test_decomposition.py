"""What segments contribute adds up to the change, to the last digit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.stats.drift.scores import psi, psi_contributions
from modelwatch.stats.errors import EmptySample
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import RegressionLayout, performance
from modelwatch.stats.segments.decomposition import Ratio, decomposed, psi_by_segment, ratios_of

BINARY = OutcomeLayout("binary", ("no", "yes"), "yes", "positive")
CLASSES = OutcomeLayout("multiclass", ("a", "b", "c"), class_scores=True)
NUMBERS = OutcomeLayout("regression", regression=RegressionLayout(4.0, 10.0))

# Each computes every metric with its interval.
few = settings(max_examples=15)
names = st.sampled_from(["s1", "s2", "s3", "s4"])
binary = st.builds(
    Outcome, st.sampled_from(["no", "yes", "odd"]), st.floats(0, 1), st.sampled_from(["no", "yes", "odd"])
)
of_class = st.builds(
    Outcome,
    st.sampled_from("abcd"),
    st.fixed_dictionaries({"a": st.floats(0, 1), "b": st.floats(0, 1), "c": st.floats(0, 1)}),
    st.sampled_from("abcd"),
)
number = st.builds(Outcome, st.floats(-50, 50), st.none(), st.floats(-50, 50))


def divided(layout: OutcomeLayout, rows: list[tuple[str, Outcome]]) -> dict[str, OutcomeCounts]:
    return {
        name: OutcomeCounts.of(layout, [row for own, row in rows if own == name])
        for name in sorted({own for own, _ in rows})
    }


def value(layout: OutcomeLayout, metric: str, rows: list[tuple[str, Outcome]]) -> float | None:
    counts = OutcomeCounts.of(layout, [row for _, row in rows])
    found = {name: each for family in counts.families() for name, each in performance(family).items()}
    return found[metric].value


def parts_of(
    layout: OutcomeLayout, metric: str, before: list[tuple[str, Outcome]], after: list[tuple[str, Outcome]]
) -> float | None:
    sides = []
    for rows in (before, after):
        side = {}
        for name, counts in divided(layout, rows).items():
            found = ratios_of(metric, counts)
            assert found is not None
            side[name] = found
        sides.append(side)
    parts = decomposed(*sides)
    return None if parts is None else sum(part.mix + part.level for part in parts.values())


def check(
    layout: OutcomeLayout, metric: str, before: list[tuple[str, Outcome]], after: list[tuple[str, Outcome]]
) -> None:
    old, new = value(layout, metric, before), value(layout, metric, after)
    total = parts_of(layout, metric, before, after)
    if total is None:
        return
    assert old is not None
    assert new is not None
    assert total == pytest.approx(new - old, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "log_loss", "brier"],
)
@few
@given(before=st.lists(st.tuples(names, binary), max_size=12), after=st.lists(st.tuples(names, binary), max_size=12))
def test_the_parts_add_up_to_the_change_of_two_classes(
    metric: str, before: list[tuple[str, Outcome]], after: list[tuple[str, Outcome]]
) -> None:
    check(BINARY, metric, before, after)


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "precision_micro",
        "recall_micro",
        "f1_micro",
        "recall_weighted",
        "log_loss",
    ],
)
@few
@given(before=st.lists(st.tuples(names, of_class), max_size=9), after=st.lists(st.tuples(names, of_class), max_size=9))
def test_the_parts_add_up_to_the_change_of_more_classes(
    metric: str, before: list[tuple[str, Outcome]], after: list[tuple[str, Outcome]]
) -> None:
    check(CLASSES, metric, before, after)


@pytest.mark.parametrize("metric", ["mae", "mean_error"])
@few
@given(before=st.lists(st.tuples(names, number), max_size=9), after=st.lists(st.tuples(names, number), max_size=9))
def test_the_parts_add_up_to_the_change_of_errors(
    metric: str, before: list[tuple[str, Outcome]], after: list[tuple[str, Outcome]]
) -> None:
    check(NUMBERS, metric, before, after)


def test_enough_of_these_changes_are_defined() -> None:
    """The properties above say nothing where a side is undefined; with all classes on both sides none is."""
    rows = [(name, Outcome(said, 0.7, was)) for name in ("s1", "s2") for said in ("no", "yes") for was in ("no", "yes")]
    for metric in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "log_loss", "brier"):
        assert parts_of(BINARY, metric, rows, rows[:-2]) is not None


@pytest.mark.parametrize(
    ("layout", "metric"), [(BINARY, "roc_auc"), (BINARY, "mcc"), (BINARY, "ece"), (NUMBERS, "rmse")]
)
def test_what_is_no_ratio_of_sums_is_not_divided(layout: OutcomeLayout, metric: str) -> None:
    assert ratios_of(metric, OutcomeCounts.empty(layout)) is None


def test_a_segment_that_gets_worse_is_level_and_one_that_grows_is_mix() -> None:
    def hits(above: int, below: int) -> tuple[Ratio, ...]:
        return (Ratio(Fraction(above), below),)

    worse = decomposed({"a": hits(90, 100), "b": hits(90, 100)}, {"a": hits(90, 100), "b": hits(60, 100)})
    assert worse is not None
    assert (worse["a"].mix, worse["a"].level) == (0.0, 0.0)
    assert (worse["b"].mix, worse["b"].level) == (0.0, -0.15)
    grown = decomposed({"a": hits(90, 100), "b": hits(30, 50)}, {"a": hits(90, 100), "b": hits(60, 100)})
    assert grown is not None
    assert grown["a"].level == grown["b"].level == 0.0
    # Both shares move away from the good segment.
    assert grown["a"].mix < 0.0
    assert grown["b"].mix < 0.0
    come = decomposed({"a": hits(90, 100)}, {"a": hits(90, 100), "b": hits(0, 100)})
    assert come is not None
    assert come["b"].level == 0.0
    assert come["a"].total + come["b"].total == pytest.approx(-0.45, abs=1e-15)


counts = st.lists(st.integers(0, 50), min_size=4, max_size=4).map(lambda cells: np.array(cells, dtype=np.int64))
sides = st.dictionaries(names, counts, min_size=1).filter(
    lambda side: sum(int(each.sum()) for each in side.values()) > 0
)


@given(sides, sides)
def test_contributions_add_up_to_the_psi_cell_by_cell(
    reference: dict[str, np.ndarray], current: dict[str, np.ndarray]
) -> None:
    old, new = sum(reference.values()), sum(current.values())
    found = psi_by_segment(reference, current)
    total = np.sum(list(found.values()), axis=0)
    assert total == pytest.approx(psi_contributions(old, new), abs=1e-12)
    assert float(total.sum()) == pytest.approx(psi(old, new), abs=1e-12)


def test_nothing_is_compared_with_nothing() -> None:
    some = {"a": np.array([1, 2])}
    for reference, current in (({}, some), (some, {}), ({"a": np.array([0, 0])}, some)):
        with pytest.raises(EmptySample):
            psi_by_segment(reference, current)
