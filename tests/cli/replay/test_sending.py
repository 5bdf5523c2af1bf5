"""Rows to the service: what is counted, split and given up."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from modelwatch.cli.base import Refused
from modelwatch.cli.client import ServiceClient
from modelwatch.cli.replay.rows import LabelRows, LineRows
from modelwatch.cli.replay.sending import Tally, send_all


def lines(count: int) -> LineRows:
    return LineRows([b'{"n": %d}' % number for number in range(count)], range(101, 101 + count))


def sent(handler: Any, *stretches: LineRows) -> Tally:
    tally = Tally()
    service = ServiceClient("http://x", sleep=lambda _seconds: None, transport=httpx.MockTransport(handler))
    send_all(stretches, service, {}, tally, lambda _rows: None)
    return tally


def test_what_became_of_each_row_is_counted() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        rejected = [{"index": 2, "pointer": "/prediction", "message": "Required"}]
        return httpx.Response(202, json={"accepted": 1, "duplicates": 1, "rejected": rejected})

    tally = sent(answer, lines(3))
    assert (tally.sent, tally.accepted, tally.duplicates, tally.rejected) == (3, 1, 1, 1)
    assert tally.rejections[0].row == 103


def test_a_batch_that_is_too_large_is_halved_until_it_fits() -> None:
    sizes = []

    def answer(request: httpx.Request) -> httpx.Response:
        rows = [json.loads(line) for line in request.content.splitlines()]
        if len(rows) > 3:
            return httpx.Response(413, json={"detail": "too large"})
        sizes.append(len(rows))
        return httpx.Response(202, json={"accepted": len(rows), "duplicates": 0, "rejected": []})

    assert sent(answer, lines(10)).accepted == 10
    assert max(sizes) <= 3


def test_a_row_that_is_too_large_alone_is_an_error() -> None:
    with pytest.raises(Refused, match="too large"):
        sent(lambda _request: httpx.Response(413, json={"detail": "too large"}), lines(2))


def test_a_batch_of_bad_rows_is_counted_as_rejected_and_the_rest_goes_on() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if len(request.content.splitlines()) == 2:
            return httpx.Response(202, json={"accepted": 2, "duplicates": 0, "rejected": []})
        errors = [{"pointer": f"/{index}/prediction", "message": "Required"} for index in range(3)]
        return httpx.Response(422, json={"detail": "None of the 3 rows is valid.", "errors": errors})

    tally = sent(answer, lines(3), lines(2))
    assert (tally.sent, tally.accepted, tally.rejected) == (5, 2, 3)
    assert [(each.row, each.pointer) for each in tally.rejections] == [
        (101, "/prediction"),
        (102, "/prediction"),
        (103, "/prediction"),
    ]


def test_columns_that_are_wrong_for_all_rows_end_the_replay() -> None:
    problem = {"detail": "The table has columns that are not valid.", "errors": [{"pointer": "/when", "message": "no"}]}
    with pytest.raises(Refused, match="/when"):
        sent(lambda _request: httpx.Response(422, json=problem), lines(2))


def test_only_the_first_rejections_are_kept() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        rejected = [{"index": index, "pointer": "", "message": "no"} for index in range(50)]
        return httpx.Response(202, json={"accepted": 50, "duplicates": 0, "rejected": rejected})

    tally = sent(answer, lines(100), lines(100))
    assert tally.rejected == 100
    assert len(tally.rejections) == 5


def test_labels_that_are_sent_before_their_rows_wait_until_these_are_there() -> None:
    """Rows 90 and 103 are rejected: their labels have no prediction."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/ground-truth/batch"):
            said = {"accepted": 1, "corrected": 0, "duplicates": 0, "waiting": 4, "rejected": []}
            return httpx.Response(200, json=said)
        index = 2 if request.content.count(b"\n") == 3 else 0
        rejected = [{"index": index, "pointer": "/prediction", "message": "Required"}]
        return httpx.Response(202, json={"accepted": 1, "duplicates": 0, "rejected": rejected})

    before = LineRows([b"{}"] * 2, [90, 91])
    labels = LabelRows([b"{}"] * 5, [90, 91, 101, 102, 103])
    tally = sent(answer, before, labels, lines(4))
    assert (tally.labels.sent, tally.labels.accepted, tally.labels.waiting) == (5, 3, 2)
