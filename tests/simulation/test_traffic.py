"""Simulated predictions, and evaluations where the scheduler would make them."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.schedule import due_points
from modelwatch.simulation.traffic import HOUR, Traffic, schedule, traffic

DAY = 24 * HOUR


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("rate", [5.0, 100.0, 7_777.0])
def test_even_arrivals_are_the_same_number_in_every_hour(rate: float) -> None:
    stream = traffic(rate, DAY, 10 * DAY, "even", rng())
    assert stream.history == 288
    assert set(stream.arrived.reshape(-1, 12).sum(axis=1).tolist()) == {int(rate)}


def test_a_broken_rate_is_right_in_the_long_run() -> None:
    stream = traffic(1 / 3, 0, 30 * DAY, "even", rng())
    assert stream.arrived.sum() == 240
    assert set(stream.arrived.tolist()) == {0, 1}


def test_poisson_arrivals_vary_as_they_should() -> None:
    arrived = traffic(600.0, DAY, 300 * DAY, "poisson", rng()).arrived
    assert arrived.mean() == pytest.approx(50, rel=0.01)
    assert arrived.var() == pytest.approx(50, rel=0.03)


def test_the_default_traffic_is_evaluated_once_an_hour() -> None:
    found = schedule(traffic(100.0, DAY, 30 * DAY, "even", rng()), [HOUR, DAY], HOUR, 100)
    assert found.ends.tolist() == list(range(HOUR, 30 * DAY + 1, HOUR))
    assert set(found.elapsed.tolist()) == {HOUR}
    # From the first evaluation on, every look-back is full.
    assert found.values.tolist() == [[100, 2_400]] * 720


def test_busy_traffic_is_evaluated_when_enough_has_come_and_spends_less() -> None:
    found = schedule(traffic(10_000.0, DAY, DAY, "even", rng()), [HOUR], HOUR, 100)
    assert found.ends.tolist() == list(range(300, DAY + 1, 300))
    assert set(found.elapsed.tolist()) == {300}
    waits = schedule(traffic(10_000.0, DAY, DAY, "even", rng()), [HOUR], HOUR, None)
    assert waits.ends.tolist() == list(range(HOUR, DAY + 1, HOUR))


def test_quiet_traffic_is_evaluated_when_something_comes() -> None:
    found = schedule(traffic(0.25, DAY, DAY, "even", rng()), [HOUR], HOUR, 100)
    assert np.diff(found.ends).tolist() == [4 * HOUR] * 5
    assert set(found.elapsed.tolist()) == {HOUR}


@pytest.mark.parametrize("rate", [2.0, 90.0, 900.0])
def test_evaluations_and_looks_are_those_of_the_scheduler(rate: float) -> None:
    stream = traffic(rate, DAY, 3 * DAY, "poisson", rng())
    spans = [HOUR, 6 * HOUR, DAY]
    found = schedule(stream, spans, HOUR, 100)
    windows = [
        ((index - stream.history + 1) * BASE_WINDOW_SECONDS, int(count))
        for index, count in enumerate(stream.arrived)
        if index >= stream.history and count
    ]
    points = list(due_points(0, windows, interval=HOUR, enough=100))
    assert list(zip(found.ends.tolist(), found.elapsed.tolist(), strict=True)) == [
        (point.end, point.elapsed) for point in points
    ]
    for values, point in zip(found.values.tolist(), points, strict=True):
        last = point.end // BASE_WINDOW_SECONDS + stream.history
        assert values == [stream.arrived[last - span // BASE_WINDOW_SECONDS : last].sum() for span in spans]


def test_nothing_comes_and_nothing_is_evaluated() -> None:
    found = schedule(Traffic(np.zeros(600, dtype=np.int64), 288), [HOUR, DAY], HOUR, 100)
    assert len(found.ends) == 0
    assert found.values.shape == (0, 2)
