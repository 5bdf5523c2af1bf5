"""Errors become problem details."""

from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from modelwatch.api.problems import framework_problem, problem_body, problem_response
from modelwatch.errors import FieldError, InvalidInput, MalformedBody, QueueFull
from tests.support.app import App


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


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("models?limit=x", "Expected a whole number"),
        ("models?limit=0", "Expected at least 1"),
        ("models?limit=501", "Expected at most 500"),
        ("models?cursor=", "Expected at least 1 character"),
        ("alerts?state=opne", "Expected 'firing', 'acknowledged', 'silenced' or 'resolved'"),
        ("alerts?severity=bad", "Expected 'warning' or 'alert'"),
        ("models/m/drift?start=yesterday", "Expected a time as RFC 3339 writes it"),
        ("models/a%00b", "Expected text without NUL characters"),
    ],
)
def test_parameters_are_spoken_of_in_plain_words(app: App, address: str, message: str) -> None:
    assert app.problem("GET", address, 422)["errors"][0]["message"] == message


@pytest.mark.parametrize(
    ("query", "message"),
    [("day=x", "Expected a day such as 2026-01-31"), ("leave_counts=perhaps", "Expected true or false")],
)
def test_parameters_of_an_erasure_are_too(app: App, query: str, message: str) -> None:
    problem = app.problem("DELETE", f"models/m/predictions/a?{query}", 422)
    assert problem["errors"][0]["message"] == message


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_calendar_has_in_utc_is_named(app: App, moment: str) -> None:
    query = {"start": moment, "end": "2025-06-15T00:00:00Z", "step": "1d"}
    app.problem("GET", "models/m/performance", 422, params=query)
    window = {"start": moment, "end": "9999-12-31T23:59:59Z"}
    problem = app.problem("POST", "models/m/reference/from-window", 422, json=window)
    assert problem["errors"][0]["pointer"] == "/start"
    assert problem["errors"][0]["message"] == "Expected a time that can be put in UTC"


def test_a_backtest_of_a_wrong_type_is_told_in_plain_words(app: App) -> None:
    problem = app.problem("POST", "models/m/monitor/backtest", 422, json=[])
    assert problem["errors"][0]["message"] == "Expected an object, got a list"
