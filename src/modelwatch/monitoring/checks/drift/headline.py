"""Headline of a verdict on drift."""

from __future__ import annotations

from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation
from modelwatch.monitoring.checks.drift.judge import DRIFTED, PRECEDENCE
from modelwatch.monitoring.checks.drift.observations import UNDECIDED
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR


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
    shortest = min(range(len(windows)), key=lengths.__getitem__)
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
    found = sorted(
        (severity != "alert", -(deciding.judgement.psi or 0.0), each.subject.name or each.subject.kind)
        for each, deciding in decided
        if (severity := deciding.judgement.severity) in DRIFTED
    )
    return Headline(
        value=None if worst is None else worst[1].judgement.psi,
        subject=None if worst is None else worst[0].subject.name or worst[0].subject.kind,
        warning=None if worst is None else worst[1].allowed.psi_warning,
        alert=None if worst is None else worst[1].allowed.psi_alert,
        n=0 if worst is None else worst[1].current.n,
        found=len(found),
        names=first_names(name for _, _, name in found),
        checked=summary.checked,
        features=features,
        seconds=lengths[shown],
        predictions=received[shown],
        rate=received[shortest] / lengths[shortest] * SECONDS_PER_HOUR,
        reason=summary.reason,
    )
