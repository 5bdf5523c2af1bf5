"""Verdicts in the store: the report as it was saved, or an error that names the verdict whose report is damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, update

from modelwatch.errors import DamagedData
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.headlines import recent_headlines, recent_values
from modelwatch.storage.verdicts.verdicts import (
    StoredHeadline,
    StoredVerdict,
    latest_verdicts,
    nearest_full,
    newest_trace,
    newest_verdict,
    result_of,
    save_verdict,
    verdict_by_id,
    verdicts_of,
)
from tests.support.events import NOON

VERDICT = StoredVerdict(
    "v-1", "m", "1", "production", "drift", 300, 1, NOON, 1, "ok", "hash", b"[]", b'{"drift_results":[]}'
)


def add_streams(store: Store) -> Store:
    """The streams that lists of the newest verdicts go by."""
    with store.write() as connection:
        for version in ("1", "2"):
            stream = {"model": "m", "version": version, "environment": "production", "first_seen_at": NOON}
            connection.execute(insert(tables.stream), stream)
    return store


def test_a_report_is_read_as_it_was_saved(store: Store) -> None:
    with store.write() as connection:
        save_verdict(connection, VERDICT, b"evidence")
    with store.read() as connection:
        assert newest_verdict(connection, VERDICT.stream) == VERDICT
        assert result_of(connection, "v-1") == VERDICT.result
        assert result_of(connection, "v-2") is None


def test_a_damaged_report_is_an_error_that_names_its_verdict(store: Store) -> None:
    with store.write() as connection:
        save_verdict(connection, VERDICT, b"evidence")
        connection.execute(update(tables.verdict).values(result=b"damaged"))
    with store.read() as connection:
        with pytest.raises(DamagedData, match="report of the verdict v-1 can't be read"):
            verdict_by_id(connection, "v-1")
        with pytest.raises(DamagedData, match="report of the verdict v-1 can't be read"):
            result_of(connection, "v-1")


@pytest.fixture
def damaged(store: Store) -> Store:
    """Six verdicts on one stream, of which those that end at 900, 1,500 and 1,800 are damaged, and one on another."""
    with store.write() as connection:
        for end in range(300, 2_100, 300):
            save_verdict(connection, replace(VERDICT, id=f"v-{end}", window_end=end), b"evidence")
        save_verdict(connection, replace(VERDICT, id="other", version="2"), b"evidence")
        bad = tables.verdict.c.window_end.in_((900, 1_500, 1_800))
        connection.execute(update(tables.verdict).where(bad).values(result=b"damaged"))
    return store


def test_lists_leave_out_what_is_damaged_and_nothing_else(damaged: Store, caplog: pytest.LogCaptureFixture) -> None:
    with damaged.read() as connection:
        assert [each.window_end for each in verdicts_of(connection, "m", version="1", limit=10)] == [1_200, 600, 300]
        first = verdicts_of(connection, "m", version="1", limit=2)
        assert [each.window_end for each in first] == [1_200, 600], "a page is full where there are more"
        rest = verdicts_of(connection, "m", version="1", before=(600, "v-600"), limit=2)
        assert [each.window_end for each in rest] == [300]
    assert "The report of the verdict v-900 can't be read" in caplog.text


def test_of_one_end_the_newest_generation_is_listed_first_and_alone_in_steps(store: Store) -> None:
    """A new reference is looked at where the one before it was."""
    ids = {1: "m", 2: "z", 3: "a", 10: "k"}
    with store.write() as connection:
        for generation, identity in ids.items():
            save_verdict(connection, replace(VERDICT, id=identity, generation=generation), b"evidence")
        save_verdict(connection, replace(VERDICT, id="other", version="2"), b"evidence")
        save_verdict(connection, replace(VERDICT, id="before", window_end=0), b"evidence")
    with store.read() as connection:
        listed, before = [], None
        while page := verdicts_of(connection, "m", version="1", before=before, limit=1):
            listed += [each.id for each in page]
            before = page[0].window_end, page[0].id
        assert listed == ["k", "a", "z", "m", "before"]
        stepped = verdicts_of(connection, "m", step=300, limit=10)
    assert [each.id for each in stepped] == ["k", "other", "before"]


def test_the_newest_verdict_is_the_newest_that_can_be_read_and_a_trace_needs_no_report(damaged: Store) -> None:
    with add_streams(damaged).read() as connection:
        newest, trace = newest_verdict(connection, VERDICT.stream), newest_trace(connection, VERDICT.stream)
        assert newest is not None
        assert newest.window_end == 1_200
        assert trace is not None
        assert trace.window_end == 1_800
        before = newest_trace(connection, VERDICT.stream, until=1_799)
        assert before is not None
        assert before.window_end == 1_500
        assert [each.id for each in latest_verdicts(connection)] == ["v-1200", "other"]


def test_a_stream_whose_only_verdict_is_damaged_has_none(store: Store) -> None:
    with store.write() as connection:
        save_verdict(connection, VERDICT, b"evidence")
        connection.execute(update(tables.verdict).values(result=b"damaged"))
    with add_streams(store).read() as connection:
        assert newest_verdict(connection, VERDICT.stream) is None
        assert latest_verdicts(connection, "m") == []


def test_of_two_generations_at_a_window_end_the_newest_is_in_trends(store: Store) -> None:
    with store.write() as connection:
        for end, generation, value in ((300, 1, 0.01), (600, 2, 0.9), (600, 1, 0.02)):
            verdict = replace(VERDICT, id=f"v-{end}-{generation}", window_end=end, generation=generation)
            save_verdict(connection, verdict, b"evidence", StoredHeadline(value, None, str(value).encode()))
    with store.read() as connection:
        assert recent_values(connection, VERDICT.stream, "drift", 600, 24) == [(300, 0.01), (600, 0.9)]
        assert recent_headlines(connection, VERDICT.stream, "drift", 600, 24) == [b"0.01", b"0.9"]
        assert recent_values(connection, VERDICT.stream, "drift", 600, 1) == [(600, 0.9)]


def test_of_two_generations_at_the_nearest_window_end_the_newest_is_named(store: Store) -> None:
    with store.write() as connection:
        for end in (300, 900):
            for generation in (2, 3, 1):
                verdict = replace(VERDICT, id=f"v-{end}-{generation}", window_end=end, generation=generation)
                save_verdict(connection, verdict, b"evidence")
    with store.read() as connection:
        assert nearest_full(connection, replace(VERDICT, window_end=400)) == ("v-300-3", 300)
        assert nearest_full(connection, replace(VERDICT, window_end=800)) == ("v-900-3", 900)
