"""Verdicts that have been reached and are to be stored together, each whole or as a summary.

The newest verdict of a stream is always whole, and so is each with something to remember, each whose state differs from
that of the one before, and one in each hour. The others are quiet and no longer the newest: of them a summary is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from sqlalchemy import Connection

from modelwatch.errors import DamagedData
from modelwatch.findings import Assessment
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.evaluations import EvaluationFailure
from modelwatch.storage.verdicts.verdicts import (
    StoredHeadline,
    StoredVerdict,
    VerdictTrace,
    reduce_verdict,
    result_of,
    traces_of,
)

# Full evidence is kept so often, in seconds of event time.
KEPT_EVERY = 3_600
# Base windows of an hour, and one to compare with: evaluations are at least one apart.
LOOKED_AT = 14
# A list that takes more bytes of a report is left out of its summary.
LONGEST_LIST = 100
NOTHING = b"[]"
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Concluded:
    """Verdict with its evidence, and the assessment for alerting.

    report: makes all of the report, as JSON; until then the verdict has its brief one. None once that is settled.
    """

    verdict: StoredVerdict
    evidence: bytes
    headline: StoredHeadline
    assessment: Assessment
    report: Callable[[], bytes] | None

    @property
    def trace(self) -> VerdictTrace:
        """Facts that its successors go by."""
        each = self.verdict
        return VerdictTrace(each.id, each.window_end, each.generation, each.severity, each.conditions, each.full)

    def keep_whole(self) -> None:
        """Settles that the verdict is stored with all of its report and its evidence."""
        if self.report is not None:
            self.verdict, self.report = replace(self.verdict, result=self.report()), None

    def reduce(self) -> None:
        """Settles that a summary is stored."""
        self.verdict = replace(self.verdict, result=summary_of(self.verdict.result), full=False)
        self.evidence, self.report = b"", None


@dataclass(slots=True)
class Work:
    """Result of the evaluations that were due: verdicts in their order, checks that succeeded, and those that failed.

    traces: by check, the verdicts before the newest, newest first. more: whether there may be more to do.
    """

    traces: dict[str, list[VerdictTrace]] = field(default_factory=dict)
    concluded: list[Concluded] = field(default_factory=list)
    succeeded: set[str] = field(default_factory=set)
    failed: dict[str, EvaluationFailure] = field(default_factory=dict)
    more: bool = False

    def add(self, concluded: Concluded) -> None:
        """Adds the newest verdict of its check, so that the one before it may be reduced. Most of the time of a quiet
        evaluation goes into the report, which is not made of those that are.

        Raises what making the report raises.
        """
        check = concluded.verdict.check
        traces = self.traces.setdefault(check, [])
        before = next((each for each in reversed(self.concluded) if each.verdict.check == check), None)
        if before is not None:
            if keeps_evidence([before.trace, *traces]):
                self._keep_whole(before)
            else:
                before.reduce()
            traces.insert(0, before.trace)
        elif traces and not keeps_evidence(traces):
            # It is reduced when this one is stored.
            traces[0] = replace(traces[0], full=False)
        self.concluded.append(concluded)

    def settle(self) -> None:
        """Keeps the newest verdict of each check whole. Raises what making its report raises."""
        for each in list(self.concluded):
            self._keep_whole(each)

    def _keep_whole(self, concluded: Concluded) -> None:
        """Keeps it whole, or neither it nor those after it."""
        try:
            concluded.keep_whole()
        except Exception:
            del self.concluded[self.concluded.index(concluded) :]
            raise


def reduce_superseded(connection: Connection, stream: StreamKey, check: str) -> None:
    """Leaves a summary of the stream's newest verdict of a check, if that is enough. To be called when the next one is
    stored, in its transaction."""
    traces = traces_of(connection, stream, check, LOOKED_AT)
    if traces and not keeps_evidence(traces):
        try:
            report = result_of(connection, traces[0].id)
        except DamagedData:
            # It stays as it is, to be looked into; the next one must not wait for that.
            return
        if report is not None:
            reduce_verdict(connection, traces[0].id, summary_of(report))


def keeps_evidence(traces: Sequence[VerdictTrace]) -> bool:
    """True when the first of these verdicts of one check, newest first, is kept whole when another follows it.

    >>> quiet = [VerdictTrace(str(end), end, 1, "stable", b"[]", end == 0) for end in (600, 300, 0)]
    >>> keeps_evidence(quiet), keeps_evidence(quiet[-1:])
    (False, True)
    >>> keeps_evidence([VerdictTrace("a", 3_600, 1, "stable", b"[]", True), *quiet])
    True
    """
    newest, *before = traces
    if not before:
        return True
    changed = (newest.severity, newest.generation) != (before[0].severity, before[0].generation)
    remembered = newest.conditions != NOTHING or before[0].conditions != NOTHING
    full = next((each.window_end for each in before if each.full), None)
    return changed or remembered or full is None or newest.window_end - full >= KEPT_EVERY


def summary_of(report: bytes) -> bytes:
    """A report, as JSON, without its long lists: it can be read as before, and has the same states.

    >>> summary_of(b'{"severity":"stable","features":[' + b'{"name":"x"},' * 20 + b'{}],"summary":{"drifted":[]}}')
    b'{"severity":"stable","features":[],"summary":{"drifted":[]}}'
    """
    return _encode({name: _shortened(value) for name, value in _decode(report).items()})


def _shortened(value: msgspec.Raw) -> msgspec.Raw:
    raw = bytes(value)
    if raw.startswith(b"{"):
        return msgspec.Raw(summary_of(raw))
    return msgspec.Raw(NOTHING) if raw.startswith(b"[") and len(raw) > LONGEST_LIST else value
