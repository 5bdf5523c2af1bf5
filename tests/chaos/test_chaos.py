"""A short run of the chaos on each engine; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.running import run
from tests.chaos.scenarios import SCENARIOS
from tests.support.stores.fresh import ENGINES


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_lost_or_counted_twice_whatever_is_killed_paused_or_cut_off(engine: str, tmp_path: Path) -> None:
    sqlite = engine == "sqlite"
    outcome = run(
        engine,
        tmp_path,
        seconds=12,
        replicas=1 if sqlite else 3,
        workers=4 if sqlite else 2,
        clients=4,
        seed=7,
        pause=0.1,
    )
    print("\n".join(outcome.lines()))
    assert not outcome.differences, "\n".join(outcome.lines())
    assert outcome.acknowledged > 100
    assert outcome.in_blocks > 100, "no block was written under the faults"
    assert outcome.repeats > 0, "no client ever had to repeat: the faults met no load"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_was_acknowledged_is_what_is_stored_and_counted_after_a_rare_accident(name: str, tmp_path: Path) -> None:
    assert SCENARIOS[name](tmp_path / "service") == []
