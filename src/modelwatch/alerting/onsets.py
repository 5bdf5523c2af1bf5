"""Since when findings are in force: one rule for every list and page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Member
from modelwatch.findings import Finding, Kind
from modelwatch.storage.counts.streams import first_data

# Shifts that began within such a time may have one cause.
TOGETHER_SECONDS = 3_600
# Their look-backs don't tell when they began: what is known is which evaluation saw them first.
_DATED_BY_EVALUATION: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift", "freshness")


def onset_of(finding: Finding, first: int | None = None) -> int:
    """Onset of a finding, in seconds: the estimate; without one the first evaluation that saw it, or of labels, quality
    and volume the first predictions that show it. first: start of the model's data, which no look-back is before."""
    if finding.kind == "freshness":
        return finding.since
    known = finding.began
    if known is None:
        known = finding.since if finding.kind in _DATED_BY_EVALUATION else finding.times.bad_from
    return known if first is None else max(known, first)


def first_needed(connection: Connection, alert: Alert) -> int | None:
    """Start of the data of an open alert's model, in seconds; None where no onset of its members depends on it."""
    if not alert.is_open or alert.kind in _DATED_BY_EVALUATION:
        return None
    if all(each.finding.began is not None for each in alert.members):
        return None
    return first_data(connection, alert.model, alert.environment)


def onset_of_first(members: Iterable[Member], first: int | None = None) -> int:
    """Onset of the first of at least one finding in force, in seconds. first: as of `onset_of`."""
    return min(onset_of(each.finding, first) for each in members)


def mostly_together(onsets: Sequence[int]) -> bool:
    """Whether most of these onsets, in seconds, are within a short time.

    >>> mostly_together([0, 600, 90_000]), mostly_together([0, 90_000, 180_000]), mostly_together([0, 90_000])
    (True, False, False)
    """
    return any(sum(0 <= each - start <= TOGETHER_SECONDS for each in onsets) * 2 > len(onsets) for start in onsets)


def are_together(onsets: Iterable[int]) -> bool:
    """Whether all of these onsets, in seconds, are within a short time."""
    known = list(onsets)
    return max(known) - min(known) <= TOGETHER_SECONDS
