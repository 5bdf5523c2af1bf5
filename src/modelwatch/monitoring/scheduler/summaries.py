"""Summaries of quiet evaluations that are no longer the newest; full evidence is kept once an hour.

The newest verdict of a stream is always whole, and so is each with something to remember, each whose state differs from
that of the one before, and one in each hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import (
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


def reduce_superseded(connection: Connection, stream: StreamKey, check: str) -> None:
    """Leaves a summary of the stream's newest verdict of a check, if that is enough. To be called when the next one is
    stored, in its transaction."""
    traces = traces_of(connection, stream, check, LOOKED_AT)
    if traces and not keeps_evidence(traces):
        report = result_of(connection, traces[0].id)
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
