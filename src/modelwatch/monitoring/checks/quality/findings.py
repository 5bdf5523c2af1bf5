"""Findings about the quality of data, in words and numbers that a person can act on."""

from __future__ import annotations

from modelwatch.charts.drawing.numbers import percent
from modelwatch.findings import Finding, FindingSeverity, Kind
from modelwatch.measures import BROKEN_RULES, plain
from modelwatch.monitoring.checks.quality.classes import ClassJudgement, detail_of, thresholds_of
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.monitoring.checks.quality.judge import (
    RateJudgement,
    RepeatsJudgement,
    VolumeJudgement,
    longest,
    rise_thresholds,
    volume_thresholds,
)
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.stats.quality.codes import SENTINEL_SHARE, Sentinel
from modelwatch.stats.quality.extremes import LEAST_TIMES, Extreme
from modelwatch.stats.quality.rates import Rule, SchemaChange
from modelwatch.times import SECONDS_PER_DAY

RISE_OF_UNKNOWN = "rise of unknown classes"
SHARE_OF_REPEATS = "share of changed repeats"
SHARE_OF_ROWS = "share of the rows"
SHARE_OF_ONE_VALUE = "share of one value"
TIMES_AS_FAR = "distance from the median, by that of the reference's end"
SHARE_OF_A_CODE = "share of a code"

# What was found: a rate, a volume, a change of the schema, a value that many have, one far away, or repeats.
Cause = RateJudgement | VolumeJudgement | SchemaChange | Sentinel | Extreme | RepeatsJudgement | ClassJudgement


class _Measured:
    """Measurements of a finding: all of it but the subject."""

    def __init__(
        self,
        name: str,
        score: float,
        p_value: float | None,
        n: int,
        detail: str,
        *,
        warning: float | None = None,
        alert: float | None = None,
    ) -> None:
        self.name = name
        self.score = score
        self.warning = warning
        self.alert = alert
        self.p_value = p_value
        self.n = n
        self.detail = detail


def finding_of(
    evidence: QualityEvidence, alpha: float, subject: str, severity: FindingSeverity, cause: Cause
) -> Finding:
    """The finding about a subject."""
    window = cause.window if isinstance(cause, RateJudgement) else longest(evidence.windows)
    assert window is not None, "what is found was found in a window"
    start, end, lookback = window.start, window.end, window.lookback
    kind: Kind = "data_quality"
    reference_size = max((counts["missing"][1] for counts in evidence.reference.values()), default=0)
    if isinstance(cause, RateJudgement):
        measured, reference_size = _rate(cause, evidence), cause.check.reference_n
    elif isinstance(cause, VolumeJudgement):
        kind, start, end, lookback, reference_size = "volume", cause.start, cause.end, cause.span, 0
        measured = _volume(cause)
    elif isinstance(cause, ClassJudgement):
        use = cause.use
        start, end, lookback, reference_size = use.start, use.end, use.lookback, use.reference_n
        measured = _classes(cause, evidence)
    elif isinstance(cause, SchemaChange):
        measured = _change(cause, evidence.sample.rows if cause.change == "appeared" else window.predictions)
    elif isinstance(cause, Sentinel):
        measured = _sentinel(subject.rpartition(": ")[0], cause, evidence.rules)
    elif isinstance(cause, Extreme):
        measured = _extreme(subject.rpartition(": ")[0], cause)
        start = max(start, end - SECONDS_PER_DAY)
    else:
        changed, sent, limit = cause.changed, cause.sent, evidence.rules.duplicates
        detail = f"{changed:,} of {sent:,} predictions repeat a known id with different content"
        measured = _Measured(SHARE_OF_REPEATS, changed / sent, None, sent, detail, warning=limit)
    return Finding(
        kind=kind,
        subject=subject,
        severity=severity,
        since=evidence.watermark or 0,
        score_name=measured.name,
        score=measured.score,
        threshold=(measured.alert if severity == "alert" else measured.warning) or 0.0,
        p_value=measured.p_value,
        alpha=None if measured.p_value is None else alpha,
        sample_size=measured.n,
        reference_size=reference_size,
        window_start=start,
        window_end=end,
        lookback=lookback,
        detail=measured.detail,
        warning_threshold=measured.warning,
        alert_threshold=measured.alert,
    )


def _rate(cause: RateJudgement, evidence: QualityEvidence) -> _Measured:
    check = cause.check
    score = check.change or 0.0
    detail = (
        f"{cause.feature}: {_percent(check.current_rate)} of values are {BROKEN_RULES[check.rule]}"
        f" (reference: {_percent(check.reference_rate)})"
    )
    warning, alert = rise_thresholds(check.reference_rate or 0.0, evidence.rules)
    n, p_value = check.current_n, check.p_value
    return _Measured(rise_of(check.rule), score, p_value, n, detail, warning=warning, alert=alert)


def _classes(cause: ClassJudgement, evidence: QualityEvidence) -> _Measured:
    use = cause.use
    warning, alert = thresholds_of(use, evidence.rules)
    return _Measured(RISE_OF_UNKNOWN, use.rise, cause.p_value, use.n, detail_of(use), warning=warning, alert=alert)


def rise_of(rule: Rule) -> str:
    """The name of the score of a rate."""
    return f"rise of {rule}"


def _volume(cause: VolumeJudgement) -> _Measured:
    check = cause.check
    detail = (
        f"{check.current:,} predictions in the last {cause.span}; usual at this time of the week: {check.low:,} to"
        f" {check.high:,}"
    )
    change = abs(check.current - (check.expected or 0.0))
    warning, alert = volume_thresholds(check) or (None, None)
    name, p_value = "change of the volume", check.p_value
    return _Measured(name, change, p_value, check.current, detail, warning=warning, alert=alert)


def _change(cause: SchemaChange, rows: int) -> _Measured:
    if cause.change == "disappeared":
        detail = f"{cause.feature} has disappeared: none of {rows:,} rows has it"
        return _Measured(SHARE_OF_ROWS, 1.0, cause.p_value, rows, detail)
    detail = f"{cause.feature} is new: {cause.current_count:,} of {rows:,} rows have it, the reference does not"
    return _Measured(SHARE_OF_ROWS, cause.current_count / max(rows, 1), cause.p_value, rows, detail)


def _sentinel(feature: str, cause: Sentinel, rules: QualityRules) -> _Measured:
    value = repr(cause.value) if isinstance(cause.value, str) else f"{cause.value:g}"
    detail = f"{feature}: {_percent(cause.share)} of values are {value}, "
    if cause.side == "known":
        detail += f"which looks like a code for a missing value (reference: {_percent(cause.reference_share)})"
        limit = cause.reference_share + rise_thresholds(cause.reference_share, rules)[0]
        return _Measured(SHARE_OF_A_CODE, cause.share, cause.p_value, cause.n, detail, warning=limit)
    if cause.side == "text":
        detail += "which looks like a code for a missing value and is not in the reference"
    else:
        detail += f"{cause.side} everything in the reference"
    return _Measured(SHARE_OF_ONE_VALUE, cause.share, cause.p_value, cause.n, detail, warning=SENTINEL_SHARE)


def _extreme(feature: str, cause: Extreme) -> _Measured:
    more = f", and {cause.count - 1:,} more are as far" if cause.count > 1 else ""
    detail = (
        f"{feature}: a value of {cause.value:g} is {cause.times:,.3g} times as far from the median as anything"
        f" {'under' if cause.side == 'below' else 'over'} it in the reference{more}"
    )
    return _Measured(TIMES_AS_FAR, cause.times, cause.p_value, cause.n, detail, warning=LEAST_TIMES)


def _percent(share: float | None) -> str:
    return "none" if share is None else plain(percent(share))
