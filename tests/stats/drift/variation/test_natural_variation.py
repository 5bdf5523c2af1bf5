"""How far stretches of a reference lie from the whole of it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.encoded_counts import encode_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.variation.natural_variation import (
    MAX_SPANS,
    MOST_KEPT,
    Variation,
    chance_psi,
    decode_variation,
    encode_variation,
    variation_of,
)
from modelwatch.stats.drift.variation.stretches import MOST_LENGTHS
from modelwatch.stats.errors import MalformedProfile

DAY = 86_400


def RNG() -> np.random.Generator:  # noqa: N802 - reads as the constant that it is
    return np.random.default_rng(0)


def variation(span: int, counts: np.ndarray) -> Variation:
    """A variation whose chance part is nothing."""
    return Variation(span, counts, np.array([30, 10**6]), np.zeros(2))


def seasonal(days: int = 60) -> tuple[np.ndarray, list[int | None]]:
    """Hourly values with a slow wave and a little noise, 20 an hour."""
    hours = np.repeat(np.arange(days * 24), 20)
    values = np.sin(hours / 24 / 20 * 2 * np.pi) + np.random.default_rng(5).normal(0, 0.3, len(hours))
    return values, [int(hour) * 3_600 for hour in hours]


def test_a_steady_reference_varies_little_and_a_seasonal_one_much() -> None:
    values, times = seasonal()
    binning = numeric_binning(values)
    wave = variation_of(binning, values.tolist(), times, RNG())
    shuffled = np.random.default_rng(6).permutation(values)
    steady = variation_of(binning, shuffled.tolist(), times, RNG())
    assert wave is not None
    assert steady is not None
    assert (wave.tolerance(DAY) or 0) > 0.5
    assert steady.tolerance(DAY) == pytest.approx(0.0, abs=0.01)


def test_longer_stretches_of_a_wave_vary_less() -> None:
    values, times = seasonal(200)
    found = variation_of(numeric_binning(values), values.tolist(), times, RNG())
    assert found is not None
    short, long = found.tolerance(DAY), found.tolerance(19 * DAY)
    assert short is not None
    assert long is not None
    assert long < short / 5


def test_the_tolerance_is_the_99th_percentile_of_the_stretches() -> None:
    counts = np.random.default_rng(7).integers(5, 50, (48, 4))
    stretches = counts.reshape(12, 4, 4).sum(axis=1)
    expected = np.quantile([psi(counts.sum(axis=0), stretch) for stretch in stretches], 0.99)
    assert variation(3_600, counts).tolerance(4 * 3_600) == pytest.approx(expected, abs=1e-12)


def test_what_chance_gives_is_subtracted() -> None:
    counts = np.random.default_rng(7).integers(500, 5_000, (20, 4))
    without = variation(3_600, counts).tolerance(3_600)
    found = Variation(3_600, counts, np.array([30, 10**6]), np.array([0.03, 0.03])).tolerance(3_600)
    assert found == pytest.approx((without or 0) - 0.03)


@pytest.mark.parametrize(("n", "shares"), [(2_000, 10), (20_000, 4)])
def test_chance_is_chi_square_where_samples_are_large(n: int, shares: int) -> None:
    expected = chi2.isf(0.01, shares - 1) / n
    assert chance_psi(np.full(shares, 1 / shares), n, RNG()) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(("per_stretch", "most"), [(60, 0.5), (120, 0.05), (600, 0.01)])
def test_thin_stretches_of_a_steady_reference_do_not_hide_a_shift(per_stretch: int, most: float) -> None:
    """60 values a stretch lie up to 1.2 apart by chance alone; little of that may count as the reference's own."""
    sample = np.random.default_rng(9).normal(size=100 * per_stretch)
    times = [index * 3_600 // per_stretch for index in range(len(sample))]
    found = variation_of(numeric_binning(sample), sample.tolist(), times, RNG())
    assert found is not None
    tolerance = found.tolerance(3_600)
    assert tolerance is not None
    assert tolerance < most


@pytest.mark.parametrize(("swing", "least", "most"), [(1.0, 1.0, 1.05), (2.0, 1.8, 2.3)])
def test_how_far_the_odds_of_a_rare_class_swing_is_known(swing: float, least: float, most: float) -> None:
    """The rare class has 5 % of the odd days, and `swing` times the odds on the even ones."""
    rng, odds = np.random.default_rng(2), 0.05 / 0.95
    shares = [odds * factor / (1.0 + odds * factor) for factor in (1.0 / swing, swing)]
    counts = np.array([[1_000 - hits, hits, 7] for hits in (rng.binomial(1_000, shares[day % 2]) for day in range(80))])
    found = variation(DAY, counts)
    tolerated = found.odds_tolerance(DAY, 2)
    assert tolerated is not None
    assert least <= tolerated <= most
    assert (found.odds_tolerance(4 * DAY, 2) or 9.0) < 1.1
    assert found.odds_tolerance(30 * DAY, 2) is None
    assert found.odds_tolerance(DAY, 1) is None


def test_too_few_or_too_thin_stretches_say_nothing() -> None:
    values, times = seasonal(9)
    found = variation_of(numeric_binning(values), values.tolist(), times, RNG())
    assert found is not None
    assert found.tolerance(DAY) is None
    assert variation(300, np.ones((100, 4), dtype=np.int64)).tolerance(300) is None


def test_of_short_stretches_is_known_what_those_do_that_hold_enough() -> None:
    """20 values an hour: only from two hours on there are 30 in a stretch."""
    values, times = seasonal()
    found = variation_of(numeric_binning(values), values.tolist(), times, RNG())
    assert found is not None
    assert found.tolerance(900) is None
    assert found.known_length(900) == 2 * 3_600
    assert (found.tolerance(2 * 3_600) or 0.0) > 0.5
    assert found.known_length(DAY) == DAY
    assert found.known_length(40 * DAY) is None
    assert variation(300, np.ones((100, 4), dtype=np.int64)).known_length(300) == 8 * 300
    assert variation(300, np.ones((60, 4), dtype=np.int64)).known_length(300) is None


def test_a_constant_reference_tolerates_nothing() -> None:
    found = variation_of(numeric_binning(np.full(5_000, 3.0)), [3.0] * 5_000, list(range(0, 5_000 * 60, 60)), RNG())
    assert found is not None
    assert found.tolerance(6 * 3_600) == 0.0


@pytest.mark.parametrize("times", [[None] * 50, [7] * 50, [5] + [None] * 49])
def test_rows_without_different_times_have_no_variation(times: list[int | None]) -> None:
    assert variation_of(categorical_binning(["a", "b"]), ["a", "b"] * 25, times, RNG()) is None


@pytest.mark.parametrize("weeks", [40 * 52, MAX_SPANS, 6_600, 420_000, 5_300_000])
def test_centuries_are_cut_into_as_many_pieces_at_most_as_decades(weeks: int) -> None:
    """A stray date made pieces of a week without end: hundreds of megabytes from a body of some kilobytes."""
    tracemalloc.start()
    found = variation_of(categorical_binning(["a"]), ["a"] * 3, [0, 604_799, weeks * 604_800 - 1], RNG())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert MAX_SPANS // 2 < len(found.counts) <= MAX_SPANS
    assert found.counts[[0, -1]].sum(axis=1).tolist() == [2, 1]
    assert found.span % 604_800 == 0
    assert peak < 4_000_000


def test_what_was_kept_in_millions_of_weeks_is_read_in_longer_pieces() -> None:
    kept = np.zeros((1_000_000, 2), dtype=np.int64)
    kept[[0, 333, 334, -1], [0, 1, 0, 1]] = 5, 6, 7, 8
    read = decode_variation(encode_variation(variation(604_800, kept)))
    assert (read.span, len(read.counts)) == (604_800 * 334, 2_995)
    assert read.counts[[0, 1, -1]].tolist() == [[5, 6], [7, 0], [0, 8]]
    assert read.counts.sum() == 26
    exact = kept[:MOST_KEPT]
    assert decode_variation(encode_variation(variation(604_800, exact))).counts.tolist() == exact.tolist()


@given(st.integers(1, 10**6), st.lists(st.tuples(*[st.integers(0, 10**6)] * 3), min_size=1, max_size=20))
def test_encoding_keeps_every_count(span: int, rows: list[tuple[int, int, int]]) -> None:
    before = Variation(span, np.array(rows, dtype=np.int64), np.array([30, 99]), np.array([0.5, 0.000_001]))
    after = decode_variation(encode_variation(before))
    assert (after.span, after.counts.tolist()) == (span, before.counts.tolist())
    assert (after.sizes.tolist(), after.chance.tolist()) == ([30, 99], [0.5, 0.000_001])


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [300],
        [0, 2, 1, 1, 1, 1, 1],
        [300, 0, 1, 1, 1],
        [300, 2, 1, 30, 1, 5],
        [300, 2, 9, 1],
        # A size of 0, sizes that don't ascend, a chance and a count below 0.
        [300, 2, 1, 0, 1, 5, 5],
        [300, 2, 2, 60, 30, 1, 1, 5, 5],
        [300, 2, 1, 30, -1, 5, 5],
        [300, 2, 1, 30, 1, -5, 5],
    ],
)
def test_other_bytes_are_refused(numbers: list[int]) -> None:
    with pytest.raises(MalformedProfile):
        decode_variation(encode_counts(np.array(numbers, dtype=np.int64), signed=True))


@given(
    values=st.lists(st.one_of(st.floats(-3, 3), st.none()), min_size=1, max_size=60),
    span=st.sampled_from([0, 1, 299, 3_600, 20 * 3_600, 30 * DAY, 50 * 365 * DAY]),
    seed=st.integers(0, 2**16),
)
def test_whatever_a_reference_spans_its_variation_is_known_or_not_and_never_an_error(
    values: list[float | None], span: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = [int(time) for time in rng.integers(0, span + 1, len(values))]
    found = variation_of(numeric_binning(np.array([0.0, *(value for value in values if value)])), values, times, RNG())
    if found is None:
        return
    for length in (1, 300, 3_600, 6 * 3_600, DAY, 7 * DAY, 30 * DAY, 1_000 * 365 * DAY):
        tolerance = found.tolerance(length)
        assert tolerance is None or tolerance >= 0.0


def test_the_pieces_hold_what_the_cells_count() -> None:
    rng = RNG()
    values = [None if n % 7 == 0 else "x" if n % 11 == 0 else float(v) for n, v in enumerate(rng.normal(size=900))]
    times = [None if n % 5 == 0 else int(t) for n, t in enumerate(rng.integers(0, 40 * 300, 900))]
    binning = numeric_binning(np.array([value for value in values if isinstance(value, float)]))
    found = variation_of(binning, values, times, RNG())
    assert found is not None
    first = min(time for time in times if time is not None)
    for piece, counts in enumerate(found.counts):
        members = [
            v for v, t in zip(values, times, strict=True) if t is not None and (t - first) // found.span == piece
        ]
        assert counts.tolist() == Profile.of(binning, members).coarse.tolist()


def test_lengths_that_requests_choose_are_kept_for_so_many_at_once() -> None:
    rng = np.random.default_rng(9)
    hours = np.repeat(np.arange(240), 20)
    values = rng.normal(size=len(hours)) + rng.normal(size=240)[hours]
    binning = numeric_binning(values)
    variation = variation_of(binning, values.tolist(), (np.arange(len(hours)) * 180).tolist(), rng)
    assert variation is not None
    reference = Profile.of(binning, values)

    def known(length: int) -> list[object]:
        dispersion = variation.dispersion(reference, length, 100)
        assert dispersion is not None
        return [variation.tolerance(length), variation.known_length(length), *dispersion.effective.tolist()]

    before = known(3_600)
    for length in range(300, 300 * 3 * MOST_LENGTHS, 300):
        known(length)
    [stretches] = variation._stretches_of.values()
    for kept in (variation._known, variation._lengths, stretches._known, stretches._of_lengths):
        assert 0 < len(kept) <= MOST_LENGTHS
    assert known(3_600) == before
