"""Numeric binnings: where the edges are, and what is counted in and beside the cells."""

import math

import numpy as np
import pytest
from hypothesis import given

from modelwatch.stats.counting.binning import NumericBinning, decode_binning, encode_binning
from modelwatch.stats.counting.binning import numeric_binning as build
from modelwatch.stats.counting.kernel import (
    CHUNK,
    LARGEST,
    LARGEST_SINGLE,
    MANY_VALUES,
    bounds_of,
    count_values,
    rounded,
    search_cells,
)
from modelwatch.stats.counting.numeric import binning_and_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import EmptySample, MalformedProfile
from tests.stats.strategies import raw_numbers, samples

CONTINUOUS = np.random.default_rng(1).normal(100.0, 25.0, 10_000)


def test_a_continuous_reference_has_200_fine_cells_and_its_deciles_as_coarse_ones() -> None:
    binning = build(CONTINUOUS)
    assert (binning.n_fine, binning.n_coarse) == (200, 10)
    deciles = np.quantile(CONTINUOUS, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert binning.coarse_edges.tolist() == deciles.tolist()
    assert not binning.atomic.any()
    assert binning.scale == pytest.approx(np.std(CONTINUOUS), rel=1e-12)


def test_the_coarse_counts_are_right_closed_bins_with_open_ends() -> None:
    binning = build(CONTINUOUS)
    current = np.concatenate((np.random.default_rng(2).normal(90, 40, 500), binning.coarse_edges))
    expected = np.bincount(np.searchsorted(binning.coarse_edges, current, side="left"), minlength=10)
    assert Profile(binning, binning.count_floats(current)).coarse.tolist() == expected.tolist()


def test_every_value_of_a_reference_with_few_of_them_is_an_atom() -> None:
    binning = build(np.repeat([1.0, 2.0, 5.0], [3, 3, 5]))
    profile = Profile(binning, binning.count_floats(np.array([1.0, 2.0, 5.0])))
    assert binning.atomic[profile.fine > 0].all()
    assert int(binning.atomic.sum()) == 3


def test_a_value_with_one_two_hundredth_of_the_mass_is_an_atom_and_one_with_a_tenth_a_coarse_cell() -> None:
    sample = np.concatenate((np.random.default_rng(0).uniform(1, 2, 10_000), np.zeros(2_000), np.full(80, 1.5)))
    binning = build(sample)
    singles = binning.edges[binning.atomic[:-1]]
    assert singles.tolist() == [0.0, 1.5]
    assert "= 0" in binning.coarse_labels()
    assert "= 1.5" not in binning.coarse_labels()


def test_values_beside_a_constant_reference_are_not_in_its_cell() -> None:
    binning = build(np.full(100, 3.0))
    assert binning.coarse_labels() == ("< 3", "= 3", "> 3")
    assert Profile.of(binning, [2.0, 3.0, 3.0, 4.0]).coarse.tolist() == [1, 2, 1]
    assert binning.scale == 0.0


def test_labels_keep_neighbouring_edges_apart() -> None:
    binning = build(np.linspace(1_000_000, 1_000_001, 1_000))
    labels = binning.coarse_labels()
    assert len(set(labels)) == len(labels) == 10
    assert labels[0].startswith("<= 1000000.1") or labels[0].startswith("<= 1000000")


def test_what_is_no_number_is_counted_beside_the_cells() -> None:
    binning = build(np.arange(10.0))
    counts = Profile.of(binning, [1, 2.5, None, math.nan, True, "3", math.inf, -math.inf, 10**400, -1, 99])
    assert (counts.n, counts.missing, counts.invalid, counts.below, counts.above) == (4, 2, 5, 1, 1)
    assert counts.total == 11


def test_a_binning_needs_a_finite_value() -> None:
    with pytest.raises(EmptySample, match="at least one finite"):
        build(np.array([np.nan, np.inf]))


def test_nulls_and_infinities_do_not_move_the_edges() -> None:
    polluted = np.concatenate((CONTINUOUS, [np.nan, np.inf, -np.inf]))
    assert build(polluted) == build(CONTINUOUS)


@pytest.mark.parametrize("n", [0, 1, 31, 257, MANY_VALUES, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("edges", [0, 1, 9, 16, 17, 199])
def test_every_way_of_counting_gives_the_same_counts(n: int, edges: int) -> None:
    rng = np.random.default_rng(n + edges)
    limits = np.sort(rng.normal(size=edges))
    values = rng.normal(size=n)
    if n > 10:
        values[:10] = (np.nan, np.inf, -np.inf, np.nan, -9.0, 9.0, LARGEST, -LARGEST, -0.0, 3.0)
        values[10 : 10 + edges] = limits[: n - 10]
    finite = values[np.isfinite(values)]
    expected = [
        *np.bincount(np.searchsorted(limits, finite, side="left"), minlength=edges + 1),
        np.isnan(values).sum(),
        np.isinf(values).sum(),
        (finite < -3).sum(),
        (finite > 3).sum(),
    ]
    bounds = bounds_of(limits, -3.0, 3.0)
    assert count_values(values, bounds).tolist() == expected
    found = search_cells(values, bounds)
    places = edges + 1 + np.isinf(values)
    places[np.isfinite(values)] = np.searchsorted(limits, finite, side="left")
    assert found.places.tolist() == places.tolist()
    assert np.sort(found.below).tolist() == np.flatnonzero(np.isfinite(values) & (values < -3)).tolist()
    assert np.sort(found.above).tolist() == np.flatnonzero(np.isfinite(values) & (values > 3)).tolist()


@pytest.mark.parametrize("scale", [1.0, 1e-44, 1e-38, 3e38, 1e300])
def test_values_at_the_limits_of_single_precision_are_counted_as_each_alone(scale: float) -> None:
    rng = np.random.default_rng(3)
    binning = build(rng.normal(size=2_000) * scale)
    near = np.concatenate(
        (binning.edges, rng.normal(size=300) * scale, [LARGEST_SINGLE, 3.4028235677973366e38, 1e-45, 7e-46])
    )
    values = np.concatenate([near, -near, near * (1 + 1e-8), near * (1 - 1e-8), [0.0, -0.0, np.nan]])
    expected = np.bincount(binning.cells_of_few(values.tolist()), minlength=binning.size)
    assert binning.count_floats(values).tolist() == expected.tolist()
    with_infinite = np.concatenate((values, [np.inf, -np.inf]))
    expected = np.bincount(binning.cells_of_few(with_infinite.tolist()), minlength=binning.size)
    assert binning.count_floats(with_infinite).tolist() == expected.tolist()


@pytest.mark.parametrize("lowest", [-LARGEST_SINGLE, -np.finfo(np.float64).max])
def test_the_largest_numbers_of_single_precision_are_edges_without_a_warning(lowest: float) -> None:
    sample = np.concatenate((np.full(100, lowest), np.linspace(-1.0, 1.0, 50), np.full(20, -lowest)))
    with np.errstate(over="raise"):
        binning = build(sample)
        counts = binning.count_floats(np.tile(sample, 30))
    assert lowest in binning.edges
    alone = np.bincount(binning.cells_of_few(sample.tolist()), minlength=binning.size)
    assert counts.tolist() == (30 * alone).tolist()


def test_infinite_values_are_beside_the_cells_of_a_reference_with_the_largest_numbers() -> None:
    bounds = bounds_of(np.array([0.0]), -LARGEST, LARGEST)
    assert count_values(np.array([-np.inf, -LARGEST, LARGEST, np.inf]), bounds).tolist() == [1, 1, 0, 2, 0, 0]


@given(samples, raw_numbers)
def test_scalars_and_floats_are_counted_alike(reference: np.ndarray, values: list) -> None:
    binning = build(reference)
    numbers = [v for v in values if v is None or isinstance(v, float)]
    as_floats = np.array(numbers, dtype=np.float64)
    assert binning.count(numbers).tolist() == binning.count_floats(as_floats).tolist()
    assert binning._count_scalars(values).tolist() == binning.count(values).tolist()
    assert Profile.of(binning, values).total == len(values)


@given(samples)
def test_a_binning_survives_its_bytes(reference: np.ndarray) -> None:
    binning = build(reference)
    restored = decode_binning(encode_binning(binning))
    assert isinstance(restored, NumericBinning)
    assert restored == binning
    assert restored.edges.tobytes() == binning.edges.tobytes()
    assert (restored.low, restored.high, restored.scale) == (binning.low, binning.high, binning.scale)
    assert restored.atomic.tolist() == binning.atomic.tolist()
    assert restored.coarse_labels() == binning.coarse_labels()


@given(samples)
def test_every_binning_is_sound(reference: np.ndarray) -> None:
    binning = build(reference)
    profile = Profile(binning, binning.count_floats(reference))
    assert profile.n == len(reference)
    assert (profile.below, profile.above) == (0, 0)
    assert profile.coarse.sum() == profile.n
    assert len(binning.coarse_labels()) == binning.n_coarse == len(profile.coarse)
    assert math.isfinite(binning.scale)
    assert binning.scale >= 0.0


@pytest.mark.parametrize("cut", [0, 3, 10, 31, -1])
def test_damaged_bytes_are_refused(cut: int) -> None:
    raw = encode_binning(build(CONTINUOUS))
    with pytest.raises(MalformedProfile):
        decode_binning(raw[:cut])


def test_bytes_that_describe_no_ascending_edges_are_refused() -> None:
    raw = bytearray(encode_binning(build(CONTINUOUS)))
    raw[32:40], raw[40:48] = raw[40:48], raw[32:40]
    with pytest.raises(MalformedProfile, match="ascending"):
        decode_binning(bytes(raw))


@pytest.mark.parametrize("kind", ["smooth", "whole", "few", "wide", "frequent", "extreme", "gaps"])
def test_one_sort_gives_the_cells_and_the_counts(kind: str) -> None:
    """The edges are numpy's quantiles to the bit and those of the frequent values; the counts those of `count`."""
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 199, 200, 201, 1_500):
        normal = rng.normal(size=size)
        values = {
            "smooth": normal,
            "whole": rng.integers(0, 300, size).astype(float),
            "few": np.round(normal),
            "wide": np.exp(20 * normal),
            "frequent": np.where(rng.random(size) < 0.4, 0.0, normal),
            "extreme": rng.choice([1e308, -1e308, 0.0, -0.0, 5e-324], size),
            "gaps": np.where(rng.random(size) < 0.2, rng.choice([np.nan, np.inf, -np.inf], size), normal),
        }[kind]
        if not np.isfinite(values).any():
            continue
        binning, counts = binning_and_counts(values)
        assert counts.tolist() == binning.count_floats(values).tolist()
        finite = np.sort(values[np.isfinite(values)]) + 0.0
        finite = rounded(finite) if binning.version > 1 else finite
        distinct, numbers = np.unique(finite, return_counts=True)
        atoms = distinct if len(distinct) <= 200 else distinct[numbers * 200 >= len(finite)]
        unit = 4.0 if kind == "extreme" else 1.0
        quantiles = np.quantile(finite / unit, np.arange(1, 200) / 200) * unit
        with np.errstate(over="ignore"):
            edges = np.unique(np.concatenate((quantiles, atoms, np.nextafter(atoms, -np.inf)))) + 0.0
        assert binning.edges.tolist() == edges[np.isfinite(edges)].tolist()
