"""The service as its API tells of it."""

from __future__ import annotations

from modelwatch.times import iso_of_micros
from tests.support.app import App
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.streams import normal, send


def test_what_is_refused_is_counted_by_reason(app: App) -> None:
    before = app.get("service")["ingest"]
    assert (before["accepted"], before["refused"], before["waiting"]) == (0, {}, 0)
    app.post("predictions", {"model_name": "m"}, 422)
    app.post("predictions", {"features": {}}, 422)
    app.problem("GET", "models/nobody", 404)
    after = app.get("service")["ingest"]
    assert after["refused"]["invalid-input"] == 2
    assert list(after["refused"].values()) == sorted(after["refused"].values(), reverse=True)
    assert after["most_waiting"] == app.asgi.app.state.service.settings.max_buffer_size


def test_the_store_has_a_size_by_table(app: App) -> None:
    send(app.store, Clock(NOON), normal(100), at=NOON)
    found = app.get("service")
    assert found["store"]["engine"] == "sqlite"
    sizes = {each["name"]: each["bytes"] for each in found["store"]["tables"]}
    assert {"prediction", "profile", "verdict"} <= sizes.keys()
    assert 0 < sum(sizes.values()) <= found["store"]["bytes"]
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert found["evaluation"]["status"] == "up to date"
    assert (found["version"], found["ingest"]["predictions_last_hour"]) == (app.asgi.app.state.service.version, 0)


def test_processes_that_write_are_named_while_they_do(app: App) -> None:
    assert app.get("service")["processes"] == []
    ledger = open_ledger(app.store, Clock(NOON))
    ledger.commit([event("p1", {"x": 1.0})])
    [process] = app.get("service")["processes"]
    assert process["writes_since"] == iso_of_micros(NOON)
    ledger.close()
    assert app.get("service")["processes"] == []
