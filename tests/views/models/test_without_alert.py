"""A model that drifts while no alert is open: it has to persist, or a person has resolved what is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from modelwatch.charts.drawing.marks import State
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.storage.engine import tables
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.views.models.line import ModelLine
from modelwatch.views.models.list import models_overview
from modelwatch.views.models.rows import Wanted
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.app import App
from tests.support.background import background, new_id, run_out
from tests.support.events import NOON, open_ledger
from tests.web.test_pages import visit

HOUR = 3_600_000_000
OTHERS = ("f0", "merchant", "prediction", "score", "latency")
RESOLVED = "A person has resolved the findings."


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A service with the reference of a model of three features."""
    app = App(tmp_path)
    set_reference(app.store, features=1)
    yield app
    app.close()


def wait_for(app: App, alarms: int) -> None:
    """Sets a monitor by which a finding needs so many evaluations in a row."""
    monitor = parse_monitor({"quality": {"enabled": False}, "drift": {"persistence": {"alarms": alarms, "of": alarms}}})
    put_monitor(app.store, "m", monitor, source="api", actor="ann", now=NOON, new_id=new_id)


def send(app: App, hour: int, *, version: str = "1", **shift: float) -> None:
    """An hour's predictions, evaluated: those features have shifted by so many standard deviations."""
    rows = traffic(400, shift=shift, features=1, version=version, timestamp=NOON + hour * HOUR)
    open_ledger(app.store, app.desk.clock, prefix=f"w{hour}-").commit(
        [replace(each, prediction_id=f"{hour}-{each.prediction_id}") for each in rows]
    )
    app.desk.clock.now = NOON + hour * HOUR + 400_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))


def line(app: App, state: State | None = None) -> ModelLine:
    """The one line of the list of models (in this state), at the time of the data."""
    with app.store.read() as connection:
        view, _ = models_overview(connection, Wanted(state=state), now=app.desk.clock.now)
    [line] = view.models
    return line


def tiles(app: App) -> dict[str, str]:
    """States of the subjects on the overview."""
    text = app.request("GET", "/ui/models/m").text
    return dict(re.findall(r'<bdi>([^<]+)</bdi></a><b class="t-(\w+)">', text[text.index("All subjects") :]))


def resolve(app: App) -> None:
    [alert] = app.get("alerts", model="m")["alerts"]
    app.post(f"alerts/{alert['alert_id']}/resolve", {"actor": "ann"})


def test_drift_that_has_to_persist_is_said_to_be_no_finding_yet(app: App) -> None:
    wait_for(app, 24)
    send(app, 0, amount=1.0)
    assert app.get("alerts", model="m")["alerts"] == []
    says = "1 of 6 subjects drifts; no finding yet: it needs 24 of the last 24 evaluations."
    found = line(app, "alert")
    assert (found.state, found.alerts, found.sentence) == ("alert", 0, says)
    page = visit(app, "/ui/models/m").text
    assert "Models m alert version 1 in production" in page
    assert says in page
    drift = visit(app, "/ui/models/m/drift")
    assert "1 of 6 subjects drifts" in drift.text
    assert "; no finding yet: it needs 24 of the last 24 evaluations. " in drift.text
    assert "Runbook" not in drift.links
    assert tiles(app) == {"amount": "alert"} | dict.fromkeys(OTHERS, "stable")


def test_what_came_after_the_last_evaluation_is_said_not_to_be_evaluated_yet(app: App) -> None:
    send(app, 0)
    assert "is not evaluated yet" not in visit(app, "/ui/models/m/drift").text
    rows = traffic(400, shift={"amount": 2.0}, features=1, timestamp=NOON + HOUR)
    open_ledger(app.store, app.desk.clock, prefix="late").commit(
        [replace(each, prediction_id=f"late-{each.prediction_id}") for each in rows]
    )
    page = visit(app, "/ui/models/m/drift")
    assert "Models m stable version 1 in production" in page.text
    assert re.search(
        r"1 of 6 subjects drifts: amount , since .+?; what came after .+? is not evaluated yet\. ", page.text
    )
    assert "Runbook" not in page.links


def test_findings_that_a_person_has_resolved_are_said_to_be(app: App) -> None:
    send(app, 0, amount=1.0)
    resolve(app)
    for hour in (0, 1):
        if hour:
            send(app, hour, amount=1.0)
        assert "1 of 6 subjects drifts" in visit(app, "/ui/models/m/drift").text
        assert (line(app).state, line(app).sentence) == ("stable", RESOLVED)
        assert RESOLVED in visit(app, "/ui/models/m").text
        assert tiles(app) == dict.fromkeys(("amount", *OTHERS), "stable")


def test_what_drifts_beside_what_a_person_has_resolved_is_not(app: App) -> None:
    send(app, 0, amount=1.0)
    resolve(app)
    wait_for(app, 3)
    send(app, 1, amount=1.0, f0=2.0)
    says = (
        "2 of 6 subjects drift, 1 is resolved by a person;"
        " no finding yet for the other: it needs 3 of the last 3 evaluations."
    )
    assert (line(app).state, line(app).sentence) == ("alert", says)
    assert says in visit(app, "/ui/models/m").text


def test_what_a_person_has_resolved_in_one_version_is_not_in_another(app: App) -> None:
    send(app, 0, amount=1.0)
    resolve(app)
    wait_for(app, 24)
    send(app, 1, version="2", amount=1.0)
    assert line(app).state == "alert"
    assert "no finding yet" in line(app).sentence
    assert RESOLVED in visit(app, "/ui/models/m?version=1").text
    assert "no finding yet" in visit(app, "/ui/models/m?version=2").text


def test_drift_that_ended_is_as_in_the_reference(app: App) -> None:
    wait_for(app, 24)
    send(app, 0, amount=1.0)
    send(app, 30)
    assert line(app).state == "stable"
    assert "as in the reference" in line(app).sentence


def test_a_resolved_incident_that_can_not_be_read_claims_nothing(app: App) -> None:
    send(app, 0, amount=1.0)
    resolve(app)
    with app.store.write() as connection:
        connection.execute(update(tables.alert).values(body=b'{"'))
    found = line(app)
    assert (found.state, found.sentence) == ("alert", "1 of 6 subjects drifts; no alert is open.")
