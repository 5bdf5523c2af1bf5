"""Query parameters that a route does not have."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import httpx
import pytest

from modelwatch.api import routes
from modelwatch.api.unknown_names import parameters_of
from tests.support.app import App
from tests.support.servers.live_service import LiveService


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    opened = App(tmp_path_factory.mktemp("query"))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("method", "path", "pointer", "message"),
    [
        ("GET", "models/m/drift?verison=2", "/verison", "Unknown parameter; did you mean 'version'?"),
        ("GET", "models?Limit=5", "/Limit", "Unknown parameter; did you mean 'limit'?"),
        ("GET", "models?page=2", "/page", "Unknown parameter; known here: cursor, limit."),
        ("GET", "models/m?x", "/x", "Unknown parameter; known here: none."),
        ("GET", "reference?model=m", "/model", "Unknown parameter; did you mean 'model_name'?"),
        ("POST", "predictions/batch?enviroment=prod", "/enviroment", "Unknown parameter; did you mean 'environment'?"),
        ("DELETE", "models/m/predictions/x?dya=2026-01-31", "/dya", "Unknown parameter; did you mean 'day'?"),
        ("GET", "models?limit=5&limit=6", "/limit", "Expected once"),
        ("GET", "models?a%2Fb=1", "/a~1b", "Unknown parameter; known here: cursor, limit."),
    ],
)
def test_an_unknown_parameter_is_named_with_the_nearest(
    app: App, method: str, path: str, pointer: str, message: str
) -> None:
    given: dict[str, Any] = {"json": []} if method == "POST" else {}
    [error] = app.problem(method, path, 422, **given)["errors"]
    assert (error["pointer"], error["message"]) == (pointer, message)


def test_what_passes_by_caches_is_let_through(app: App) -> None:
    assert app.get("models", _="1766000000", limit="5")["models"] == []


@pytest.mark.parametrize("path", ["/metrics?collect[]=x", "/livez?x=1", "/version?x=1", "/ui/alerts?utm=x"])
def test_pages_and_what_machines_ask_take_any_parameter(app: App, path: str) -> None:
    assert app.request("GET", path).status_code == 200


def test_the_two_hot_routes_refuse_them_before_anything_is_stored(tmp_path: Path) -> None:
    prediction = {"model_name": "m", "prediction_id": "one", "features": {"x": 1.0}, "prediction": 1}
    label = {"model_name": "m", "prediction_id": "one", "ground_truth": 1}
    with LiveService(tmp_path) as live, httpx.Client(base_url=f"{live.url}/api/v1") as client:
        for path, body in (("/predictions", prediction), ("/ground-truth", label)):
            refused = client.post(path, params={"environment": "staging"}, json=body)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/environment")
            taken = client.post(path, params={"_": "1"}, json=body)
            assert (taken.status_code, taken.json()["status"]) == (202, "accepted")


def test_every_documented_parameter_is_known(app: App) -> None:
    document = app.request("GET", "/openapi.json").json()
    modules = [import_module(each.name) for each in walk_packages(routes.__path__, f"{routes.__name__}.")]
    found = [route for module in modules if hasattr(module, "router") for route in module.router.routes]
    for route in found:
        operation = next(
            each
            for by_method in document["paths"].values()
            for each in by_method.values()
            if each["operationId"] == route.operation_id
        )
        documented = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        assert documented == parameters_of(route)
    assert len(found) > 40
