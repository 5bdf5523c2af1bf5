"""What the answers about a model say of its traffic, and up to when they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.cli.commands import doctor
from modelwatch.times import microseconds_now
from tests.support.app import App
from tests.support.events import event, open_ledger

DAY = 86_400_000_000


def send(app: App, days: int, per_day: int) -> int:
    """So many predictions a day until now. Returns when the newest was, in microseconds."""
    now = microseconds_now() // 300_000_000 * 300_000_000
    times = [now - number * DAY // per_day for number in range(days * per_day)]
    open_ledger(app.store, lambda: now).commit(
        [event(f"p{number}", {"x": 1.0}, timestamp=at) for number, at in enumerate(times)]
    )
    return now


def test_a_model_with_little_traffic_is_proposed_what_fits_it(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(app, 10, 20)
    [stream] = app.get("models/m")["streams"]
    assert stream["predictions_per_day"] == pytest.approx(20, rel=0.1)
    assert (stream["proposal"]["lookbacks"], stream["proposal"]["every"]) == (["7d", "30d"], "24h")
    assert "the longest look-back holds" in stream["proposal"]["reason"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    [found] = [each for each in doctor.examine() if each.check == "traffic"]
    assert found.status == "warning"
    assert "Set drift.lookbacks to [7d, 30d] and schedule.every to 24h in its monitor." in found.detail
    body = {"drift": {"lookbacks": ["7d", "30d"]}, "schedule": {"every": "24h"}}
    assert app.request("PUT", "/api/v1/models/m/monitor", json=body).status_code in (200, 201)
    assert app.get("models/m")["streams"][0]["proposal"] is None
    [found] = [each for each in doctor.examine() if each.check == "traffic"]
    assert (found.status, found.detail) == ("ok", "every model has enough predictions for its look-backs")


def test_one_prediction_in_many_years_is_told_in_words(app: App) -> None:
    now = microseconds_now() // 300_000_000 * 300_000_000
    events = [event(name, {"x": 1.0}, timestamp=at) for name, at in (("old", now - 60 * 365 * DAY), ("new", now))]
    open_ledger(app.store, lambda: now).commit(events)
    reason = app.get("models/m")["streams"][0]["proposal"]["reason"]
    assert reason.startswith(
        "fewer than 0.01 predictions a day: the longest look-back holds fewer than 0.01 of the 100"
    )


def test_a_model_with_enough_traffic_is_proposed_nothing(app: App) -> None:
    send(app, 2, 150)
    assert app.get("models/m")["streams"][0]["proposal"] is None


def test_every_answer_about_a_model_says_up_to_when_it_goes(app: App) -> None:
    send(app, 1, 5)
    answers = [app.get(path) for path in ("models/m", "models/m/drift", "models/m/performance", "models/m/quality")]
    answers += [app.get("models/m/segments"), app.get("alerts", model="m"), app.get("alerts")]
    answers += [app.get("models")["models"][0], answers[0]["streams"][0]]
    answers.append(app.post("drift/check", {"model_name": "m"}))
    assert {answer["data_until"] for answer in answers} == {answers[0]["data_until"]}
    assert answers[0]["data_until"].endswith("Z")
    assert {answer["evaluated_until"] for answer in answers} == {None}
    assert app.get("alerts", model="other")["data_until"] is None
