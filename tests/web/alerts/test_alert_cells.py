"""Cells on the page of an alert: those that are drawn of many categories."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from msgspec.structs import replace

from modelwatch.alerting.views.alerts import AlertReport, member_report
from modelwatch.web.alerts.alert_cells import cells_of
from modelwatch.web.alerts.alert_page import AlertPage
from tests.support.app import App
from tests.web.drift.histories import evaluated, rare_class_of_many


def test_the_class_that_decided_is_drawn_among_many(tmp_path: Path) -> None:
    app = App(tmp_path)
    many = rare_class_of_many(app)
    evaluated(app)
    [alert] = app.desk.alerts()
    [member] = map(member_report, alert.members)
    with app.store.read() as connection:
        cells = cells_of(connection, [member])
    app.close()
    shares = cells[member.verdict_id, "prediction_drift", "prediction"]
    # The card shows the cells of the window that the verdict decided by.
    member = replace(member, window_start=shares.window_start, window_end=shares.window_end)
    of = SimpleNamespace(kind=alert.kind, state="firing", model_name="m")
    report = SimpleNamespace(alert=of, members=(member,))
    [card] = AlertPage(cast(AlertReport, report), (), cells, alert.updated_at).cards
    assert card.hidden == len(many) - 40
    assert "<title>fraud: " in str(card.chart)
    assert str(card.table).count("<tr>") == len(many) + 1
