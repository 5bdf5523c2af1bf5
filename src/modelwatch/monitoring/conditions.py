"""From one evaluation to the next: a shift must persist before it is a finding, and calm must last until it is none.

What is carried from evaluation to evaluation is kept with each verdict, so that it survives every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from modelwatch.findings import Finding, Kind
from modelwatch.monitoring.checks import Examination, Examined, Look
from modelwatch.monitoring.rules import DriftRules
from modelwatch.stats import Profile, psi_contributions
from modelwatch.storage import Subject

# A shift counts as over only when it is clearly below what raised it.
CALM_SHARE = 0.8
DRIFTED = ("warning", "alert")
UNDECIDED = ("insufficient_data", "no_data", "no_reference")

KINDS: dict[str, Kind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "latency": "latency_drift",
}
# An evaluation speaks of all of them, also of those of which nothing is watched any more.
ALL_KINDS: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift")


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one subject stands after an evaluation.

    reference: the id of the reference that it was compared with; a new one starts afresh. recent: the last evaluations
    that came to a decision, newest last: `1` drifted, `0` not. since: window end of the
    first of the present run that drifted. calm: how many evaluations in a row were calm. finding: what is in force.
    """

    kind: str
    name: str
    reference: str
    recent: str
    since: int | None = None
    calm: int = 0
    finding: Finding | None = None


def advance(previous: Sequence[Condition], examination: Examination) -> list[Condition]:
    """The conditions after this evaluation; subjects about which there is nothing to remember are left out."""
    rules, end = examination.evidence.rules, examination.evidence.watermark or 0
    before = {Subject(condition.kind, condition.name): condition for condition in previous}  # type: ignore[arg-type]
    # Calm is judged by what an interval may spend: a look in between may spend too little to see what is still there.
    nominal = rules.alpha(examination.looked_at, examination.evidence.streams)
    after = []
    for examined in examination.subjects:
        condition = _advance(before.get(examined.subject), examined, rules, nominal, end)
        if condition.finding is not None or "1" in condition.recent:
            after.append(condition)
    return after


def findings_of(conditions: Iterable[Condition]) -> tuple[Finding, ...]:
    """The findings in force."""
    return tuple(condition.finding for condition in conditions if condition.finding is not None)


def _advance(before: Condition | None, examined: Examined, rules: DriftRules, nominal: float, end: int) -> Condition:
    subject = examined.subject
    fresh = Condition(subject.kind, subject.name, examined.reference.id, "")
    if before is None or before.reference != fresh.reference:
        before = fresh
    look = examined.spokesman
    if look is None or look.judgement.severity in UNDECIDED:
        return before
    drifted = look.judgement.severity in DRIFTED
    recent = (before.recent + ("1" if drifted else "0"))[-rules.alarms_among :]
    if drifted:
        since = end if before.since is None else before.since
        finding = before.finding
        if finding is not None or recent.count("1") >= rules.alarms_needed:
            finding = _finding(examined, look, since, before.finding)
        return replace(fresh, recent=recent, since=since, finding=finding)
    if before.finding is None:
        return replace(fresh, recent=recent, since=before.since if "1" in recent else None)
    holding = next((each for each in examined.looks if _holds(each, nominal)), None)
    calm = 0 if holding is not None else before.calm + 1
    if calm >= rules.resolve_after:
        return replace(fresh, recent="0" * len(recent))
    finding = before.finding
    if holding is not None and before.since is not None:
        finding = _finding(examined, holding, before.since, before.finding)
    kept = replace(finding, severity=before.finding.severity, holding=True)
    return replace(fresh, recent=recent, since=before.since, calm=calm, finding=kept)


def _holds(look: Look, nominal: float) -> bool:
    score, test = look.judgement.psi, look.judgement.chi_square
    if score is None or test is None:
        return False
    return score >= CALM_SHARE * look.allowed.psi_warning and test.joint_p_value < nominal


def _finding(examined: Examined, look: Look, since: int, before: Finding | None) -> Finding:
    judgement, reference = look.judgement, examined.reference
    assert judgement.psi is not None, "a window that drifted or holds has a score"
    # Once severe, it stays so until it is clearly below: people are not told of each crossing of the line.
    was_severe = before is not None and before.severity == "alert"
    severe = judgement.psi >= look.allowed.psi_alert * (CALM_SHARE if was_severe else 1.0)
    return Finding(
        kind=KINDS[examined.subject.kind],
        subject=examined.subject.name or examined.subject.kind,
        severity="alert" if severe else "warning",
        since=since,
        score_name="PSI",
        score=judgement.psi,
        threshold=look.allowed.psi_alert if severe else look.allowed.psi_warning,
        p_value=None if judgement.chi_square is None else judgement.chi_square.joint_p_value,
        alpha=judgement.alpha,
        sample_size=look.current.n,
        reference_size=reference.profile.n,
        window_start=look.window.start,
        window_end=look.window.end,
        lookback=look.window.lookback,
        detail=what_moved(reference.profile, look.current),
    )


def what_moved(reference: Profile, current: Profile) -> str:
    """The cell that adds most to the PSI, in words.

    >>> import numpy as np
    >>> from modelwatch.stats import categorical_binning
    >>> cells = categorical_binning(["red"] * 9 + ["blue"])
    >>> before = Profile.of(cells, ["red"] * 9 + ["blue"])
    >>> what_moved(before, Profile.of(cells, ["red", "blue"]))
    'blue: 10 % of the reference, 50 % now'
    """
    contributions = psi_contributions(reference.coarse, current.coarse)
    cell = int(contributions.argmax())
    before, now = reference.coarse[cell] / reference.n, current.coarse[cell] / current.n
    label = reference.binning.coarse_labels()[cell]
    return f"{label}: {_percent(before)} of the reference, {_percent(now)} now"


def _percent(share: float) -> str:
    """A share as people write it.

    >>> _percent(0.5), _percent(1.0), _percent(0.0123), _percent(0.00004)
    ('50 %', '100 %', '1.2 %', '0.004 %')
    """
    percent = share * 100
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{float(f'{percent:.2g}'):g} %"
