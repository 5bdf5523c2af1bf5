"""Which key may do what: every operation, every scope, and models that a key is not for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwatch.access import SCOPES
from modelwatch.api.auth.scopes import NEEDS, OPEN_OPERATIONS
from modelwatch.config import load_settings
from modelwatch.server.build import openapi_document
from tests.support.app import App
from tests.support.keys import bearer, make_key

OPEN_PATHS = ("/livez", "/readyz", "/health", "/docs", "/openapi.json", "/ui/login")


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    settings = load_settings({"DATA_DIR": str(tmp_path_factory.mktemp("document"))}, dotenv=None)
    paths = openapi_document(settings)["paths"]
    return [(method, path, found) for path, each in paths.items() for method, found in each.items()]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    yield app
    app.close()


def concrete(path: str) -> str:
    """The path with something in each place."""
    return re.sub(r"\{[^}]*\}", "x", path)


def test_every_operation_has_a_scope_and_the_document_says_which(
    operations: list[tuple[str, str, dict[str, Any]]],
) -> None:
    known = {found["operationId"] for _, _, found in operations}
    assert known - OPEN_OPERATIONS <= NEEDS.keys()
    for _, _, found in operations:
        need = NEEDS.get(found["operationId"])
        assert found.get("x-scope") == (None if need is None else need.scope)


def test_nothing_is_answered_without_a_key_or_with_a_wrong_one(
    app: App, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    for method, path, found in operations:
        for headers in ({}, bearer("mw_nonsense"), bearer(f"mw_{'0' * 12}_{'0' * 64}")):
            answer = app.request(method.upper(), concrete(path), headers=headers)
            if found["operationId"] in OPEN_OPERATIONS:
                assert answer.status_code in (200, 503)
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.json()["type"] == "/problems/unauthenticated"
                assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_may_do_what_its_scope_says_and_nothing_else(
    app: App, operations: list[tuple[str, str, dict[str, Any]]], scope: Any
) -> None:
    _, text = make_key(app.store, scope)
    for method, path, found in operations:
        need = NEEDS.get(found["operationId"])
        answer = app.request(method.upper(), concrete(path), headers=bearer(text))
        allowed = need is None or scope in (need.scope, "admin")
        assert (answer.status_code == 403) is not allowed, (method, path, answer.text)


def test_a_key_for_some_models_may_not_do_what_is_about_all(
    app: App, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    _, text = make_key(app.store, "admin", models=frozenset({"mine"}))
    for method, path, found in operations:
        need = NEEDS.get(found["operationId"])
        answer = app.request(method.upper(), concrete(path), headers=bearer(text))
        assert (answer.status_code == 403) is (need is not None and need.all_models), (method, path)


def test_probes_and_documents_are_open(app: App) -> None:
    for path in OPEN_PATHS:
        assert app.request("GET", path).status_code in (200, 503), path


def test_metrics_may_be_opened(tmp_path: Path) -> None:
    app = App(tmp_path, API_KEYS_REQUIRED="true", METRICS_PUBLIC="true")
    assert app.request("GET", "/metrics").status_code == 200
    assert app.request("GET", "/version").status_code == 401
    app.close()


def test_either_header_carries_a_key(app: App) -> None:
    _, text = make_key(app.store, "read")
    assert app.request("GET", "/api/v1/models", headers={"x-api-key": text}).status_code == 200
    assert app.request("GET", "/api/v1/models", headers={"Authorization": f"bearer {text}"}).status_code == 200
    assert app.request("GET", "/api/v1/models", headers={"Authorization": f"Basic {text}"}).status_code == 401


def test_an_action_is_written_down_with_its_key(app: App) -> None:
    key_id, text = make_key(app.store, "admin")
    app.request("PUT", "/api/v1/models/m/monitor", json={}, headers=bearer(text)).raise_for_status()
    entries = app.request("GET", "/api/v1/audit", headers=bearer(text)).json()["entries"]
    [entry] = [each for each in entries if each["action"].startswith("monitor.")]
    assert entry["actor"] == f"key admin, {key_id}"
    assert "key.create" in {each["action"] for each in entries}
