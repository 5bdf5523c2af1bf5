"""Profiles merged one into the next, as those of replicas or days are, beside whylogs and beside the bare sums.

Each profile is of 1,000 rows of 50 numbers, in the cells of one reference. Ours are all in memory, each with counts of
its own; of whylogs' the same twenty come again and again, which is in its favour. whylogs runs in an environment of its
own, as for `compare`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np

import modelwatch as mw
from benchmarks.peers.environments import PEERS, SCRIPTS, PeerMissing, python_of
from benchmarks.report import Row, taken

PROFILES, QUICK_PROFILES = 10_000, 200
FEATURES, ROWS = 50, 1_000
MADE = 20
REPETITIONS = 5
REFERENCE_ROWS = 20_000


def run(*, quick: bool = False) -> list[Row]:
    """Microseconds of processor time a merge. The baselines: whylogs, and numpy's sums of the same arrays."""
    number = QUICK_PROFILES if quick else PROFILES
    profiles = _profiles(number)
    arrays = [profile.parts[None].cells for profile in profiles]
    total = np.sum(arrays[:MADE], axis=0)

    def sums() -> None:
        total[:] = 0
        for each in arrays:
            np.add(total, each, out=total)

    ours, floor = [], []
    for _ in range(REPETITIONS):
        # A profile knows the id of its cells once it was asked for; each is merged for the first time.
        fresh = list(map(replace, profiles))
        ours.append(taken(lambda fresh=fresh: reduce(add, fresh)) / number * 1e6)
        floor.append(taken(sums) / number * 1e6)
    value = statistics.median(ours)
    spread = f"{REPETITIONS} rounds, {min(ours):.1f}-{max(ours):.1f}"
    name = f"{number:,} profiles of {FEATURES} features merged"
    size = len(total) * total.itemsize
    bandwidth = size / statistics.median(floor) / 1e3
    floors = f"baseline: sums of the same arrays in place, {size / 1e3:.0f} kB each, {bandwidth:.1f} GB/s; {spread}"
    rows = [Row(f"{name}, beside the bare sums", value, "us CPU", statistics.median(floor), None, floors)]
    [whylogs] = [peer for peer in PEERS if peer.name == "whylogs"]
    try:
        python = python_of(whylogs)
    except PeerMissing as error:
        print(f"merging: without whylogs: {error}", file=sys.stderr)
        return rows
    arguments = [str(each) for each in (number, FEATURES, ROWS, MADE)]
    command = [str(python), str(SCRIPTS / "whylogs_merging.py"), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    theirs = json.loads(done.stdout.splitlines()[-1]) / number * 1e6
    note = f"baseline: {whylogs.requirements[0]}, merge of its views, once; ours {spread}"
    return [Row(f"{name}, beside whylogs", value, "us CPU", theirs, theirs / value, note), *rows]


def _profiles(number: int) -> list[mw.Profile]:
    rng = np.random.default_rng(0)
    reference = mw.Reference.fit(_columns(rng, REFERENCE_ROWS), progress=False)
    made = [mw.profile(_columns(rng, ROWS), like=reference, progress=False) for _ in range(MADE)]
    profiles = []
    for place in range(number):
        profile = made[place % MADE]
        part = profile.parts[None]
        parts = {None: replace(part, cells=part.cells.copy())}
        profiles.append(mw.Profile(f"profile-{place}", dict(profile.binnings), parts))
    return profiles


def _columns(rng: np.random.Generator, rows: int) -> dict[str, object]:
    return {f"x{place}": rng.normal(size=rows) for place in range(FEATURES)}
