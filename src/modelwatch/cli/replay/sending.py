"""Sending rows and labels to the service, and counting their outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from modelwatch.cli.base import Refused
from modelwatch.cli.client import ServiceClient, errors_of
from modelwatch.cli.replay.rows import NDJSON, LabelRows, Rows

BATCH_PATH = "/api/v1/predictions/batch"
LABELS_PATH = "/api/v1/ground-truth/batch"
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
class Outcome:
    """Counts of what was sent, accepted and rejected. Only the first few rejections are kept."""

    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejections: list[RejectedRow] = field(default_factory=list)

    def reject(self, row: int, pointer: str, message: str) -> None:
        self.rejected += 1
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(RejectedRow(row, pointer, message))

    def add(self, answer: Mapping[str, int]) -> None:
        """Adds the numbers of an answer."""
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]


@dataclass(slots=True)
class LabelTally(Outcome):
    """Counts of the labels that were sent apart from their rows."""

    corrected: int = 0
    waiting: int = 0

    def add(self, answer: Mapping[str, int]) -> None:
        Outcome.add(self, answer)
        self.corrected += answer["corrected"]
        self.waiting += answer["waiting"]


@dataclass(slots=True)
class Tally(Outcome):
    """Counts of the rows, and of their labels."""

    labels: LabelTally = field(default_factory=LabelTally)


@dataclass(frozen=True, slots=True)
class Target:
    """The path that rows are sent to."""

    service: ServiceClient
    path: str
    params: Mapping[str, str]


def send_all(
    stretches: Iterable[Rows],
    service: ServiceClient,
    params: Mapping[str, str],
    tally: Tally,
    progress: Callable[[Rows], None],
) -> None:
    """Sends everything and keeps the tally, which is right at any time. progress: takes the rows that were settled.

    Raises Refused when the service can't take rows of this kind at all, and Unreachable.
    """
    rejected = set[int]()
    # Of each request with labels since the last rows: the labels that were taken, and how many of them wait.
    ahead: list[tuple[set[int], int]] = []
    for rows in stretches:
        if isinstance(rows, LabelRows):
            before = tally.labels.waiting
            # They name their model themselves.
            refused = _send(rows, Target(service, LABELS_PATH, {}), tally.labels)
            ahead.append((set(rows.numbers) - refused, tally.labels.waiting - before))
        else:
            rejected |= _send(rows, Target(service, BATCH_PATH, params), tally)
            # The labels wait no longer, but for those of rejected rows. (The service says how many wait, not which: one
            # of a rejected row that was sent in an earlier replay, too, is a duplicate, but counts here as waiting.)
            found = sum(max(0, waiting - len(taken & rejected)) for taken, waiting in ahead)
            tally.labels.waiting -= found
            tally.labels.accepted += found
            ahead.clear()
        progress(rows)


def _send(rows: Rows, target: Target, outcome: Outcome) -> set[int]:
    """Returns the numbers of the rows that were rejected."""
    try:
        answer = target.service.post(target.path, rows.body(), rows.content_type, target.params)
    except Refused as refusal:
        if refusal.status == TOO_LARGE and len(rows) > 1:
            half = len(rows) // 2
            first = _send(rows.part(0, half), target, outcome)
            return first | _send(rows.part(half, len(rows)), target, outcome)
        if not _count_as_rejected(rows, refusal, outcome):
            raise
        return {rows.number(index) for index in range(len(rows))}
    outcome.sent += len(rows)
    outcome.add(answer)
    for rejection in answer["rejected"]:
        outcome.reject(rows.number(rejection["index"]), rejection["pointer"], rejection["message"])
    return {rows.number(rejection["index"]) for rejection in answer["rejected"]}


def _count_as_rejected(rows: Rows, refusal: Refused, outcome: Outcome) -> bool:
    """Counts the rows as rejected; False when the refusal is about something that they have in common."""
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
        outcome.reject(rows.number(index), *named.get(index, ("", detail)))
    outcome.sent += len(rows)
    return True
