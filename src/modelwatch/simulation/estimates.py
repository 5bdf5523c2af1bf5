"""Estimates: rates with their uncertainty, and quantiles of delays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from modelwatch.simulation.shifts import Shift

CONFIDENCE = 0.95


class Rate(msgspec.Struct, frozen=True):
    """The rate of an event per month. With a single month its uncertainty is not known: None."""

    mean: float
    standard_error: float | None
    interval_95: tuple[float, float] | None


def rate_of(months: Sequence[float]) -> Rate:
    """The rate of which these are the counts of independent months, at least one.

    What is found in one month comes in clusters: windows overlap, and all are compared with the same reference. So the
    interval goes by how much the months differ: Garwood's for a Poisson count, in clusters as large as the ratio of
    the variance between months to their mean, if that is more than one. Without any count it is Poisson's own.
    Source: Garwood (1936), Fiducial limits for the Poisson distribution.

    >>> rate_of([0, 0, 0, 0]).interval_95
    (0.0, 0.9222)
    """
    counts = np.asarray(months, dtype=np.float64)
    mean = float(counts.mean())
    if len(counts) < 2:
        return Rate(_round(mean), None, None)
    from scipy.special import gammaincinv  # loaded on first use: it takes a third of a second

    variance = float(counts.var(ddof=1))
    cluster = max(1.0, variance / mean) if mean else 1.0
    clusters = mean * len(counts) / cluster
    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(gammaincinv(clusters, tail)) if clusters else 0.0
    high = float(gammaincinv(clusters + 1.0, 1.0 - tail))
    scale = cluster / len(counts)
    error = float(np.sqrt(variance / len(counts)))
    return Rate(_round(mean), _round(error), (_round(low * scale), _round(high * scale)))


class Delay(msgspec.Struct, frozen=True):
    """The delay until a shift of one feature is detected.

    shift: its size, in standard deviations where it is of location. share_seen: of the repetitions, within the horizon.
    The hours are those within which half, and nine of ten, of the repetitions are seen; None when that is beyond the
    horizon. mean_hours: None when a repetition is not seen. bound_hours: the least mean that any rule with as many
    false alarms could have (Lorden); None where it is not defined. ratio: of the mean to it.
    """

    shift: float
    share_seen: float | None
    median_hours: float | None
    p90_hours: float | None
    mean_hours: float | None = None
    bound_hours: float | None = None
    ratio: float | None = None
    kind: str = "location"
    title: str = ""


def delay_of(shift: Shift, hours: Sequence[float | None], bound: float | None = None) -> Delay:
    """The delay of which these were observed; None where the shift was not seen. Without any, nothing is known.

    bound: the least mean of any rule.

    >>> found = delay_of(Shift("location", 0.5), [1.0, 2.0, 3.0, None], 1.2)
    >>> found.share_seen, found.median_hours, found.p90_hours, found.mean_hours
    (0.75, 2.0, None, None)
    """
    least = None if bound is None else _round(bound)
    if not hours:
        return Delay(shift.size, None, None, None, None, least, None, shift.kind, shift.title)
    seen = np.array([np.inf if each is None else each for each in hours])
    median, late = np.quantile(seen, [0.5, 0.9], method="inverted_cdf").tolist()
    mean = float(seen.mean())
    return Delay(
        shift=shift.size,
        share_seen=_round(float(np.isfinite(seen).mean())),
        median_hours=_round(median) if np.isfinite(median) else None,
        p90_hours=_round(late) if np.isfinite(late) else None,
        mean_hours=_round(mean) if np.isfinite(mean) else None,
        bound_hours=least,
        ratio=_round(mean / bound) if bound and np.isfinite(mean) else None,
        kind=shift.kind,
        title=shift.title,
    )


def _round(value: float) -> float:
    """More digits than are meaningful, and few enough to read."""
    return round(value, 4)
