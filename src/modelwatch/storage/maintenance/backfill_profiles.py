"""Backfill of profiles into a new generation: the counts of earlier predictions in the cells of a new reference.

Once a new generation is in force nothing is written in an older one any more, so the older profiles and rows of a day
are fixed, and any process may compute the day's new profiles from them. Subjects whose binning stayed keep their
counts; the others are counted again from the stored predictions, as far as their rows have the values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, delete, select

from modelwatch.batches import PredictionBatch
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import EARLIEST_TIME
from modelwatch.privacy import KEEP_ALL
from modelwatch.stats.counting.binning import CategoricalBinning
from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.stats.counting.kernel import Places
from modelwatch.stats.outcomes.predicted_scores import ScoredPrediction
from modelwatch.stats.segments.segmentation import Segmentation, SegmentFeature
from modelwatch.storage.counts.sliding import Span, Stretched
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.protection import Protection, StoredPrediction
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import StoredBatch, stored_batches
from modelwatch.storage.ledger.slots import PROFILES, BaseWindow, Slot, SlotKey, base_windows, window_starts, with_pace
from modelwatch.storage.maintenance.backfill_outcomes import backfill_outcomes
from modelwatch.storage.maintenance.compaction import add_to_folded
from modelwatch.storage.references.layouts import Counts, Layout, ModelLayouts, read_layouts, subject_values
from modelwatch.storage.references.subjects import PREDICTED_SCORES, Subject
from modelwatch.times import SECONDS_PER_DAY

_Window = tuple[str, str, int, str]
_RowId = tuple[str, str, str, int, int, int, str]


def stale_days(connection: Connection, model: str, generation: int, start: int, end: int) -> list[int]:
    """The days with windows in [start, end) that still have profiles of an older generation, newest first."""
    known = remembered(connection, (stale_days, model, generation), Stretched[int, None])
    known.extend((start, end), lambda missing: _stale(connection, model, generation, missing))
    return sorted({each // SECONDS_PER_DAY for each in known.found if start <= each < end}, reverse=True)


def _stale(connection: Connection, model: str, generation: int, span: Span) -> dict[int, None]:
    """Starts of the windows in a span with such profiles."""
    where = {"of_model": model, "start": span[0], "end": span[1], "in_force": generation}
    return dict.fromkeys(connection.execute(_stale_windows(), where).scalars())


@cache
def _stale_windows() -> Select[int]:
    table = tables.profile
    query = select(table.c.window_start).where(
        table.c.model == bindparam("of_model"),
        table.c.window_start >= bindparam("start"),
        table.c.window_start < bindparam("end"),
        table.c.generation < bindparam("in_force"),
    )
    return query.distinct()


def backfill_profiles(store: Store, model: str, start: int, end: int) -> int:
    """Brings every window in [start, end) into the model's present generation. Returns how many days it changed.

    Safe to run in several processes at once: a day is replaced by one transaction, by the process that comes first.
    Raises MalformedProfile when stored counts are damaged.
    """
    changed = 0
    while True:
        with store.read() as connection:
            generation = generation_of(connection, model)
            days = [] if generation is None else stale_days(connection, model, generation, start, end)
        if not days:
            return changed + backfill_outcomes(store, model, start, end)
        for day in days:
            changed += _backfill_day(store, model, day)


@dataclass(frozen=True)
class _Day:
    """A day to backfill.

    recount: by version, the subjects of the new layout that some older profile has in other cells, or not at all.
    kept: the segment features that mean what they did; the counts of the others are made anew from the rows. rolled: by
    version and environment, the windows that were rolled up: what lies in them goes into them.
    """

    model: str
    rows: list[Row[Any]]
    old: Mapping[int, ModelLayouts]
    new: ModelLayouts
    recount: Mapping[str, frozenset[Subject]]
    kept: Segmentation
    renewed: Segmentation
    rolled: Mapping[tuple[str, str], frozenset[Span]]

    @classmethod
    def of(cls, model: str, rows: list[Row[Any]], old: Mapping[int, ModelLayouts], new: ModelLayouts) -> _Day:
        before = [frozenset(layouts.segmentation.features) for layouts in old.values()]
        parts: tuple[list[SegmentFeature], list[SegmentFeature]] = ([], [])
        for feature in new.segmentation.features:
            parts[all(feature in each for each in before)].append(feature)
        renewed, kept = (Segmentation(tuple(features)) for features in parts)
        recount = _subjects_to_recount(rows, old, new)
        return cls(model, rows, old, new, recount, kept, renewed, _rolled(rows))

    def key(self, window: _Window) -> SlotKey:
        return SlotKey(self.model, self.new.generation, *window)

    def place(self, version: str, environment: str, start: int) -> Span:
        """Start and end of the window that a base window, or a longer one, is kept in."""
        around = [(a, b) for a, b in self.rolled.get((version, environment), ()) if a <= start < b]
        return max(around, key=lambda span: span[1] - span[0], default=(start, start + BASE_WINDOW_SECONDS))

    def windows(self, batch: PredictionBatch) -> tuple[list[tuple[str, str, int]], Places]:
        """The windows, of all predictions together, that those of a batch count in, and of each the place of its own;
        a window may be there twice."""
        starts, start_of = np.unique(window_starts(batch.times), return_inverse=True)
        pairs, of_rows = np.unique(batch.stream_of * len(starts) + start_of, return_inverse=True)
        found = []
        for pair in pairs.tolist():
            stream, start = batch.streams[pair // len(starts)], int(starts[pair % len(starts)])
            place = self.place(stream.version, stream.environment, start)
            found.append((stream.version, stream.environment, place[0]))
        return found, of_rows

    def by_length(self, slots: Mapping[SlotKey, Slot]) -> dict[int, dict[SlotKey, Slot]]:
        found: dict[int, dict[SlotKey, Slot]] = {}
        for key, slot in slots.items():
            start, end = self.place(key.version, key.environment, key.window_start)
            found.setdefault(end - start, {})[key] = slot
        return found


def _rolled(rows: Iterable[Row[Any]]) -> dict[tuple[str, str], frozenset[Span]]:
    found: defaultdict[tuple[str, str], set[Span]] = defaultdict(set)
    for row in rows:
        if row.window_len > BASE_WINDOW_SECONDS:
            found[row.version, row.environment].add((row.window_start, row.window_start + row.window_len))
    return {stream: frozenset(spans) for stream, spans in found.items()}


def _backfill_day(store: Store, model: str, day: int) -> bool:
    with store.read() as connection:
        generation = generation_of(connection, model) or 0
        new = read_layouts(connection, model, generation)
        old_rows = _old_profiles(connection, model, day, generation)
        old = {row.generation: read_layouts(connection, model, row.generation) for row in old_rows}
        plan = _Day.of(model, old_rows, old, new)
        needs_rows = plan.recount or plan.renewed
        parts, renewed = _counted_again(connection, store.protection, day, plan) if needs_rows else ({}, {})
    slots = _carried(plan, parts) | renewed
    with store.write() as connection:
        store.exclusive(connection, f"fold:{model}")
        table = tables.model
        current = connection.execute(
            select(table.c.generation).where(table.c.name == model).with_for_update(read=True)
        ).scalar()
        unchanged = {_row_id(row) for row in old_rows} == {
            _row_id(row) for row in _old_profiles(connection, model, day, generation)
        }
        if current != generation or not unchanged:
            return False
        connection.execute(delete(tables.profile).where(_of_day(model, day), tables.profile.c.generation < generation))
        for length, some in plan.by_length(slots).items():
            add_to_folded(connection, store, some, PROFILES, length)
    return True


def _of_day(model: str, day: int) -> ColumnElement[bool]:
    table = tables.profile
    return and_(
        table.c.model == model,
        table.c.window_start >= day * SECONDS_PER_DAY,
        table.c.window_start < (day + 1) * SECONDS_PER_DAY,
    )


def _old_profiles(connection: Connection, model: str, day: int, generation: int) -> list[Row[Any]]:
    table = tables.profile
    return list(connection.execute(select(table).where(_of_day(model, day), table.c.generation < generation)))


def _row_id(row: Row[Any]) -> _RowId:
    return (row.version, row.environment, row.segment, row.window_start, row.window_len, row.generation, row.writer)


def _subjects_to_recount(
    rows: list[Row[Any]], old: Mapping[int, ModelLayouts], new: ModelLayouts
) -> dict[str, frozenset[Subject]]:
    """By version: the subjects of the new layout that some older profile has in another binning, or not at all."""
    result: dict[str, frozenset[Subject]] = {}
    for version in {row.version for row in rows}:
        layout = new.of(version)
        before = [old[row.generation].of(version) for row in rows if row.version == version]
        changed = frozenset(
            subject
            for subject, cells in layout.cells.items()
            if any(
                subject not in each.cells or each.cells[subject].id != cells.id
                for each in {id(item): item for item in before}.values()
            )
        )
        if changed:
            result[version] = changed
    return result


def _counted_again(
    connection: Connection, protection: Protection, day: int, plan: _Day
) -> tuple[dict[_Window, Slot], dict[SlotKey, Slot]]:
    """From the stored rows: the changed subjects by window, and everything of segments that are new."""
    parts = {version: plan.new.of(version).part(subjects) for version, subjects in plan.recount.items()}
    of_kept, of_renewed = _Totals(protection), _Totals(protection)
    segmentation = plan.new.segmentation
    for stored in stored_batches(connection, plan.model, day, plan.new.generation, protection, segmentation):
        windows, of_rows = plan.windows(stored.batch)
        of_kept.add(stored, [(*window, "") for window in windows], of_rows, parts.get)
        for place, feature in enumerate(segmentation.features):
            numbers: dict[tuple[int, str], int] = {}
            texts = [segments[place] for segments in stored.segments]
            pairs = zip(of_rows.tolist(), texts, strict=True)
            groups = np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs], dtype=np.intp)
            keys = [(*windows[window], text) for window, text in numbers]
            if feature in plan.renewed.features:
                of_renewed.add(stored, keys, groups, plan.new.of)
            else:
                of_kept.add(stored, keys, groups, parts.get)
    return of_kept.slots, {plan.key(window): slot for window, slot in of_renewed.slots.items()}


class _Totals:
    """Slots that grow with the rows."""

    def __init__(self, protection: Protection) -> None:
        self.slots: dict[_Window, Slot] = {}
        self._protection = protection

    def add(
        self,
        stored: StoredBatch,
        windows: Sequence[_Window],
        of_rows: Places,
        layout_of: Callable[[str], Layout | None],
    ) -> None:
        """Adds predictions to their windows, in the layout of their version; those of a version without one are left
        out. of_rows: of each prediction the place in `windows`."""
        for version in {version for version, *_ in windows}:
            layout = layout_of(version)
            if layout is None:
                continue
            chosen = [place for place, window in enumerate(windows) if window[0] == version]
            numbers = np.full(len(windows), -1)
            numbers[chosen] = np.arange(len(chosen))
            groups = numbers[of_rows]
            rows = np.flatnonzero(groups >= 0)
            groups = groups[rows]
            latest = np.full(len(chosen), EARLIEST_TIME)
            np.maximum.at(latest, groups, stored.batch.times[rows])
            sizes = np.bincount(groups, minlength=len(chosen))
            counts = _count_groups(layout, stored, rows, groups, len(chosen), self._protection)
            for place, size, vector, newest in zip(chosen, sizes.tolist(), counts, latest.tolist(), strict=True):
                fresh, before = Slot(size, vector, newest), self.slots.get(windows[place])
                self.slots[windows[place]] = fresh if before is None else before + fresh


def _count_groups(
    layout: Layout, stored: StoredBatch, rows: Places, groups: Places, number: int, protection: Protection
) -> list[Counts]:
    """The counts of some rows of a batch, by their group."""
    if stored.rows is None or all(stored.rows[row].policy is KEEP_ALL for row in rows.tolist()):
        return layout.count_groups(stored.batch.take(rows), groups, number, protection)
    members: list[list[StoredPrediction]] = [[] for _ in range(number)]
    for row, group in zip(rows.tolist(), groups.tolist(), strict=True):
        members[group].append(stored.rows[row])
    return [count_stored(layout, some, protection) for some in members]


def _carried(plan: _Day, parts: Mapping[_Window, Slot]) -> dict[SlotKey, Slot]:
    """Counts that stay of the older profiles, with the subjects that were counted again."""
    slots: dict[SlotKey, Slot] = {}
    paces: defaultdict[SlotKey, list[BaseWindow]] = defaultdict(list)
    for row in plan.rows:
        if row.segment and plan.kept.feature_of(row.segment) is None:
            continue
        layout = plan.new.of(row.version)
        start, end = plan.place(row.version, row.environment, row.window_start)
        key = plan.key((row.version, row.environment, start, row.segment))
        if end - start > BASE_WINDOW_SECONDS:
            paces[key] += base_windows(row)
        slot = slots.get(key) or Slot(0, np.zeros(layout.size, dtype=np.int64))
        counts = decode_counts(row.counts)
        before = plan.old[row.generation].of(row.version)
        for subject, place in layout.slices.items():
            if subject not in plan.recount.get(row.version, frozenset()):
                slot.counts[place] += counts[before.slices[subject]]
        slots[key] = replace(
            slot,
            predictions=slot.predictions + row.predictions,
            latest_ts=max(slot.latest_ts, row.latest_ts),
            arrived_at=max(slot.arrived_at, row.arrived_at),
            duplicates=slot.duplicates + row.duplicates,
            changed_duplicates=slot.changed_duplicates + row.changed_duplicates,
        )
    for window, counted in parts.items():
        version = window[0]
        layout = plan.new.of(version)
        part = layout.part(plan.recount[version])
        slot = slots.setdefault(plan.key(window), Slot(0, np.zeros(layout.size, dtype=np.int64)))
        for subject, place in part.slices.items():
            slot.counts[layout.slices[subject]] = counted.counts[place]
    return {key: with_pace(slot, paces.get(key)) for key, slot in slots.items()}


def count_stored(layout: Layout, rows: Sequence[StoredPrediction], protection: Protection) -> Counts:
    """The counts of all subjects over rows of one model, as one vector. Raises ProtectionUnavailable without a key.

    The result has the shape (size of the layout,).
    """
    events = PredictionBatch.of([row.event for row in rows])
    if not layout.hashed and all(row.policy is KEEP_ALL for row in rows):
        return layout.count(events)
    counts = np.zeros(layout.size, dtype=np.int64)
    for subject in layout.binnings:
        if subject.kind == "feature":
            counts[layout.slices[subject]] = _feature(layout, subject, rows, protection)
        else:
            counts[layout.slices[subject]] = layout.binnings[subject].count(subject_values(subject, events))
    if layout.predicted_scores is not None:
        counts[layout.slices[PREDICTED_SCORES]] = layout.predicted_scores.count(
            list(map(ScoredPrediction, events.predictions, events.probabilities))
        )
    return counts


def can_count(layout: Layout, subject: Subject, row: StoredPrediction) -> bool:
    """True when the row's value of a subject can be counted again in this layout."""
    if subject.kind != "feature":
        return True
    form = row.form(subject.name)
    return form == "clear" or (form == "hash" and isinstance(layout.binnings[subject], CategoricalBinning))


def _feature(layout: Layout, subject: Subject, rows: Sequence[StoredPrediction], protection: Protection) -> Counts:
    binning, name = layout.binnings[subject], subject.name
    clear = [row.event.features.get(name) for row in rows if row.form(name) == "clear"]
    hashes = [row.event.features.get(name) for row in rows if row.form(name) == "hash"]
    model = rows[0].event.model_name if rows else ""
    if subject in layout.hashed:
        return binning.count([*protection.hash_all(model, name, clear), *hashes] if clear else hashes)
    counts = binning.count(clear)
    if hashes and isinstance(binning, CategoricalBinning):
        counts = counts + protection.hashed_twin(binning, model, name).count(hashes)
    return counts
