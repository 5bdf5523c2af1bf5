"""What the newest verdicts say of a stream's subjects: which are not watched, with the reasons, and the PSI of the
others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES, NotJudged
from modelwatch.monitoring.checks.performance.report import PerformanceReport, unjudged_metrics
from modelwatch.monitoring.checks.quality.report import QualityReport, unjudged_values
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler.jobs.freshness import usual_of
from modelwatch.storage.counts.stored_values import recent_values
from modelwatch.storage.counts.streams import newest_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.references import overview
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY, newest_verdict, report_of
from modelwatch.text import sentence

# Rows of the newest window that are looked at for features that nothing is compared with.
ROWS_LOOKED_AT = 50
REASONS = {
    "no_reference": "No reference is set, so there is nothing to compare it with.",
    "left_out": "The monitor leaves it out.",
    "insufficient_data": "There is too little data for a verdict.",
    "no_data": "There are no usable values.",
    "immature": "Most labels have not arrived yet.",
    "not_evaluated": "Nothing has been evaluated yet.",
    "unknown": "The usual volume is not known yet.",
}

WhyNot = Literal["no_reference", "left_out", "insufficient_data", "no_data", "immature", "not_evaluated", "unknown"]


class Unwatched(msgspec.Struct, frozen=True):
    """Something that no verdict is about. check: `drift`, `performance`, `quality` or `freshness`. subject: a feature,
    `prediction`, `score`, `latency`, a metric, or the check's name for it; `more` others of the same state are not
    named. state: why, in one word; reason: in a sentence."""

    check: str
    subject: str
    state: WhyNot
    reason: str
    more: int = 0


class _Psi(msgspec.Struct):
    score: float


class JudgedSubject(msgspec.Struct):
    """A subject in the newest verdict on drift."""

    feature_name: str
    severity: str
    kind: str = "feature"
    reason: str | None = None
    psi: _Psi | None = None


class _Drift(msgspec.Struct):
    drift_results: list[JudgedSubject] = []


_decode_drift = msgspec.json.Decoder(_Drift).decode
_decode_performance = msgspec.json.Decoder(PerformanceReport).decode
_decode_quality = msgspec.json.Decoder(QualityReport).decode
_UNJUDGED: dict[str, Callable[[bytes], list[NotJudged]]] = {
    PERFORMANCE: lambda result: unjudged_metrics(_decode_performance(result)),
    QUALITY: lambda result: unjudged_values(_decode_quality(result)),
}


def newest_drift(connection: Connection, stream: StreamKey) -> list[JudgedSubject] | None:
    """The subjects in the newest verdict on drift; None before the first."""
    verdict = newest_verdict(connection, stream, DRIFT)
    return None if verdict is None else report_of(verdict, _decode_drift).drift_results


def judged_subjects(drift: Sequence[JudgedSubject]) -> dict[tuple[str, str], JudgedSubject]:
    """Subjects with a PSI, which is that of the look-back that decides, by kind and name."""
    return {(each.kind, each.feature_name): each for each in drift if each.psi is not None}


def unwatched(
    connection: Connection,
    stream: StreamKey,
    drift: Sequence[JudgedSubject] | None,
    rules: DriftRules,
    quality: QualityRules,
    now: int,
) -> list[Unwatched]:
    """Subjects of a stream that its newest verdicts do not watch; none for a stream that has sent nothing.

    drift: as `newest_drift` has it. rules, quality: those of the model. now: microseconds.
    """
    newest = newest_window(connection, stream)
    if newest is None:
        return []
    return [
        *_not_judged(drift),
        *not_compared(connection, stream, rules, newest.window_start + BASE_WINDOW_SECONDS),
        *_of(connection, stream, PERFORMANCE),
        *_of(connection, stream, QUALITY),
        *_silence(connection, stream, quality, now),
    ]


def _not_judged(drift: Sequence[JudgedSubject] | None) -> Iterator[Unwatched]:
    if drift is None:
        yield Unwatched("drift", "all", "not_evaluated", REASONS["not_evaluated"])
    else:
        for each in drift:
            if each.severity not in KNOWN_STATES:
                yield _line("drift", each.feature_name, each.severity, each.reason)


def not_compared(connection: Connection, stream: StreamKey, rules: DriftRules, end: int) -> Iterator[Unwatched]:
    """Subjects that no drift check compares: features that are sent and have no reference, and what the rules leave
    out. end: of the newest data, in seconds."""
    referenced = {subject for subject, _ in overview(connection, stream.model).get(stream.model, ())}
    for name in sorted(recent_values(connection, stream, end, ROWS_LOOKED_AT).given):
        if Subject("feature", name) not in referenced:
            yield _line("drift", name, "no_reference", None)
    for subject in sorted(referenced):
        if not rules.watches(subject.kind, subject.name):
            yield _line("drift", subject.name or subject.kind, "left_out", None)


def _of(connection: Connection, stream: StreamKey, check: str) -> Iterator[Unwatched]:
    verdict = newest_verdict(connection, stream, check)
    for group in () if verdict is None else report_of(verdict, _UNJUDGED[check]):
        if not group.subjects:
            yield _line(check, f"{group.count:,} others", group.state, group.reason)
        for place, name in enumerate(group.subjects):
            more = group.count - len(group.subjects) if place == len(group.subjects) - 1 else 0
            yield _line(check, name, group.state, group.reason, more)


def _silence(connection: Connection, stream: StreamKey, rules: QualityRules, now: int) -> Iterator[Unwatched]:
    usual = usual_of(connection, stream.model, stream.environment, rules, now)
    if usual.limit is None:
        state: WhyNot = "left_out" if not rules.enabled or rules.freshness is False else "unknown"
        why = f"Silence is not judged: {usual.reason}." if usual.reason else REASONS[state]
        yield Unwatched("freshness", "silence", state, why)


def _line(check: str, subject: str, state: str, reason: str | None, more: int = 0) -> Unwatched:
    known: WhyNot = state if state in REASONS else "no_data"  # type: ignore[assignment]
    return Unwatched(check, subject, known, sentence(reason or REASONS[known]), more)
