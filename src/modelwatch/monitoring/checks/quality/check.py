"""The quality check: run by the scheduler beside the drift check, and on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from modelwatch.monitoring.checks.check import Check, Extent
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.monitoring.checks.onsets import Onsets, span_before, subjects_by_window, timeline_of
from modelwatch.monitoring.checks.quality.evaluation import (
    QUALITY_KINDS,
    QualityEvaluation,
    appeared_in,
    evaluate_quality,
)
from modelwatch.monitoring.checks.quality.evidence import (
    QualityEvidence,
    decode_quality,
    encode_quality,
    gather_quality,
    quality_evidence,
)
from modelwatch.monitoring.checks.quality.observations import quality_observations
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.monitoring.checks.quality.report_building import quality_report
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.stats.quality.rates import unsound_counts
from modelwatch.stats.quality.volume import volume_onset
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.repeats import changed_by_window
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import QUALITY
from modelwatch.times import SECONDS_PER_HOUR

# A feature that is not there any more is missing everywhere.
COUNTED_AS = {"disappeared": "missing"}
EXTREME = ": extreme"

RulesOf = Callable[[Connection, str], QualityRules]


class QualityCheck(Check[QualityEvidence, QualityEvaluation, QualityReport]):
    """Quality check: compares rates of bad values, schema and volume with the reference. rules_of: current rules of a
    model."""

    name = QUALITY
    kinds = QUALITY_KINDS
    evaluate = staticmethod(evaluate_quality)
    report = staticmethod(quality_report)
    # It is quickly made.
    brief = report
    encode = staticmethod(encode_quality)

    def __init__(self, store: Store, rules_of: RulesOf) -> None:
        self._store = store
        self._rules_of = rules_of

    def gather(
        self, stream: StreamKey, point: Point, previous: Sequence[Condition], drift: Callable[[], Inputs]
    ) -> QualityEvidence | None:
        with self._store.read() as connection:
            rules = self._rules_of(connection, stream.model)
        if not rules.enabled:
            return None
        return quality_evidence(self._store, drift(), rules, known_by=point.end, appeared=appeared_in(previous))

    @staticmethod
    def advance(previous: Sequence[Condition], evaluation: QualityEvaluation, end: int) -> list[Condition]:
        return advance(previous, quality_observations(evaluation), evaluation.evidence.rules, end)

    def onsets(self, stream: StreamKey, inputs: QualityEvidence, found: Sequence[Condition], end: int) -> Onsets:
        with self._store.read() as connection:
            return quality_onsets(connection, stream, inputs, found, end)

    @staticmethod
    def restore(connection: Connection, evidence: bytes) -> QualityEvidence:
        return decode_quality(evidence)

    @staticmethod
    def extent(connection: Connection, inputs: QualityEvidence) -> Extent:
        counts = sum(len(rules) for window in inputs.windows for rules in window.features.values())
        return Extent(len(inputs.reference_ids), counts)

    @staticmethod
    def generation(inputs: QualityEvidence) -> int:
        return inputs.generation

    @staticmethod
    def severity(report: QualityReport) -> str:
        return report.severity

    @staticmethod
    def headline(evaluation: QualityEvaluation, report: QualityReport) -> Headline:
        found = [each.feature_name for each in report.features if each.severity in ("warning", "alert")]
        return Headline(
            value=None if report.score is None else 1 - report.score,
            subject="unsound",
            found=len(found),
            names=first_names(report.unsound or found),
            checked=len(report.features),
            predictions=report.predictions,
            reason=report.reason,
        )


def check_quality(
    store: Store, defaults: DriftRules, rules: QualityRules, stream: StreamKey, now: int
) -> QualityReport:
    """The stream's data quality now. Raises UnknownResource for an unknown model. now: microseconds."""
    return quality_report(evaluate_quality(gather_quality(store, defaults, rules, stream, now)))


def quality_onsets(
    connection: Connection, stream: StreamKey, evidence: QualityEvidence, found: Sequence[Condition], end: int
) -> Onsets:
    """Onset of each of these findings, in seconds; without those where it is unknown: of the schema, of codes and of
    unknown classes, and where nothing stands out."""
    span = span_before(end, min((window.start for window in evidence.windows), default=end))
    known = _onsets_of_rates(connection, stream, evidence, found, span)
    for each in found:
        if each.kind == "volume":
            began = _onset_of_volume(evidence)
        elif each.name == "duplicates":
            began = _onset_of_repeats(connection, stream, span)
        elif each.name.endswith(EXTREME):
            began = evidence.extremes_since.get(each.name.removesuffix(EXTREME))
        else:
            continue
        if began is not None:
            known[each.kind, each.name] = began
    return known


def _onsets_of_rates(
    connection: Connection,
    stream: StreamKey,
    evidence: QualityEvidence,
    found: Sequence[Condition],
    span: tuple[int, int],
) -> dict[tuple[str, str], int]:
    """Those of rates of a feature's values."""
    wanted: dict[tuple[str, str], tuple[Subject, str]] = {}
    for each in found:
        feature, _, what = each.name.rpartition(": ")
        rule = COUNTED_AS.get(what, what)
        if rule in evidence.reference.get(feature, {}):
            wanted[each.kind, each.name] = Subject("feature", feature), rule
    subjects = [subject for subject, _ in wanted.values()]
    timeline, known_windows = subjects_by_window(connection, stream, evidence.generation, span, subjects)
    known: dict[tuple[str, str], int] = {}
    for key, (subject, rule) in wanted.items():
        windows_of = known_windows.get(subject)
        counted = [] if windows_of is None else [unsound_counts(profile) for profile in windows_of.profiles]
        if not counted or rule not in counted[0]:
            continue
        # Each as what breaks the rule and what keeps it.
        pairs = [evidence.reference[subject.name][rule], *(counts[rule] for counts in counted)]
        reference, *windows = [(hits, n - hits) for hits, n in pairs]
        began = timeline.began(reference, np.array(windows))
        if began is not None:
            known[key] = began
    return known


def _onset_of_volume(evidence: QualityEvidence) -> int | None:
    """Start of the hour of the last week in which the volume left the usual one."""
    if evidence.volumes is None or evidence.watermark is None:
        return None
    week = evidence.volumes.week
    place = volume_onset(evidence.volumes.earlier, week)
    last = evidence.watermark // SECONDS_PER_HOUR * SECONDS_PER_HOUR
    return None if place is None else last - (len(week) - place) * SECONDS_PER_HOUR


def _onset_of_repeats(connection: Connection, stream: StreamKey, span: tuple[int, int]) -> int | None:
    """Start of the window from which on more came again with another content. No reference says how much is usual."""
    windows = changed_by_window(connection, stream, *span)
    return timeline_of(connection, stream, list(windows)).began((0, 0), np.array(list(windows.values())))
