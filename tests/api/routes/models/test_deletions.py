"""Deleting models over HTTP, and lists of models in pages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from modelwatch.monitoring.scheduler.jobs.deletions import Deletions
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.maintenance.deletion import Deletion
from tests.exposition.scraping import set_reference, traffic
from tests.support.app import App, pointers
from tests.support.background import new_id
from tests.support.events import NOON, open_ledger


def run_deletions(app: App) -> None:
    def end_alerts(deletion: Deletion) -> bool:
        part = deletion.part
        return app.desk.book.forget(deletion.model, part.version, part.environment, actor=deletion.actor)

    assert not Deletions(app.store, end_alerts, timer=time.monotonic, new_id=new_id, round_seconds=60.0)(
        Lease("chores", "me", 1), NOON
    )


def delete(app: App, path: str, status: int = 202, **query: str) -> Any:
    answer = app.request("DELETE", f"/api/v1/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_model_is_deleted_and_its_answer_says_how_far_it_is(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(30))
    begun = delete(app, "models/m", actor="ann")
    assert (begun["status"], begun["step"], begun["model_name"]) == ("deleting", "alerts", "m")
    assert delete(app, "models/m")["deletion_id"] == begun["deletion_id"]
    run_deletions(app)
    done = app.get(f"deletions/{begun['deletion_id']}")
    assert (done["status"], done["predictions"], done["removed"] > 0) == ("deleted", 30, True)
    app.problem("GET", "models/m", 404)
    app.problem("DELETE", "models/m", 404)
    entries = [(each["actor"], each["action"]) for each in app.get("audit")["entries"]]
    assert sorted(entries) == [("ann", "model.delete"), ("ann", "model.deleted")]


@pytest.mark.parametrize(
    ("path", "left"),
    [("versions/1", [("2", "production")]), ("environments/production", [])],
)
def test_a_version_and_an_environment_can_be_deleted(app: App, path: str, left: list[tuple[str, str]]) -> None:
    open_ledger(app.store).commit([*traffic(5), *traffic(5, version="2")])
    delete(app, f"models/m/{path}")
    run_deletions(app)
    streams = app.get("models/m")["streams"]
    assert [(each["model_version"], each["environment"]) for each in streams] == left


def test_what_is_not_there_can_not_be_deleted(app: App) -> None:
    open_ledger(app.store).commit(traffic(5))
    for path in ("models/nobody", "models/m/versions/9", "models/m/environments/nowhere"):
        app.problem("DELETE", path, 404)
    assert "no version '9'" in app.problem("DELETE", "models/m/versions/9", 404)["detail"]
    app.problem("GET", "deletions/none", 404)
    assert pointers(app.problem("DELETE", "models/m", 422, params={"actor": "a" * 201})) == ["/actor"]


def test_models_come_in_pages(app: App) -> None:
    names = [f"m{index}" for index in range(7)]
    open_ledger(app.store).commit([event for name in names for event in traffic(1, model=name)])
    assert [each["model_name"] for each in app.get("models")["models"]] == names
    assert app.get("models")["next_cursor"] is None
    seen, query = [], {"limit": 3}
    while True:
        page = app.get("models", **query)
        seen.append([each["model_name"] for each in page["models"]])
        assert [each["predictions"] for each in page["models"]] == [1] * len(page["models"])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [names[:3], names[3:6], names[6:]]
    assert pointers(app.problem("GET", "models", 422, params={"cursor": "x"})) == ["/cursor"]
