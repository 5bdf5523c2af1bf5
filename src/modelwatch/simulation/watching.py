"""One simulated feature, watched as the service watches a real one: by `judge`, and by the rules of persistence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import (
    DriftEvaluation,
    SubjectResult,
    WindowResult,
    with_onset,
)
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence, Since
from modelwatch.monitoring.checks.drift.judge import Case, judge_all
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.drift.since import REACH, is_recent, shortest_of, since_of
from modelwatch.monitoring.checks.drift.tolerance import tolerance
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.simulation.ladder import FIRST, LARGEST, detections
from modelwatch.simulation.streams import FeatureStream
from modelwatch.simulation.traffic import Floats, Integers, Schedule
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.subjects import StoredReference, Subject

MODEL, SUBJECT = "simulated", Subject("feature", "feature")


@dataclass(frozen=True, slots=True)
class Seen:
    """What an evaluation says of the feature. at: its number. detected: whether a look-back is beyond chance, however
    small the shift is. in_force: whether there is a finding. drifts: whether its own verdict says drift; in between,
    an earlier finding is still in force because calm has not lasted long enough."""

    at: int
    detected: bool
    in_force: bool
    drifts: bool


def lookbacks_among(rules: DriftRules, when: Schedule) -> Integers:
    """Among how many look-backs the level of each evaluation is divided, as `Evidence` has it; shape (evaluations,)."""
    if rules.detects_from is None:
        return np.full(len(when.ends), len(rules.lookbacks), dtype=np.int64)
    return np.asarray(np.maximum(1, (when.values >= rules.least_of_any).sum(axis=1)), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Watch:
    """The monitoring of a model with so many subjects on a schedule."""

    rules: DriftRules
    subjects: int
    when: Schedule
    alphas: Floats

    @classmethod
    def on(cls, when: Schedule, rules: DriftRules, subjects: int) -> Watch:
        """The watch of this schedule. A look at any subject spends what has accrued since the one before."""
        among = lookbacks_among(rules, when)
        levels, place = np.unique(np.stack((when.elapsed, among), axis=1), axis=0, return_inverse=True)
        spent = [rules.alpha(subjects, elapsed=elapsed, lookbacks=lookbacks) for elapsed, lookbacks in levels.tolist()]
        return cls(rules, subjects, when, np.array(spent, dtype=np.float64)[place.reshape(-1)])

    def seen(self, stream: FeatureStream) -> Iterator[Seen]:
        """The evaluations at which the feature is detected, or a finding about it is in force."""
        count, done = len(self.when.ends), 0
        conditions: list[Condition] = []
        for candidate in chain(self._candidates(stream, LARGEST), [count]):
            # Nothing to remember and nothing detected: such an evaluation changes nothing.
            at = done if conditions else candidate
            while at <= min(candidate, count - 1):
                conditions, seen = self._after(stream, at, conditions)
                if seen.detected or seen.in_force:
                    yield seen
                at = at + 1 if conditions or at == candidate else candidate
            done = candidate + 1

    def first(self, stream: FeatureStream) -> tuple[int | None, int | None]:
        """The evaluation at which a shift that began at time 0 is first detected, and at which there is a finding.

        A shift that is detected and too small for a finding is not looked at in each evaluation any more, but after a
        quarter of the time since it was first detected.
        """
        ends = self.when.ends
        conditions: list[Condition] = []
        detected = None
        for candidate in self._candidates(stream, FIRST):
            conditions, seen = self._after(stream, candidate, conditions)
            if seen.in_force:
                return candidate, candidate
            if seen.detected:
                detected = candidate
                break
        if detected is None:
            return None, None
        at = detected + 1
        while at < len(ends):
            conditions, seen = self._after(stream, at, conditions)
            if seen.in_force:
                return detected, at
            pause = 0 if conditions else (int(ends[at]) - int(ends[detected])) // 4
            at = max(at + 1, int(ends.searchsorted(ends[at] + pause)))
        return detected, None

    def _candidates(self, stream: FeatureStream, first: int) -> Iterator[int]:
        least = self.rules.least(self.rules.thresholds(SUBJECT.kind, SUBJECT.name).min_samples)
        found = detections(stream, self.when, self.alphas, least, first)
        return (at for at, _ in groupby(found, key=attrgetter("at")))

    def _after(self, stream: FeatureStream, at: int, conditions: Sequence[Condition]) -> tuple[list[Condition], Seen]:
        """The conditions after an evaluation, and what it says."""
        evaluation = self.evaluation(stream, at)
        after = advance_drift(conditions, evaluation)
        [subject] = evaluation.subjects
        detected = any(
            each.judgement.test is not None
            and each.judgement.test.p_value < evaluation.alpha
            and each.judgement.severity != "insufficient_data"
            for each in subject.windows
        )
        findings = [each.finding for each in after if each.finding is not None]
        return after, Seen(at, detected, bool(findings), any(not each.holding for each in findings))

    def evaluation(self, stream: FeatureStream, at: int) -> DriftEvaluation:
        """The result of the evaluation with this number."""
        rules, alpha, end = self.rules, float(self.alphas[at]), int(self.when.ends[at])
        thresholds = rules.thresholds(SUBJECT.kind, SUBJECT.name)
        allowed, feature = tolerance(thresholds, None), stream.feature
        border = end // BASE_WINDOW_SECONDS + stream.history
        profiles = [
            Profile(feature.reference.binning, stream.counts(border, span // BASE_WINDOW_SECONDS))
            for span in self.when.spans
        ]
        case = Case(
            feature.reference,
            feature.split,
            thresholds.min_samples,
            tuple((profile, allowed) for profile in profiles),
            rules.names_shifted,
            rules.directed,
            rules.least(thresholds.min_samples),
            least_reference=rules.least_reference,
        )
        [judgements] = judge_all([case], alpha)
        judged = [
            WindowResult(Window(end - span, end, name), profile, allowed, judgement)
            for name, span, profile, judgement in zip(
                rules.lookbacks, self.when.spans, profiles, judgements, strict=True
            )
        ]
        evidence = Evidence(
            query=DriftQuery(MODEL, MODEL),
            rules=rules,
            generation=0,
            watermark=end,
            streams=1,
            environments=(),
            elapsed=int(self.when.elapsed[at]),
            windows=tuple(each.window for each in judged),
            # Among how many look-backs the level is divided, the numbers of predictions say.
            sums=tuple(
                {MODEL: Slot(int(values), profile.counts)}
                for values, profile in zip(self.when.values[at], profiles, strict=True)
            ),
            references=(),
        )
        reference = StoredReference(
            "", MODEL, None, SUBJECT, feature.reference, None, 0, MODEL, "active", feature.split
        )
        result = SubjectResult(SUBJECT, reference, thresholds, rules.ks_alpha, tuple(judged), rules.directed)
        since = self._since(stream, result, border, alpha) if rules.directed else None
        if since is not None:
            result = with_onset(result, since, end, rules, alpha)
        return DriftEvaluation(evidence, alpha, self.subjects, (result,), (SUBJECT,), ())

    def _since(self, stream: FeatureStream, result: SubjectResult, border: int, alpha: float) -> Since | None:
        """What is known since the onset of a detected shift, as the service finds it in the windows of the last day."""
        shortest = shortest_of([each.window for each in result.windows])
        if shortest >= REACH or not is_recent(result, alpha):
            return None
        first = max(0, border - REACH // BASE_WINDOW_SECONDS)
        counts = stream.each(first, border)
        filled = np.flatnonzero(counts.any(axis=1))
        starts = (first + filled - stream.history) * BASE_WINDOW_SECONDS
        latest = (border - stream.history) * BASE_WINDOW_SECONDS - shortest
        return since_of(result, counts[filled], starts.tolist(), latest)
