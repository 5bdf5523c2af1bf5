"""The newest drift verdicts, as far as they are exposed. A verdict never changes, so each is read and decoded once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from modelwatch.monitoring.checks.drift.judge import Severity
from modelwatch.storage.verdicts.verdicts import latest_verdict_ids, verdict_by_id

log = logging.getLogger(__name__)


class Psi(msgspec.Struct, frozen=True):
    score: float


class Ks(msgspec.Struct, frozen=True):
    statistic: float


class JensenShannon(msgspec.Struct, frozen=True):
    distance: float


class Evidence(msgspec.Struct, frozen=True):
    p_value: float


class SubjectScores(msgspec.Struct, frozen=True):
    """Exposed fields of a subject: a part of `monitoring.reports.SubjectReport`."""

    feature_name: str
    kind: str
    severity: Severity
    sample_size: int
    psi: Psi | None
    ks_test: Ks | None
    jensen_shannon: JensenShannon | None
    wasserstein: float | None
    hellinger: float | None
    total_variation: float | None
    evidence: Evidence | None


class _Exposed(msgspec.Struct, frozen=True):
    drift_results: tuple[SubjectScores, ...]


_decode = msgspec.json.Decoder(_Exposed).decode


@dataclass(frozen=True, slots=True, eq=False)
class StreamScores:
    """Exposed fields of the newest verdict of a stream. window_end: seconds; evaluated_at: microseconds.

    left_out: how many series its subjects would have; they are not kept of versions that are not exposed.
    """

    model: str
    version: str
    environment: str
    window_end: int
    evaluated_at: int
    subjects: tuple[SubjectScores, ...]
    left_out: int = 0

    @property
    def labels(self) -> tuple[str, str, str]:
        return (self.model, self.version, self.environment)


class NewestVerdicts:
    """Reads what is new at each call, and remembers the rest for as long as it is the newest of its stream.

    streams_a_model: of how many streams of a model the subjects are kept, those with the newest data; every version
    that was ever deployed is a stream. series_of: how many series a subject would have.
    """

    def __init__(self, streams_a_model: int, series_of: Callable[[SubjectScores], int]) -> None:
        self._known: dict[str, StreamScores] = {}
        self._streams_a_model = streams_a_model
        self._series_of = series_of

    def read(self, connection: Connection) -> list[StreamScores]:
        """Newest verdict of every evaluated stream, sorted; without those in another form of another release."""
        known, found = self._known, dict[str, StreamScores]()
        by_model: dict[str, list[str]] = {}
        for identity in latest_verdict_ids(connection):
            scores = known.get(identity) or _read(connection, identity)
            if scores is not None:
                found[identity] = scores
                by_model.setdefault(scores.model, []).append(identity)
        for identities in by_model.values():
            identities.sort(key=lambda identity: by_age(found[identity]))
            for identity in identities[: self._streams_a_model]:
                if found[identity].left_out and (scores := _read(connection, identity)):
                    found[identity] = scores
            for identity in identities[self._streams_a_model :]:
                found[identity] = self._reduced(found[identity])
        # Scrapes may overlap; whichever ends last leaves what it found, and none sees half of it.
        self._known = found
        return sorted(found.values(), key=lambda scores: scores.labels)

    def _reduced(self, scores: StreamScores) -> StreamScores:
        left_out = scores.left_out + sum(map(self._series_of, scores.subjects))
        return replace(scores, subjects=(), left_out=left_out)


def by_age(scores: StreamScores) -> tuple[int, tuple[str, str, str]]:
    """Sorts streams of a model, those with the newest data first."""
    return (-scores.window_end, scores.labels)


def _read(connection: Connection, identity: str) -> StreamScores | None:
    verdict = verdict_by_id(connection, identity)
    if verdict is None:  # removed since its id was read
        return None
    try:
        exposed = _decode(verdict.result)
    except msgspec.DecodeError as error:
        log.warning(
            "The verdict on %r version %r in %r can't be read and has no gauges until the next evaluation: %s",
            verdict.model,
            verdict.version,
            verdict.environment,
            error,
        )
        return None
    return StreamScores(
        verdict.model,
        verdict.version,
        verdict.environment,
        verdict.window_end,
        verdict.evaluated_at,
        exposed.drift_results,
    )
