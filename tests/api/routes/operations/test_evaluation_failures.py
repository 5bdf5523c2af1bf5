"""Checks that can't be made, and evaluations that are late, wherever somebody may look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.evaluations import (
    EvaluationFailure,
    EvaluationProgress,
    clear_failure,
    save_failure,
    save_progress,
)
from modelwatch.times import microseconds_now
from tests.support.app import App
from tests.support.events import NOON, event, open_ledger
from tests.web.reading import Page

STREAM = StreamKey("m", "1", "production")
SECOND = 1_000_000
PLACE = "ValueError at modelwatch/stats/drift/variation/natural_variation.py:70"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path)
    open_ledger(app.store).commit([event("p", {"x": 1.0}, timestamp=NOON)])
    yield app
    app.close()


def evaluation(app: App) -> Any:
    """What the readiness of the service says of the evaluations."""
    answer = app.request("GET", "/readyz").json()
    assert answer["checks"]["store"] == "ok"
    return answer["evaluation"]


def keep(app: App, *, looked_ago: float, waiting: int = 0, since_ago: float | None = None) -> None:
    now = microseconds_now()
    since = None if since_ago is None else now - round(since_ago * SECOND)
    with app.store.write() as connection:
        save_progress(connection, app.store, EvaluationProgress(now - round(looked_ago * SECOND), waiting, since))


def test_a_check_that_fails_is_seen_everywhere_until_it_succeeds(app: App) -> None:
    failure = EvaluationFailure(STREAM, "drift", NOON, NOON + 120 * SECOND, 3, PLACE)
    with app.store.write() as connection:
        save_failure(connection, app.store, failure)
    told = {
        "check": "drift",
        "since": "2025-06-15T15:05:00Z",
        "tried_at": "2025-06-15T15:07:00Z",
        "attempts": 3,
        "error": PLACE,
    }
    assert app.get("models/m")["streams"][0]["failures"] == [told]
    assert app.get("models")["models"][0]["streams"][0]["failures"] == [told]
    assert (evaluation(app)["status"], evaluation(app)["failing"]) == ("failing", 1)
    labels = 'check="drift",environment="production",model_name="m",model_version="1"'
    metrics = app.request("GET", "/metrics").text
    assert f"ml_evaluation_failing{{{labels}}} 1.0" in metrics
    assert "modelwatch_failing_evaluations 1.0" in metrics
    page = Page(app.request("GET", "/ui/alerts").text)
    assert "m 1 in production: the drift check, since" in page.text
    assert PLACE in page.text
    assert "can't be made" not in Page(app.request("GET", "/ui/alerts?model=other").text).text
    with app.store.write() as connection:
        clear_failure(connection, STREAM, "drift")
    assert app.get("models/m")["streams"][0]["failures"] == []
    assert evaluation(app)["status"] == "up to date"
    assert "ml_evaluation_failing{" not in app.request("GET", "/metrics").text


def test_readiness_says_how_far_the_evaluations_are(app: App) -> None:
    assert evaluation(app) == {
        "status": "up to date",
        "looked_at": None,
        "waiting": 0,
        "waiting_seconds": 0.0,
        "failing": 0,
    }
    keep(app, looked_ago=1, waiting=7, since_ago=40)
    found = evaluation(app)
    assert (found["status"], found["waiting"]) == ("waiting", 7)
    assert 40 <= found["waiting_seconds"] < 60
    assert "modelwatch_waiting_evaluations 7.0" in app.request("GET", "/metrics").text
    keep(app, looked_ago=90)
    assert evaluation(app)["status"] == "stopped"
