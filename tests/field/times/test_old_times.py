"""Times before 1970 are negative: the same data, as long before as after, are counted and judged the same."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from sqlalchemy import func, select

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput
from modelwatch.events import EARLIEST_DAY, EARLIEST_TIME
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.counts.volumes import first_window, hourly_volumes
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.background import background, run_out
from tests.support.data.streams import normal, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import RULES
from tests.support.stores.fresh import FreshStores
from tests.support.stores.labels import label

pytestmark = pytest.mark.both_engines

SECOND = 1_000_000
HOUR = 3_600
WEEK = 7 * 86_400
# A Thursday at midnight, 24 years of weeks after 1970-01-01, which was one.
LATER = 24 * 52 * WEEK
STREAM = StreamKey("m", "1", "production")

decoder = Decoder(Limits(), lambda: LATER * SECOND, lambda: "made-here")


def body(timestamp: str) -> bytes:
    return msgspec.json.encode({"model_name": "m", "timestamp": timestamp, "features": {"x": 1.0}, "prediction": "yes"})


def test_predictions_from_1900_on_are_taken_and_older_ones_named() -> None:
    assert decoder.prediction(body("1969-12-31T23:59:59.5Z")).timestamp == -500_000
    assert decoder.prediction(body("1900-01-01T00:00:00Z")).timestamp == EARLIEST_TIME
    with pytest.raises(InvalidInput) as caught:
        decoder.prediction(body("1899-12-31T23:59:59Z"))
    assert caught.value.errors[0].message == "Expected a time from 1900 on"


@dataclass(frozen=True)
class Found:
    """What became of some hours; times in seconds, from their middle."""

    verdicts: list[tuple[int, str]]
    some: list[int]
    hours: dict[int, int]
    span: tuple[int, int]
    days: list[int]
    latest: list[float]


def run(store: Store, middle: int) -> Found:
    """Ten hours of which the last four are shifted, with labels and a repeat."""
    clock = Clock()
    set_reference(store, normal(5_000))
    ledger = open_ledger(store, clock)
    for hour in range(-6, 4):
        at = (middle + hour * HOUR) * SECOND
        values = normal(170, 0.0 if hour < 0 else 2.0, seed=hour + 6)
        events = [
            event(f"{hour}-{index}", {"x": value}, timestamp=at + index * 20 * SECOND)
            for index, value in enumerate(values)
        ]
        ledger.commit(events, [label(f"{hour}-0", timestamp=at + 60 * SECOND)])
    ledger.commit([event("-6-0", timestamp=(middle - 6 * HOUR) * SECOND)])
    ledger.close()
    clock.advance(3_600)
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        first, last = first_window(connection, STREAM), last_window_end(connection, "m", "production")
        assert first is not None
        assert last is not None
        latest = connection.execute(select(tables.profile.c.latest_ts).order_by(tables.profile.c.latest_ts)).scalars()
        return Found(
            [(each.window_end - middle, each.severity) for each in verdicts_of(connection, "m", limit=100)],
            [each.window_end - middle for each in verdicts_of(connection, "m", limit=100, step=4 * HOUR)],
            {
                start - middle: count
                for start, count in hourly_volumes(connection, STREAM, middle - 10 * HOUR, middle + 10 * HOUR).items()
            },
            (first - middle, last - middle),
            sorted(
                day - middle // 86_400
                for day in connection.execute(select(tables.prediction.c.day).distinct()).scalars()
            ),
            [each / SECOND - middle for each in latest],
        )


@pytest.mark.parametrize("shift", [0, -40 * 52 * WEEK])
def test_old_predictions_are_counted_and_judged_as_those_of_other_years(
    fresh_stores: FreshStores, engine: str, shift: int
) -> None:
    found = []
    for moment in (shift, LATER):
        with fresh_stores.open(engine) as store:
            found.append(run(store, moment))
    old, recent = found
    assert old == recent
    assert old.hours == {hour * HOUR: 170 for hour in range(-6, 4)}
    assert old.days == [-1, 0]
    assert {severity for _, severity in old.verdicts} >= {"stable", "alert"}


def test_a_new_generation_counts_days_before_1970_again(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event(f"{day}", timestamp=day * 86_400 * SECOND + HOUR * SECOND) for day in range(-3, 3)])
    set_reference(store, normal(100))
    backfill_profiles(store, "m", EARLIEST_TIME // SECOND, NOON // SECOND)
    with store.read() as connection:
        assert not stale_days(connection, "m", 1, EARLIEST_TIME // SECOND, NOON // SECOND)
        counted = connection.execute(select(func.sum(tables.profile.c.predictions))).scalar_one()
    assert counted == 6


def test_a_model_of_before_takes_predictions_of_before_1970(store: Store) -> None:
    with store.read() as connection:
        assert connection.execute(select(tables.model.c.expired_before)).all() == []
    open_ledger(store).commit([event("a")])
    with store.read() as connection:
        assert connection.execute(select(tables.model.c.expired_before)).scalar_one() == EARLIEST_DAY
