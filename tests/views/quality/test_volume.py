"""Volume over time: each prediction is in one step, and what is usual is what data quality compares with."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.views.quality.volume import VolumeSeries, volume_series
from modelwatch.views.stretches.stretch import SeriesQuery
from tests.support.events import event, open_ledger
from tests.support.rules import RULES
from tests.views.drift.test_series import END, HOUR, NOW, rolled_up

WEEKS = 6


def filled(store: Store, weeks: int = WEEKS) -> int:
    """Some predictions an hour, twice as many in every third, of two versions; returns how many."""
    rng = np.random.default_rng(1)
    predictions = [
        event(f"{hour}-{number}", timestamp=(END - hour * HOUR + 60 * number) * 1_000_000, version=str(1 + number % 2))
        for hour in range(1, weeks * 168 + 2)
        for number in range(rng.poisson(8 if hour % 3 else 16))
    ]
    # The data of both versions goes on to the end.
    predictions += [event(f"newest-{version}", timestamp=NOW - 1, version=version) for version in ("1", "2")]
    open_ledger(store).commit(predictions)
    return len(predictions)


def series(store: Store, hours: int, step: int = HOUR, version: str | None = None) -> VolumeSeries:
    return volume_series(store, SeriesQuery("m", "production", version, END - hours * HOUR, END, step), NOW)


@pytest.mark.both_engines
def test_what_is_usual_is_what_data_quality_compares_with(store: Store) -> None:
    filled(store)
    found = series(store, 48, version="1")
    report = check_quality(store, RULES, QualityRules(1.0, 3_600), StreamKey("m", "1", "production"), NOW)
    last_hour = report.volume[0]
    last = found.steps[-1]
    assert last_hour.expected is not None
    assert (last.predictions, last.usual) == (last_hour.predictions, last_hour.expected)
    assert (last.low, last.high) == (last_hour.low, last_hour.high)
    assert found.weeks == WEEKS - 1
    assert all(step.low is not None and step.high is not None for step in found.steps)
    usual = np.array([step.usual for step in found.steps]).reshape(-1, 3).mean(axis=0)
    # Every third hour has twice as many, the same ones each week.
    assert usual[0] == pytest.approx(8, rel=0.1)
    assert usual[1:] == pytest.approx([4, 4], rel=0.1)


def test_each_prediction_is_in_one_step_also_where_windows_were_rolled_up(store: Store) -> None:
    number = filled(store, 1)
    asked = SeriesQuery("m", "production", None, END - 169 * HOUR, END, 6 * HOUR)
    assert sum(step.predictions for step in volume_series(store, asked, NOW).steps) == number
    before = [step.predictions for step in series(store, 48, 1_800).steps]
    assert len(before) == 96
    rolled_up(store, END - 24 * HOUR)
    after = [step.predictions for step in series(store, 48, 1_800).steps]
    assert len(after) == 24 + 48
    assert after[:24] == np.array(before[:48]).reshape(-1, 2).sum(axis=1).tolist()
    assert after[24:] == before[48:]


def test_too_few_weeks_and_steps_below_an_hour_say_why_nothing_is_usual(store: Store) -> None:
    filled(store, 2)
    found = series(store, 24)
    assert {step.usual for step in found.steps} == {None}
    assert found.reason is not None
    assert "earlier weeks are needed" in found.reason
    assert "whole hours" in (series(store, 24, 1_800).reason or "")


def test_a_model_without_data_has_no_volume(store: Store) -> None:
    filled(store, 1)
    assert volume_series(store, SeriesQuery("m", "elsewhere"), NOW).steps == []
