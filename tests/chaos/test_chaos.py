"""A short run of the chaos on each engine; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.running import run
from tests.support.stores import ENGINES


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_lost_or_counted_twice_whatever_is_killed_paused_or_cut_off(engine: str, tmp_path: Path) -> None:
    sqlite = engine == "sqlite"
    outcome = run(
        engine, tmp_path, seconds=12, replicas=1 if sqlite else 3, workers=4 if sqlite else 2, clients=4, seed=7
    )
    assert not outcome.differences, "\n".join(outcome.lines())
    assert outcome.acknowledged > 100
    assert outcome.repeats > 0, "no client ever had to repeat: the faults met no load"
