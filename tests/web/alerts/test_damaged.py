"""What is shown while an alert can't be read: every page and list but for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from modelwatch.storage.engine import tables
from modelwatch.web.pages import MODULES
from tests.exposition.scraping import evaluate_app, set_reference, traffic
from tests.support.app import App
from tests.support.events import open_ledger

PAGES = sorted({route.path for module in MODULES for route in module.ROUTES if "GET" in (route.methods or ())})
LISTS = (
    "alerts",
    "overview",
    "models",
    "models/bad/events",
    "models/good/events",
    "models/bad",
    "models/good",
    "models/bad/unwatched",
    "audit",
    "service",
)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Two models, `bad` and `good`, with an open alert each; that of the first can't be read."""
    app = App(tmp_path)
    for model in ("bad", "good"):
        set_reference(app.store, model)
        open_ledger(app.store, prefix=model).commit(traffic(400, model=model, shift={"amount": 1.0}))
    evaluate_app(app)
    with app.store.write() as connection:
        connection.execute(update(tables.alert).where(tables.alert.c.model == "bad").values(body=b'{"'))
    yield app
    app.close()


def identity(app: App, model: str) -> str:
    table = tables.alert
    with app.store.read() as connection:
        return connection.execute(select(table.c.id).where(table.c.model == model)).scalar_one()


@pytest.mark.parametrize("model", ["bad", "good"])
def test_every_page_is_shown(app: App, model: str) -> None:
    parts = {"model_name": model, "alert_id": identity(app, "good")}
    for pattern in PAGES:
        path = "/ui" + re.sub(r"\{(\w+):\w+\}", lambda found: parts.get(found[1], "amount"), pattern)
        answer = app.request("GET", path)
        assert answer.status_code == 200 or "no such" in answer.text or "no score" in answer.text, (path, answer.text)


def test_lists_leave_it_out(app: App) -> None:
    for path in LISTS:
        app.get(path)
    assert [each["model_name"] for each in app.get("alerts")["alerts"]] == ["good"]
    assert app.request("GET", "/metrics").status_code == 200


def test_whoever_asks_for_it_is_told_which_it_is(app: App) -> None:
    bad = identity(app, "bad")
    problem = app.problem("GET", f"alerts/{bad}", 500)
    assert problem["title"] == "What is stored can't be read"
    assert f"The stored alert {bad} can't be read" in problem["detail"]
    page = app.request("GET", f"/ui/alerts/{bad}")
    assert page.status_code == 500
    assert "What is stored can&#39;t be read" in page.text
    assert f"The stored alert {bad} can&#39;t be read" in page.text


def test_a_silence_is_created_beside_it(app: App) -> None:
    matchers = [{"name": "model", "value": "good"}]
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    app.post("silences", {"matchers": matchers, "ends_at": ends_at, "comment": "known"}, 201)
    [alert] = app.get("alerts")["alerts"]
    assert (alert["model_name"], alert["state"]) == ("good", "silenced")
