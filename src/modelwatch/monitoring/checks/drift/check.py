"""The drift check: whether the data of a stream have moved away from their reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from sqlalchemy import Connection

from modelwatch.monitoring.checks.check import Check, Extent
from modelwatch.monitoring.checks.conditions import Began, Condition
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import (
    DriftQuery,
    Inputs,
    decode_evidence,
    encode_evidence,
    gather,
    inputs_of,
)
from modelwatch.monitoring.checks.drift.observations import DRIFT_KINDS, UNDECIDED, advance_drift
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.drift.report_building import brief_report_of, report_of
from modelwatch.monitoring.checks.drift.since import with_onsets_of_shifts
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, PRECEDENCE
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.monitoring.checks.onsets import Onsets, span_before, subjects_by_window
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.counts.volumes import predictions_of_generation
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import DRIFT
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR


def check_drift(
    store: Store, defaults: DriftRules, query: DriftQuery, now: int, *, end: int | None = None
) -> DriftReport:
    """Compares the windows of a query with the references in force, from committed counts.

    defaults: the rules of a model without a monitor. end: seconds; look-backs end there in place of the newest data.
    Raises UnknownResource for an unknown model, InvalidInput for features that it does not have.
    """
    return report_of(evaluate_drift(gather(store, defaults, query, now, end=end, complete=with_onsets_of_shifts)))


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
    """Reads what is judged at a point, when it is called first. now: microseconds."""
    query = DriftQuery(stream.model, stream.environment, stream.version)
    return cache(
        partial(
            gather,
            store,
            defaults,
            query,
            now,
            end=point.end,
            elapsed=point.elapsed,
            complete=with_onsets_of_shifts,
        )
    )


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
    since = {Subject(each.kind, each.name): each for each in evidence.since}  # type: ignore[arg-type]
    wanted = {
        (each.kind, each.name): subjects.get(each.kind, Subject("feature", each.name))  # type: ignore[call-overload]
        for each in found
    }
    span = span_before(end, min((window.start for window in evidence.windows), default=end))
    others = [subject for subject in wanted.values() if subject not in since]
    timeline, counted = subjects_by_window(connection, stream, evidence.generation, span, others)
    known: dict[tuple[str, str], int | Began] = {}
    for key, subject in wanted.items():
        of_shift = since.get(subject)
        if of_shift is not None:
            if of_shift.known:
                known[key] = Began(of_shift.start, of_shift.earliest, of_shift.latest)
            continue
        reference = inputs.chosen.get(subject)
        windows = counted.get(subject)
        if reference is None or windows is None or windows.binning.id != reference.profile.binning.id:
            continue
        began = timeline.began(reference.profile.coarse, windows.coarse)
        if began is not None:
            known[key] = began
    return known


def drift_headline(evaluation: DriftEvaluation, report: DriftReport) -> Headline:
    """The largest PSI of what is found, else of what was judged, each in its deciding window; predictions of a day."""
    evidence, summary = evaluation.evidence, report.summary
    windows = evidence.windows
    features = sum(subject.kind == "feature" for subject in evaluation.wanted)
    lengths = [window.end - window.start for window in windows]
    if not windows:
        return Headline(checked=summary.checked, features=features, reason=summary.reason)
    # A look-back that reaches further because the usual ones hold too little is none of those that are compared.
    usual = [index for index, window in enumerate(windows) if window.lookback in evidence.rules.lookbacks] or [0]
    within = [index for index in usual if lengths[index] <= SECONDS_PER_DAY]
    shown = max(within, key=lengths.__getitem__) if within else min(usual, key=lengths.__getitem__)
    # A rate of few minutes is no rate.
    shortest = min(range(len(windows)), key=lambda index: (lengths[index] < SECONDS_PER_HOUR, lengths[index]))
    received = [sum(slot.predictions for slot in sums.values()) for sums in evidence.sums]
    decided = [(each, deciding) for each in evaluation.subjects if (deciding := each.deciding_window) is not None]
    # Of few values the PSI is large by chance alone: what was not judged is not shown.
    judged = [
        (each, deciding)
        for each, deciding in decided
        if deciding.judgement.psi is not None and deciding.judgement.severity not in UNDECIDED
    ]
    worst = min(
        judged,
        key=lambda pair: (PRECEDENCE.index(pair[1].judgement.severity), -(pair[1].judgement.psi or 0.0)),
        default=None,
    )
    ranked = sorted(
        (PRECEDENCE.index(severity), -(deciding.judgement.psi or 0.0), each.subject.name or each.subject.kind)
        for each, deciding in decided
        if (severity := deciding.judgement.severity) in (*DRIFTED, "shifted")
    )
    found = [name for place, _, name in ranked if PRECEDENCE[place] in DRIFTED]
    shifted = [name for place, _, name in ranked if PRECEDENCE[place] == "shifted"]
    return Headline(
        value=None if worst is None else worst[1].judgement.psi,
        subject=None if worst is None else worst[0].subject.name or worst[0].subject.kind,
        warning=None if worst is None else worst[1].allowed.psi_warning,
        alert=None if worst is None else worst[1].allowed.psi_alert,
        n=0 if worst is None else worst[1].current.n,
        found=len(found),
        names=first_names(found),
        shifted=len(shifted),
        shifted_names=first_names(shifted),
        checked=summary.checked,
        features=features,
        seconds=lengths[shown],
        predictions=received[shown],
        rate=received[shortest] / lengths[shortest] * SECONDS_PER_HOUR,
        reason=summary.reason,
        not_judged=sum(each.count for each in summary.not_judged),
    )
