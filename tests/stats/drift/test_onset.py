"""When a shift began: the place is found, chance names none, and empty windows are not it."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.categorical import categorical_binning
from modelwatch.stats.counting.numeric import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.onset import onset, shift_onset
from modelwatch.stats.errors import IncompatibleProfiles
from modelwatch.stats.quality.volume import volume_onset

BEFORE = np.array([0.1] * 10)
AFTER = np.array([0.015, 0.03, 0.038, 0.052, 0.065, 0.074, 0.102, 0.127, 0.167, 0.33])


def drawn(shares: np.ndarray, windows: int, size: int, rng: np.random.Generator) -> np.ndarray:
    return rng.multinomial(size, shares / shares.sum(), size=windows)


@pytest.mark.parametrize(("size", "off_by"), [(50, 1), (10, 3)])
def test_the_window_with_which_the_shares_change_is_found(size: int, off_by: int) -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        reference = rng.multinomial(10_000, BEFORE)
        windows = np.concatenate([drawn(BEFORE, 60, size, rng), drawn(AFTER, 20, size, rng)])
        place = onset(reference, windows)
        assert place is not None
        found.append(abs(place - 60))
    assert max(found) <= off_by
    assert float(np.median(found)) == 0.0


def test_a_small_shift_of_few_cells_is_placed_near_where_it_began() -> None:
    off = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        windows = np.concatenate([rng.binomial(100, 0.02, 100), rng.binomial(100, 0.08, 20)])
        place = onset([200, 9_800], np.stack([windows, 100 - windows], axis=1))
        assert place is not None
        off.append(abs(place - 100))
    assert float(np.median(off)) <= 1.0
    assert max(off) <= 5


def test_chance_alone_has_no_onset() -> None:
    named = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        named += onset(rng.multinomial(2_000, BEFORE), drawn(BEFORE, 50, 20, rng)) is not None
    assert named <= 2


def test_what_was_so_from_the_start_began_with_the_first_window() -> None:
    rng = np.random.default_rng(1)
    assert onset(rng.multinomial(10_000, BEFORE), drawn(AFTER, 30, 40, rng)) == 0


def test_it_began_with_the_first_window_that_has_data_of_it() -> None:
    sound, silent, bad = [50, 50], [0, 0], [5, 95]
    assert onset([500, 500], [sound, sound, silent, silent, bad, silent, bad]) == 4


@pytest.mark.parametrize("windows", [np.zeros((0, 2)), np.zeros((4, 2)), [[30, 0], [40, 0]]])
def test_nothing_is_said_without_data_or_with_one_cell_alone(windows: object) -> None:
    assert onset([500, 0], windows) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("reference", "windows"), [([1, 2], [[1, 2, 3]]), ([[1, 2]], [[1, 2]]), ([1, 2], [1, 2])])
def test_other_cells_are_refused(reference: object, windows: object) -> None:
    with pytest.raises(IncompatibleProfiles, match="over the cells of the reference"):
        onset(reference, windows)  # type: ignore[arg-type]


@pytest.mark.parametrize("burst", [1, 8])
def test_the_hour_in_which_a_volume_changed_is_found_also_of_bursts(burst: int) -> None:
    usual = 60 + 50 * np.sin(np.arange(168) / 24 * 2 * np.pi)
    off, named = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        weeks = rng.poisson(usual / burst, (7, 168)) * burst
        named += volume_onset(weeks[:-1].tolist(), weeks[-1].tolist()) is not None
        fallen = weeks[-1].copy()
        fallen[120:] = rng.poisson(usual[120:] / burst / 2) * burst
        place = volume_onset(weeks[:-1].tolist(), fallen.tolist())
        assert place is not None
        off.append(abs(place - 120))
    assert float(np.median(off)) <= (1.0 if burst == 1 else 5.0)
    # Where nothing has changed, chance names one hardly ever.
    assert named <= 1


def test_a_volume_that_was_other_all_week_began_nobody_knows_when() -> None:
    earlier = [[100] * 168] * 5
    assert volume_onset(earlier, [50] * 168) is None
    assert volume_onset([[0] * 168] * 5, [50] * 168) is None


def windows_of(reference: Profile, values: np.ndarray) -> np.ndarray:
    """Fine counts of values that come in windows, shape (windows, values of each)."""
    return np.stack([Profile.of(reference.binning, each.tolist()).counts for each in values])[
        :, : reference.binning.n_fine
    ]


@pytest.mark.parametrize(("shift", "scale", "covered"), [(0.5, 1.0, 0.8), (1.0, 1.0, 0.8), (0.0, 1.8, 0.5)])
def test_the_onset_of_a_shift_and_its_interval(shift: float, scale: float, covered: float) -> None:
    """Eight values in 5 minutes, shifted for three hours: the onset is off by little, its interval mostly holds it."""
    rng, before, after = np.random.default_rng(1), 120, 36
    sample = rng.normal(size=10_000)
    reference = Profile.of(numeric_binning(sample), sample.tolist())
    errors, held = [], 0
    for _ in range(30):
        values = rng.normal(size=(before + after, 8))
        values[before:] = values[before:] * scale + shift
        found = shift_onset(reference, windows_of(reference, values))
        assert found is not None
        assert found.earliest <= found.place <= found.latest
        errors.append(found.place - before)
        held += found.earliest <= before <= found.latest
    assert abs(float(np.median(errors))) <= 2
    assert held / 30 >= covered


def test_the_onset_of_a_category_that_grows() -> None:
    rng = np.random.default_rng(2)
    names = [f"c{each}" for each in range(30)]
    sample = rng.choice(names, 10_000).tolist()
    reference = Profile.of(categorical_binning(sample), sample)
    shares = np.full(30, 1.0)
    shares[7] = 6.0
    before = [rng.choice(names, 20).tolist() for _ in range(50)]
    after = [rng.choice(names, 20, p=shares / shares.sum()).tolist() for _ in range(20)]
    found = shift_onset(reference, np.stack([Profile.of(reference.binning, each).fine for each in before + after]))
    assert found is not None
    assert abs(found.place - 50) <= 3


def test_an_onset_is_a_window_with_data_and_needs_some() -> None:
    sample = np.arange(1_000.0)
    reference = Profile.of(numeric_binning(sample), sample.tolist())
    windows = np.zeros((6, reference.binning.n_fine), dtype=np.int64)
    assert shift_onset(reference, windows) is None
    windows[1] = Profile.of(reference.binning, sample[::20].tolist()).fine
    windows[4] = Profile.of(reference.binning, (sample[::20] + 5_000).tolist()).fine
    found = shift_onset(reference, windows)
    assert found is not None
    assert found.place == 4
    with pytest.raises(IncompatibleProfiles, match="fine cells are needed"):
        shift_onset(reference, windows[:, :3])
