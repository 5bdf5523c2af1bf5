"""Metrics that vary by themselves: seasons of the reference are no loss, and a real loss stands out of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from modelwatch.stats.errors import MalformedProfile
from modelwatch.stats.outcomes.natural_variation import (
    MEAN_TARGET,
    MetricVariation,
    NaturalVariation,
    beyond_natural,
    decode_natural,
    encode_natural,
    natural_variation,
    odds_of,
)
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import RegressionLayout, worsening
from tests.proofs.lock import Proofs

LAYOUT = OutcomeLayout("binary", ("no", "yes"), "yes")
DAY = 86_400
ROWS_A_DAY = 300


def days(number: int, accuracy: float, swing: float, rng: np.random.Generator) -> list[list[Outcome]]:
    """Rows of so many days, whose accuracy swings with a period of 20 days."""
    found = []
    for day in range(number):
        right = rng.random(ROWS_A_DAY) < accuracy + swing * math.sin(2.0 * math.pi * day / 20.0)
        truth = rng.random(ROWS_A_DAY) < 0.5
        found.append(
            [
                Outcome("yes" if yes == hit else "no", None, "yes" if yes else "no")
                for yes, hit in zip(truth.tolist(), right.tolist(), strict=True)
            ]
        )
    return found


def variation_of(rows: list[list[Outcome]]) -> NaturalVariation:
    times = [day * DAY + index * (DAY // ROWS_A_DAY) for day, each in enumerate(rows) for index in range(len(each))]
    found = natural_variation(LAYOUT, [row for each in rows for row in each], times, np.random.default_rng(0))
    assert found is not None
    return found


def p_values(reference: list[list[Outcome]], now: list[list[Outcome]], natural: MetricVariation | None) -> list[float]:
    """By day, the chance of a loss of accuracy as large."""
    whole = OutcomeCounts.of(LAYOUT, [row for each in reference for row in each]).confusion
    assert whole is not None
    found = []
    for each in now:
        current = OutcomeCounts.of(LAYOUT, each).confusion
        assert current is not None
        found.append(beyond_natural(worsening("accuracy", whole, current), natural).p_value)
    return found


@dataclass(frozen=True)
class Seasons:
    """How accuracy varies between the days of a reference, and how many days alarm.

    unaware, quiet: of 400 days like those of the reference, without and with what is known of the variation.
    broken: of 20 days with a loss.
    """

    deviation: float
    unaware: int
    quiet: int
    broken: int


def seasons() -> Seasons:
    """Days whose accuracy swings by 6 points, judged by a reference of 60 of them."""
    rng = np.random.default_rng(1)
    reference = days(60, 0.88, 0.06, rng)
    natural = variation_of(reference).of("accuracy", DAY)
    assert natural is not None
    quiet, alpha = days(400, 0.88, 0.06, rng), 1e-4
    unaware = sum(p < alpha for p in p_values(reference, quiet, None))
    alarms = sum(p < alpha for p in p_values(reference, quiet, natural))
    broken = days(20, 0.60, 0.06, rng)
    return Seasons(natural.deviation, unaware, alarms, sum(p < alpha for p in p_values(reference, broken, natural)))


def test_seasons_that_the_reference_has_seen_are_no_loss_and_a_loss_beyond_them_is_found(proofs: Proofs) -> None:
    found = proofs.figures(seasons)
    assert found.deviation == pytest.approx(0.06 / math.sqrt(2.0), rel=0.2)
    assert found.unaware > 10
    assert found.quiet == 0
    assert found.broken >= 15


def variations_by_chance() -> int:
    """For how many of four references, whose days are alike, accuracy is said to vary."""
    rng = np.random.default_rng(2)
    return sum(variation_of(days(60, 0.88, 0.0, rng)).of("accuracy", DAY) is not None for _ in range(4))


def test_a_metric_that_does_not_vary_beyond_chance_has_none(proofs: Proofs) -> None:
    assert proofs.figures(variations_by_chance) <= 1


def alarms_of_random_days() -> float:
    """The share of days whose accuracy is drawn that alarm at 1 %, with a reference of 30 such days."""
    rng = np.random.default_rng(3)
    alarms = looks = 0
    for _ in range(4):
        reference = [days(1, accuracy, 0.0, rng)[0] for accuracy in rng.normal(0.85, 0.03, 30)]
        natural = variation_of(reference).of("accuracy", DAY)
        now = [days(1, accuracy, 0.0, rng)[0] for accuracy in rng.normal(0.85, 0.03, 250)]
        alarms += sum(p < 1e-2 for p in p_values(reference, now, natural))
        looks += len(now)
    return alarms / looks


def test_the_level_holds_where_days_differ_at_random(proofs: Proofs) -> None:
    """The test with few degrees of freedom."""
    assert proofs.figures(alarms_of_random_days) < 0.03


def test_what_is_known_of_other_lengths_serves_the_nearest() -> None:
    known = NaturalVariation({"86400": {"accuracy": MetricVariation(0.05, 30)}, "604800": {}})
    assert known.of("accuracy", 3_600) == known.of("accuracy", DAY) == known.of("accuracy", 6 * DAY)
    assert known.of("accuracy", 7 * DAY) is None
    assert NaturalVariation({}).of("accuracy", DAY) is None


def test_the_odds_of_the_true_classes_and_the_mean_target_are_known_by_their_deviation() -> None:
    rng = np.random.default_rng(4)
    levels = rng.normal(-2.0, 0.5, 60)
    rows = [
        [Outcome("no", None, "yes" if yes else "no") for yes in (rng.random(ROWS_A_DAY) < 1 / (1 + math.exp(-level)))]
        for level in levels.tolist()
    ]
    yes, no = (variation_of(rows).of(odds_of(name), DAY) for name in ("yes", "no"))
    assert yes is not None
    assert no is not None
    assert yes.deviation == pytest.approx(float(levels.std(ddof=1)), rel=0.2)
    assert no.deviation == pytest.approx(yes.deviation)
    assert variation_of(rows).of(odds_of("(other)"), DAY) is None
    layout = OutcomeLayout("regression", regression=RegressionLayout(1.0, 0.0))
    level = np.repeat(rng.normal(0.0, 2.0, 60), 100)
    numbers = [Outcome(0.0, None, value) for value in (level + rng.normal(0.0, 1.0, 6_000)).tolist()]
    natural = natural_variation(layout, numbers, [index * DAY // 100 for index in range(6_000)], rng)
    assert natural is not None
    mean = natural.of(MEAN_TARGET, DAY)
    assert mean is not None
    assert mean.deviation == pytest.approx(2.0 / math.sqrt(5.0), rel=0.25)


def test_rows_without_times_or_of_too_few_stretches_tell_nothing() -> None:
    rows = [Outcome("yes", None, "yes")] * 100
    assert natural_variation(LAYOUT, rows, [None] * 100, np.random.default_rng(0)) is None
    assert natural_variation(LAYOUT, rows, list(range(100)), np.random.default_rng(0)) is None


def test_another_positive_class_leaves_what_is_about_all_of_them() -> None:
    known = {"accuracy": MetricVariation(0.05, 30), "recall": MetricVariation(0.1, 30)}
    after = NaturalVariation({"86400": known}).with_another_positive_class()
    assert after.of("accuracy", DAY) is not None
    assert after.of("recall", DAY) is None


def test_it_is_its_bytes_and_other_bytes_are_refused() -> None:
    known = NaturalVariation({"86400": {"accuracy": MetricVariation(0.05, 30)}})
    assert decode_natural(encode_natural(known)) == known
    with pytest.raises(MalformedProfile, match="variation of metrics"):
        decode_natural(b"nothing")
    for deviation, stretches in ((-0.1, 30), (float("nan"), 30), (float("inf"), 30), (0.1, 9), (0.1, 1)):
        with pytest.raises(MalformedProfile, match="the variation of accuracy"):
            decode_natural(
                encode_natural(NaturalVariation({"86400": {"accuracy": MetricVariation(deviation, stretches)}}))
            )
