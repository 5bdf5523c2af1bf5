"""The outbox: order, claims, and what becomes of a row."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from modelwatch.storage.alerts.outbox import (
    Claim,
    active_notifications,
    backlog,
    bury_unknown,
    claim,
    deliveries_of,
    deliveries_page,
    due,
    enqueue,
    finish,
    has_unknown,
    postpone,
    retry_dead,
    withhold,
)
from modelwatch.storage.engine.store import Store
from tests.support.alerts.notifications import open_alerts, outbox, put, row, states
from tests.support.events import NOON, open_store

pytestmark = pytest.mark.both_engines

SECOND = 1_000_000


def ready(store: Store, channel: str = "x", now: int = NOON) -> list[str]:
    with store.read() as connection:
        return due(connection, channel, now=now, limit=100)


def taken(store: Store, key: str, now: int = NOON, seconds: int = 60) -> Claim | None:
    with store.write() as connection:
        return claim(connection, key, now=now, until=now + seconds * SECOND)


def ended(store: Store, key: str, state: str = "delivered", now: int = NOON, reason: str | None = None) -> bool:
    claimed = taken(store, key, now)
    assert claimed is not None
    with store.write() as connection:
        return finish(connection, claimed, state, now=now, reason=reason)  # type: ignore[arg-type]


def test_a_key_is_enqueued_once(store: Store) -> None:
    put(store, row("x"))
    ended(store, "a1:1:x")
    put(store, row("x", title="another"), row("x", sequence=2))
    assert states(store) == {"a1:1:x": "delivered", "a1:2:x": "pending"}


def test_nothing_is_enqueued_when_the_change_is_rolled_back(store: Store) -> None:
    with store.write() as connection:
        enqueue(connection, store, [row("x")])
        connection.rollback()
    with store.write() as connection:
        enqueue(connection, store, [])
    assert states(store) == {}


@pytest.mark.parametrize("end", ["delivered", "dead", "withheld"])
def test_a_row_waits_until_those_before_it_have_ended(store: Store, end: str) -> None:
    put(store, row("x", sequence=3), row("x", sequence=1, not_before=NOON + 9 * SECOND), row("x", sequence=7))
    put(store, row("x", alert="a2", sequence=5), row("y", sequence=2))
    assert ready(store) == ["a2:5:x"]
    assert ready(store, now=NOON + 9 * SECOND) == ["a2:5:x", "a1:1:x"]
    if end == "withheld":
        with store.write() as connection:
            assert withhold(connection, "a1", "x", 2) == 1
    else:
        ended(store, "a1:1:x", end, NOON + 9 * SECOND)
    assert ready(store, now=NOON + 9 * SECOND) == ["a1:3:x", "a2:5:x"]


def test_a_later_row_can_not_be_claimed_before_its_turn(store: Store) -> None:
    put(store, row("x", sequence=1), row("x", sequence=2))
    assert taken(store, "a1:2:x") is None
    assert taken(store, "a1:1:x") is not None
    assert taken(store, "a1:2:x") is None


def test_a_claim_keeps_others_off_until_it_lapses(store: Store) -> None:
    put(store, row("x"))
    first = taken(store, "a1:1:x")
    assert first is not None
    assert (first.attempt, first.expires_at) == (1, NOON + 60 * SECOND)
    assert ready(store, now=NOON + 59 * SECOND) == []
    assert taken(store, "a1:1:x", NOON + 59 * SECOND) is None
    again = taken(store, "a1:1:x", NOON + 60 * SECOND)
    assert again is not None
    assert (again.attempt, again.notice) == (2, first.notice)


def test_who_lost_a_claim_can_not_end_the_row_but_for_a_success(store: Store) -> None:
    put(store, row("x"))
    old = taken(store, "a1:1:x")
    new = taken(store, "a1:1:x", NOON + 60 * SECOND)
    assert old is not None
    assert new is not None
    with store.write() as connection:
        assert not postpone(connection, old, not_before=0, reason="late")
        assert not finish(connection, old, "dead", now=NOON, reason="late")
        assert finish(connection, old, "delivered", now=NOON)
        assert not finish(connection, new, "delivered", now=NOON)
        assert not postpone(connection, new, not_before=0, reason="late")
    assert outbox(store)["a1:1:x"].last_error is None


def test_only_what_was_deferred_and_never_tried_is_withheld(store: Store) -> None:
    later = NOON + 9 * SECOND
    put(
        store,
        row("x", sequence=1, not_before=later),
        row("x", sequence=2),
        row("x", sequence=3, not_before=later),
        row("x", sequence=4, not_before=later),
        row("y", sequence=3, not_before=later),
        row("x", alert="a2", sequence=1, not_before=later),
    )
    taken(store, "a1:1:x", later)
    with store.write() as connection:
        assert withhold(connection, "a1", "x", 3) == 1
    assert [key for key, state in states(store).items() if state == "withheld"] == ["a1:3:x"]


def test_what_waits_for_an_unknown_channel_ends(store: Store) -> None:
    put(store, row("x"), row("gone"), row("gone", alert="a2"))
    with store.write() as connection:
        assert has_unknown(connection, ["x"])
        assert bury_unknown(connection, ["x"], now=NOON) == ["gone", "gone"]
        assert not has_unknown(connection, ["x"])
        assert has_unknown(connection, [])
    rows = outbox(store)
    assert (rows["a1:1:gone"].state, rows["a1:1:gone"].last_error) == ("dead", "no channel named gone")
    assert rows["a1:1:x"].state == "pending"


def test_deliveries_page_are_listed_and_can_be_tried_again(store: Store) -> None:
    put(store, row("x"), row("x", alert="a2"), row("y"))
    ended(store, "a1:1:x", "dead", NOON, "HTTP 404")
    ended(store, "a2:1:x", "dead", NOON + SECOND, "HTTP 410")
    with store.write() as connection:
        assert [(each.key, each.last_error) for each in deliveries_page(connection, state="dead", limit=9)] == [
            ("a2:1:x", "HTTP 410"),
            ("a1:1:x", "HTTP 404"),
        ]
        assert len(deliveries_page(connection, state="dead", limit=1)) == 1
        assert backlog(connection) == {("x", "dead"): 2, ("y", "pending"): 1}
        assert retry_dead(connection, "a1:1:x", now=NOON)
        assert not retry_dead(connection, "a1:1:x", now=NOON)
        assert not retry_dead(connection, "nothing", now=NOON)
    again = taken(store, "a1:1:x")
    assert again is not None
    assert again.attempt == 1


def test_a_dead_letter_that_was_overtaken_stays_dead(store: Store) -> None:
    put(store, row("x", sequence=1), row("x", sequence=2, event="resolved"))
    ended(store, "a1:1:x", "dead")
    ended(store, "a1:2:x")
    with store.write() as connection:
        assert not retry_dead(connection, "a1:1:x", now=NOON)


def test_the_deliveries_of_an_alert_are_listed_by_sequence(store: Store) -> None:
    put(store, row("y", sequence=2), row("x", sequence=2), row("x", sequence=1), row("x", alert="a2"))
    ended(store, "a1:1:x")
    with store.read() as connection:
        found = deliveries_of(connection, "a1")
    assert [each.key for each in found] == ["a1:1:x", "a1:2:x", "a1:2:y"]
    assert (found[0].state, found[0].attempts, found[0].finished_at, found[1].finished_at) == (
        "delivered",
        1,
        NOON,
        None,
    )


def test_what_a_channel_knows_is_its_newest_delivered_notification_of_each_open_alert(store: Store) -> None:
    open_alerts(store, ["a1", "a2"])
    open_alerts(store, ["over"], "resolved")
    for alert in ("a1", "over"):
        put(store, row("x", alert=alert, sequence=1), row("x", alert=alert, sequence=2), row("y", alert=alert))
        ended(store, f"{alert}:1:x")
    put(store, row("x", alert="a2", sequence=1))
    with store.read() as connection:
        assert active_notifications(connection, "x") == [(row("x", sequence=1).key, row("x", sequence=1).notice)]
    ended(store, "a1:2:x")
    ended(store, "a2:1:x", "dead")
    with store.read() as connection:
        assert active_notifications(connection, "x") == [(row("x", sequence=2).key, row("x", sequence=2).notice)]
        assert active_notifications(connection, "y") == []


def test_a_look_at_the_outbox_does_not_read_what_has_ended(tmp_path: Path) -> None:
    with contextlib.closing(open_store(tmp_path)) as store, store.read() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT key FROM outbox WHERE channel='x' AND state='pending' AND not_before<=1"
            " AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.alert_id=outbox.alert_id AND b.channel=outbox.channel"
            " AND b.sequence<outbox.sequence AND b.state='pending') ORDER BY not_before, sequence"
        ).fetchall()
    text = " ".join(str(line[-1]) for line in plan)
    assert "outbox_by_state" in text
    assert "outbox_by_alert" in text


def test_what_a_clock_that_was_ahead_put_off_is_not_waited_for(store: Store) -> None:
    day = 86_400 * SECOND
    put(store, row("x", alert="a1"), row("x", alert="a2", at=NOON + day))
    put(store, row("x", alert="a3", not_before=NOON + day))
    assert taken(store, "a1:1:x", NOON + day) is not None
    assert ready(store) == ["a2:1:x", "a1:1:x"], "a claim, and a row from the future; not one that is deferred for long"
