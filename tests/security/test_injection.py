"""Names that mean something to SQL, HTTP, HTML or a shell are only names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.servers.live_service import LiveService

NAMES = (
    "'; DROP TABLE prediction; --",
    '" OR 1=1 --',
    "a%_b\\c",
    "<script>alert(1)</script>",
    "x\r\nSet-Cookie: a=b",
    "../../etc/passwd",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "$(touch /tmp/x)",
    "ünï ☃ \u202e",
    "null",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("injected")) as live:
        yield live


@pytest.fixture
def client(service: LiveService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def prediction(name: str) -> dict[str, Any]:
    return {
        "model_name": name,
        "model_version": name,
        "environment": name,
        "prediction_id": name,
        "features": {name: name},
        "prediction": name,
        "ground_truth": name,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_stored_and_found_as_it_is(client: httpx.Client, name: str) -> None:
    sent = client.post("/api/v1/predictions", json=prediction(name))
    assert sent.status_code == 202, sent.text
    assert sent.json()["prediction_id"] == name
    models = {each["model_name"]: each for each in client.get("/api/v1/models").json()["models"]}
    assert models[name]["predictions"] == 1
    assert models[name]["streams"][0]["model_version"] == name
    reference = {"model_name": name, "feature_name": name, "data_type": "categorical", "values": [name, "other"]}
    assert client.post("/api/v1/reference", json=reference).status_code == 201
    found = client.post("/api/v1/drift/check", json={"model_name": name, "environment": name}).json()
    assert [each["feature_name"] for each in found["drift_results"]] == [name]
    path = quote(name, safe="")
    named = {"version": name, "environment": name}
    for kind, query in (("", {}), ("/drift", named), ("/performance", named), ("/quality", named), ("/monitor", {})):
        answer = client.get(f"/api/v1/models/{path}{kind}", params=query)
        assert answer.status_code == 200, (kind, answer.text)
        assert "set-cookie" not in answer.headers
    for path in ("/metrics", "/ui/alerts?model=" + quote(name)):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script>alert(1)" not in answer.text or path == "/metrics"
        assert "set-cookie" not in answer.headers


def test_nothing_was_lost(client: httpx.Client) -> None:
    for name in NAMES:
        again = client.post("/api/v1/predictions", json=prediction(name))
        assert again.json()["status"] == "duplicate", name


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/%00",
        "/api/v1/models/%ff",
        "/ui/alerts/%00",
        "/ui/assets/..%2f..%2fpages.py",
        "/ui/assets/../../pages.py",
        "/docs/assets/%2e%2e/%2e%2e/METADATA",
        "//livez/",
        "/api/v1/alerts/..%2f..%2fversion",
        "/api/v1/models/a%0d%0aset-cookie:%20a=b",
    ],
)
def test_addresses_that_lead_elsewhere_lead_nowhere(client: httpx.Client, path: str) -> None:
    answer = client.get(httpx.URL(f"{client.base_url}").copy_with(raw_path=path.encode()))
    assert answer.status_code in (400, 404, 422), answer.text
    assert "set-cookie" not in answer.headers
    assert "import" not in answer.text


def test_a_value_in_a_query_is_a_value(client: httpx.Client) -> None:
    for name in NAMES:
        for path in ("alerts?model=", "alerts?environment=", "deliveries?channel=", "audit?actor=", "audit?target="):
            answer = client.get(f"/api/v1/{path}{quote(name, safe='')}")
            assert answer.status_code == 200, (path, answer.text)
            [rows] = [value for value in answer.json().values() if isinstance(value, list)]
            assert rows == []
