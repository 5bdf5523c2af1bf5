"""Lists of alerts, silences and audit entries, and one alert with its life."""

from __future__ import annotations

import msgspec
import pytest

from modelwatch.alerting.queries import (
    Page,
    list_alerts,
    list_audit,
    list_silences,
    open_alerts,
    read_alert,
    read_silence,
)
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.alerting.views.alerts import AlertReport
from modelwatch.errors import UnknownResource
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import HOUR, Desk, assessment
from tests.support.events import NOON

MICROS = 1_000_000


@pytest.fixture
def desk(store: Store) -> Desk:
    """Four alerts: m0 … m3; m1 in staging, m2 severe, m3 resolved, m0 acknowledged."""
    desk = Desk(store)
    desk.four_alerts()
    desk.book.acknowledge(desk.alerts()[0].id, actor="ann", note="on it")
    return desk


def models(page: Page) -> list[str]:
    return [alert.model_name for alert in page.lines]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["m3", "m2", "m1", "m0"]),
        ({"state": "firing"}, ["m2", "m1"]),
        ({"state": "acknowledged"}, ["m0"]),
        ({"state": "resolved"}, ["m3"]),
        ({"state": "silenced"}, []),
        ({"model": "m1"}, ["m1"]),
        ({"environment": "staging"}, ["m1"]),
        ({"kind": "feature_drift", "severity": "alert"}, ["m2"]),
        ({"kind": "latency_drift"}, []),
    ],
)
def test_alerts_are_filtered(desk: Desk, filters: dict[str, str], expected: list[str]) -> None:
    with desk.store.read() as connection:
        assert models(list_alerts(connection, **filters)) == expected  # type: ignore[arg-type]


def test_pages_follow_one_another_also_within_one_tick_of_the_clock(desk: Desk) -> None:
    for index in range(4, 8):
        desk.take(assessment(0, {"amount": "warning"}, model=f"m{index}"))
    pages, before = [], None
    with desk.store.read() as connection:
        while True:
            page = list_alerts(connection, before=before, limit=3)
            pages.append(models(page))
            before = page.following
            if before is None:
                break
    assert [len(page) for page in pages] == [3, 3, 2]
    assert sorted(model for page in pages for model in page) == [f"m{index}" for index in range(8)]


def test_one_that_flaps_is_listed_as_what_it_is(desk: Desk) -> None:
    for hour in range(2, 10):
        desk.take(assessment(hour, {"amount": "warning"} if hour % 2 else {}, model="m2"))
    desk.take(assessment(10, model="m2"))
    with desk.store.read() as connection:
        assert models(list_alerts(connection, state="resolved")) == ["m3", "m2"]
        assert list_alerts(connection, model="m2").lines[0].flapping
        assert [alert.model_name for alert in open_alerts(connection)] == ["m0", "m1"]


def test_an_alert_has_its_whole_life(desk: Desk) -> None:
    alert_id = desk.alerts()[0].id
    desk.take(assessment(1, {"country": "warning"}, model="m0"))
    with desk.store.read() as connection:
        detail = read_alert(connection, alert_id, {"team": "risk"})
    assert detail.labels["team"] == "risk"
    assert detail.alert.acknowledgement is not None
    assert (detail.alert.acknowledgement.actor, detail.alert.state) == ("ann", "acknowledged")
    assert [member.subject for member in detail.members] == ["country"]
    assert [gone.subject for gone in detail.recovered] == ["amount"]
    assert [(step.sequence, step.event, step.actor, step.note) for step in detail.events] == [
        (1, "firing", None, None),
        (2, "acknowledged", "ann", "on it"),
        (3, "updated", None, None),
    ]
    assert [told.channel for told in detail.events[0].told] == ["chat"]
    assert [(each.sequence, each.event, each.state) for each in detail.deliveries] == [
        (1, "firing", "pending"),
        (2, "acknowledged", "pending"),
        (3, "updated", "pending"),
    ]
    assert detail.alert.opened_at == "2025-06-15T15:05:01Z"
    assert msgspec.json.decode(msgspec.json.encode(detail), type=AlertReport) == detail


def test_what_a_person_resolved_and_is_still_found_is_shown(desk: Desk) -> None:
    alert_id = desk.alerts()[1].id
    desk.book.resolve(alert_id, actor="ann", note=None)
    with desk.store.read() as connection:
        detail = read_alert(connection, alert_id)
    assert (detail.alert.resolved_by, detail.alert.resolved_at) == ("ann", "2025-06-15T15:05:04Z")
    assert [member.subject for member in detail.still_found] == ["amount"]


def test_what_is_not_there_is_unknown(desk: Desk) -> None:
    with desk.store.read() as connection:
        with pytest.raises(UnknownResource, match="nothing"):
            read_alert(connection, "nothing")
        with pytest.raises(UnknownResource, match="nothing"):
            read_silence(connection, "nothing", now=NOON)


def test_silences_are_listed_by_where_they_stand(desk: Desk) -> None:
    for starts_in in (0, 2, 4):
        begins = desk.clock.now + starts_in * HOUR * MICROS
        request = SilenceRequest((Matcher("model", "m1"),), begins + HOUR * MICROS, f"in {starts_in} h", begins)
        desk.book.silence(request, actor="ann")
        desk.clock.advance(1)
    now = desk.clock.now + 2 * HOUR * MICROS

    with desk.store.read() as connection:
        states = {state: list_silences(connection, now=now, state=state) for state in ("expired", "active", "pending")}  # type: ignore[arg-type]
        assert {state: [each.comment for each in page.lines] for state, page in states.items()} == {
            "expired": ["in 0 h"],
            "active": ["in 2 h"],
            "pending": ["in 4 h"],
        }
        first = list_silences(connection, now=now, limit=2)
        second = list_silences(connection, now=now, limit=2, before=first.following)
        assert [each.comment for each in first.lines + second.lines] == ["in 4 h", "in 2 h", "in 0 h"]
        assert second.following is None
        line = first.lines[0]
        assert read_silence(connection, line.silence_id, now=now) == line
    assert (line.state, line.created_by, line.matchers) == ("pending", "ann", (Matcher("model", "m1"),))


def test_the_audit_trail_is_filtered_and_paged(desk: Desk) -> None:
    first, second = desk.alerts()[1:3]
    desk.book.resolve(first.id, actor="bob", note=None)
    desk.book.acknowledge(second.id, actor="bob", note=None)
    with desk.store.read() as connection:
        assert len(list_audit(connection, actor="bob").lines) == 2
        assert len(list_audit(connection, action="alert.acknowledge").lines) == 2
        assert [each.action for each in list_audit(connection, target=f"alert/{first.id}").lines] == ["alert.resolve"]
        page = list_audit(connection, limit=2)
        rest = list_audit(connection, limit=2, before=page.following)
        assert len({each.audit_id for each in page.lines + rest.lines}) == 3
        assert rest.following is None
