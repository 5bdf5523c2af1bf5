"""A configuration tried on what is stored: what would have been found, when, and about which subjects."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import InvalidInput, UnknownResource
from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, gather
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.drift.since import with_onsets_of_shifts
from modelwatch.monitoring.checks.rules import SECONDS_PER_30_DAYS, DriftRules
from modelwatch.monitoring.checks.schedule import due_points
from modelwatch.storage.counts.streams import newest_window
from modelwatch.storage.counts.volumes import windows_since
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.times import iso_of_seconds

MAX_EVALUATIONS = 3_000
MAX_WINDOWS = 200_000


class Episode(msgspec.Struct, frozen=True):
    """One run of one subject's finding: from the evaluation that raised it to the one that ended it, if any did."""

    kind: str
    subject: str
    severity: str
    start: str
    end: str | None
    evaluations: int
    largest_score: float
    threshold: float
    lookback: str | None
    detail: str
    score_name: str = "PSI"


class Backtest(msgspec.Struct, frozen=True):
    """Result of a backtest: the findings that a configuration would have had on one stream.

    alerts: incidents that would have been notified: a kind with at least one finding in force. Per 30 days they are
    counted over the time that was replayed.
    """

    model_name: str
    model_version: str
    environment: str
    start: str | None
    end: str | None
    evaluations: int
    alerts: int
    alerts_per_30_days: float | None
    episodes: list[Episode]


class _Run(msgspec.Struct):
    first: Finding
    worst: Finding
    start: int
    evaluations: int = 1


def backtest(
    store: Store,
    rules: DriftRules,
    stream: StreamKey,
    now: int,
    *,
    start: int | None = None,
    end: int | None = None,
    most: int = MAX_EVALUATIONS,
) -> Backtest:
    """Evaluates the stream's stored windows from `start` to `end` (seconds; None: all) by these rules.

    The references in force now are used for all of them. Nothing is stored.
    Raises UnknownResource for a stream without data and InvalidInput when there are more than `most` evaluations.
    """
    with store.read() as connection:
        newest = newest_window(connection, stream)
        if newest is None:
            raise UnknownResource(
                f"Model {stream.model!r} has no data of version {stream.version!r} in {stream.environment!r}."
            )
        until = newest.window_start + BASE_WINDOW_SECONDS
        windows = windows_since(connection, stream, start, until if end is None else min(end, until), MAX_WINDOWS)
    enough = rules.enough_new
    points = list(due_points(None, windows, interval=rules.check_interval, enough=enough))
    if len(points) > most:
        raise InvalidInput(
            f"The span has {len(points)} evaluations; {most} can be replayed at once. Choose a shorter span,"
            " or a longer interval (schedule.every) with schedule.on_new_data: false."
        )
    query = DriftQuery(stream.model, stream.environment, stream.version)
    conditions: Sequence[Condition] = []
    running: dict[tuple[str, str], _Run] = {}
    episodes: list[Episode] = []
    alerts = 0
    for point in points:
        inputs = gather(
            store, rules, query, now, end=point.end, elapsed=point.elapsed, rules=rules, complete=with_onsets_of_shifts
        )
        conditions = advance_drift(conditions, evaluate_drift(inputs))
        findings = {(each.kind, each.subject): each for each in _in_force(conditions)}
        kinds = {kind for kind, _ in running}
        alerts += len({kind for kind, _ in findings} - kinds)
        over = sorted(running.keys() - findings.keys())
        episodes += [_episode(running.pop(key), point.end) for key in over]
        for key, finding in findings.items():
            run = running.get(key)
            if run is None:
                running[key] = _Run(finding, finding, point.end)
            else:
                run.evaluations += 1
                run.worst = max(run.worst, finding, key=lambda each: each.score / each.threshold)
    episodes += [_episode(run, None) for _, run in sorted(running.items())]
    seconds = windows[-1][0] - windows[0][0] + BASE_WINDOW_SECONDS if windows else 0
    return Backtest(
        model_name=stream.model,
        model_version=stream.version,
        environment=stream.environment,
        start=iso_of_seconds(windows[0][0] - BASE_WINDOW_SECONDS) if windows else None,
        end=iso_of_seconds(windows[-1][0]) if windows else None,
        evaluations=len(points),
        alerts=alerts,
        alerts_per_30_days=alerts * SECONDS_PER_30_DAYS / seconds if seconds else None,
        episodes=sorted(episodes, key=lambda episode: (episode.start, episode.kind, episode.subject)),
    )


def _in_force(conditions: Sequence[Condition]) -> list[Finding]:
    return [condition.finding for condition in conditions if condition.finding is not None]


def _episode(run: _Run, end: int | None) -> Episode:
    return Episode(
        kind=run.first.kind,
        subject=run.first.subject,
        severity=run.worst.severity,
        start=iso_of_seconds(run.start),
        end=iso_of_seconds(end),
        evaluations=run.evaluations,
        largest_score=run.worst.score,
        threshold=run.worst.threshold,
        lookback=run.worst.lookback,
        detail=run.worst.detail,
        score_name=run.worst.score_name,
    )
