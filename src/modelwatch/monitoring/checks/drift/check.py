"""The drift check: whether the data of a stream have moved away from their reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from sqlalchemy import Connection

from modelwatch.monitoring.checks.check import Check, Extent
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, brief_report_of, evaluate_drift, report_of
from modelwatch.monitoring.checks.drift.evidence import (
    DriftQuery,
    Inputs,
    decode_evidence,
    encode_evidence,
    gather,
    inputs_of,
)
from modelwatch.monitoring.checks.drift.headline import drift_headline
from modelwatch.monitoring.checks.drift.observations import DRIFT_KINDS, advance_drift
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.monitoring.checks.onsets import Onsets, span_before, subjects_by_window
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.counts.profiles import predictions_of_generation
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import DRIFT


def check_drift(
    store: Store, defaults: DriftRules, query: DriftQuery, now: int, *, end: int | None = None
) -> DriftReport:
    """Compares the windows of a query with the references in force, from committed counts.

    defaults: the rules of a model without a monitor. end: seconds; look-backs end there in place of the newest data.
    Raises UnknownResource for an unknown model, InvalidInput for features that it does not have.
    """
    return report_of(evaluate_drift(gather(store, defaults, query, now, end=end)))


class DriftCheck(Check[Inputs, DriftEvaluation, DriftReport]):
    """Drift check: compares the data of a stream with the references."""

    name = DRIFT
    kinds = DRIFT_KINDS
    evaluate = staticmethod(evaluate_drift)
    report = staticmethod(report_of)
    brief = staticmethod(brief_report_of)

    def __init__(self, store: Store) -> None:
        self._store = store

    def gather(
        self, stream: StreamKey, point: Point, previous: Sequence[Condition], drift: Callable[[], Inputs]
    ) -> Inputs:
        return drift()

    @staticmethod
    def advance(previous: Sequence[Condition], evaluation: DriftEvaluation, end: int) -> list[Condition]:
        return advance_drift(previous, evaluation)

    def onsets(self, stream: StreamKey, inputs: Inputs, found: Sequence[Condition], end: int) -> Onsets:
        with self._store.read() as connection:
            return drift_onsets(connection, stream, inputs, found, end)

    @staticmethod
    def encode(inputs: Inputs) -> bytes:
        return encode_evidence(inputs.evidence)

    @staticmethod
    def restore(connection: Connection, evidence: bytes) -> Inputs:
        return inputs_of(connection, decode_evidence(evidence))

    @staticmethod
    def extent(connection: Connection, inputs: Inputs) -> Extent:
        evidence = inputs.evidence
        counts = sum(len(slot.counts) for sums in evidence.sums for slot in sums.values())
        return Extent(len(evidence.references), counts, _late_predictions(connection, inputs))

    @staticmethod
    def generation(inputs: Inputs) -> int:
        return inputs.evidence.generation

    @staticmethod
    def reach(inputs: Inputs, end: int) -> int:
        return end - min((window.start for window in inputs.evidence.windows), default=end)

    @staticmethod
    def severity(report: DriftReport) -> str:
        return report.summary.severity

    @staticmethod
    def headline(evaluation: DriftEvaluation, report: DriftReport) -> Headline:
        return drift_headline(evaluation, report)


def inputs_at(store: Store, defaults: DriftRules, stream: StreamKey, point: Point, now: int) -> Callable[[], Inputs]:
    """Reads what is judged at a point, when it is called first."""
    query = DriftQuery(stream.model, stream.environment, stream.version)
    return cache(partial(gather, store, defaults, query, now, end=point.end, elapsed=point.elapsed))


def _late_predictions(connection: Connection, inputs: Inputs) -> int | None:
    evidence = inputs.evidence
    query = evidence.query
    if generation_of(connection, query.model) != evidence.generation or not evidence.windows:
        return None
    longest = max(
        range(len(evidence.windows)), key=lambda index: evidence.windows[index].end - evidence.windows[index].start
    )
    window = evidence.windows[longest]
    now = predictions_of_generation(
        connection, query.model, evidence.generation, query.environment, query.version, (window.start, window.end)
    )
    # Predictions that were erased or have expired since are missing here, and no late ones.
    return max(0, now - sum(slot.predictions for slot in evidence.sums[longest].values()))


def drift_onsets(
    connection: Connection, stream: StreamKey, inputs: Inputs, found: Sequence[Condition], end: int
) -> Onsets:
    """Onset of each of these findings, in seconds; without those where it is unknown."""
    evidence = inputs.evidence
    subjects = {subject.kind: subject for subject in inputs.chosen if subject.kind != "feature"}
    wanted = {
        (each.kind, each.name): subjects.get(each.kind, Subject("feature", each.name))  # type: ignore[call-overload]
        for each in found
    }
    span = span_before(end, min((window.start for window in evidence.windows), default=end))
    timeline, counted = subjects_by_window(connection, stream, evidence.generation, span, wanted.values())
    known: dict[tuple[str, str], int] = {}
    for key, subject in wanted.items():
        reference = inputs.chosen.get(subject)
        windows = counted.get(subject)
        if reference is None or windows is None or windows.binning.id != reference.profile.binning.id:
            continue
        began = timeline.began(reference.profile.coarse, windows.coarse)
        if began is not None:
            known[key] = began
    return known
