"""Everything that a performance report is computed from, read in one transaction and kept with the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.errors import UnknownModel, UnknownResource
from modelwatch.monitoring.checks.codec import EvidenceCodec
from modelwatch.monitoring.checks.performance.early.evidence import EarlyCounts, gather_early
from modelwatch.monitoring.checks.performance.labels.maturity import MATURITY, MOST_DAYS, Day, LabelArrivals, lag_of
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.stored_window_counts import window_counts
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window, look_back, reaching_back
from modelwatch.stats.outcomes.delays import DELAY_EDGES, DelayCurve
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.mergeable import Integers
from modelwatch.storage.counts.outcomes import delays_by_window, waiting_labels
from modelwatch.storage.counts.rollup_levels import DAYS_AFTER_SECONDS, HOURS_AFTER_SECONDS, Grain
from modelwatch.storage.counts.streams import count_streams, last_window_end
from modelwatch.storage.counts.volumes import predictions_by_window, predictions_in
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import ModelLayouts, read_layouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.outcome_references import (
    StoredOutcomes,
    outcomes_by_id,
    outcomes_for,
    outcomes_in_force,
)
from modelwatch.times import SECONDS_PER_DAY

FORMAT = 1
# Label delays are taken from so much of the past.
DELAY_SPAN_SECONDS = 400 * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class PerformanceEvidence:
    """Stream, rules, and the counts that the report is computed from.

    as_of: the end, in seconds, of the time that predictions and labels cover. watermark: the end of the newest window
    with predictions. elapsed: seconds of budget that the look may spend; None: those of an interval. reference: the id
    of the outcome reference; None when the model has none, nor a layout. days: of the whole days before, start,
    predictions, and how many of these have a label. early: what is judged before most labels have come; None where
    nothing is, and in what earlier releases stored.
    """

    stream: StreamKey
    rules: PerformanceRules
    generation: int
    as_of: int
    watermark: int
    elapsed: int | None
    streams: int
    reference: str | None
    arrivals: LabelArrivals
    waiting: int
    orphaned: int
    windows: tuple[WindowCounts, ...]
    expired: int = 0
    days: tuple[Day, ...] = ()
    early: EarlyCounts | None = None


@dataclass(frozen=True, slots=True)
class PerformanceInputs:
    """Evidence with the reference that it names."""

    evidence: PerformanceEvidence
    reference: StoredOutcomes | None

    @property
    def layout(self) -> OutcomeLayout:
        """Layout of the counts."""
        return OutcomeLayout() if self.reference is None else self.reference.layout


def gather_performance(
    store: Store,
    rules: PerformanceRules,
    stream: StreamKey,
    as_of: int | None,
    *,
    elapsed: int | None = None,
    as_known_then: bool = False,
) -> PerformanceInputs:
    """Reads what the stream's performance as of this time is judged by.

    as_of: seconds; None: the newest time that predictions cover. as_known_then: without what became known later, so
    that the same comes out whenever it is asked; else every label of these predictions counts. Raises UnknownResource
    for an unknown model.
    """
    while True:
        with store.read() as connection:
            generation = generation_of(connection, stream.model)
            if generation is None:
                raise UnknownModel(stream.model)
            layouts = read_layouts(connection, stream.model, generation)
            model, version, environment = stream
            watermark = last_window_end(connection, model, environment, version, before=as_of) or 0
            moment = watermark if as_of is None else as_of
            start = delays_since(moment)
            stale = stale_days(connection, stream.model, generation, start, moment) or stale_outcome_days(
                connection, stream.model, layouts.outcome_generation, start, moment
            )
            if not stale:
                known_by = moment if as_known_then else None
                return _read(
                    connection, store, rules, stream, layouts, moment, min(watermark, moment), elapsed, known_by
                )
        backfill_profiles(store, stream.model, start, moment)


def _read(
    connection: Connection,
    store: Store,
    rules: PerformanceRules,
    stream: StreamKey,
    layouts: ModelLayouts,
    as_of: int,
    watermark: int,
    elapsed: int | None,
    known_by: int | None,
) -> PerformanceInputs:
    reference = outcomes_for(outcomes_in_force(connection, stream.model, layouts.generation), stream.version)
    came = _labels_by_window(connection, stream, layouts, as_of)
    arrivals = _arrivals(connection, stream, came, as_of, rules.maturity, as_known_then=known_by is not None)
    longest = max(parse_lookback(name) for name in rules.lookbacks)
    windows = [(look_back(watermark, name), False) for name in rules.lookbacks]
    mature_end = min(watermark, as_of - arrivals.lag)
    windows += [(look_back(mature_end, name), True) for name in rules.lookbacks]
    whole = stored_whole(connection, stream, [window for window, _ in windows])
    windows = [(window, matured) for window, (_, matured) in zip(whole, windows, strict=True)]
    layout = OutcomeLayout() if reference is None else reference.layout
    matured_windows = [window for window, matured in windows if matured]
    counted = window_counts(connection, store, stream, layouts, windows, as_of, known_by)
    outcomes = {found.window: found.outcomes for found in counted}

    def labelled(window: Window) -> int:
        if window not in outcomes:
            [found] = window_counts(connection, store, stream, layouts, [(window, True)], as_of, known_by)
            outcomes[window] = found.outcomes
        vector = counts_of(outcomes[window])
        return 0 if vector is None else OutcomeCounts(layout, vector).n

    further = reaching_back(matured_windows, mature_end, rules.min_samples, labelled)[len(matured_windows) :]
    if further:
        reached = [(window, True) for window in stored_whole(connection, stream, further)]
        counted += window_counts(connection, store, stream, layouts, reached, as_of, known_by)
    days = _days(connection, stream, came, mature_end)
    early = None
    if reference is not None and reference.counts.n:
        early = gather_early(
            connection,
            store,
            stream,
            layouts,
            layout,
            rules,
            arrivals,
            days,
            watermark,
            mature_end,
            as_of,
            known_by,
        )
    waiting = waiting_labels(connection, stream.model, None if known_by is None else known_by * 1_000_000)
    evidence = PerformanceEvidence(
        stream=stream,
        rules=rules,
        generation=layouts.generation,
        as_of=as_of,
        watermark=watermark,
        elapsed=elapsed,
        # Those with data in what is looked at.
        streams=count_streams(connection, stream.model, mature_end - longest, as_of),
        reference=None if reference is None else reference.id,
        arrivals=arrivals,
        waiting=waiting.waiting,
        orphaned=waiting.orphaned,
        windows=counted,
        expired=waiting.expired,
        days=days,
        early=early,
    )
    return PerformanceInputs(evidence, reference)


def delays_since(as_of: int) -> int:
    """Start of the time over which the delays of labels are learned, by whole days; seconds."""
    return (as_of - DELAY_SPAN_SECONDS) // SECONDS_PER_DAY * SECONDS_PER_DAY


def maturity_of(connection: Connection, model: str) -> float:
    """The share of a model's labels that is waited for, as its monitor says."""
    monitor = monitor_of(connection, model)
    configured = None if monitor is None else monitor.config.performance.maturity
    return MATURITY if configured is None else configured


def arrivals_as_of(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, as_of: int, maturity: float = MATURITY
) -> LabelArrivals:
    """Arrivals of the stream's labels, learned from the predictions of the last months. maturity: share to wait for.

    as_of: seconds.
    """
    return _arrivals(connection, stream, _labels_by_window(connection, stream, layouts, as_of), as_of, maturity)


@dataclass(frozen=True, slots=True, eq=False)
class _Came:
    """The labels of the last months by the window of their prediction.

    windows: start and end in seconds. delays: shape (windows, cells), how many came after which delay. known: those
    whose delay is shorter than the age of their window, and so were known by then. grain: of the windows.
    """

    windows: Sequence[tuple[int, int]]
    delays: Integers
    known: Integers
    since: int
    grain: Grain


def _labels_by_window(connection: Connection, stream: StreamKey, layouts: ModelLayouts, as_of: int) -> _Came:
    model, version, environment = stream
    # At the grain that windows so old may be stored in, whether they are yet or not.
    grain = Grain.of(as_of - HOURS_AFTER_SECONDS, as_of - DAYS_AFTER_SECONDS)
    span = (grain.edge(as_of - DELAY_SPAN_SECONDS), as_of)
    found = delays_by_window(connection, model, layouts, environment, version, span, grain)
    delays = np.array(list(found.values()), dtype=np.int64).reshape(len(found), len(DELAY_EDGES) + 1)
    known = delays * (_ages(list(found), as_of)[:, None] >= np.append(DELAY_EDGES, np.inf)[None, :])
    return _Came(list(found), delays, known, span[0], grain)


def _ages(windows: Sequence[tuple[int, int]], as_of: int) -> NDArray[np.float64]:
    """Windows are as old as their newest prediction."""
    return np.array([as_of - end for _, end in windows], dtype=np.float64).clip(0.0)


def _arrivals(
    connection: Connection,
    stream: StreamKey,
    came: _Came,
    as_of: int,
    maturity: float,
    *,
    as_known_then: bool = False,
) -> LabelArrivals:
    """as_known_then: only labels that were known by then are in their number."""
    if not came.windows:
        return LabelArrivals(0, None, None, None, 0, None, (), maturity)
    curve = DelayCurve.of(_ages(came.windows, as_of), came.known)
    lag = lag_of(curve.within(maturity))
    old = came.grain.edge(as_of - max(lag, BASE_WINDOW_SECONDS))
    predictions = predictions_in(connection, stream, came.since, old)
    labelled_windows = [window for window, known in zip(came.windows, came.known, strict=True) if known.any()]
    labelled = int(came.known[[end <= old for _, end in came.windows]].sum())
    shares = np.unique(np.stack([np.append([0.0], DELAY_EDGES[1:]), curve.shares[:-1]], axis=1), axis=0)
    return LabelArrivals(
        labels=int((came.known if as_known_then else came.delays).sum()),
        median=_finite(curve.within(0.5)),
        p90=_finite(curve.within(0.9)),
        p99=_finite(curve.within(0.99)),
        lag=lag,
        coverage=labelled / predictions if predictions else None,
        shares=_steps(shares.tolist()),
        needed=maturity,
        history=max((as_of - start for start, _ in labelled_windows), default=0),
        newest=max(0, min((as_of - end for _, end in labelled_windows), default=0)),
    )


def _days(connection: Connection, stream: StreamKey, came: _Came, end: int) -> tuple[Day, ...]:
    """Whole days before a time, in seconds, over which labels are learned, oldest first."""
    if not came.windows:
        return ()
    last = end // SECONDS_PER_DAY * SECONDS_PER_DAY
    first = max(-(-came.since // SECONDS_PER_DAY) * SECONDS_PER_DAY, last - MOST_DAYS * SECONDS_PER_DAY)
    labelled: dict[int, int] = {}
    for (start, _), number in zip(came.windows, came.known.sum(axis=1).tolist(), strict=True):
        day = start // SECONDS_PER_DAY * SECONDS_PER_DAY
        labelled[day] = labelled.get(day, 0) + number
    sent: dict[int, int] = {}
    for start, predictions in predictions_by_window(connection, stream, first, last):
        day = start // SECONDS_PER_DAY * SECONDS_PER_DAY
        sent[day] = sent.get(day, 0) + predictions
    return tuple((day, number, labelled.get(day, 0)) for day, number in sorted(sent.items()))


def _steps(shares: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """Delays at which the share grows."""
    steps: list[tuple[float, float]] = []
    for seconds, share in shares:
        if not steps or share > steps[-1][1]:
            steps.append((seconds, share))
    return tuple(steps)


def _finite(seconds: float) -> float | None:
    return seconds if np.isfinite(seconds) else None


_codec = EvidenceCodec(PerformanceEvidence, FORMAT)
encode_performance, decode_performance = _codec.encode, _codec.decode


def outcome_reference_of(connection: Connection, evidence: PerformanceEvidence) -> StoredOutcomes | None:
    """The reference that evidence names. Raises UnknownResource when it is not there any more."""
    if evidence.reference is None:
        return None
    found = outcomes_by_id(connection, [evidence.reference])
    if not found:
        raise UnknownResource(f"The reference {evidence.reference!r} is no longer in the store.")
    return found[0]
