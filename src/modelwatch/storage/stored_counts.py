"""Counting stored predictions again: each value in the form that its row has it in, or not at all.

A value that is not stored, or only as a hash where the cells are numbers, can't be counted again. It is left out of the
subject's counts, never counted as missing; so a subject's total falls short of the window's predictions by what was
left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelwatch.privacy import KEEP_ALL
from modelwatch.stats import Call, CategoricalBinning
from modelwatch.storage.layouts import CALLS, Counts, Layout, Subject, subject_values
from modelwatch.storage.protection import Protection, StoredPrediction


def count_stored(layout: Layout, rows: Sequence[StoredPrediction], protection: Protection) -> Counts:
    """The counts of all subjects over rows of one model, as one vector. Raises ProtectionUnavailable without a key."""
    events = [row.event for row in rows]
    if not layout.hashed and all(row.policy is KEEP_ALL for row in rows):
        return layout.count(events)
    counts = np.zeros(layout.size, dtype=np.int64)
    for subject in layout.binnings:
        if subject.kind == "feature":
            counts[layout.slices[subject]] = _feature(layout, subject, rows, protection)
        else:
            counts[layout.slices[subject]] = layout.binnings[subject].count(subject_values(subject, events))
    if layout.calls is not None:
        counts[layout.slices[CALLS]] = layout.calls.count([Call(each.prediction, each.probability) for each in events])
    return counts


def can_count(layout: Layout, subject: Subject, row: StoredPrediction) -> bool:
    """Whether the row's value of a subject can be counted again in this layout."""
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
