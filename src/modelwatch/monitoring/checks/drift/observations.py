"""What a drift evaluation saw of each subject, and in words what moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from modelwatch.findings import Finding, Kind
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evaluation import Examination, Examined, Look
from modelwatch.monitoring.checks.drift.judge import ODDS, PSI, Measure, odds_cells
from modelwatch.monitoring.checks.observations import CALM_SHARE, Observation, SizeNow
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.recovery import OddsSize, ShiftSize
from modelwatch.stats.drift.scores import psi_contributions
from modelwatch.storage.references.layouts import Counts

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
        decided = look.judgement.deciding
        assert decided is not None, "a window that drifted was measured"
        finding, severe = _finding(examined, look, decided, end, begins), _severe(examined, look, end, begins)
        return Observation(subject.kind, subject.name, reference, "drifted", False, finding, severe, judged_until=end)
    held = next(((each, measure) for each in examined.looks for measure in _holding(each, nominal)), None)
    if held is None:
        sizes = _sizes(examined)
        return Observation(subject.kind, subject.name, reference, "calm", sizes=sizes, judged_until=end)
    holding, measure = held
    begins = holding.window.start
    finding, severe = _finding(examined, holding, measure, end, begins), _severe(examined, holding, end, begins)
    return Observation(subject.kind, subject.name, reference, "calm", True, finding, severe, judged_until=end)


def _holding(look: Look, nominal: float) -> list[Measure]:
    """The measures that are still near enough to what matters, and no chance."""
    measures = look.judgement.measures
    return [each for each in measures if each.size >= CALM_SHARE * each.warning and each.p_value < nominal]


def _sizes(examined: Examined) -> tuple[SizeNow, ...]:
    reference = examined.reference.profile.coarse
    sizes = [
        SizeNow(PSI, look.allowed.psi_warning, ShiftSize(reference, look.current.coarse, look.judgement.psi), start)
        for look in examined.looks
        if look.judgement.psi is not None
        for start in (look.window.start,)
    ]
    return (*sizes, *(size for look in examined.looks for size in _sizes_of_odds(examined, look)))


def _sizes_of_odds(examined: Examined, look: Look) -> list[SizeNow]:
    """How far the odds of each category may have moved: of a rare one few values say nothing, which is no reason to
    hold what was found of another."""
    profile = examined.reference.profile
    measure = next((each for each in look.judgement.measures if each.name == ODDS), None)
    if measure is None:
        return []
    cells = odds_cells(profile, examined.reference.split)
    before, now = profile.coarse[:cells], look.current.coarse[:cells]
    labels = profile.binning.coarse_labels()
    return [
        SizeNow(
            ODDS, measure.warning, OddsSize(_against_the_rest(before, cell), _against_the_rest(now, cell)), start, name
        )
        for start in (look.window.start,)
        for cell, name in enumerate(labels[:cells])
    ]


def _against_the_rest(counts: Counts, cell: int) -> Counts:
    own = counts[cell]
    return np.array([counts.sum() - own, own], dtype=np.int64)


def _severe(examined: Examined, look: Look, end: int, begins: int) -> Finding | None:
    measures = look.judgement.measures
    near = next((each for each in measures if each.size >= CALM_SHARE * each.alert), None)
    if near is None:
        return None
    return replace(_finding(examined, look, near, end, begins), severity="alert", threshold=near.alert)


def _finding(examined: Examined, look: Look, measure: Measure, end: int, begins: int) -> Finding:
    """The finding by this measure of a look. begins: of the shortest window that shows it, in seconds."""
    judgement, reference = look.judgement, examined.reference
    severe = measure.size >= measure.alert
    labels = reference.profile.binning.coarse_labels()
    return Finding(
        kind=KINDS[examined.subject.kind],
        subject=examined.subject.name or examined.subject.kind,
        severity="alert" if severe else "warning",
        since=end,
        score_name=measure.name,
        score=measure.size,
        threshold=measure.alert if severe else measure.warning,
        p_value=measure.p_value,
        alpha=judgement.alpha,
        sample_size=look.current.n,
        reference_size=reference.profile.n,
        window_start=look.window.start,
        window_end=look.window.end,
        lookback=look.window.lookback,
        detail=what_moved(reference.profile, look.current, measure.cell),
        warning_threshold=measure.warning,
        alert_threshold=measure.alert,
        bad_from=begins,
        category=None if measure.cell is None else labels[measure.cell],
    )


def what_moved(reference: Profile, current: Profile, cell: int | None = None) -> str:
    """Sentence on the share of a cell, by default of the one that adds most to the PSI.

    >>> import numpy as np
    >>> from modelwatch.stats.counting.categorical import categorical_binning
    >>> cells = categorical_binning(["red"] * 9 + ["blue"])
    >>> before = Profile.of(cells, ["red"] * 9 + ["blue"])
    >>> what_moved(before, Profile.of(cells, ["red", "blue"]))
    '50 % of values are blue (reference: 10 %)'
    """
    if cell is None:
        cell = int(psi_contributions(reference.coarse, current.coarse).argmax())
    before, now = reference.coarse[cell] / reference.n, current.coarse[cell] / current.n
    named = _cell_name(reference.binning.coarse_labels()[cell], isinstance(reference.binning, NumericBinning))
    return f"{_percent(now)} of values are {named} (reference: {_percent(before)})"


def _cell_name(label: str, is_numeric: bool) -> str:
    """Name of a cell as it goes on after "values are".

    >>> [_cell_name(label, True) for label in ("> 310.5", "<= 31.2", "= 0", "(31.2, 44]")]
    ['above 310.5', 'at most 31.2', '0', 'in (31.2, 44]']
    >>> _cell_name("(unseen)", False), _cell_name("> 5", False)
    ('of unseen categories', '> 5')
    """
    if not is_numeric:
        return {"(other)": "of other categories", "(unseen)": "of unseen categories"}.get(label, label)
    for sign, words in (("<= ", "at most "), ("> ", "above "), ("= ", "")):
        if label.startswith(sign):
            return words + label.removeprefix(sign)
    return f"in {label}"


def _percent(share: float) -> str:
    """A share as people write it.

    >>> _percent(0.5), _percent(1.0), _percent(0.0123), _percent(0.00004)
    ('50 %', '100 %', '1.2 %', '0.004 %')
    """
    percent = share * 100
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{float(f'{percent:.2g}'):g} %"
