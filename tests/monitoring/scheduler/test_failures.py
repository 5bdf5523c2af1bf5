"""Checks that end with an error: what is kept of them, and what the log says of each attempt."""

from __future__ import annotations

import pytest

from modelwatch.monitoring.scheduler.failures import ATTEMPTS_A_TRACE, RETRY_SECONDS, Failures
from modelwatch.storage.engine.models import StreamKey
from tests.support.data.streams import SECOND
from tests.support.events import NOON

STREAM = StreamKey("m", "1", "production")


def test_a_check_that_goes_on_failing_has_its_trace_in_the_log_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for attempt in range(ATTEMPTS_A_TRACE + 1):
        noted = failures.note(STREAM, "drift", ValueError("x"), NOON + attempt * RETRY_SECONDS * SECOND)
    assert (noted.attempts, noted.since) == (ATTEMPTS_A_TRACE + 1, NOON)
    traced = [place for place, record in enumerate(caplog.records) if record.exc_info]
    assert (len(caplog.records), traced) == (ATTEMPTS_A_TRACE + 1, [0, ATTEMPTS_A_TRACE])
    assert "(attempt 61, ValueError)" in caplog.messages[-1]


def test_another_error_of_the_same_check_has_its_trace_at_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for error in (ValueError("x"), ValueError("y"), KeyError("z")):
        failures.note(STREAM, "drift", error, NOON)
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True]
