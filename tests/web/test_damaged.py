"""What is shown while a row can't be read: every page and list but for it."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import insert, select, update

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.storage.engine import tables
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.verdicts.evaluations import evaluation_failures
from modelwatch.storage.verdicts.verdicts import latest_verdicts
from modelwatch.times import iso_of_seconds
from modelwatch.web.pages import MODULES
from tests.exposition.scraping import RULES, evaluate_app, set_reference, traffic
from tests.support.app import App
from tests.support.background import background, new_id, run_out
from tests.support.events import NOON, open_ledger

PAGES = sorted({route.path for module in MODULES for route in module.ROUTES if "GET" in (route.methods or ())})
LISTS = ("alerts", "overview", "models", "audit", "service")
LISTS_OF_A_MODEL = ("", "/drift", "/events", "/unwatched")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Two models, `bad` and `good`, with an open alert each."""
    app = App(tmp_path)
    for model in ("bad", "good"):
        set_reference(app.store, model)
        open_ledger(app.store, prefix=model).commit(traffic(400, model=model, shift={"amount": 1.0}))
    evaluate_app(app)
    app.tell()
    yield app
    app.close()


@pytest.fixture
def damaged(app: App) -> App:
    """The same; the alert of `bad` can't be read."""
    damage(app, "alert", "body", b'{"', model="bad")
    return app


def damage(app: App, table: str, column: str, value: object, **where: object) -> None:
    """Puts a value into a column of all rows that have these others."""
    rows = tables.metadata.tables[table]
    conditions = [rows.c[name] == wanted for name, wanted in where.items()]
    with app.store.write() as connection:
        assert connection.execute(update(rows).where(*conditions).values({column: value})).rowcount


def identity(app: App, model: str) -> str:
    table = tables.alert
    with app.store.read() as connection:
        return connection.execute(select(table.c.id).where(table.c.model == model)).scalar_one()


def look_at_every_page(app: App, model: str) -> None:
    parts = {"model_name": model, "alert_id": identity(app, "good")}
    for pattern in PAGES:
        path = "/ui" + re.sub(r"\{(\w+):\w+\}", lambda found: parts.get(found[1], "amount"), pattern)
        answer = app.request("GET", path)
        assert answer.status_code == 200 or "no such" in answer.text or "no score" in answer.text, (path, answer.text)

    for listed in (*LISTS, *(f"models/{model}{each}" for each in LISTS_OF_A_MODEL)):
        app.get(listed)
    assert app.request("GET", "/metrics").status_code == 200


@pytest.mark.parametrize("model", ["bad", "good"])
def test_all_but_an_alert_is_shown(damaged: App, model: str) -> None:
    look_at_every_page(damaged, model)
    assert [each["model_name"] for each in damaged.get("alerts")["alerts"]] == ["good"]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("alert_event", "body", b"{"),
        ("process", "figures", '{"'),
        ("verdict", "headline", b'{"'),
        ("verdict", "headline", b"[]"),
        ("verdict", "result", zlib.compress(b'{"')),
        ("audit", "detail", "{"),
    ],
)
def test_small_columns_are_missed_by_nothing_else(app: App, table: str, column: str, value: object) -> None:
    if table == "audit":
        put_monitor(app.store, "bad", parse_monitor({}), source="test", actor="test", now=NOON, new_id=new_id)
    damage(app, table, column, value, **({"model": "bad"} if table == "verdict" else {}))
    for model in ("good",) if value == zlib.compress(b'{"') else ("bad", "good"):
        look_at_every_page(app, model)


def test_the_growth_of_the_store_is_told_from_sizes_that_can_be_read(app: App) -> None:
    now = time.time_ns() // 1_000
    with app.store.write() as connection:
        for hours, sizes in ((5, '{"'), (3, '{"alert": 1}')):
            row = {"at": now - hours * 3_600_000_000, "total": 1, "by_table": sizes}
            connection.execute(insert(tables.store_size), row)
    store = app.get("service")["store"]
    assert store["growth_since"] == iso_of_seconds((now - 3 * 3_600_000_000) // 1_000_000)


def test_its_own_page_names_it(damaged: App) -> None:
    app, bad = damaged, identity(damaged, "bad")
    problem = app.problem("GET", f"alerts/{bad}", 500)
    assert problem["title"] == "What is stored can't be read"
    assert f"The stored alert {bad} can't be read" in problem["detail"]
    page = app.request("GET", f"/ui/alerts/{bad}")
    assert page.status_code == 500
    assert "What is stored can&#39;t be read" in page.text
    assert f"The stored alert {bad} can&#39;t be read" in page.text


def test_a_silence_is_created_beside_it(damaged: App) -> None:
    app = damaged
    matchers = [{"name": "model", "value": "good"}]
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    app.post("silences", {"matchers": matchers, "ends_at": ends_at, "comment": "known"}, 201)
    [alert] = app.get("alerts")["alerts"]
    assert (alert["model_name"], alert["state"]) == ("good", "silenced")


def test_evaluations_of_its_model_fail_and_those_of_others_go_on(damaged: App) -> None:
    app = damaged
    later = NOON + 2 * 3_600_000_000
    for model in ("bad", "good"):
        rows = [
            structs.replace(each, prediction_id=f"again {each.prediction_id}", timestamp=each.timestamp + later - NOON)
            for each in traffic(400, model=model)
        ]
        open_ledger(app.store, prefix=f"{model} again").commit(rows)
    app.desk.clock.now = later + 400_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))
    with app.store.read() as connection:
        failing = [(each.stream.model, each.check) for each in evaluation_failures(connection)]
        newest = {each.stream.model: each.window_end for each in latest_verdicts(connection)}
    assert failing == [("bad", "drift")]
    assert newest["good"] > newest["bad"]
