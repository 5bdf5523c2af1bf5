"""Findings of the newest evaluation of a model's data quality up to some time."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.monitoring.checks.quality.reports import QualityReport
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import QUALITY, newest_verdict

_decode = msgspec.json.Decoder(QualityReport).decode


class JudgedQuality(msgspec.Struct, frozen=True):
    """The verdict of an evaluation. window_end: seconds. full: whether its evidence is kept; of a summary the lists of
    the report are empty."""

    verdict_id: str
    window_end: int
    full: bool
    report: QualityReport


def judged_quality(connection: Connection, stream: StreamKey, until: int) -> JudgedQuality | None:
    """The newest verdict on a stream's data quality up to a time, in seconds; None where it was never evaluated."""
    verdict = newest_verdict(connection, stream, QUALITY, until=until)
    if verdict is None:
        return None
    return JudgedQuality(verdict.id, verdict.window_end, verdict.full, _decode(verdict.result))
