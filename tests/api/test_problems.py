"""Errors become problem details."""

from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from modelwatch.api.problems import framework_problem, problem_body, problem_response
from modelwatch.errors import FieldError, InvalidInput, MalformedBody, QueueFull


def test_an_input_error_names_its_fields() -> None:
    error = InvalidInput("Some are wrong.", (FieldError("/a", "Expected b", "c"), FieldError("/d", "Required")))
    status, headers, content = problem_body(error)
    assert status == 422
    assert dict(headers) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(content)).encode(),
    }
    assert json.loads(content) == {
        "type": "/problems/invalid-input",
        "title": "Some fields are not valid",
        "status": 422,
        "detail": "Some are wrong.",
        "errors": [
            {"pointer": "/a", "message": "Expected b", "value_excerpt": "c"},
            {"pointer": "/d", "message": "Required", "value_excerpt": None},
        ],
    }


def test_an_error_without_fields_has_no_errors_member() -> None:
    assert "errors" not in json.loads(problem_body(MalformedBody("Not JSON."))[2])


def test_at_most_a_hundred_fields_are_listed_and_the_detail_says_so() -> None:
    problem = json.loads(problem_body(InvalidInput("Wrong.", (FieldError("/a", "b"),) * 250))[2])
    assert len(problem["errors"]) == 100
    assert problem["detail"] == "Wrong. The first 100 of 250 are listed."


def test_a_service_error_says_when_to_come_again() -> None:
    response = problem_response(QueueFull("Full.", retry_after=7))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert response.headers["content-length"] == str(len(response.body))


def test_an_unknown_error_tells_nothing_of_its_cause() -> None:
    status, _, content = problem_body(RuntimeError("password=hunter2"))
    assert status == 500
    assert b"hunter2" not in content


@pytest.mark.parametrize(("status", "slug"), [(404, "not-found"), (405, "method-not-allowed"), (413, None)])
def test_errors_of_the_framework_are_problems_and_keep_their_headers(status: int, slug: str | None) -> None:
    response = framework_problem(HTTPException(status, headers={"Allow": "POST"}))
    problem = json.loads(response.body)
    assert response.status_code == problem["status"] == status
    assert response.headers["allow"] == "POST"
    assert response.headers["content-type"] == "application/problem+json"
    assert slug is None or problem["type"] == f"/problems/{slug}"


def test_a_validation_of_the_framework_names_the_parameter() -> None:
    entry = {"loc": ("query", "a/b"), "msg": "Field required", "type": "missing", "input": None}
    problem = json.loads(framework_problem(RequestValidationError([entry])).body)
    assert problem["status"] == 422
    assert problem["errors"][0]["pointer"] == "/a~1b"
