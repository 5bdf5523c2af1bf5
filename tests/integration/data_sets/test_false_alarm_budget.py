"""The promise, through the scheduler of a real store with an injected clock.

What is said when nothing is wrong, and how long a real shift goes unseen. Every setting has its default: hourly
evaluations, look-backs of 1 h, 6 h and 24 h.

50 features, 100 predictions an hour, a reference of 10,000. Profiles are written as such traffic leaves them; from
there on everything is the service's own code.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.proofs.lock import Proofs
from tests.support.data.months import Month, hours_until_seen, live_through

SEEDS = [1, 2]
# A process for each seed, where there are processors for them.
PROCESSES = min(len(SEEDS), len(os.sched_getaffinity(0)))


@pytest.mark.timeout(3_600)
def test_false_alarms_stay_within_the_budget(proofs: Proofs) -> None:
    months = proofs.figures(months_without_drift, 12)
    assert len(months) == 24
    assert {month.evaluations for month in months} == {720}
    mean, strict, naive = (
        sum(getattr(month, name) for month in months) / len(months) for name in ("findings", "strict", "naive")
    )
    print(
        f"false findings per model and month: {mean:.2f} at budget 1, {strict:.2f} at budget 0.1;"
        f" {naive:,.0f} with PSI > 0.1 on the last hour"
    )
    assert mean <= 1.0
    assert strict <= 0.1
    assert naive > 10_000


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("sigmas", "most_hours"), [(0.5, 4), (1.0, 1)])
def test_a_shift_of_one_feature_is_found_in_time(proofs: Proofs, sigmas: float, most_hours: int) -> None:
    delays = proofs.figures(hours_to_find_a_shift, sigmas, 16)
    seen = [13 if delay is None else delay for delay in delays]
    print(f"a shift of {sigmas} sigma is found after {statistics.median(seen)} h in the median: {sorted(seen)}")
    assert len(seen) == 32
    assert statistics.median(seen) <= most_hours


def months_without_drift(months: int) -> list[Month]:
    """So many months with each seed."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool, folders() as parts:
        return [month for part in pool.map(live_through, parts, SEEDS, [months] * 2) for month in part]


def hours_to_find_a_shift(sigmas: float, repetitions: int) -> list[int | None]:
    """The delays of so many repetitions with each of two other seeds."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool, folders() as parts:
        delays = pool.map(hours_until_seen, parts, [3, 4], [sigmas] * 2, [repetitions] * 2)
        return [delay for part in delays for delay in part]


@contextmanager
def folders() -> Iterator[list[str]]:
    """A fresh folder for the store of each seed."""
    with tempfile.TemporaryDirectory() as parent:
        made = [Path(parent) / str(seed) for seed in SEEDS]
        for folder in made:
            folder.mkdir()
        yield [str(folder) for folder in made]
