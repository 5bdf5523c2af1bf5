"""Evidence that a metric got worse: it finds losses, and keeps quiet about chance."""

from collections.abc import Callable

import numpy as np
import pytest

from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    ConfusionLayout,
    PerformanceCounts,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    mean_error_moved,
    performance,
    worsening,
    worsening_metrics,
)
from modelwatch.stats.performance.confusion import MEANS, mean_columns
from modelwatch.stats.performance.gradients import metric_gradient
from modelwatch.stats.performance.margins import Margins
from tests.proofs.lock import Proofs

NAMES = ("a", "b", "c")
BINARY, CLASSES = ConfusionLayout(("no", "yes"), "yes"), ConfusionLayout(NAMES)


def of_binary(rng: np.random.Generator, n: int, worse: float = 0.0) -> ConfusionCounts:
    """Skill 0.9 less `worse`, 20 % positives."""
    return ConfusionCounts(BINARY, np.insert(two_by_two(rng, n, worse), [2, 4], 0).tolist() + [0] * 4)  # type: ignore[arg-type]


def two_by_two(rng: np.random.Generator, n: int, worse: float) -> np.ndarray:
    skill = 0.9 - worse
    return rng.multinomial(n, [0.8 * skill, 0.8 * (1 - skill), 0.2 * (1 - skill), 0.2 * skill])


def of_classes(rng: np.random.Generator, n: int, worse: float = 0.0) -> ConfusionCounts:
    truth = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    prediction = np.where(rng.random(n) < 0.8 - worse, truth, rng.integers(0, 3, size=n))
    return ConfusionCounts.of(CLASSES, [NAMES[i] for i in prediction], [NAMES[i] for i in truth])


def of_scores(rng: np.random.Generator, n: int, worse: float = 0.0) -> ScoreCounts:
    label = rng.random(n) < 0.3
    logit = rng.normal(size=n) + 2.0 * (1.0 - 2.0 * worse) * (label - 0.5)
    return ScoreCounts.of(1.0 / (1.0 + np.exp(-logit)), label)


def of_class_scores(rng: np.random.Generator, n: int, worse: float = 0.0) -> ClassScoreCounts:
    truth = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    logits = rng.normal(size=(n, 3)) + 2.0 * (1.0 - 2.0 * worse) * (truth[:, None] == np.arange(3))
    weights = np.exp(logits)
    return ClassScoreCounts.of(ClassScoreLayout(NAMES), weights / weights.sum(axis=1, keepdims=True), truth)


def of_errors(rng: np.random.Generator, n: int, worse: float = 0.0) -> RegressionCounts:
    truth = rng.normal(50.0, 5.0, size=n)
    prediction = truth + rng.laplace(5.0 * worse, 1.0 + worse, size=n)
    return RegressionCounts.of(RegressionLayout(8.0, 50.0), prediction, truth)


Make = Callable[..., PerformanceCounts]
KINDS: tuple[Make, ...] = (of_binary, of_classes, of_scores, of_class_scores, of_errors)


@pytest.mark.parametrize("make", KINDS)
def test_a_large_loss_is_beyond_chance_and_a_gain_is_none(make: Make) -> None:
    rng = np.random.default_rng(11)
    good, bad = make(rng, 5_000), make(rng, 2_000, 0.25)
    for metric in worsening_metrics(good):
        result = worsening(metric, good, bad)
        assert result.loss is not None
        assert result.loss > 0.0
        assert result.p_value < 1e-6, (metric, result)
        better = worsening(metric, bad, good)
        # That of f1_macro is measured from what the reference's model shows in as many rows, which differs by side.
        assert better.loss == pytest.approx(-result.loss, abs=5e-4 if metric == "f1_macro" else None)
        assert better.p_value > 0.5, (metric, better)


@pytest.mark.parametrize("make", KINDS)
def test_the_change_is_that_of_the_metrics(make: Make) -> None:
    rng = np.random.default_rng(12)
    reference, current = make(rng, 3_000), make(rng, 400, 0.1)
    before, after = performance(reference), performance(current)
    for metric in worsening_metrics(reference):
        result = worsening(metric, reference, current)
        assert (result.reference, result.current) == pytest.approx((before[metric].value, after[metric].value))
        assert result.current is not None
        assert result.reference is not None
        assert result.change == result.current - result.reference


MAKERS = {make.__name__: make for make in KINDS}
TRIALS, LEVEL = 500, 0.01


def alarms_by_chance(make: str, n: int) -> dict[str, int]:
    """How often windows of so many rows are worse at the level than a reference that is drawn alike, by metric."""
    rng = np.random.default_rng(13)
    alarms: dict[str, int] = {}
    for _ in range(TRIALS):
        reference, current = MAKERS[make](rng, 2_000), MAKERS[make](rng, n)
        for metric in worsening_metrics(reference):
            alarms[metric] = alarms.get(metric, 0) + int(worsening(metric, reference, current).p_value < LEVEL)
    return alarms


@pytest.mark.parametrize("n", [100, 1_000])
def test_an_average_precision_is_worse_by_more_than_chance_alone(n: int) -> None:
    rng = np.random.default_rng(23)

    def scored(rows: int, apart: float) -> ScoreCounts:
        label = rng.random(rows) < 0.1
        return ScoreCounts.of(1.0 / (1.0 + np.exp(-rng.normal(size=rows) - apart * label)), label)

    same, worse = 0, 0
    for _ in range(200):
        reference = scored(3_000, 2.5)
        same += worsening("pr_auc", reference, scored(n, 2.5)).p_value < 0.01
        worse += worsening("pr_auc", reference, scored(n, 0.5)).p_value < 0.01
    # Of 200 two are expected at the level; seven would be there in one of 200 runs.
    assert same <= 6
    assert worse > (80 if n == 100 else 195)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n", [50, 500])
def test_chance_alone_alarms_no_more_often_than_said(proofs: Proofs, make: str, n: int) -> None:
    alarms = proofs.figures(alarms_by_chance, make, n)
    # Three standard deviations above the nominal rate.
    most = TRIALS * LEVEL + 3.0 * (TRIALS * LEVEL) ** 0.5
    assert alarms
    assert all(count <= most for count in alarms.values()), alarms


@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize("agreeing_others", [0, 7])
def test_the_gradient_is_the_slope_of_the_metric(name: str, agreeing_others: int) -> None:
    rng = np.random.default_rng(14)
    cells = np.append(rng.integers(5, 50, size=16).astype(float), agreeing_others)
    mask = np.array([True, True, True])
    gradient = metric_gradient(Margins.of(cells, 3), name, mask)
    place, step = MEANS.index(name), 1e-4
    for cell in range(17):
        sides = []
        for sign in (1.0, -1.0):
            moved = cells.copy()
            moved[cell] += sign * step
            sides.append(mean_columns(Margins.of(moved, 3), mask, mask)[place])
        assert gradient[cell] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-7)


def test_a_window_without_an_easy_class_is_compared_on_the_others() -> None:
    truth = ["a"] * 100 + ["b"] * 100
    reference = ConfusionCounts.of(CLASSES, ["a"] * 100 + ["a"] * 40 + ["b"] * 60, truth)
    current = ConfusionCounts.of(CLASSES, ["a"] * 40 + ["b"] * 60, ["b"] * 100)
    result = worsening("balanced_accuracy", reference, current)
    assert (result.reference, result.current, result.change) == (0.6, 0.6, 0.0)
    assert result.p_value == pytest.approx(0.5)


def test_a_few_rows_that_are_alike_prove_nothing() -> None:
    rng = np.random.default_rng(15)
    reference = of_errors(rng, 1_000)
    three = RegressionCounts.of(RegressionLayout(8.0, 50.0), np.full(3, 52.0), np.full(3, 50.0))
    assert worsening("mae", reference, three).p_value > 0.01
    certain = RegressionCounts.of(RegressionLayout(8.0, 50.0), np.full(2, 51.0), np.full(2, 50.0))
    assert worsening("mae", certain, certain).p_value == 1.0
    assert worsening("mae", certain, three).p_value == pytest.approx(1 / 10)


def test_a_mean_error_is_worse_when_it_grows_either_way() -> None:
    layout, truth = RegressionLayout(1.0), np.zeros(200)
    noise = np.random.default_rng(16).normal(size=200)
    noise -= noise.mean()
    reference = RegressionCounts.of(layout, noise + 0.1, truth)
    current = RegressionCounts.of(layout, noise - 1.0, truth)
    result = worsening("mean_error", reference, current)
    assert result.change == pytest.approx(-1.1)
    assert result.loss == pytest.approx(0.9)
    assert result.p_value < 1e-6


def test_a_mean_error_that_moves_is_seen_on_either_side_of_zero_and_one_way() -> None:
    """From -5.0 to +4.85 its size shrinks, but it went up."""
    layout, truth = RegressionLayout(1.0), np.zeros(200)
    noise = np.random.default_rng(16).normal(size=200)
    low, high = (RegressionCounts.of(layout, noise + mean, truth) for mean in (-5.0, 4.85))
    moved = [mean_error_moved(*sides, upwards=up) for sides in ((low, high), (high, low)) for up in (True, False)]
    assert moved == [pytest.approx(0.0, abs=1e-12), 1.0, 1.0, pytest.approx(0.0, abs=1e-12)]
    assert worsening("mean_error", low, high).p_value > 0.5
    assert mean_error_moved(low, low, upwards=True) == 1.0
    one = RegressionCounts.of(layout, np.full(1, 5.0), np.zeros(1))
    assert mean_error_moved(low, one, upwards=True) == 1.0
    assert mean_error_moved(low, RegressionCounts.empty(layout), upwards=True) is None


def test_what_is_undefined_has_a_reason_and_no_evidence() -> None:
    rng = np.random.default_rng(17)
    for make in KINDS:
        some = make(rng, 200)
        nothing = type(some).empty(some.layout)  # type: ignore[arg-type]
        for metric in worsening_metrics(some):
            for reference, current in ((some, nothing), (nothing, some)):
                result = worsening(metric, reference, current)
                assert (result.change, result.loss, result.p_value) == (None, None, 1.0), metric
                assert result.reason


def test_too_few_rows_have_a_change_but_no_evidence() -> None:
    rng = np.random.default_rng(18)
    single = ScoreCounts.of(np.array([0.4, 0.5, 0.6]), np.array([True, False, False]))
    for metric in ("roc_auc", "pr_auc"):
        result = worsening(metric, of_scores(rng, 500), single)
        assert (result.change is None, result.p_value) == (False, 1.0)
        assert result.reason
    one = RegressionCounts.of(RegressionLayout(8.0, 50.0), np.array([70.0]), np.array([50.0]))
    assert worsening("mae", of_errors(rng, 500), one).reason == "both samples need at least two rows"


def test_a_side_that_can_not_be_summed_is_undefined() -> None:
    rng = np.random.default_rng(19)
    layout = RegressionLayout(8.0, 50.0)
    good = of_errors(rng, 50)
    far = RegressionCounts.of(layout, np.array([1e300, 50.0]), np.array([50.0, 50.0]))
    zero = RegressionCounts.of(layout, np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    steep = RegressionCounts.of(layout, np.array([1.0, 1.0]), np.array([1e-12, 1.0]))
    assert worsening("mae", far, good).change is None
    assert worsening("mean_error", good, far).change is None
    assert worsening("mae", good, far).loss == pytest.approx(2.0**26, rel=0.01)
    assert "targets are 0" in (worsening("mape", good, zero).reason or "")
    assert worsening("mape", steep, good).change is None
    one_class = ConfusionCounts.of(CLASSES, ["a", "a"], ["a", "a"])
    assert worsening("mcc", of_classes(rng, 100), one_class).change is None
    unknown = ConfusionCounts.of(CLASSES, ["z", "y"], ["z", "z"])
    assert worsening("f1_macro", of_classes(rng, 100), unknown).change is None


def test_only_counts_of_one_kind_and_known_metrics_compare() -> None:
    rng = np.random.default_rng(20)
    with pytest.raises(StatsError, match="known: roc_auc"):
        worsening("ece", of_scores(rng, 10), of_scores(rng, 10))
    with pytest.raises(IncompatibleProfiles):
        worsening("log_loss", of_scores(rng, 10), of_class_scores(rng, 10))
    with pytest.raises(IncompatibleProfiles):
        worsening("accuracy", of_classes(rng, 10), ConfusionCounts.empty(ConfusionLayout(("a", "b"))))
