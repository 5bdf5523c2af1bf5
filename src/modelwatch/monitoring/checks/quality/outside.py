"""The search for extreme values in stored rows: of those base windows alone whose counts tell of values outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.numeric import as_float
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.extremes import Extreme, extremes
from modelwatch.storage.counts.profiles import cells_by_window
from modelwatch.storage.counts.volumes import features_between
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Layout
from modelwatch.storage.references.references import StoredReference
from modelwatch.times import SECONDS_PER_DAY

# Rows that are read at an evaluation. More would take longer than everything else that it does.
MOST_ROWS_SEARCHED = 20_000


@dataclass(frozen=True, slots=True)
class Outside:
    """By feature, what is far outside of its reference, and why that is not known of some of the values outside."""

    extremes: dict[str, tuple[Extreme, ...]]
    unknown: dict[str, str]


def search_outside(
    store: Store, inputs: Inputs, stream: StreamKey, suspects: Sequence[StoredReference], window: tuple[int, int]
) -> Outside:
    """Values outside of the reference in the last day of a window, [start, end) in seconds. suspects: the references of
    features that have values outside in this window."""
    span = (max(window[0], window[1] - SECONDS_PER_DAY), window[1])
    layout = inputs.layouts.of(stream.version)
    searched = [each for each in suspects if _is_counted(layout, each)]
    if not searched:
        return Outside({}, {})
    # Of each feature what is below and above its range is counted last.
    last = np.array([layout.slices[each.subject].stop for each in searched])
    with store.read() as connection:
        windows, total = cells_by_window(
            connection, stream, inputs.evidence.generation, span, np.stack([last - 2, last - 1]).ravel()
        )
        wanted = {start: each.predictions for start, each in windows.items() if each.counts.any()}
        there = sum(wanted.values())
        values: dict[str, list[float]] = {}
        if there <= MOST_ROWS_SEARCHED:
            spans = [(start, start + BASE_WINDOW_SECONDS) for start in sorted(wanted)]
            values = _values_outside(features_between(connection, stream, spans), searched)
    if total is None:
        return Outside({}, {})
    found: dict[str, tuple[Extreme, ...]] = {}
    unknown: dict[str, str] = {}
    for each in searched:
        name, profile = each.subject.name, Profile(each.profile.binning, total[layout.slices[each.subject]])
        outside = profile.below + profile.above
        if not outside:
            continue
        known = values.get(name, [])
        far = extremes(each.profile, np.array(known, dtype=np.float64), profile.n)
        if far:
            found[name] = far
        where = "values of the last day that are outside of the reference's range"
        if there > MOST_ROWS_SEARCHED:
            unknown[name] = f"The {outside:,} {where} are among {there:,} rows: too many to look for extreme ones."
        elif len(known) < outside:
            unknown[name] = f"{outside - len(known):,} of {outside:,} {where} are not stored as received."
    return Outside(found, unknown)


def _is_counted(layout: Layout, reference: StoredReference) -> bool:
    """True when the version counts the feature in the cells of this reference, in order."""
    binning = layout.binnings.get(reference.subject)
    return isinstance(binning, NumericBinning) and binning.id == reference.profile.binning.id


def _values_outside(
    rows: Iterable[Mapping[str, object]], references: Sequence[StoredReference]
) -> dict[str, list[float]]:
    """By feature, the values in these rows that are outside of its reference's range."""
    found: dict[str, list[float]] = {each.subject.name: [] for each in references}
    ranges = [
        (each.subject.name, binning.low, binning.high, found[each.subject.name])
        for each in references
        if isinstance(binning := each.profile.binning, NumericBinning)
    ]
    for row in rows:
        for name, low, high, outside in ranges:
            number = as_float(row.get(name))
            if number is not None and not low <= number <= high and isfinite(number):
                outside.append(number)
    return found
