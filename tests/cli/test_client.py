"""The client of a service: what it sends again, when it gives up, and how it words errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from modelwatch.cli.base import CliError, Refused, Unreachable
from modelwatch.cli.client import ServiceClient

Answers = list[httpx.Response | Exception]


class Script:
    """Answers one request after another as written down, and keeps what was sent."""

    def __init__(self, answers: Answers) -> None:
        self.answers: Iterator[httpx.Response | Exception] = iter(answers)
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.content)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client(handler: Callable[[httpx.Request], httpx.Response], time: Time, patience: float = 60.0) -> ServiceClient:
    transport = httpx.MockTransport(handler)
    return ServiceClient("localhost:1", patience=patience, clock=time.clock, sleep=time.sleep, transport=transport)


def test_a_busy_service_is_asked_again_after_the_pause_that_it_names() -> None:
    script, time = (
        Script([httpx.Response(503, headers={"retry-after": "3"}), httpx.Response(202, json={"a": 1})]),
        Time(),
    )
    assert client(script, time).post("/x", b"body") == {"a": 1}
    assert script.bodies == [b"body", b"body"]
    assert time.slept == [3.0]


@pytest.mark.parametrize("status", [408, 425, 429, 502, 507, 520, 530])
def test_statuses_that_pass_are_tried_again(status: int) -> None:
    """Content delivery networks have numbers of their own while what is behind them is away."""
    script, time = Script([httpx.Response(status), httpx.Response(200, json={"a": 1})]), Time()
    assert client(script, time).get("/x") == {"a": 1}


@pytest.mark.parametrize("status", [404, 422, 500, 501])
def test_what_does_not_pass_is_told_at_once(status: int) -> None:
    time = Time()
    with pytest.raises(Refused):
        client(Script([httpx.Response(status)]), time).get("/x")
    assert not time.slept


def test_a_lost_connection_is_tried_again_with_the_same_body() -> None:
    lost: Answers = [httpx.ReadError("reset"), httpx.ConnectError("refused"), httpx.Response(200, json={})]
    script, time = Script(lost), Time()
    client(script, time).post("/x", b"body")
    assert script.bodies == [b"body"] * 3
    assert time.slept == sorted(time.slept)


def test_patience_ends() -> None:
    time = Time()
    with pytest.raises(Unreachable, match="Gave up after 5 s"):
        client(Script([httpx.Response(503)] * 100), time, patience=5.0).get("/x")
    assert 3 < time.now <= 5


def test_a_problem_is_told_with_its_pointers() -> None:
    problem = {
        "detail": "Some fields are not valid.",
        "errors": [{"pointer": "/features/a", "message": "Expected a number", "value_excerpt": "x"}],
    }
    with pytest.raises(Refused) as refused:
        client(Script([httpx.Response(422, json=problem)]), Time()).post("/x", b"")
    assert refused.value.message.splitlines() == [
        "The service at http://localhost:1 answered 422: Some fields are not valid.",
        "  /features/a: Expected a number (given: x)",
    ]
    assert refused.value.code == 2


def test_another_program_at_the_address_is_told_apart() -> None:
    with pytest.raises(Unreachable, match="not modelwatch"):
        client(Script([httpx.Response(200, text="<html>")]), Time()).get("/x")


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:99999", "http://host:0"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="not the address of a service"):
        ServiceClient(url)
