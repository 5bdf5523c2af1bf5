"""The directed tests keep their level down to 1e-7: with ties, atoms, windows of 30 and references of 30 and 100."""

from __future__ import annotations

import pytest

from benchmarks.simulations.directed_levels import CASES, Level, levels_of
from tests.proofs.lock import Proofs

# Of the level: what a saddle-point approximation may be off by, where a reference has 30 values.
AT_MOST = 1.25


def measured(name: str, draws: int) -> list[Level]:
    return levels_of(name, draws)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_false_alarms_are_as_many_as_the_level_says(proofs: Proofs, name: str) -> None:
    for level in proofs.figures(measured, name, 20_000):
        assert 0.0 < level.location < AT_MOST + 3.0 * level.location_error, level
        assert 0.0 < level.scale < AT_MOST + 3.0 * level.scale_error, level
        # It is no test that never alarms.
        if level.at >= 1e-4:
            assert level.location > 0.5, level


def test_draws_count_as_often_as_they_come() -> None:
    [level, *_] = levels_of("five ratings, 100 against 30", 4_000)
    assert level.at == 1e-3
    assert level.location == pytest.approx(1.0, abs=0.3)
