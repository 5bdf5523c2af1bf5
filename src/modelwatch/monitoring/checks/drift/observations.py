"""Observations of a drift evaluation, one for each subject, and the sentence on what moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from modelwatch.charts.drawing.numbers import percent
from modelwatch.findings import CALM_SHARE, Finding, Kind
from modelwatch.measures import plain
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, SubjectResult, WindowResult
from modelwatch.monitoring.checks.drift.judge import odds_cells
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, ODDS, PSI, Measure, Severity
from modelwatch.monitoring.checks.observations import Observation, SizeNow
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.patterns import shift_pattern
from modelwatch.stats.drift.recovery import OddsSize, ShiftSize
from modelwatch.stats.drift.scores import psi_contributions
from modelwatch.storage.references.layouts import Counts

UNDECIDED = ("insufficient_data", "no_data", "no_reference")

KINDS: dict[str, Kind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "latency": "latency_drift",
}
# An evaluation speaks of all of them, also of those of which nothing is watched any more.
DRIFT_KINDS: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift")


def advance_drift(previous: Sequence[Condition], evaluation: DriftEvaluation) -> list[Condition]:
    """Conditions after this evaluation."""
    end = evaluation.evidence.watermark or 0
    return advance(previous, drift_observations(evaluation), evaluation.evidence.rules, end)


def drift_observations(evaluation: DriftEvaluation) -> list[Observation]:
    """One observation for each subject of the evaluation."""
    # Calm is judged by what an interval may spend: an evaluation in between may spend too little to see what is left.
    evidence = evaluation.evidence
    nominal = evidence.rules.alpha(evaluation.watched, evidence.streams, lookbacks=evidence.lookbacks)
    end = evaluation.evidence.watermark or 0
    return [_observation(result, evidence.rules, nominal, end) for result in evaluation.subjects]


def found_states(rules: DriftRules) -> tuple[Severity, ...]:
    """The severities of a subject that are a finding."""
    return (*DRIFTED, "shifted") if rules.alert_on == "shifted" else DRIFTED


def _observation(result: SubjectResult, rules: DriftRules, nominal: float, end: int) -> Observation:
    subject, reference, found = result.subject, result.reference.id, found_states(rules)
    window = result.deciding_window
    if window is None or window.judgement.severity in UNDECIDED:
        return Observation(subject.kind, subject.name, reference, "undecided")
    if window.judgement.severity in found:
        begins = max(each.window.start for each in result.windows if each.judgement.severity in found)
        decided = window.judgement.deciding
        assert decided is not None, "a window that drifted was measured"
        finding, severe = _finding(result, window, decided, end, begins), _severe(result, window, end, begins)
        return Observation(subject.kind, subject.name, reference, "drifted", False, finding, severe, judged_until=end)
    any_size = "shifted" in found
    held = next(((each, measure) for each in result.windows for measure in _holding(each, nominal, any_size)), None)
    if held is None:
        sizes = _sizes(result, any_size)
        return Observation(subject.kind, subject.name, reference, "calm", sizes=sizes, judged_until=end)
    holding, measure = held
    begins = holding.window.start
    finding, severe = _finding(result, holding, measure, end, begins), _severe(result, holding, end, begins)
    return Observation(subject.kind, subject.name, reference, "calm", True, finding, severe, judged_until=end)


def _holding(window: WindowResult, nominal: float, any_size: bool) -> list[Measure]:
    """The measures that are still near enough to what matters, and no chance. any_size: everything that is no chance
    matters, if the reference does not do it itself."""
    near = [each for each in window.judgement.measures if each.p_value < nominal]
    natural = window.allowed.psi_natural
    return [
        each
        for each in near
        if each.size >= CALM_SHARE * each.warning or (any_size and each.name == PSI and each.size > natural)
    ]


def _sizes(result: SubjectResult, any_size: bool) -> tuple[SizeNow, ...]:
    """What the look-backs show of the sizes. any_size: a finding is over at half of its worst, and not before."""
    reference = result.reference.profile.coarse
    sizes = [
        SizeNow(
            PSI,
            window.allowed.psi_natural if any_size else window.allowed.psi_warning,
            ShiftSize(reference, window.current.coarse, window.judgement.psi),
            window.window.start,
        )
        for window in result.windows
        if window.judgement.psi is not None
    ]
    return (*sizes, *(size for window in result.windows for size in _sizes_of_odds(result, window)))


def _sizes_of_odds(result: SubjectResult, window: WindowResult) -> list[SizeNow]:
    """Possible sizes of the shift of each category's odds.

    Few values of a rare category say nothing about it, which is no reason to hold the finding about another.
    """
    profile = result.reference.profile
    measure = next((each for each in window.judgement.measures if each.name == ODDS), None)
    if measure is None:
        return []
    cells = odds_cells(profile, result.reference.split)
    before, now = profile.coarse[:cells], window.current.coarse[:cells]
    labels = profile.binning.coarse_labels()
    return [
        SizeNow(
            ODDS, measure.warning, OddsSize(_against_the_rest(before, cell), _against_the_rest(now, cell)), start, name
        )
        for start in (window.window.start,)
        for cell, name in enumerate(labels[:cells])
    ]


def _against_the_rest(counts: Counts, cell: int) -> Counts:
    count = counts[cell]
    return np.array([counts.sum() - count, count], dtype=np.int64)


def _severe(result: SubjectResult, window: WindowResult, end: int, begins: int) -> Finding | None:
    measures = window.judgement.measures
    near = next((each for each in measures if each.size >= CALM_SHARE * each.alert), None)
    if near is None:
        return None
    return replace(_finding(result, window, near, end, begins), severity="alert", threshold=near.alert)


def _finding(result: SubjectResult, window: WindowResult, measure: Measure, end: int, begins: int) -> Finding:
    """Finding by this measure of a window. begins: start of the shortest window that shows it, in seconds."""
    judgement, reference = window.judgement, result.reference
    severe = measure.size >= measure.alert and judgement.severity != "shifted"
    labels = reference.profile.binning.coarse_labels()
    return Finding(
        kind=KINDS[result.subject.kind],
        subject=result.subject.name or result.subject.kind,
        severity="alert" if severe else "warning",
        since=end,
        score_name=measure.name,
        score=measure.size,
        threshold=measure.alert if severe else measure.warning,
        p_value=measure.p_value,
        alpha=judgement.alpha,
        sample_size=window.current.n,
        reference_size=reference.profile.n,
        window_start=window.window.start,
        window_end=window.window.end,
        lookback=window.window.lookback,
        detail=what_moved(reference.profile, window.current, measure.cell),
        warning_threshold=measure.warning,
        alert_threshold=measure.alert,
        bad_from=begins,
        category=None if measure.cell is None else labels[measure.cell],
        pattern=shift_pattern(reference.profile, window.current),
        small=judgement.severity == "shifted",
        found_by=judgement.test.strongest if result.directed and judgement.test is not None else None,
    )


def what_moved(reference: Profile, current: Profile, cell: int | None = None) -> str:
    """Sentence on the share of a cell, by default of the one that adds most to the PSI.

    >>> import numpy as np
    >>> from modelwatch.stats.counting.categorical import categorical_binning
    >>> cells = categorical_binning(["red"] * 9 + ["blue"])
    >>> before = Profile.of(cells, ["red"] * 9 + ["blue"])
    >>> what_moved(before, Profile.of(cells, ["red", "blue"]))
    '50.0 % of values are blue (reference: 10.0 %)'
    """
    if cell is None:
        cell = int(psi_contributions(reference.coarse, current.coarse).argmax())
    before, now = reference.coarse[cell] / reference.n, current.coarse[cell] / current.n
    named = _cell_name(reference.binning.coarse_labels()[cell], isinstance(reference.binning, NumericBinning))
    return f"{plain(percent(now))} of values are {named} (reference: {plain(percent(before))})"


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
