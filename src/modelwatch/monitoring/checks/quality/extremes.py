"""The search for extreme values in stored rows: of those base windows alone whose counts show values outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.quality.extremes import Extreme, extremes
from modelwatch.storage.counts.profiles import WindowTails, tails_by_window
from modelwatch.storage.counts.stored_values import numbers_between
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Layout
from modelwatch.storage.references.subjects import StoredReference
from modelwatch.times import SECONDS_PER_DAY

# Rows that are read at an evaluation. More would take longer than everything else that it does.
MOST_ROWS_SEARCHED = 20_000


@dataclass(frozen=True, slots=True)
class Outside:
    """By feature, what is far outside of its reference, and why that is not known of some of the values outside.

    since: start of the first base window with one, in seconds.
    """

    extremes: dict[str, tuple[Extreme, ...]]
    unknown: dict[str, str]
    since: dict[str, int]


def search_outside(
    store: Store, inputs: Inputs, stream: StreamKey, suspects: Sequence[StoredReference], window: tuple[int, int]
) -> Outside:
    """Values outside of the reference in the last day of a window, [start, end) in seconds. suspects: the references of
    features that have values outside in this window."""
    span = (max(window[0], window[1] - SECONDS_PER_DAY), window[1])
    layout = inputs.layouts.of(stream.version)
    searched = [each for each in suspects if _is_counted(layout, each)]
    if not searched:
        return Outside({}, {}, {})
    places = [layout.slices[each.subject] for each in searched]
    with store.read() as connection:
        windows = _tails(tails_by_window(connection, stream, inputs.evidence.generation, span, places))
        wanted = sorted(start for start, each in windows.items() if (each.below + each.above).any())
        there = sum(windows[start].predictions for start in wanted)
        values: dict[str, dict[int, list[float]]] = {}
        if there <= MOST_ROWS_SEARCHED:
            values = _values_outside(connection, stream, wanted, searched)
    found: dict[str, tuple[Extreme, ...]] = {}
    unknown: dict[str, str] = {}
    since: dict[str, int] = {}
    if not windows:
        return Outside(found, unknown, since)
    total = reduce(WindowTails.plus, windows.values())
    for each, outside, n in zip(searched, (total.below + total.above).tolist(), total.valid.tolist(), strict=True):
        name = each.subject.name
        if not outside:
            continue
        by_window = values.get(name, {})
        known = [number for numbers in by_window.values() for number in numbers]
        far = extremes(each.profile, np.array(known, dtype=np.float64), n)
        if far:
            found[name] = far
            since[name] = next(
                start for start, numbers in by_window.items() if extremes(each.profile, np.array(numbers), n)
            )
        where = "values of the last day that are outside of the reference's range"
        if there > MOST_ROWS_SEARCHED:
            unknown[name] = f"The {outside:,} {where} are among {there:,} rows: too many to look for extreme ones."
        elif len(known) < outside:
            unknown[name] = f"{outside - len(known):,} of {outside:,} {where} are not stored as received."
    return Outside(found, unknown, since)


def _is_counted(layout: Layout, reference: StoredReference) -> bool:
    """True when the version counts the feature in the cells of this reference, in order."""
    binning = layout.binnings.get(reference.subject)
    return isinstance(binning, NumericBinning) and binning.id == reference.profile.binning.id


def _tails(rows: Iterable[tuple[int, WindowTails]]) -> dict[int, WindowTails]:
    """By start of its window, what all writers have counted in it."""
    found: dict[int, WindowTails] = {}
    for start, row in rows:
        known = found.get(start)
        found[start] = row if known is None else known.plus(row)
    return found


def _values_outside(
    connection: Connection, stream: StreamKey, windows: Sequence[int], references: Sequence[StoredReference]
) -> dict[str, dict[int, list[float]]]:
    """By feature and start of the window, in their order, the values in the rows of these windows that are outside of
    its reference's range."""
    key = (search_outside, stream, tuple(each.id for each in references))
    known = remembered(connection, key, dict[int, list[tuple[str, float]]])
    missing = [start for start in windows if start not in known]
    known.update((start, []) for start in missing)
    spans = [(start, start + BASE_WINDOW_SECONDS) for start in missing]
    ranges = {
        each.subject.name: (binning.low, binning.high)
        for each in references
        if isinstance(binning := each.profile.binning, NumericBinning)
    }
    for starts, columns in numbers_between(connection, stream, spans, list(ranges)):
        for (name, (low, high)), numbers in zip(ranges.items(), columns, strict=True):
            for place in np.flatnonzero(np.isfinite(numbers) & ((numbers < low) | (numbers > high))).tolist():
                known[int(starts[place])].append((name, float(numbers[place])))
    found: dict[str, dict[int, list[float]]] = {each.subject.name: {} for each in references}
    for start in windows:
        for name, number in known[start]:
            found[name].setdefault(start, []).append(number)
    return found
