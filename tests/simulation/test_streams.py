"""Simulated values: what has shifted and what has not, and sums that are those of the counts."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.simulation.features import Feature, Names, drawn
from modelwatch.simulation.shifts import CATEGORY_SHARE, Shift
from modelwatch.simulation.streams import FeatureStream, _multinomial
from modelwatch.simulation.traffic import HOUR, Traffic, schedule, traffic

DAY = 24 * HOUR


def streamed(shift: Shift | None, rate: float = 200.0, size: int = 1_000) -> tuple[FeatureStream, Traffic]:
    rng = np.random.default_rng(4)
    arriving = traffic(rate, DAY, 2 * DAY, "poisson", rng)
    return FeatureStream.drawn(drawn(size, shift, rng), arriving, shift, rng), arriving


@pytest.mark.parametrize("shift", [None, Shift("location", 0.5), Shift("category", 0.2), Shift("new", 0.2)])
def test_sums_and_counts_are_of_the_same_values(shift: Shift | None) -> None:
    stream, arriving = streamed(shift)
    ends = np.array([12, 288, 300, 700])
    sums = stream.sums(ends, 12)
    counts = np.stack([stream.counts(end, 12) for end in ends.tolist()])
    assert counts.sum(axis=1).tolist() == [arriving.arrived[end - 12 : end].sum() for end in ends]
    for found, expected in zip(sums, stream.screen.sums(counts), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_looks_are_the_counts_of_their_windows() -> None:
    stream, arriving = streamed(Shift("half", 1.0))
    when = schedule(arriving, [HOUR, DAY], HOUR, None)
    looks = stream.looks(when)
    fine = stream.feature.reference.binning.n_fine
    for at in (0, 5, 40):
        border = int(when.ends[at]) // 300 + stream.history
        assert looks[at, 0].tolist() == stream.counts(border, 12)[:fine].tolist()
        assert looks[at, 1].tolist() == stream.counts(border, 288)[:fine].tolist()


def test_history_is_not_shifted_and_what_comes_after_is() -> None:
    stream, _ = streamed(Shift("location", 50.0))
    last = stream.feature.reference.binning.n_fine - 1
    assert stream.counts(288, 288)[last] < stream.counts(288, 288).sum() / 10
    assert stream.counts(288 + 288, 288)[last] == stream.counts(288 + 288, 288).sum()


@pytest.mark.parametrize("rate", [200.0, 20_000.0])
def test_much_traffic_is_drawn_as_counts_with_the_same_shares(rate: float) -> None:
    shift = Shift("ramp", 1.0)
    stream, arriving = streamed(shift, rate)
    day = stream.counts(288 + 288, 288)[: stream.feature.reference.binning.n_fine]
    ages = (np.arange(288) + 0.5) / 12
    expected = stream.feature.shifted_shares(shift, ages).mean(axis=0)
    total = arriving.arrived[288:576].sum()
    assert day.sum() == total
    assert np.abs(np.cumsum(day) / total - np.cumsum(expected)).max() < 2.0 / np.sqrt(total)


def test_counts_of_values_one_by_one_are_multinomial() -> None:
    """Of each window, of all windows together, and in how much they vary from one to another."""
    rng = np.random.default_rng(6)
    shares = np.concatenate(([0.0, 1e-7, 0.3], rng.dirichlet(np.ones(20)) * 0.7, [0.0]))
    shares /= shares.sum()
    sizes = rng.integers(0, 200, 3_000)
    counts = _multinomial(sizes, shares, rng)
    assert counts.sum(axis=1).tolist() == sizes.tolist()
    assert not counts[:, shares == 0.0].any()
    filled, likely = sizes > 0, shares > 1e-3
    expected = sizes.sum() * shares[likely]
    assert ((counts.sum(axis=0)[likely] - expected) ** 2 / expected).sum() == pytest.approx(likely.sum(), abs=30)
    of_windows = (counts[filled] - sizes[filled, None] * shares) ** 2 / sizes[filled, None]
    variances = (shares * (1.0 - shares))[likely]
    assert of_windows.mean(axis=0)[likely] == pytest.approx(variances, rel=0.25)


def test_a_category_has_its_share_before_and_after() -> None:
    feature = Names.drawn(10_000, np.random.default_rng(5))
    cell = feature.reference.binning.cell("moving")
    [after], [new] = (feature.shifted_shares(Shift(*each), np.zeros(1)) for each in (("category", 0.08), ("new", 0.1)))
    before = feature.shares()
    assert [each.sum() for each in (before, after, new)] == pytest.approx([1.0] * 3)
    assert (before[cell], after[cell]) == (pytest.approx(CATEGORY_SHARE), pytest.approx(0.08))
    assert (before[-1], after[-1], new[-1]) == (0.0, 0.0, pytest.approx(0.1))
    assert new[cell] == pytest.approx(CATEGORY_SHARE * 0.9)


def test_cells_are_those_of_the_reference_sample_and_not_exactly_equal() -> None:
    shares = Feature.drawn(300, np.random.default_rng(8)).shares()
    assert shares.sum() == pytest.approx(1.0)
    assert 0.001 < np.abs(shares - 1 / 200).max() < 0.05


@pytest.mark.parametrize(
    ("shift", "above"),
    [
        (Shift("location", 0.5), 0.6915),
        (Shift("half", 0.5), 0.5957),
        (Shift("ramp", 0.5), 0.5497),
        (Shift("scale", 2.0), 0.5),
    ],
)
def test_an_ordered_feature_moves_as_its_shift_says(shift: Shift, above: float) -> None:
    feature = Feature.drawn(10_000, np.random.default_rng(6))
    assert feature.shifted_shares(shift, np.array([6.0]))[0, 100:].sum() == pytest.approx(above, abs=0.02)
