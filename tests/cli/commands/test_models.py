"""Models on the command line."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.cli.conftest import RunCli
from tests.support.data.traffic import predictions
from tests.support.servers.live_service import LiveService


def send(service: LiveService, model: str) -> httpx.Response:
    return httpx.post(f"{service.url}/api/v1/predictions/batch", json=predictions(200, model=model), timeout=30)


def test_a_model_is_listed_and_deleted_while_the_service_runs(service: LiveService, run_cli: RunCli) -> None:
    model = "team/short-lived"
    send(service, model).raise_for_status()
    told = run_cli("models", "list", "--url", service.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert model in told.stdout
    known = json.loads(run_cli("models", "list", "--url", service.url, "--json").stdout)["models"]
    assert [each["predictions"] for each in known if each["model_name"] == model] == [200]
    unsure = run_cli("models", "delete", model, "--url", service.url)
    assert (unsure.returncode, "--yes" in unsure.stderr) == (2, True)
    done = run_cli("models", "delete", model, "--url", service.url, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{model} is deleted: 200 predictions and" in done.stdout
    again = run_cli("models", "delete", model, "--url", service.url, "--yes")
    assert again.returncode == 1
    assert send(service, model).json()["accepted"] == 200


@pytest.mark.parametrize("what", [("--version", "unversioned"), ("--environment", "production")])
def test_a_part_of_a_model_is_deleted(service: LiveService, run_cli: RunCli, what: tuple[str, str]) -> None:
    model = f"part-{what[1]}"
    send(service, model).raise_for_status()
    done = run_cli("models", "delete", model, *what, "--url", service.url, "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["predictions"]) == (0, 200)
    assert httpx.get(f"{service.url}/api/v1/models/{model}").json()["streams"] == []
    assert send(service, model).json()["accepted"] == 200


def test_both_at_once_are_refused(service: LiveService, run_cli: RunCli) -> None:
    done = run_cli("models", "delete", "m", "--version", "1", "--environment", "e", "--url", service.url, "--yes")
    assert (done.returncode, "not both" in done.stderr) == (2, True)


def test_what_comes_while_a_model_is_deleted_is_refused_and_says_why(service: LiveService) -> None:
    """Until the background work has done it, or is done with it: both answers are right ones."""
    model = "refused"
    send(service, model).raise_for_status()
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        deletion = client.delete(f"/models/{model}").json()
        answer = client.post("/predictions", json=predictions(1, model=model)[0])
        status = client.get(f"/deletions/{deletion['deletion_id']}").json()["status"]
    if answer.status_code == 409:
        assert "is being deleted" in answer.json()["detail"]
    else:
        assert (answer.status_code, status) == (202, "deleted")
