"""How often failed commits are logged."""

from __future__ import annotations

import logging

import pytest

from modelwatch.ingest.outage import OutageLog

ERROR = OSError("connection refused\nand more")


class Timer:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def outage(timer: Timer, caplog: pytest.LogCaptureFixture) -> OutageLog:
    caplog.set_level(logging.INFO)
    return OutageLog(timer)


def fail(outage: OutageLog, timer: Timer, seconds: int) -> None:
    for _ in range(seconds):
        outage.failed(ERROR)
        timer.seconds += 1


def test_the_first_failure_and_the_end_are_logged(
    outage: OutageLog, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    fail(outage, timer, 40)
    outage.succeeded()
    outage.succeeded()
    assert caplog.messages == [
        "Commit failed, it is retried while requests wait for it: connection refused",
        "Predictions are stored again, after 40.0 s",
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]


def test_a_long_outage_is_logged_once_a_minute(
    outage: OutageLog, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    fail(outage, timer, 600)
    assert len(caplog.messages) == 10


def test_a_store_that_fails_now_and_then_is_logged_once_a_minute_too(
    outage: OutageLog, timer: Timer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(119):
        fail(outage, timer, 1)
        outage.succeeded()
    assert [message.partition(",")[0] for message in caplog.messages] == [
        "Commit failed",
        "Predictions are stored again",
    ] * 2


def test_commits_that_succeed_are_not_logged(outage: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    outage.succeeded()
    assert caplog.messages == []


def test_an_error_without_a_message_is_logged_by_its_type(outage: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    outage.failed(TimeoutError())
    assert caplog.messages == ["Commit failed, it is retried while requests wait for it: TimeoutError"]
