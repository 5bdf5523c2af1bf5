"""Findings of the newest evaluation of a model's performance up to some time."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.monitoring.checks.performance.judge import PRECEDENCE
from modelwatch.monitoring.checks.performance.reports import PerformanceReport, WindowReport
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, newest_verdict

_decode = msgspec.json.Decoder(PerformanceReport).decode
SHOWN_LOOKBACK = "24h"


class JudgedPerformance(msgspec.Struct, frozen=True):
    """The verdict of an evaluation. window: the matured one to show: the worst, and of equally bad ones that of a day;
    null where the verdict is a summary without windows. full: whether its evidence is kept."""

    verdict_id: str
    window_end: int
    full: bool
    report: PerformanceReport
    window: WindowReport | None


def judged_performance(connection: Connection, stream: StreamKey, until: int) -> JudgedPerformance | None:
    """The newest verdict on a stream's performance up to a time, in seconds; None where it was never evaluated."""
    verdict = newest_verdict(connection, stream, PERFORMANCE, until=until)
    if verdict is None:
        return None
    report = _decode(verdict.result)
    return JudgedPerformance(verdict.id, verdict.window_end, verdict.full, report, shown_window(report))


def shown_window(report: PerformanceReport) -> WindowReport | None:
    """The window of a report that is shown, see `JudgedPerformance`."""

    def rank(window: WindowReport) -> tuple[int, bool]:
        return PRECEDENCE.index(window.severity or "no_data"), window.lookback != SHOWN_LOOKBACK

    return min((window for window in report.windows if window.matured), key=rank, default=None)
