"""Rows to the service, and the tally of what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from modelwatch.cli.ending import Refused
from modelwatch.cli.replay.rows import NDJSON, Rows
from modelwatch.cli.service import Service, errors_of

BATCH_PATH = "/api/v1/predictions/batch"
KEPT_REJECTIONS = 5
TOO_LARGE = 413
UNREADABLE = 400
INVALID = 422
_ROW = re.compile(r"/(\d+)(/.*)?")


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that the service did not take."""

    row: int
    pointer: str
    message: str


@dataclass(slots=True)
class Tally:
    """What became of the rows that were sent. Only the first few rejections are kept."""

    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejections: list[RejectedRow] = field(default_factory=list)

    def reject(self, row: int, pointer: str, message: str) -> None:
        self.rejected += 1
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(RejectedRow(row, pointer, message))


def send_all(
    stretches: Iterable[Rows],
    service: Service,
    params: Mapping[str, str],
    tally: Tally,
    progress: Callable[[int], None],
) -> None:
    """Sends everything and keeps the tally, which is right at any time. `progress` is told how many rows were settled.

    Raises Refused when the service can't take rows of this kind at all, and Unreachable.
    """
    for rows in stretches:
        _send(rows, service, params, tally)
        progress(len(rows))


def _send(rows: Rows, service: Service, params: Mapping[str, str], tally: Tally) -> None:
    try:
        answer = service.post(BATCH_PATH, rows.body(), rows.content_type, params)
    except Refused as refusal:
        if refusal.status == TOO_LARGE and len(rows) > 1:
            half = len(rows) // 2
            _send(rows.part(0, half), service, params, tally)
            _send(rows.part(half, len(rows)), service, params, tally)
        elif not _count_as_rejected(rows, refusal, tally):
            raise
        return
    tally.sent += len(rows)
    tally.accepted += answer["accepted"]
    tally.duplicates += answer["duplicates"]
    for rejection in answer["rejected"]:
        tally.reject(rows.number(rejection["index"]), rejection["pointer"], rejection["message"])


def _count_as_rejected(rows: Rows, refusal: Refused, tally: Tally) -> bool:
    """Whether the refusal is about each of the rows, rather than about what they have in common."""
    places = [
        (_ROW.fullmatch(str(each.get("pointer"))), str(each.get("message"))) for each in errors_of(refusal.problem)
    ]
    if refusal.status == INVALID and places and all(match for match, _ in places):
        named = {int(match[1]): (match[2] or "", message) for match, message in reversed(places) if match}
    elif refusal.status == UNREADABLE and rows.content_type == NDJSON:
        named = {}
    else:
        return False
    detail = str(refusal.problem.get("detail"))
    for index in range(len(rows)):
        tally.reject(rows.number(index), *named.get(index, ("", detail)))
    tally.sent += len(rows)
    return True
