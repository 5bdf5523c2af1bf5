"""Computing a verdict again from the evidence that was kept with it: the same bytes must come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.errors import UnknownResource
from modelwatch.monitoring.checks import examine, report_of
from modelwatch.monitoring.conclusions import encode_report
from modelwatch.monitoring.evidence import Inputs, decode_evidence, inputs_hash, inputs_of
from modelwatch.monitoring.performance.evidence import (
    PerformanceInputs,
    counts_of,
    decode_performance,
    outcome_reference_of,
)
from modelwatch.monitoring.performance.examining import examine_performance, performance_report
from modelwatch.monitoring.quality.evidence import decode_quality
from modelwatch.monitoring.quality.examining import examine_quality, quality_report
from modelwatch.monitoring.windows import iso
from modelwatch.storage import (
    DRIFT,
    PERFORMANCE,
    QUALITY,
    Slot,
    Store,
    StoredVerdict,
    evidence_of,
    generation_of,
    predictions_of_generation,
    verdict_by_id,
)


class Verification(msgspec.Struct, frozen=True):
    """What came out when a verdict was computed again.

    reproduced: the evidence is the one that was hashed, and gives the stored report to the bit. problems: what does not
    agree. references, counts: how many the evidence holds. late_predictions: how many predictions the longest window
    has gained since; None when a newer reference has laid the counts out anew, so that they can't be compared.
    """

    verdict_id: str
    model_name: str
    model_version: str
    environment: str
    window_end: str
    severity: str
    inputs_hash: str
    reproduced: bool
    problems: list[str]
    references: int
    counts: int
    late_predictions: int | None


def verify_verdict(store: Store, identity: str) -> Verification:
    """Computes the verdict with this id again. Raises UnknownResource when it or its references are not there."""
    with store.read() as connection:
        verdict, raw = verdict_by_id(connection, identity), evidence_of(connection, identity)
        if verdict is None or raw is None:
            raise UnknownResource(f"There is no verdict with the id {identity!r}.")
        problems = []
        found = inputs_hash(raw)
        if found != verdict.inputs_hash:
            problems.append(f"The evidence has the hash {found}, not {verdict.inputs_hash}: it was changed.")
        try:
            again = RECOMPUTED[verdict.check](connection, raw)
        except ValueError as error:
            return _verification(verdict, [*problems, f"The evidence can't be read: {error}."], None)
    if again.report != verdict.result:
        problems.append("The report that comes out differs from the stored one.")
    return _verification(verdict, problems, again)


@dataclass(frozen=True, slots=True)
class _Again:
    """What came out: the report as JSON, how many references and counts it rests on, and what came too late for it."""

    report: bytes
    references: int
    counts: int
    late: int | None


def _drift_again(connection: Connection, raw: bytes) -> _Again:
    evidence = decode_evidence(raw)
    inputs = inputs_of(connection, evidence)
    return _Again(
        encode_report(report_of(examine(inputs))),
        len(evidence.references),
        sum(len(slot.counts) for sums in evidence.sums for slot in sums.values()),
        _late_predictions(connection, inputs),
    )


def _performance_again(connection: Connection, raw: bytes) -> _Again:
    evidence = decode_performance(raw)
    inputs = PerformanceInputs(evidence, outcome_reference_of(connection, evidence))
    counts = [counts_of(window.outcomes) for window in evidence.windows]
    return _Again(
        encode_report(performance_report(examine_performance(inputs))),
        0 if inputs.reference is None else 1,
        sum(len(vector) for vector in counts if vector is not None),
        None,
    )


def _quality_again(connection: Connection, raw: bytes) -> _Again:
    evidence = decode_quality(raw)
    counts = sum(len(rules) for window in evidence.windows for rules in window.features.values())
    return _Again(encode_report(quality_report(examine_quality(evidence))), len(evidence.reference_ids), counts, None)


RECOMPUTED: dict[str, Callable[[Connection, bytes], _Again]] = {
    DRIFT: _drift_again,
    PERFORMANCE: _performance_again,
    QUALITY: _quality_again,
}


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
    return max(0, now - _predictions(evidence.sums[longest]))


def _predictions(sums: Mapping[str, Slot]) -> int:
    return sum(slot.predictions for slot in sums.values())


def _verification(verdict: StoredVerdict, problems: list[str], again: _Again | None) -> Verification:
    return Verification(
        verdict_id=verdict.id,
        model_name=verdict.model,
        model_version=verdict.version,
        environment=verdict.environment,
        window_end=iso(verdict.window_end),
        severity=verdict.severity,
        inputs_hash=verdict.inputs_hash,
        reproduced=not problems,
        problems=problems,
        references=0 if again is None else again.references,
        counts=0 if again is None else again.counts,
        late_predictions=None if again is None else again.late,
    )
