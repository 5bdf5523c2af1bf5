"""Every malformed request of the table, sent to a real service: refused by name, nothing stored, memory bounded."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.api.bad_inputs import BAD_INPUTS, MIB, BadInput
from tests.support.servers.live_service import LiveService

MAX_GROWTH = 400 * MIB


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("bad")) as service:
        # A model that exists, so that drift checks are judged by their own fields. It has no predictions.
        reference = {"model_name": "fraud", "feature_name": "amount", "values": [1.0, 2.0, 3.5]}
        httpx.post(f"{service.url}/api/v1/reference", json=reference).raise_for_status()
        yield service


@pytest.fixture(scope="module")
def before(live: LiveService) -> int:
    return live.peak_memory()


@pytest.fixture(scope="module")
def client(live: LiveService) -> Iterator[httpx.Client]:
    """One client for all: a connection that the service closes after a refusal is opened anew."""
    with httpx.Client(base_url=live.url, timeout=60) as client:
        yield client


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_a_malformed_request_is_refused_by_the_service(client: httpx.Client, bad: BadInput) -> None:
    answer = client.request(bad.method, bad.path, params=bad.query, content=bad.body(), headers=bad.headers)
    assert answer.status_code == bad.status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], bool(problem["title"]), bool(problem["detail"])) == (bad.status, True, True)
    pointers = [error["pointer"] for error in problem.get("errors", [])]
    if bad.pointer is not None:
        assert bad.pointer in pointers, problem
    elif bad.status != 422:
        assert pointers == []
    assert bad.says.lower() in answer.text.lower().replace("\\u0000", "\0"), problem
    assert len(answer.content) < 64 * 1024


def test_nothing_of_it_was_stored(live: LiveService) -> None:
    models = httpx.get(f"{live.url}/api/v1/models", timeout=30).json()["models"]
    assert [(model["model_name"], model["predictions"], model["streams"]) for model in models] == [("fraud", 0, [])]
    references = httpx.get(f"{live.url}/api/v1/reference", params={"model_name": "fraud"}, timeout=30).json()
    assert [reference["feature_name"] for reference in references["references"]] == ["amount"]


def test_memory_stayed_bounded(live: LiveService, before: int) -> None:
    grown = live.peak_memory() - before
    assert grown < MAX_GROWTH, f"the service grew by {grown // MIB} MiB"
