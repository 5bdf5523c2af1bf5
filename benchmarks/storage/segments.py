"""Cost of segments: commits with three segment features beside commits without, on SQLite.

Straight into the ledger, so that the write path alone is measured: 12 features (10 numeric, one with 20 categories, one
with 4), batches of 100 and of 2,000 predictions in windows of 5 minutes. Times are those of the processor: a commit
waits for the disk as well, with and without segments.
"""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np

from benchmarks.report import Row, compared, show
from benchmarks.stores import ledger_of, new_id, sqlite_store
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject

START = 1_750_000_200_000_000
NUMBERS = 10
SEGMENTS = ["country", "channel", {"feature": "number_0", "cuts": 4}]
ROUNDS = 5
PREDICTIONS = 10_000


def run(*, quick: bool = False) -> list[Row]:
    """A row for each size of batch."""
    events = predictions(2_000 if quick else PREDICTIONS)
    rows = []
    for size in (100, 2_000):
        rates: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(2 if quick else ROUNDS):
            for segmented, found in rates.items():
                found.append(rate(events, size, segmented))
        note = f"3 segment features with 20, 4 and 4 values, against none; {NUMBERS + 2} features"
        rows.append(compared(f"segments, batches of {size}", "predictions/cpu s", rates[True], rates[False], note))
    return rows


def predictions(count: int) -> list[Prediction]:
    """Ten a second."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(count, NUMBERS)).tolist()
    return [
        Prediction(
            "m",
            "1",
            "production",
            str(index),
            START + index * 100_000,
            {
                **{f"number_{place}": value for place, value in enumerate(row)},
                "country": f"c{index % 20}",
                "channel": "abcd"[index % 4],
            },
            "yes" if index % 3 else "no",
            0.5,
        )
        for index, row in enumerate(numbers)
    ]


def rate(events: list[Prediction], size: int, segmented: bool) -> float:
    """Predictions that a fresh store takes in a second of processor time."""
    with tempfile.TemporaryDirectory() as folder, sqlite_store(folder) as store:
        _prepare(store, events[:2_000], segmented)
        ledger = ledger_of(store, lambda: START)
        began = time.process_time()
        for start in range(0, len(events), size):
            ledger.commit(events[start : start + size])
        seconds = time.process_time() - began
    return len(events) / seconds


def _prepare(store: Store, sample: list[Prediction], segmented: bool) -> None:
    if segmented:
        config = parse_monitor({"segments": SEGMENTS})
        put_monitor(store, "m", config, source="benchmark", actor="benchmark", now=START, new_id=new_id)
    profiles = {}
    for name in sample[0].features:
        values = [event.features[name] for event in sample]
        is_number = name.startswith("number")
        binning = numeric_binning(np.array(values, dtype=np.float64)) if is_number else categorical_binning(values)
        profiles[Subject("feature", name)] = Profile.of(binning, values)
    set_references(store, "m", None, profiles, source="benchmark", now=START, new_id=new_id)


if __name__ == "__main__":
    show(run(quick="--quick" in sys.argv), sys.argv[1:])
