"""What an address means: names with slashes in them, HEAD, methods that are not answered, and slashes at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.app import App, pointers
from tests.support.servers.live_service import LiveService

LLAMA = "meta-llama/Llama-3"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("addresses")) as live:
        yield live


def prediction(model: str, identity: str) -> dict[str, object]:
    return {"model_name": model, "prediction_id": identity, "features": {"x": 1.0}, "prediction": "a"}


def test_a_model_with_a_slash_in_its_name_is_reached_on_every_route(service: LiveService) -> None:
    with httpx.Client(base_url=service.url) as client:
        sent = client.post("/api/v1/predictions", json=prediction(LLAMA, "one/two%2F3"))
        assert sent.status_code == 202, sent.text
        path = "/api/v1/models/meta-llama%2FLlama-3"
        assert client.put(f"{path}/monitor", json={"budget": 2}).status_code == 201
        for part in ("", "/drift", "/performance", "/quality", "/monitor"):
            answer = client.get(path + part)
            assert answer.status_code == 200, (part, answer.text)
        assert client.get(path).json()["model_name"] == LLAMA
        erased = client.delete(f"{path}/predictions/one%2Ftwo%252F3").json()
        assert (erased["model_name"], erased["prediction_id"], erased["predictions"]) == (LLAMA, "one/two%2F3", 1)


def test_an_encoded_slash_never_reaches_into_another_model(service: LiveService) -> None:
    """`a%2Fpredictions%2Fb` is a model's name, and no prediction of the model `a`."""
    with httpx.Client(base_url=service.url) as client:
        assert client.post("/api/v1/predictions", json=prediction("a", "b/predictions/x")).status_code == 202
        asked = client.delete("/api/v1/models/a%2Fpredictions%2Fb/predictions/x")
        assert asked.status_code == 404, asked.text
        assert client.delete("/api/v1/models/a/predictions/b/predictions/x").json()["predictions"] == 1


def test_an_id_may_still_have_slashes_that_are_not_encoded(service: LiveService) -> None:
    with httpx.Client(base_url=service.url) as client:
        assert client.post("/api/v1/predictions", json=prediction("plain", "a/b/c")).status_code == 202
        assert client.delete("/api/v1/models/plain/predictions/a/b/c").json()["prediction_id"] == "a/b/c"


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("field", ["model_name", "model_version", "environment", "prediction_id"])
def test_names_that_no_address_can_have_are_refused(app: App, name: str, field: str) -> None:
    problem = app.problem("POST", "predictions", 422, json={**prediction("m", "some-id"), field: name})
    assert pointers(problem) == [f"/{field}"]


def test_labels_and_references_of_such_models_are_refused_too(app: App) -> None:
    label = {"model_name": "..", "prediction_id": "some-id", "ground_truth": 1}
    assert pointers(app.problem("POST", "ground-truth", 422, json=label)) == ["/model_name"]
    reference = {"model_name": ".", "feature_name": "x", "values": [1.0, 2.0]}
    assert pointers(app.problem("POST", "reference", 422, json=reference)) == ["/model_name"]
    monitor = app.request("PUT", "/api/v1/models/%2E%2E/monitor", json={})
    assert monitor.status_code in (400, 404), monitor.text


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/docs", "/openapi.json", "/api/v1/models", "/ui/alerts"])
def test_head_is_answered_wherever_get_is(service: LiveService, path: str) -> None:
    with httpx.Client(base_url=service.url) as client:
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_a_wrong_method_is_told_the_right_ones(app: App) -> None:
    answer = app.request("DELETE", "/api/v1/silences")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert answer.json()["detail"] == "DELETE is not allowed at /api/v1/silences, but GET or POST is: see /docs."


@pytest.mark.parametrize("path", ["/api/v1/models/", "/api/v1/predictions/", "/metrics/", "/ui/alerts/"])
def test_a_slash_too_many_is_no_redirect(app: App, path: str) -> None:
    """A redirect would name the scheme and the path as the service sees them, and a client follows it with its key."""
    answer = app.request("GET", path)
    assert answer.status_code == 404
    assert "location" not in answer.headers
    if not path.startswith("/ui"):
        assert f"at {path.rstrip('/')}, without the slash at the end" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "encoded"),
    [
        ("GET", "models/meta-llama/Llama-3", "models/meta-llama%2FLlama-3"),
        ("GET", "models/meta-llama/Llama-3/performance", "models/meta-llama%2FLlama-3/performance"),
        ("PUT", "models/a/b/c/monitor", "models/a%2Fb%2Fc/monitor"),
        ("DELETE", "models/m/versions/2025/06", "models/m/versions/2025%2F06"),
        ("DELETE", "models/a/b/predictions/x", "models/a%2Fb/predictions/x"),
    ],
)
def test_a_slash_that_is_not_encoded_is_told_how_it_is_written(app: App, method: str, path: str, encoded: str) -> None:
    detail = app.problem(method, path, 404)["detail"]
    assert detail == f"There is nothing at /api/v1/{path}. A slash in a name is written %2F: /api/v1/{encoded}."


@pytest.mark.parametrize(
    ("method", "path", "elsewhere"),
    [
        ("POST", "/predictions", "/api/v1/predictions"),
        ("GET", "/alerts", "/api/v1/alerts and at /ui/alerts"),
        ("GET", "/models/m/features/x", "/ui/models/m/features/x"),
        (
            "GET",
            "/models/org%2Fname/performance",
            "/api/v1/models/org%2Fname/performance and at /ui/models/org%2Fname/performance",
        ),
    ],
)
def test_an_address_without_its_prefix_is_told_with_it(app: App, method: str, path: str, elsewhere: str) -> None:
    answer = app.request(method, path)
    assert (answer.status_code, answer.json()["detail"]) == (404, f"There is nothing at {path}, but at {elsewhere}.")


@pytest.mark.parametrize("path", ["nothing/at/all", "models//Llama-3", "/".join("abcdefghijklmnop")])
def test_an_address_that_no_encoding_would_help_gets_no_such_hint(app: App, path: str) -> None:
    assert "%2F" not in app.problem("GET", path, 404)["detail"]


@pytest.mark.parametrize(("path", "way"), [("/", "docs"), ("/ui", "ui/models"), ("/ui/", "models")])
def test_redirects_are_relative(app: App, path: str, way: str) -> None:
    assert app.request("GET", path).headers["location"] == way


def test_a_browser_is_led_to_the_models_and_a_client_to_the_api(app: App) -> None:
    browser = app.request("GET", "/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser.headers["location"] == "ui/models"
    assert app.request("GET", "/", headers={"Accept": "*/*"}).headers["location"] == "docs"


def test_the_document_of_the_api_leads_back_and_follows_the_colour_scheme(app: App) -> None:
    page = app.request("GET", "/docs").text
    assert '<a href="ui/models">' in page
    style = app.request("GET", "/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in style.text


def test_the_path_of_the_public_address_is_taken_off(tmp_path: Path) -> None:
    app = App(tmp_path, PUBLIC_URL="https://ml.example.org/watch/")
    assert app.request("GET", "/watch/api/v1/models").json()["models"] == []
    assert app.request("GET", "/api/v1/models").json()["models"] == []
    assert app.request("GET", "/watch").headers["location"] == "docs"
    assert app.request("GET", "/watchful/api/v1/models").status_code == 404
    app.close()


def test_a_prefix_that_a_proxy_names_is_taken_off(app: App) -> None:
    header = {"X-Forwarded-Prefix": "/team%2Fa/"}
    assert app.request("GET", "/team%2Fa/api/v1/models", headers=header).status_code == 200
    assert app.request("GET", "/api/v1/models", headers=header).status_code == 200
    assert app.request("GET", "/team/a/api/v1/models", headers=header).status_code == 404
