"""Plausible sizes of quality issues: they must be small before a finding is over."""

from __future__ import annotations

from modelwatch.monitoring.checks.observations import SizeNow
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.monitoring.checks.quality.findings import (
    SHARE_OF_A_CODE,
    SHARE_OF_ONE_VALUE,
    SHARE_OF_REPEATS,
    SHARE_OF_ROWS,
    rise_of,
)
from modelwatch.monitoring.checks.quality.judge import longest, rise_thresholds
from modelwatch.stats.drift.recovery import RateSize
from modelwatch.stats.quality.codes import SENTINEL_SHARE
from modelwatch.stats.quality.rates import Rule

# A feature that has gone is back when most rows have it again; how many miss it is a matter of its own.
DISAPPEARED_SHARE = 0.5
# What a value breaks that no cell of the reference has.
OUTSIDE: tuple[Rule, ...] = ("below_range", "above_range", "unseen_category", "invalid_type")


def rise_sizes(evidence: QualityEvidence, feature: str, rule: Rule) -> tuple[SizeNow, ...]:
    """Possible rise of a rate, by each look-back."""
    hits, n = evidence.reference[feature][rule]
    if not n:
        return ()
    warning, _ = rise_thresholds(hits / n, evidence.rules)
    return tuple(
        SizeNow(rise_of(rule), warning, RateSize(*window.features[feature][rule], hits / n, n), window.start)
        for window in evidence.windows
    )


def sentinel_sizes(evidence: QualityEvidence, feature: str) -> tuple[SizeNow, ...]:
    """Possible share of one value that the reference does not have: at most that of all such values. For each code that
    it has, its share."""
    found = []
    for window in evidence.windows:
        counts = window.features[feature]
        outside = sum(counts[rule][0] for rule in OUTSIDE if rule in counts)
        size = RateSize(outside, counts["missing"][1] - counts["missing"][0], 0.0)
        found.append(SizeNow(SHARE_OF_ONE_VALUE, SENTINEL_SHARE, size, window.start))
    for code in evidence.codes.get(feature, ()):
        tolerance = code.reference_share + rise_thresholds(code.reference_share, evidence.rules)[0]
        found.append(SizeNow(SHARE_OF_A_CODE, tolerance, RateSize(code.count, code.n, 0.0)))
    return tuple(found)


def schema_sizes(evidence: QualityEvidence, feature: str, change: str) -> tuple[SizeNow, ...]:
    """Of a feature that had gone the share of the rows without it, of one that was new the share of those with it."""
    if change == "disappeared":
        return tuple(
            SizeNow(SHARE_OF_ROWS, DISAPPEARED_SHARE, RateSize(*window.features[feature]["missing"], 0.0), window.start)
            for window in evidence.windows
            if feature in window.features
        )
    given, rows = evidence.sample.given.get(feature, 0), evidence.sample.rows
    return (SizeNow(SHARE_OF_ROWS, 0.0, RateSize(given, rows, 0.0)),)


def repeats_sizes(evidence: QualityEvidence) -> tuple[SizeNow, ...]:
    """The share of what was sent again with another content."""
    window = longest(evidence.windows)
    if window is None:
        return ()
    size = RateSize(window.changed_duplicates, window.predictions + window.duplicates, 0.0)
    return (SizeNow(SHARE_OF_REPEATS, evidence.rules.duplicates, size, window.start),)
