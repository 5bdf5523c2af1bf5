"""The search for extreme values in stored rows: of those base windows alone whose counts tell of values outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.drift.evaluation import current_profile
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.datatypes import is_finite_number
from modelwatch.stats.quality.extremes import Extreme, extremes
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.volumes import features_between
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import StoredReference, layouts_of
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
    """What the last day of a window, [start, end) in seconds, has outside. suspects: the references of features that
    have values outside in this window."""
    end = window[1]
    spans = [
        (start, start + BASE_WINDOW_SECONDS)
        for start in range(max(window[0], end - SECONDS_PER_DAY), end, BASE_WINDOW_SECONDS)
    ]
    if not suspects or not spans:
        return Outside({}, {})
    layouts = layouts_of(inputs.evidence.generation, inputs.references)
    with store.read() as connection:
        sums = sum_windows(connection, stream.model, layouts, stream.environment, spans, stream.version)
        profiles = {
            each.subject.name: [current_profile(slots, layouts, each.subject, each) for slots in sums]
            for each in suspects
        }
        wanted = sorted(
            {
                place
                for of_feature in profiles.values()
                for place, profile in enumerate(of_feature)
                if profile.below + profile.above
            }
        )
        there = sum(slot.predictions for place in wanted for slot in sums[place].values())
        searched = there <= MOST_ROWS_SEARCHED
        rows = features_between(connection, stream, [spans[place] for place in wanted]) if searched else []
    found: dict[str, tuple[Extreme, ...]] = {}
    unknown: dict[str, str] = {}
    for each in suspects:
        name, binning = each.subject.name, each.profile.binning
        outside = sum(profile.below + profile.above for profile in profiles[name])
        if not outside or not isinstance(binning, NumericBinning):
            continue
        values = np.array(
            [float(value) for row in rows if is_finite_number(value := row.get(name))],
            dtype=np.float64,
        )
        values = values[(values < binning.low) | (values > binning.high)]
        far = extremes(each.profile, values, sum(profile.n for profile in profiles[name]))
        if far:
            found[name] = far
        where = "values of the last day that are outside of the reference's range"
        if not searched:
            unknown[name] = f"The {outside:,} {where} are among {there:,} rows: too many to look for extreme ones."
        elif len(values) < outside:
            unknown[name] = f"{outside - len(values):,} of {outside:,} {where} are not stored as they came."
    return Outside(found, unknown)
