"""One simulated feature, watched as the service watches a real one: by `judge`, and by the rules of persistence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, SubjectResult, WindowResult
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence
from modelwatch.monitoring.checks.drift.judge import Case, judge_all, may_drift, tolerance
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.simulation.features import Feature
from modelwatch.simulation.traffic import Floats, Integers, Schedule
from modelwatch.storage.references.stored_reference import StoredReference
from modelwatch.storage.references.subjects import Subject

MODEL, SUBJECT = "simulated", Subject("feature", "feature")


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
        spent = {elapsed: rules.alpha(subjects, elapsed=elapsed) for elapsed in np.unique(when.elapsed).tolist()}
        alphas = np.array([spent[elapsed] for elapsed in when.elapsed.tolist()], dtype=np.float64)
        return cls(rules, subjects, when, alphas)

    def findings(self, feature: Feature, looks: Integers) -> Iterator[tuple[int, bool]]:
        """The evaluations at which there is a finding about the feature, and whether its verdict there says drift.

        looks: shape (evaluations, spans, cells), in the coarse cells of the feature. An evaluation at which an earlier
        finding is still in force, because calm has not lasted long enough, is one whose verdict does not say drift.
        """
        count = len(self.when.ends)
        windows = looks.reshape(-1, looks.shape[-1])
        alphas = np.repeat(self.alphas, len(self.when.spans))
        thresholds = self.rules.thresholds(SUBJECT.kind, SUBJECT.name)
        drifted = may_drift(feature.reference.coarse, windows, alphas, thresholds.psi_warning, thresholds.min_samples)
        passing = drifted.reshape(looks.shape[:2])
        conditions: list[Condition] = []
        done = 0
        for candidate in np.flatnonzero(passing.any(axis=1)).tolist():
            # Nothing to remember and nothing that may drift: such an evaluation changes nothing.
            at = max(candidate, done)
            while at < count and (at == candidate or conditions):
                conditions = advance_drift(conditions, self.evaluation(feature, looks[at], at))
                for finding in (each.finding for each in conditions):
                    if finding is not None:
                        yield at, not finding.holding
                at += 1
            done = at

    def evaluation(self, feature: Feature, found: Integers, at: int) -> DriftEvaluation:
        """The result of the evaluation with this number on the counts it found, shape (spans, cells)."""
        rules, alpha, end = self.rules, float(self.alphas[at]), int(self.when.ends[at])
        thresholds = rules.thresholds(SUBJECT.kind, SUBJECT.name)
        allowed = tolerance(thresholds, None)
        windows = tuple((feature.profile(coarse), allowed) for coarse in found)
        [judgements] = judge_all([Case(feature.reference, None, thresholds.min_samples, windows)], alpha)
        judged = [
            WindowResult(Window(end - parse_lookback(name), end, name), current, allowed, judgement)
            for name, (current, _), judgement in zip(rules.lookbacks, windows, judgements, strict=True)
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
            sums=(),
            references=(),
        )
        reference = StoredReference("", MODEL, None, SUBJECT, feature.reference, None, 0, MODEL, "active")
        result = SubjectResult(SUBJECT, reference, thresholds, rules.ks_alpha, tuple(judged))
        return DriftEvaluation(evidence, alpha, self.subjects, (result,), (SUBJECT,), ())
