"""Findings of one evaluation, from monitoring to alerting, in words and numbers that a person can act on."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import msgspec

from modelwatch.stats.drift.patterns import ShiftPattern

# Worst last, so that `max` by this order is the severity of a group.
SEVERITIES = ("warning", "alert")

# A finding is still found, and an alert still one, down to this share of the threshold.
CALM_SHARE = 0.8

# What is shifted differs by more than chance; it is smaller than a warning, or of too few values to tell its size.
NOT_SHOWN = "not shown to matter"

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
# Why a finding is kept that was not found: no look-back finds it, but none shows that it is over; there was too little
# to judge; nothing came at all.
Doubt = Literal["not_found", "too_little_data", "no_data"]


class Times(NamedTuple):
    """The times of a finding, in seconds of event time; see Finding."""

    bad_from: int
    bad_until: int
    detected_at: int
    judged_until: int


class Finding(msgspec.Struct, frozen=True):
    """One subject that is not as it should be.

    subject: the feature's name, or `prediction`, `score`, `latency`. score and threshold belong together (`score_name`,
    such as PSI); the finding is in force because score >= threshold and p_value < alpha, or because it was and is not
    shown to be over (`holding`). warning_threshold, alert_threshold: the score from which it is one or the other; None
    where it never is, or where no size decides. small: it is real, but not shown to matter, of a monitor that asks for
    that, too. found_by: the test that says most. category: the one whose odds have moved, where that is the score.
    worst: the largest score since it was found. The window that shows it is [window_start, window_end). detail: one
    sentence on what moved.

    Times are event time in seconds. since: the first evaluation of the present run that saw it. detected_at: the
    evaluation that made it a finding. bad_from, bad_until: the predictions that show it, from the shortest look-back
    that did when it was found, to the newest one that did. judged_until: the end of the newest data that were judged.
    uncertain_since: the first of the evaluations in a row that did not find it, nor show that it is over; None when the
    last one found it. doubt: why it is uncertain. early: the share of the usual labels that it rests on, while the
    others are still coming; None where most have come, and of what needs no labels. began: when it began, an estimate
    made once, when it was found; None where it is not known. began_earliest, began_latest: between which it probably
    did, approximately, of drift. pattern: what would explain the shift; None where nothing
    known does, and of what is no shift. What earlier releases stored has none of these.
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
    warning_threshold: float | None = None
    alert_threshold: float | None = None
    worst: float | None = None
    detected_at: int | None = None
    bad_from: int | None = None
    bad_until: int | None = None
    judged_until: int | None = None
    uncertain_since: int | None = None
    doubt: Doubt | None = None
    category: str | None = None
    early: float | None = None
    began: int | None = None
    pattern: ShiftPattern | None = None
    small: bool = False
    began_earliest: int | None = None
    began_latest: int | None = None
    found_by: str | None = None

    @property
    def times(self) -> Times:
        """The three times, also of what an earlier release stored."""
        return Times(
            bad_from=self.window_start if self.bad_from is None else self.bad_from,
            bad_until=self.window_end if self.bad_until is None else self.bad_until,
            detected_at=self.since if self.detected_at is None else self.detected_at,
            judged_until=self.window_end if self.judged_until is None else self.judged_until,
        )


class Assessment(msgspec.Struct, frozen=True):
    """Everything that is wrong with one stream (model, version, environment) as of one evaluation.

    kinds: the kinds that this evaluation covers; a kind that is named here and has no finding is fine. window_end:
    event time in seconds. evaluated_at: wall clock in microseconds. departed: versions of the model in this environment
    that have had no data for longer than the longest look-back while this one had: their earlier findings can no longer
    be judged. last_data: of these, the end of their newest data, in seconds. check: name of the check; each has its own
    verdicts.
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
    last_data: dict[str, int] = {}


class Graded(Protocol):
    """A finding, as it is kept or as the API has it."""

    @property
    def severity(self) -> str: ...

    @property
    def score(self) -> float: ...

    @property
    def holding(self) -> bool: ...

    @property
    def small(self) -> bool: ...

    @property
    def warning_threshold(self) -> float | None: ...

    @property
    def alert_threshold(self) -> float | None: ...


def held_until(found: Graded) -> float | None:
    """The score below which a finding loses its severity, where that is above what its score alone would give; None
    where the score gives it, or where no size decides.

    >>> from types import SimpleNamespace
    >>> of = {"holding": False, "small": False, "warning_threshold": 2.0, "alert_threshold": 4.0}
    >>> [held_until(SimpleNamespace(**of, severity="alert", score=score)) for score in (3.54, 4.1)]
    [3.2, None]
    """
    if found.severity == "alert":
        threshold = found.alert_threshold
    else:
        # What is small is below that threshold from the beginning.
        threshold = found.warning_threshold if found.holding and not found.small else None
    return None if threshold is None or found.score >= threshold else CALM_SHARE * threshold
