"""Rows of alerts, silences and steps that can't be read: each answers for itself, and keeps no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Table, select, update

from modelwatch.alerting.queries import (
    covered_alerts,
    list_alerts,
    list_audit,
    list_silences,
    open_alerts,
    read_alert,
    read_silence,
)
from modelwatch.alerting.service import AlertService
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.errors import DamagedData
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import HOUR, Desk, assessment

# Cut short, as by a disk.
CUT = b'{"'


@pytest.fixture
def desk(store: Store) -> Desk:
    """Three alerts of a model each, model-0 … model-2; reminders come after an hour."""
    desk = Desk(store)
    desk.policy = replace(desk.policy, repeat_seconds=HOUR)
    for index in range(3):
        desk.take(assessment(0, {"amount": "warning"}, model=f"model-{index}"))
    return desk


def damage(desk: Desk, table: Table, column: str, value: object, **where: object) -> None:
    """Puts a value into a column of the rows that have these others."""
    conditions = [table.c[name] == wanted for name, wanted in where.items()]
    with desk.store.write() as connection:
        changed = connection.execute(update(table).where(*conditions).values({column: value}))
        assert changed.rowcount == 1


def damaged_alert(desk: Desk, model: str = "model-1", body: bytes = CUT) -> str:
    """Damages the alert of a model. Returns its id."""
    damage(desk, tables.alert, "body", body, model=model)
    with desk.store.read() as connection:
        return connection.execute(select(tables.alert.c.id).where(tables.alert.c.model == model)).scalar_one()


def silence(desk: Desk, model: str) -> str:
    """Silences a model for an hour. Returns the silence's id."""
    request = SilenceRequest((Matcher("model", model),), desk.clock.now + HOUR * 1_000_000, "known")
    return desk.book.silence(request, actor="ann").id


@pytest.mark.parametrize("body", [CUT, b"{}", b'"\xff"', b""])
def test_lists_leave_out_an_alert_that_can_not_be_read(
    desk: Desk, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bad = damaged_alert(desk, body=body)
    silenced = SilenceRequest((Matcher("kind", "feature_drift"),), desk.clock.now + 1_000_000, "all")
    with desk.store.read() as connection:
        assert [each.model_name for each in open_alerts(connection)] == ["model-0", "model-2"]
        covered = covered_alerts(connection, silenced, now=desk.clock.now)
        assert [each.model_name for each in covered] == ["model-0", "model-2"]
        page = list_alerts(connection, limit=2)
        rest = list_alerts(connection, limit=2, before=page.following)
        assert [each.model_name for each in page.lines + rest.lines] == ["model-2", "model-0"]
    assert any(each.startswith(f"The stored alert {bad} can't be read: ") for each in caplog.messages)


def test_an_alert_that_can_not_be_read_is_named_to_whom_asks_for_it(desk: Desk) -> None:
    bad = damaged_alert(desk)
    with desk.store.read() as connection, pytest.raises(DamagedData, match=f"The stored alert {bad} can't be read"):
        read_alert(connection, bad)
    with pytest.raises(DamagedData, match=bad):
        desk.book.acknowledge(bad, actor="ann", note=None)


def test_it_keeps_no_reminder_of_another(desk: Desk) -> None:
    bad = damaged_alert(desk, "model-0")
    desk.clock.advance(HOUR)
    with pytest.raises(DamagedData, match=bad):
        desk.book.tick(desk.clock.now)
    assert [sent.notice.model for sent in desk.sent() if sent.event == "reminder"] == ["model-1", "model-2"]


def test_it_keeps_no_silence_of_another(desk: Desk) -> None:
    damaged_alert(desk, "model-0")
    identity = silence(desk, "model-1")
    with desk.store.read() as connection:
        [line] = list_alerts(connection, model="model-1").lines
        assert (line.state, line.silenced_by) == ("silenced", (identity,))
    desk.book.end_silence(identity, actor="ann")
    with desk.store.read() as connection:
        [line] = list_alerts(connection, model="model-1").lines
    assert (line.state, line.silenced_by) == ("firing", ())


def test_an_evaluation_of_its_model_fails_by_its_name_and_those_of_others_go_on(desk: Desk) -> None:
    bad = damaged_alert(desk)
    with pytest.raises(DamagedData, match=bad):
        desk.take(assessment(1, {"country": "alert"}, model="model-1"))
    desk.take(assessment(1, {"country": "alert"}, model="model-2"))
    with desk.store.read() as connection:
        [line] = list_alerts(connection, model="model-2").lines
    assert line.severity == "alert"


def test_alerts_of_its_model_are_accepted_without_it(desk: Desk) -> None:
    damaged_alert(desk)
    for model in ("model-1", "model-2"):
        desk.book.accept(model, "production", lambda _kind, _member: True, actor="ann", note=None)
    assert [sent.notice.model for sent in desk.sent() if sent.event == "resolved"] == ["model-2"]


@pytest.mark.parametrize("version", [None, "1"])
def test_it_is_deleted_with_the_data_of_its_model(desk: Desk, version: str | None) -> None:
    damaged_alert(desk)
    while desk.book.forget("model-1", version, None, actor="ann"):
        pass
    assert [alert.model for alert in desk.alerts()] == ["model-0", "model-2"]


def test_alerts_are_deleted_also_where_the_monitor_can_not_be_read(desk: Desk) -> None:
    def policy(_connection: object, model: str) -> object:
        raise DamagedData(f"The stored monitor of {model!r} can't be read.")

    book = AlertService(
        desk.store,
        policy=policy,  # type: ignore[arg-type]
        public_url=desk.public_url,
        clock=desk.clock,
        new_id=desk.new_id,
    )
    desk.deliver()
    while book.forget("model-1", None, None, actor="ann"):
        pass
    assert [alert.model for alert in desk.alerts()] == ["model-0", "model-2"]
    assert [sent.notice.model for sent in desk.sent() if sent.event == "resolved"] == ["model-1"]


def test_a_step_that_can_not_be_read_is_missing_in_the_life_of_its_alert(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.take(assessment(1, {"country": "warning"}, model="model-0"))
    [alert] = [each for each in desk.alerts() if each.model == "model-0"]
    damage(desk, tables.alert_event, "body", CUT, alert_id=alert.id, sequence=1)
    with desk.store.read() as connection:
        assert [each.sequence for each in read_alert(connection, alert.id).events] == [2]
    assert f"The step 1 of the alert {alert.id} can't be read" in caplog.text


def test_a_silence_that_can_not_be_read_silences_nothing_and_keeps_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = silence(desk, "model-0"), silence(desk, "model-1")
    damage(desk, tables.silence, "matchers", '[{"', id=bad)
    desk.book.tick(desk.clock.now)
    desk.take(assessment(1, {"country": "alert"}, model="model-2"))
    with desk.store.read() as connection:
        states = {each.model_name: each.state for each in list_alerts(connection).lines}
        assert states == {"model-0": "firing", "model-1": "silenced", "model-2": "firing"}
        assert [each.silence_id for each in list_silences(connection, now=desk.clock.now).lines] == [good]
        with pytest.raises(DamagedData, match=f"The stored silence {bad} can't be read"):
            read_silence(connection, bad, now=desk.clock.now)
    assert f"The stored silence {bad} can't be read" in caplog.text
    assert "It silences nothing." in caplog.text


def test_an_entry_of_the_audit_trail_that_can_not_be_read_is_left_out(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    silence(desk, "model-0")
    silence(desk, "model-1")
    with desk.store.read() as connection:
        newest, before = list_audit(connection).lines
    damage(desk, tables.audit, "detail", "{", id=newest.audit_id)
    with desk.store.read() as connection:
        assert [each.audit_id for each in list_audit(connection).lines] == [before.audit_id]
    assert f"The audit entry {newest.audit_id} can't be read" in caplog.text
