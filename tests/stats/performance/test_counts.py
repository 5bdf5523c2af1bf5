"""Counts merge exactly: any order, any batches, and what is taken out again leaves nothing behind."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, MalformedProfile, StatsError
from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    ConfusionLayout,
    PerformanceCounts,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    ScoreLayout,
    performance,
)
from modelwatch.stats.performance.mergeable import FixedPoint
from modelwatch.stats.performance.scores import SCORE_EDGES, cells_of

NAMES = ("a", "b", "c")
BINARY = ConfusionLayout(("no", "yes"), "yes")
scores = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 0.5, -1.0, 2.0, math.nan, math.inf]))
numbers = st.one_of(st.floats(-1e3, 1e3), st.floats(), st.just(0.0))
labels = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "z", "w"]))


def of_confusion(rows: list[tuple[str | None, str | None]]) -> ConfusionCounts:
    return ConfusionCounts.of(ConfusionLayout(NAMES), [row[0] for row in rows], [row[1] for row in rows])


def of_scores(rows: list[tuple[float, bool]]) -> ScoreCounts:
    return ScoreCounts.of(np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=bool))


def of_class_scores(rows: list[tuple[list[float], int]]) -> ClassScoreCounts:
    table = np.array([row[0] for row in rows]).reshape(len(rows), 3)
    return ClassScoreCounts.of(ClassScoreLayout(NAMES), table, np.array([row[1] for row in rows], dtype=int))


def of_errors(rows: list[tuple[float, float]]) -> RegressionCounts:
    prediction, truth = (np.array([row[side] for row in rows], dtype=float) for side in (0, 1))
    return RegressionCounts.of(RegressionLayout(4.0, 10.0), prediction, truth)


KINDS = (
    (of_confusion, st.tuples(labels, labels)),
    (of_scores, st.tuples(scores, st.booleans())),
    (of_class_scores, st.tuples(st.lists(scores, min_size=3, max_size=3), st.integers(0, 4))),
    (of_errors, st.tuples(numbers, numbers)),
)


@pytest.mark.parametrize(("count", "row"), KINDS)
@given(data=st.data())
def test_any_order_and_any_batches_give_the_same_counts(count, row, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    rows = data.draw(st.lists(row, min_size=1, max_size=30))
    whole = count(rows)
    one_by_one = count([])
    for single in data.draw(st.permutations(rows)):
        one_by_one += count([single])
    assert one_by_one == whole
    cut = data.draw(st.integers(0, len(rows)))
    assert count(rows[:cut]) + count(rows[cut:]) == whole
    assert whole - count(rows[cut:]) == count(rows[:cut])
    assert not (whole - whole).vector.any()
    assert type(whole).decode(whole.layout, whole.encode()) == whole
    assert hash(one_by_one) == hash(whole)


@pytest.mark.parametrize(("count", "row"), KINDS)
@given(data=st.data())
def test_every_metric_has_a_finite_value_or_a_reason(count, row, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    counts: PerformanceCounts = count(data.draw(st.lists(row, max_size=12)))
    for name, estimate in performance(counts).items():
        numbers = [estimate.value, estimate.low, estimate.high, estimate.bound]
        assert all(number is None or math.isfinite(number) for number in numbers), (name, estimate)
        assert estimate.value is not None or estimate.reason
        if estimate.value is not None and estimate.low is not None and estimate.high is not None:
            assert estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9, (name, estimate)


def test_a_classifier_that_was_not_known_is_other_and_right_only_by_name() -> None:
    counts = ConfusionCounts.of(BINARY, ["z", "z", "yes", True, None], ["z", "w", "z", "no", "yes"])
    assert counts.n == 4
    assert counts.correct == 1
    assert counts.matrix.tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 2]]
    assert ConfusionCounts.of(ConfusionLayout(("1", "true")), [1.0, True], [1, 1]).matrix[0, :2].tolist() == [1, 1]


def test_counts_of_different_layouts_do_not_merge() -> None:
    one = ConfusionCounts.empty(BINARY)
    with pytest.raises(IncompatibleProfiles, match="same layout"):
        one + ConfusionCounts.empty(ConfusionLayout(("no", "yes")))
    with pytest.raises(IncompatibleProfiles, match="same layout"):
        one - ScoreCounts.empty(ScoreLayout())  # type: ignore[operator]
    assert one != ScoreCounts.empty(ScoreLayout())


def test_rows_that_are_not_there_can_not_be_taken_out() -> None:
    with pytest.raises(IncompatibleProfiles, match="contain"):
        of_confusion([("a", "a")]) - of_confusion([("a", "b")])


def test_a_vector_of_another_kind_is_refused() -> None:
    for vector in (np.zeros(3, dtype=int), np.zeros(10), np.full(10, -1)):
        with pytest.raises(IncompatibleProfiles):
            ConfusionCounts(BINARY, vector)
    with pytest.raises(MalformedProfile, match="10 integers"):
        ConfusionCounts.decode(BINARY, of_confusion([]).encode())


def test_counts_are_their_own_and_can_not_be_changed() -> None:
    given_vector = np.zeros(10, dtype=np.int64)
    counts = ConfusionCounts(BINARY, given_vector)
    given_vector[0] = 7
    assert counts.n == 0
    with pytest.raises(ValueError, match="read-only"):
        counts.vector[0] = 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConfusionLayout(("a",)),
        lambda: ConfusionLayout(("a", "a")),
        lambda: ConfusionLayout(("a", "b"), "c"),
        lambda: ConfusionLayout(NAMES, "a"),
        lambda: ClassScoreLayout(("a", "a")),
        lambda: RegressionLayout(3.0),
        lambda: RegressionLayout(0.0),
        lambda: RegressionLayout(math.inf),
        lambda: RegressionLayout(1.0, math.nan),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StatsError):
        make()


def test_arrays_of_different_lengths_are_refused() -> None:
    one, two = np.array([0.5]), np.array([0.5, 0.5])
    with pytest.raises(IncompatibleProfiles):
        ConfusionCounts.of(BINARY, ["yes"], [])
    with pytest.raises(IncompatibleProfiles):
        ScoreCounts.of(two, np.array([True]))
    with pytest.raises(IncompatibleProfiles):
        ClassScoreCounts.of(ClassScoreLayout(NAMES), two.reshape(1, 2), np.array([0]))
    with pytest.raises(IncompatibleProfiles):
        RegressionCounts.of(RegressionLayout(1.0), one, two)
    with pytest.raises(EmptySample):
        RegressionLayout.of(np.array([np.nan, np.inf]))


def test_sums_hold_a_million_million_rows() -> None:
    rows = 1 << 40
    # The costliest rows: wrong with certainty, and as far out as errors are summed.
    worst = ScoreCounts.of(np.array([0.0]), np.array([True]))
    many = ScoreCounts(worst.layout, worst.vector * rows)
    assert many.log_loss_sums.mean == pytest.approx(-math.log(1e-15), rel=1e-12)
    assert many.brier_sums.mean == 1.0
    far = RegressionCounts.of(RegressionLayout(1.0), np.array([2.0**24]), np.array([0.0]))
    assert far.saturated == 0
    assert RegressionCounts(far.layout, far.vector * rows).absolute_errors.mean == 2.0**24
    assert RegressionCounts(far.layout, far.vector * rows).squared_errors.second == Fraction(2) ** 96 * rows


def test_a_sum_beyond_64_bits_is_an_error_not_a_wrap() -> None:
    full = ConfusionCounts(BINARY, np.array([2**62] + [0] * 9))
    with pytest.raises(StatsError, match="64 bits"):
        full + full


@given(st.lists(st.floats(0.0, 2.0**24), max_size=20))
def test_limbs_hold_every_digit_that_the_unit_has(terms: list[float]) -> None:
    sums = FixedPoint(unit=64, limbs=4)
    exact = sum(Fraction(round(Fraction(term) * 2**64), 2**64) for term in terms)
    assert sums.total(sums.split(np.array(terms))) == exact


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=50))
def test_the_cell_never_falls_as_the_score_rises(values: list[float]) -> None:
    cells = cells_of(np.sort(values))
    assert (np.diff(cells) >= 0).all()
    assert cells.min() >= 0
    assert cells.max() <= len(SCORE_EDGES)
    assert float(np.diff(np.concatenate(([0.0], SCORE_EDGES, [1.0]))).max()) <= 1 / 200 + 1e-15
