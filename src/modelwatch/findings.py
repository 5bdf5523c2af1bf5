"""What monitoring tells alerting: the findings of one evaluation, in words and numbers that a person can act on."""

from __future__ import annotations

from typing import Literal

import msgspec

# Worst last, so that `max` by this order is the severity of a group.
SEVERITIES = ("warning", "alert")

FindingSeverity = Literal["warning", "alert"]
Kind = Literal[
    "feature_drift",
    "prediction_drift",
    "latency_drift",
    "performance",
    "label_drift",
    "data_quality",
    "volume",
    "freshness",
]


class Finding(msgspec.Struct, frozen=True):
    """One subject that is not as it should be.

    subject: the feature's name, or `prediction`, `score`, `latency`. since: event time, in seconds, of the first
    evaluation of the present run that saw it. score and threshold belong together (`score_name`, such as PSI); the
    finding is in force because score >= threshold and p_value < alpha, or because it was and has not calmed down
    (`holding`). The window is [window_start, window_end) in seconds of event time. detail: one sentence on what moved.
    """

    kind: Kind
    subject: str
    severity: FindingSeverity
    since: int
    score_name: str
    score: float
    threshold: float
    p_value: float | None
    alpha: float | None
    sample_size: int
    reference_size: int
    window_start: int
    window_end: int
    lookback: str | None
    detail: str
    holding: bool = False


class Assessment(msgspec.Struct, frozen=True):
    """Everything that is wrong with one stream (model, version, environment) as of one evaluation.

    kinds: the kinds that this evaluation speaks of; a kind that is named here and has no finding is fine.
    window_end: event time in seconds. evaluated_at: wall clock in microseconds.
    departed: versions of the model in this environment that have had no data for longer than the longest look-back
    while this one had: what was found about them is over. check: which of the checks speaks; each has its own verdicts.
    """

    model: str
    version: str
    environment: str
    verdict_id: str
    window_end: int
    evaluated_at: int
    kinds: tuple[Kind, ...]
    findings: tuple[Finding, ...]
    departed: tuple[str, ...] = ()
    check: str = "drift"
