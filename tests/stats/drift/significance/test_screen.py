"""The screen: what it lets pass, that sums add up, and that nothing significant is left out."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import combined_tests
from modelwatch.stats.drift.significance.names import Split, split_reference
from modelwatch.stats.drift.significance.screen import Screen

KINDS = ("normal", "atom", "ratings", "long tail", "names")


def drawn(kind: str, n: int, rng: np.random.Generator, shift: float = 0.0, scale: float = 1.0) -> list[float | str]:
    values = rng.standard_normal(n) * scale + shift
    if kind == "atom":
        values = np.where(rng.random(n) < 0.9 - 0.1 * shift, 0.0, values)
    elif kind == "ratings":
        values = np.clip(np.round(values * 1.2), -2, 2)
    elif kind == "long tail":
        values = np.exp(2.0 * values)
    elif kind == "names":
        return [f"{value:.0f}" for value in np.exp(values)]
    return values.tolist()


def referenced(kind: str, n: int, rng: np.random.Generator) -> tuple[Profile, Split | None]:
    sample = drawn(kind, n, rng)
    if kind == "names":
        binning, split = split_reference(sample)
        return Profile.of(binning, sample), split
    return Profile.of(numeric_binning(sample), sample), None


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_significant_is_left_out(kind: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    significant = 0
    for _ in range(80):
        size, n = int(rng.choice([30, 100, 1_000, 10_000])), int(10 ** rng.uniform(1.5, 3.7))
        reference, split = referenced(kind, size, rng)
        error = np.sqrt(1.0 / size + 1.0 / n)
        shift, width = rng.choice([-1, 0, 1], 2) * error * rng.uniform(2.0, 9.0, 2)
        window = Profile.of(reference.binning, drawn(kind, n, rng, shift, float(np.exp(width))))
        if not window.n:
            continue
        [[found]] = combined_tests([(reference, split, [window])])
        screen = Screen.of([(reference, split)])
        sums = screen.sums(window.counts[None])
        # At 1 everything passes; at twice its own level whatever is found must.
        alpha = min(1.0, found.p_value * (1.0 + 1e-9) + 1e-900)
        if alpha < 1e-3:
            significant += 1
            assert screen.passing(sums, alpha)[0, 0], (kind, size, n, shift, width, found)
    assert significant > 8


def test_what_is_quiet_does_not_pass() -> None:
    rng = np.random.default_rng(8)
    subjects = [referenced(kind, 10_000, rng) for kind in KINDS * 4]
    windows = [
        [Profile.of(reference.binning, drawn(kind, n, rng)).counts for n in (30, 100, 400, 2_000)]
        for kind, (reference, _) in zip(KINDS * 4, subjects, strict=True)
    ]
    screen = Screen.of(subjects)
    passing = screen.passing(screen.sums(np.concatenate(windows, axis=1)), 1e-7)
    assert passing.shape == (4, 20)
    assert passing.mean() < 0.05


def test_sums_of_windows_add_up_and_subjects_are_screened_apart() -> None:
    rng = np.random.default_rng(9)
    subjects = [referenced(kind, 1_000, rng) for kind in KINDS]
    counts = np.stack(
        [
            np.concatenate(
                [
                    Profile.of(reference.binning, drawn(kind, 60, rng, shift=0.4 * hour)).counts
                    for kind, (reference, _) in zip(KINDS, subjects, strict=True)
                ]
            )
            for hour in range(4)
        ]
    )
    screen = Screen.of(subjects)
    both = screen.sums(counts[:2] + counts[2:])
    for together, parts in zip(both, screen.sums(counts), strict=True):
        assert together == pytest.approx(parts[:2] + parts[2:])
    passing = screen.passing(screen.sums(counts), 1e-3)
    offset = 0
    for place, (reference, split) in enumerate(subjects):
        size = reference.binning.size
        alone = Screen.of([(reference, split)])
        assert alone.passing(alone.sums(counts[:, offset : offset + size]), 1e-3)[:, 0].tolist() == (
            passing[:, place].tolist()
        )
        offset += size
    assert not passing[0].any()
    assert passing[3].all()


def test_windows_without_values_do_not_pass_and_each_has_its_own_level() -> None:
    rng = np.random.default_rng(10)
    subjects = [referenced("normal", 1_000, rng), referenced("names", 1_000, rng)]
    window = np.concatenate(
        [
            Profile.of(reference.binning, drawn(kind, 100, rng, 0.8)).counts
            for kind, (reference, _) in zip(("normal", "names"), subjects, strict=True)
        ]
    )
    screen = Screen.of(subjects)
    sums = screen.sums(np.stack([window, window, window * 0]))
    passing = screen.passing(sums, np.array([1e-2, 1e-90, 1.0]))
    assert passing.tolist() == [[True, True], [False, False], [False, False]]
