"""The store of a checkout, which is told what to do on standard input: python -m …store_process URL SHAPE.

A process of its own, with the code of any commit on PYTHONPATH: one that is compared with this one takes turns with it.
Each line is a name of TURNS and its numbers; the answer is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing

import numpy as np

from benchmarks.storage.shapes import MICROSECONDS, MODEL, SHAPES, START, Shape
from benchmarks.stores import ledger_of, migrated
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles


class StoreProcess:
    """A store, and predictions of one shape that go into it."""

    def __init__(self, store: Store, shape: Shape) -> None:
        self._store, self._shape = store, shape
        self._rng = np.random.default_rng(1)
        self._ledger: Ledger = ledger_of(store, lambda: START + 400 * MICROSECONDS)
        self._batches = 0
        shape.set_reference(store, self._rng)
        self._ledger.commit([shape.later(self._rng)])

    def commit(self, batches: int, windows: int) -> dict[str, float]:
        """Commits so many batches in so many windows: the seconds that it took, also of processor time."""
        some = [self._shape.events(self._rng, self._batches + place, windows) for place in range(batches)]
        self._batches += batches
        worked, began = time.process_time(), time.perf_counter()
        for events in some:
            self._ledger.commit(events)
        return {"seconds": time.perf_counter() - began, "processor": time.process_time() - worked}

    def count_again(self, windows: int) -> dict[str, float]:
        """Sets another reference, and counts what is stored in its cells: the seconds of processor time."""
        self._shape.set_reference(self._store, self._rng)
        start, worked = START // MICROSECONDS, time.process_time()
        if not backfill_profiles(self._store, MODEL, start, start + windows * BASE_WINDOW_SECONDS):
            raise RuntimeError("nothing was counted again")
        return {"processor": time.process_time() - worked}


def main() -> None:
    """Does what it is told until there is no more."""
    url, shape = sys.argv[1:]
    with closing(migrated(url)) as store:
        process = StoreProcess(store, SHAPES[int(shape)])
        turns = {"commit": process.commit, "count_again": process.count_again}
        for line in sys.stdin:
            turn, *numbers = line.split()
            print(json.dumps(turns[turn](*map(int, numbers))), flush=True)


if __name__ == "__main__":
    main()
