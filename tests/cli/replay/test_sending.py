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


def replayed(labels_said: list[dict[str, Any]], rows_said: list[dict[str, Any]], *stretches: LineRows) -> Tally:
    """The tally where the service gives these answers, one after the other."""
    answers = {"/api/v1/ground-truth/batch": iter(labels_said), "/api/v1/predictions/batch": iter(rows_said)}

    def answer(request: httpx.Request) -> httpx.Response:
        said = {"accepted": 0, "corrected": 0, "duplicates": 0, "waiting": 0, **next(answers[request.url.path])}
        rejected = [{"index": index, "pointer": "", "message": "no"} for index in said.pop("rejected", ())]
        return httpx.Response(202, json={**said, "rejected": rejected})

    return sent(answer, *stretches)


def numbered(first: int, last: int) -> LineRows:
    return LineRows([b"{}"] * (last - first + 1), range(first, last + 1))


def labels_of(*numbers: int) -> LabelRows:
    return LabelRows([b"{}"] * len(numbers), numbers)


def counts(tally: Tally) -> tuple[int, int, int, int]:
    """Labels: accepted, duplicates, waiting, rejected."""
    labels = tally.labels
    assert labels.sent == labels.accepted + labels.corrected + labels.duplicates + labels.waiting + labels.rejected
    return labels.accepted, labels.duplicates, labels.waiting, labels.rejected


def test_a_label_of_a_rejected_row_waits_also_where_earlier_rows_and_labels_were_known() -> None:
    labels_said = [{"duplicates": 5, "waiting": 5}]
    rows_said = [{"accepted": 4, "duplicates": 5, "rejected": [6]}]
    assert counts(replayed(labels_said, rows_said, labels_of(*range(1, 11)), numbered(1, 10))) == (4, 5, 1, 0)


def test_labels_that_were_accepted_at_once_and_refused_ones_do_not_free_one_that_waits() -> None:
    labels_said = [{"waiting": 10}, {"accepted": 2, "waiting": 7, "rejected": [1]}]
    rows_said = [{"accepted": 9, "rejected": [0]}, {"accepted": 10}]
    stretches = labels_of(*range(1, 11)), numbered(1, 10), labels_of(*range(11, 21)), numbered(11, 20)
    assert counts(replayed(labels_said, rows_said, *stretches)) == (18, 0, 1, 1)


def test_a_refused_label_of_a_rejected_row_does_not_wait() -> None:
    labels_said = [{"waiting": 2, "rejected": [1]}]
    rows_said = [{"accepted": 2, "rejected": [1]}]
    assert counts(replayed(labels_said, rows_said, labels_of(1, 2, 3), numbered(1, 3))) == (2, 0, 0, 1)


def test_a_label_that_comes_later_than_its_rejected_row_goes_on_waiting() -> None:
    """That of row 1 comes with those of the next rows; that of row 2 after all of them."""
    labels_said = [{"waiting": 1}, {"accepted": 1, "waiting": 3}, {"waiting": 1}]
    rows_said = [{"accepted": 2, "rejected": [0, 1]}, {"accepted": 2}]
    stretches = labels_of(3), numbered(1, 4), labels_of(1, 4, 5, 6), numbered(5, 6), labels_of(2)
    assert counts(replayed(labels_said, rows_said, *stretches)) == (4, 0, 2, 0)


def test_nothing_is_found_where_all_labels_were_sent_before() -> None:
    labels_said = [{"duplicates": 3}, {"waiting": 2}]
    rows_said = [{"accepted": 4, "rejected": [0]}]
    assert counts(replayed(labels_said, rows_said, labels_of(1, 2, 3), labels_of(4, 5), numbered(1, 5))) == (2, 3, 0, 0)
