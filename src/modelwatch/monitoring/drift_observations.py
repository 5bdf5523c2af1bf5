"""What a drift evaluation saw of each subject, and in words what moved."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from modelwatch.findings import Finding, Kind
from modelwatch.monitoring.checks import Examination, Examined, Look
from modelwatch.monitoring.conditions import Condition, advance
from modelwatch.monitoring.observations import CALM_SHARE, Observation, SizeNow
from modelwatch.stats import Profile, ShiftSize, psi_contributions

DRIFTED = ("warning", "alert")
UNDECIDED = ("insufficient_data", "no_data", "no_reference")

KINDS: dict[str, Kind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "latency": "latency_drift",
}
# An evaluation speaks of all of them, also of those of which nothing is watched any more.
DRIFT_KINDS: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift")


def advance_drift(previous: Sequence[Condition], examination: Examination) -> list[Condition]:
    """The conditions after this examination."""
    end = examination.evidence.watermark or 0
    return advance(previous, drift_observations(examination), examination.evidence.rules, end)


def drift_observations(examination: Examination) -> list[Observation]:
    """What was seen of each subject."""
    # Calm is judged by what an interval may spend: a look in between may spend too little to see what is still there.
    evidence = examination.evidence
    nominal = evidence.rules.alpha(examination.looked_at, evidence.streams, lookbacks=evidence.lookbacks)
    end = examination.evidence.watermark or 0
    return [_observation(examined, nominal, end) for examined in examination.subjects]


def _observation(examined: Examined, nominal: float, end: int) -> Observation:
    subject, reference = examined.subject, examined.reference.id
    look = examined.spokesman
    if look is None or look.judgement.severity in UNDECIDED:
        return Observation(subject.kind, subject.name, reference, "undecided")
    if look.judgement.severity in DRIFTED:
        begins = max(each.window.start for each in examined.looks if each.judgement.severity in DRIFTED)
        finding, severe = _finding(examined, look, end, begins), _severe(examined, look, end, begins)
        return Observation(subject.kind, subject.name, reference, "drifted", False, finding, severe, judged_until=end)
    holding = next((each for each in examined.looks if _holds(each, nominal)), None)
    if holding is None:
        sizes = _sizes(examined)
        return Observation(subject.kind, subject.name, reference, "calm", sizes=sizes, judged_until=end)
    begins = holding.window.start
    finding, severe = _finding(examined, holding, end, begins), _severe(examined, holding, end, begins)
    return Observation(subject.kind, subject.name, reference, "calm", True, finding, severe, judged_until=end)


def _holds(look: Look, nominal: float) -> bool:
    score, test = look.judgement.psi, look.judgement.test
    if score is None or test is None:
        return False
    return score >= CALM_SHARE * look.allowed.psi_warning and test.p_value < nominal


def _sizes(examined: Examined) -> tuple[SizeNow, ...]:
    reference = examined.reference.profile.coarse
    return tuple(
        SizeNow(
            "PSI",
            look.allowed.psi_warning,
            ShiftSize(reference, look.current.coarse, look.judgement.psi),
            look.window.start,
        )
        for look in examined.looks
        if look.judgement.psi is not None
    )


def _severe(examined: Examined, look: Look, end: int, begins: int) -> Finding | None:
    psi = look.judgement.psi
    if psi is None or psi < CALM_SHARE * look.allowed.psi_alert:
        return None
    return replace(_finding(examined, look, end, begins), severity="alert", threshold=look.allowed.psi_alert)


def _finding(examined: Examined, look: Look, end: int, begins: int) -> Finding:
    """The finding by this look. begins: of the shortest window that shows it, in seconds."""
    judgement, reference = look.judgement, examined.reference
    assert judgement.psi is not None, "a window that drifted or holds has a score"
    severe = judgement.psi >= look.allowed.psi_alert
    return Finding(
        kind=KINDS[examined.subject.kind],
        subject=examined.subject.name or examined.subject.kind,
        severity="alert" if severe else "warning",
        since=end,
        score_name="PSI",
        score=judgement.psi,
        threshold=look.allowed.psi_alert if severe else look.allowed.psi_warning,
        p_value=None if judgement.test is None else judgement.test.p_value,
        alpha=judgement.alpha,
        sample_size=look.current.n,
        reference_size=reference.profile.n,
        window_start=look.window.start,
        window_end=look.window.end,
        lookback=look.window.lookback,
        detail=what_moved(reference.profile, look.current),
        warning_threshold=look.allowed.psi_warning,
        alert_threshold=look.allowed.psi_alert,
        bad_from=begins,
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
