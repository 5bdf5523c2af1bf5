"""Values of stored rows, read by columns: the same from blocks and from rows, and none of rows that are gone."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from modelwatch.storage.counts import stored_values
from modelwatch.storage.counts.stored_values import StoredValues, numbers_between, recent_values
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions import blocks
from modelwatch.storage.ledger.predictions.feature_columns import FeatureBlock
from tests.support.events import NOON, event, open_ledger
from tests.support.stores.stored import block_rows, erased, several

both_engines = pytest.mark.both_engines

SECOND = 1_000_000
START = NOON // SECOND
STREAM = StreamKey("m", "1", "production")


@pytest.fixture(autouse=True)
def of_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "FEWEST_VALUES", 1)


def seen(store: Store, limit: int, *, start: int | None = None, end: int = START + 300) -> StoredValues:
    with store.read() as connection:
        return recent_values(connection, STREAM, end, limit, start, ["x", "c"])


@both_engines
class TestRecentValues:
    def test_are_in_turns_those_that_came_with_many_and_those_that_came_alone(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit([event(f"p{number}", {"x": number, "c": None}) for number in range(6)])
        for number in range(3):
            ledger.commit([event(f"alone{number}", {"x": 100 + number})])
        assert seen(store, 4).values["x"] == [0, 100, 1, 101]
        assert seen(store, 7).values["x"] == [0, 100, 1, 101, 2, 102, 3]
        assert seen(store, 100).values["x"] == [0, 100, 1, 101, 2, 102, 3, 4, 5]
        assert (seen(store, 100).rows, seen(store, 100).given) == (9, Counter(x=9))

    def test_are_of_rows_that_came_alone_where_few_came_with_many(self, store: Store) -> None:
        ledger = open_ledger(store)
        for number in range(9):
            ledger.commit([event(f"alone{number}", {"x": 100 + number})])
        ledger.commit(several(4))
        assert seen(store, 9).values["x"] == [0.0, 100, 0.25, 101, 0.5, 102, 0.75, 103, 104]

    def test_are_of_the_days_before_where_the_newest_has_too_few(self, store: Store) -> None:
        day = 86_400
        ledger = open_ledger(store)
        for number in range(3):
            sent = NOON + number * day * SECOND
            ledger.commit([event(f"p{number}-{place}", {"x": number}, timestamp=sent) for place in range(5)])
        end = START + 2 * day + 300
        assert seen(store, 100, end=end).rows == 5
        assert seen(store, 8, start=START, end=end).values["x"] == [2] * 5 + [1] * 3
        assert seen(store, 100, start=START, end=end).given == {"x": 15}

    def test_are_of_the_rows_of_a_block_in_the_span_alone(self, store: Store) -> None:
        sent = [event(f"p{number}", {"x": number}, timestamp=NOON + number * 60 * SECOND) for number in range(10)]
        open_ledger(store).commit(sent)
        assert seen(store, 100, start=START + 120, end=START + 300).values["x"] == [2, 3, 4]

    def test_lack_those_of_a_row_that_its_block_does_not_have(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_ledger(store).commit(several(8))
        table = tables.prediction
        with store.write() as connection:
            connection.execute(update(table).where(table.c.prediction_id == "p3").values(place=50))
        with caplog.at_level(logging.WARNING):
            found = seen(store, 100)
        assert found.values["x"] == [0.0, 0.25, 0.5, 1.0, 1.25, 1.5, 1.75]
        [message] = [each.message for each in caplog.records if "count as not stored" in each.message]
        assert "does not have a row" in message

    def test_do_not_show_in_the_next_snapshot_what_was_erased(self, store: Store) -> None:
        open_ledger(store).commit(several(8))
        with store.snapshot():
            assert seen(store, 100).rows == 8
        erased(store, "p3")
        with store.snapshot():
            assert 0.75 not in seen(store, 100).values["x"]
            assert seen(store, 100).given == {"x": 7, "c": 7}

    def test_are_taken_from_blocks_that_a_snapshot_reads_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger, read = open_ledger(store), list[int]()
        for number in range(4):
            ledger.commit(several(5, f"p{number}-", timestamp=NOON + number * 60 * SECOND))

        class Counted(FeatureBlock):
            def __init__(self, raw: bytes) -> None:
                read.append(len(raw))
                super().__init__(raw)

        monkeypatch.setattr(blocks, "FeatureBlock", Counted)
        ends = range(START + 60, START + 300, 60)
        with store.snapshot():
            slid = [seen(store, 100, start=START, end=end) for end in ends]
        assert len(read) == 4
        assert slid == [seen(store, 100, start=START, end=end) for end in ends]
        assert len(read) == 4 + 1 + 2 + 3 + 4
        monkeypatch.setattr(stored_values, "MOST_BYTES", 1)
        with store.snapshot():
            assert [seen(store, 100, start=START, end=end) for end in ends] == slid
        assert len(read) > 14 + 4, "there is no room for any of them"


@both_engines
def test_numbers_of_some_windows_are_those_of_blocks_and_rows(store: Store) -> None:
    """What is missing and what is no number, as texts and truth values, are told apart."""
    values: list[Any] = [1, 2.5, None, "n/a", True, 2**60]
    sent = [
        event(f"p{place}-{window}", {"x": value}, timestamp=NOON + window * 300 * SECOND)
        for place, value in enumerate(values)
        for window in range(3)
    ]
    ledger = open_ledger(store)
    for each in sent[:3]:
        ledger.commit([each])
    ledger.commit(sent[3:])
    assert block_rows(store)
    with store.read() as connection:
        spans = [(START + window * 300, START + window * 300 + 300) for window in (0, 2)]
        parts = [
            (starts.tolist(), columns) for starts, columns in numbers_between(connection, STREAM, spans, ["x", "y"])
        ]
    found = [(start, number) for starts, (numbers, _) in parts for start, number in zip(starts, numbers, strict=True)]
    assert all(np.isnan(others).all() for _, (_, others) in parts)
    expected = [1.0, 2.5, np.nan, np.inf, np.inf, 2.0**60]
    for start, _ in spans:
        assert sorted(map(repr, (n.item() for s, n in found if s == start))) == sorted(map(repr, expected))
    assert len(found) == 12
