"""Rolling windows up: a store that is rolled up at any time answers as its twin that never is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import delays_by_window, first_labelled_window, newest_label, sum_outcomes
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.rollup_levels import DAY, HOUR, Grain
from modelwatch.storage.counts.segments import segment_outcomes, segment_profiles
from modelwatch.storage.counts.streams import count_streams, newest_window, streams
from modelwatch.storage.counts.volumes import (
    duplicates_in,
    first_window,
    hourly_volumes,
    predictions_in,
    predictions_of_generation,
    window_arrivals,
    windows_since,
)
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import Clock, event, numbered
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, CLASSES, label
from tests.support.stores.segments import name_segments
from tests.support.stores.stored import fold_all

DAY_0 = 20_000 * DAY
NOW = DAY_0 + 10 * DAY
VERSIONS = ("1", "2")
EVER = (DAY_0 - DAY, NOW + DAY)
ALL_STREAMS = [StreamKey("m", version, "production") for version in VERSIONS]


@dataclass
class History:
    """What happens to a store; the same to each twin."""

    store: Store
    rolled: bool
    clock: Clock = field(default_factory=lambda: Clock(NOW * 1_000_000))
    ledgers: list[Ledger] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.new_id = numbered("id")
        self.ledgers = [
            Ledger(self.store, clock=self.clock, new_id=numbered(f"w{index}-"), host="test", rotation_seconds=3_600)
            for index in range(2)
        ]

    def apply(self, step: tuple[Any, ...]) -> None:
        self.clock.advance(1)
        match step:
            case ("commit", which, events, labels):
                self.ledgers[which].commit(events, labels)
            case ("rotate", which):
                self.ledgers[which].close()
                self.ledgers[which]._change_writer()
                fold_all(self.store)
            case ("reference", scale):
                values = [float(value * scale) for value in range(40)]
                profile = Profile.of(numeric_binning(values), values)
                now = self.clock()
                set_references(
                    self.store, "m", None, {Subject("feature", "x"): profile}, source="t", now=now, new_id=_id
                )
            case ("layout", layout):
                counts = OutcomeCounts.empty(layout)
                set_references(self.store, "m", None, {}, outcomes=counts, source="t", now=self.clock(), new_id=_id)
            case ("carry",):
                backfill_profiles(self.store, "m", *EVER)
            case ("erase", identity):
                if self.known(identity):
                    erase(self.store, "m", identity, actor="t", now=self.clock(), new_id=_id)
            case ("roll", hours, days, most) if self.rolled:
                for stream in ALL_STREAMS:
                    roll_up(self.store, stream, Grain.of(DAY_0 + hours * HOUR, DAY_0 + days * DAY), most=most)

    def known(self, identity: str) -> bool:
        table = tables.prediction
        with self.store.read() as connection:
            found = select(table.c.day).where(table.c.model == "m", table.c.prediction_id == identity)
            return connection.execute(found).first() is not None


def _id() -> str:
    return uuid.uuid4().hex


def answers(store: Store) -> dict[str, Any]:
    """Everything that can be asked of whole days, and what can be asked of base windows however they are stored."""
    grain = Grain.of(NOW, NOW)
    days = [(DAY_0 + day * DAY, DAY_0 + (day + 2) * DAY) for day in range(-1, 4)]
    odd = (DAY_0 + 7 * 300, DAY_0 + DAY + 11 * 300)
    found: dict[str, Any] = {}
    with store.read() as connection:
        generation = generation_of(connection, "m") or 0
        layouts = read_layouts(connection, "m", generation)
        found["profiles"] = [
            {version: (slot.predictions, slot.counts.tolist()) for version, slot in sums.items() if slot.predictions}
            for sums in sum_windows(connection, "m", layouts, "production", [EVER, *days])
        ]
        found["outcomes"] = [
            {version: counts.tolist() for version, counts in sums.items()}
            for sums in sum_outcomes(connection, "m", layouts, "production", [EVER, *days])
        ]
        found["streams"] = [each for each in streams(connection) if each.predictions]
        found["arrivals"] = [window_arrivals(connection, "m", "production", since) for since in (DAY_0, odd[0])]
        found["count"] = [count_streams(connection, "m", *span) for span in days]
        found["in generation"] = predictions_of_generation(connection, "m", generation, "production", None, odd)
        for stream in ALL_STREAMS:
            of_stream = {
                "by hour": hourly_volumes(connection, stream, *EVER),
                "by hour, in part": hourly_volumes(connection, stream, *odd),
                "predictions": predictions_in(connection, stream, *odd),
                "first": first_window(connection, stream),
                "newest": newest_window(connection, stream),
                "newest label": newest_label(connection, stream),
                "repeats": [duplicates_in(connection, stream, *span) for span in days],
                "windows": sum(number for _, number in windows_since(connection, stream, None, NOW, 10_000)),
                "delays": {
                    window: counts.tolist()
                    for window, counts in delays_by_window(
                        connection, "m", layouts, "production", stream.version, EVER, grain
                    ).items()
                    if counts.any()
                },
                "segments": {
                    segment: (slot.predictions, slot.counts.tolist())
                    for segment, slot in segment_profiles(connection, stream, layouts, EVER).items()
                },
                "labelled segments": {
                    segment: counts.tolist()
                    for segment, counts in segment_outcomes(connection, stream, layouts, EVER).items()
                },
                "first label": first_labelled_window(connection, stream) // DAY,
            }
            found |= {f"{question} of {stream.version}": answer for question, answer in of_stream.items()}
    return found


def _event(identity: int, version: str, slot: int, value: float, group: str) -> Prediction:
    moment = (DAY_0 + slot * 300) * 1_000_000 + identity
    features = {"x": value, "g": group}
    said = "yes" if value > 10 else "no"
    return event(str(identity), features, version=version, timestamp=moment, prediction=said, probability=0.25)


# Four days; many events in a few windows.
slots = st.one_of(st.integers(0, 30), st.integers(270, 300), st.integers(0, 4 * 288 - 1))
events = st.builds(
    _event,
    st.integers(0, 40),
    st.sampled_from(VERSIONS),
    slots,
    st.sampled_from([0.0, 5.0, 17.0, 90.0]),
    st.sampled_from(["a", "b"]),
)
labels = st.builds(
    lambda identity, value, at: label(str(identity), value, timestamp=(DAY_0 + at) * 1_000_000),
    st.integers(0, 40),
    st.sampled_from(["yes", "no"]),
    st.integers(0, 9 * DAY),
)
rolls = st.tuples(st.just("roll"), st.integers(0, 110), st.integers(0, 4), st.sampled_from([1, 1_000]))
steps = st.one_of(
    st.tuples(
        st.just("commit"), st.integers(0, 1), st.lists(events, min_size=1, max_size=12), st.lists(labels, max_size=6)
    ),
    rolls,
    st.tuples(st.just("rotate"), st.integers(0, 1)),
    st.tuples(st.just("reference"), st.sampled_from([1, 3])),
    st.tuples(st.just("layout"), st.sampled_from([BINARY, CLASSES])),
    st.tuples(st.just("carry")),
    st.tuples(st.just("erase"), st.integers(0, 40).map(str)),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ENGINES)
@settings(max_examples=examples(20))
@given(st.lists(steps, min_size=2, max_size=14), rolls)
def test_a_rolled_up_store_answers_as_its_twin(
    fresh_stores: FreshStores, kind: str, history: list[tuple[Any, ...]], last: tuple[Any, ...]
) -> None:
    with fresh_stores.open(kind) as rolled, fresh_stores.open("sqlite") as twin:
        found = []
        for each in (History(rolled, rolled=True), History(twin, rolled=False)):
            name_segments(each.store, "g")
            each.apply(("layout", BINARY))
            each.apply(("reference", 2))
            # The newest windows of a stream are never rolled up.
            newest = [_event(100 + number, version, 5 * 288, 5.0, "a") for number, version in enumerate(VERSIONS)]
            each.apply(("commit", 0, newest, []))
            for step in [*history, ("rotate", 0), ("rotate", 1), ("carry",), last, ("carry",)]:
                each.apply(step)
            found.append(answers(each.store))
        for question, answer in found[1].items():
            assert found[0][question] == answer, question
