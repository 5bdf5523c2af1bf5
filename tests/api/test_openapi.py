"""The OpenAPI document: committed, current, and true of the running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from modelwatch.config import load_settings
from modelwatch.server.build import openapi_document
from tests.support.examples import examples, is_night
from tests.support.servers.live_service import LiveService

COMMITTED = Path("docs/openapi.json")
# Of each kind to each operation. To make one up takes longer than its answer, and few find what the first ones do not.
REQUESTS = examples(25) if is_night() else 6


def test_the_committed_document_is_the_services_own(repository: Path, tmp_path: Path) -> None:
    """After a change on purpose: `make openapi`."""
    settings = load_settings({"DATA_DIR": str(tmp_path)}, dotenv=None)
    assert json.loads((repository / COMMITTED).read_text()) == openapi_document(settings)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_in_the_document_resolves(repository: Path) -> None:
    document = json.loads((repository / COMMITTED).read_text())
    names = {reference.rpartition("/")[2] for reference in references(document)}
    assert names
    assert names <= set(document["components"]["schemas"])


@pytest.fixture(scope="module")
def api_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with LiveService(tmp_path_factory.mktemp("fuzz")) as live:
        # A model that is there, so that more than "not found" is reached.
        for path, body in (
            ("predictions", {"model_name": "0", "features": {"x": 1.0}, "prediction": "a"}),
            ("reference", {"model_name": "0", "feature_name": "x", "values": [1.0, 2.0, 3.0]}),
        ):
            httpx.post(f"{live.url}/api/v1/{path}", json=body).raise_for_status()
        yield schemathesis.openapi.from_url(f"{live.url}/openapi.json")


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(path, method.upper()) for path, item in document["paths"].items() for method in item]


DOCUMENT: dict[str, Any] = json.loads((Path(__file__).resolve().parents[2] / COMMITTED).read_text())


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("path", "method"), operations(DOCUMENT))
def test_no_request_that_can_be_made_up_is_answered_with_a_server_error(
    api_schema: Any, path: str, method: str
) -> None:
    """Requests that follow the document and requests that break it, as schemathesis makes them up."""
    described = DOCUMENT["paths"][path][method.lower()]
    in_query = any(parameter["in"] == "query" for parameter in described.get("parameters", []))
    can_be_broken = in_query or "requestBody" in described  # any text is a model's name in a path
    for mode in [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if can_be_broken else [GenerationMode.POSITIVE]:

        @given(api_schema[path][method].as_strategy(generation_mode=mode))
        @settings(max_examples=REQUESTS, suppress_health_check=list(HealthCheck), deadline=None)
        def check(case: Case) -> None:
            case.call_and_validate(
                checks=[
                    not_a_server_error,
                    status_code_conformance,
                    content_type_conformance,
                    response_schema_conformance,
                ]
            )

        check()
