"""Volume and freshness: real dips are seen, and ordinary traffic alarms no more often than it should."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modelwatch.stats.errors import StatsError
from modelwatch.stats.quality.volume import Dispersion, dispersion_of, freshness, usual_gap, volume_check
from tests.proofs.lock import Proofs
from tests.support.data.data_sets import DataSets

HOURS = np.arange(168)
RHYTHM = 205.0 + 180.0 * np.sin(HOURS / 24.0 * 2.0 * np.pi)
INDEPENDENT = Dispersion(1.0, 0.0, 0.0, df=1_000_000, weeks=8)
Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.int64]]


def steady(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return rng.poisson(RHYTHM, size=shape)


def overdispersed(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return rng.negative_binomial(np.broadcast_to(RHYTHM / 4.0, shape), 0.2)


def bursts(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return rng.poisson(RHYTHM / 20.0, size=shape) * 20


def restless(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return rng.poisson(RHYTHM * rng.gamma(100.0, 0.01, size=shape))


def weekly(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.int64]:
    return rng.poisson(RHYTHM * rng.gamma(100.0, 0.01, size=(shape[0], 1)))


def p_values(draw: Draw, weeks: int, repeats: int, *, pooled: bool) -> NDArray[np.float64]:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(repeats):
        counts = draw(rng, (weeks + 1, len(HOURS)))
        dispersion = dispersion_of(counts[:-1]) if pooled else None
        for hour in range(0, len(HOURS), 3):
            check = volume_check(int(counts[-1, hour]), counts[:-1, hour].tolist(), dispersion=dispersion)
            assert check.p_value is not None
            found.append(check.p_value)
    return np.array(found)


DRAWS: dict[str, Draw] = {each.__name__: each for each in (steady, overdispersed, bursts, restless, weekly)}


def alarms_of_usual_traffic(traffic: str, weeks: int, pooled: bool) -> dict[str, float]:
    """How often hours that are as usual are unusual at a level, by the level."""
    p = p_values(DRAWS[traffic], weeks, 80, pooled=pooled)
    return {str(level): float((p < level).mean()) for level in (0.05, 0.01)}


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("weeks", [4, 8])
@pytest.mark.parametrize("traffic", DRAWS)
def test_ordinary_traffic_alarms_at_most_at_the_nominal_level(
    proofs: Proofs, traffic: str, weeks: int, pooled: bool
) -> None:
    found = proofs.figures(alarms_of_usual_traffic, traffic, weeks, pooled)
    # All hours of one week share its level in `weekly`: 80 draws, not thousands.
    slack = 2.5 if traffic == "weekly" else 1.25
    assert found["0.05"] <= 0.05 * slack
    assert found["0.01"] <= 0.01 * slack


@pytest.mark.parametrize("traffic", ["steady", "overdispersed", "restless"])
def test_the_level_is_used_and_not_wasted(proofs: Proofs, traffic: str) -> None:
    assert proofs.figures(alarms_of_usual_traffic, traffic, 8, True)["0.05"] > 0.02


@pytest.mark.parametrize("draw", [steady, overdispersed, bursts])
def test_a_busy_hour_that_stays_silent_is_seen_in_four_weeks(draw: Draw) -> None:
    counts = draw(np.random.default_rng(3), (4, len(HOURS)))
    hour = int(np.argmax(RHYTHM))
    check = volume_check(0, counts[:, hour].tolist(), dispersion=dispersion_of(counts))
    assert check.p_value is not None
    assert check.p_value < 1e-4
    assert (check.ratio, check.large) == (0.0, True)


def test_hurricane_sandy_is_a_dip_and_no_other_whole_week_is(shared_data: DataSets) -> None:
    stamps = pd.read_parquet(shared_data / "bike_regression" / "production.parquet", columns=["timestamp"])["timestamp"]
    week = (stamps - pd.Timestamp("2012-01-01", tz="UTC")).dt.days // 7
    counts = week.value_counts().sort_index().tolist()
    assert counts[43] == 132
    checks = {now: volume_check(counts[now], counts[:now]) for now in range(4, 52)}
    unusual = [now for now, each in checks.items() if each.large and each.p_value is not None and each.p_value < 1e-5]
    assert unusual == [43]
    dip = checks[43]
    assert dip.low is not None
    assert dip.low > 132
    assert dip.ratio == pytest.approx(132 / 167.77, abs=1e-3)


def test_without_the_regularity_of_its_weeks_the_dip_is_visible_all_the_same() -> None:
    check = volume_check(132, [168] * 8, dispersion=INDEPENDENT)
    assert check.p_value is not None
    assert check.p_value < 0.01
    assert check.large


def test_the_predictive_distribution_of_independent_arrivals_is_negative_binomial() -> None:
    earlier = [7, 12, 9, 8]
    for now in (0, 3, 9, 17, 30):
        law = stats.nbinom(sum(earlier) + 0.5, 4 / 5)
        expected = min(1.0, 2.0 * min(law.cdf(now), law.sf(now - 1)))
        check = volume_check(now, earlier, dispersion=INDEPENDENT)
        assert check.p_value == pytest.approx(expected, rel=1e-3)


@given(st.lists(st.integers(0, 300), min_size=4, max_size=10))
def test_the_range_holds_exactly_what_is_not_rarer_than_it_says(earlier: list[int]) -> None:
    dispersion = Dispersion(3.0, 0.0, 0.0, df=500, weeks=len(earlier))
    check = volume_check(0, earlier, dispersion=dispersion)
    assert check.low is not None
    assert check.high is not None
    assert check.low <= sum(earlier) / len(earlier) <= check.high

    def p_value(now: int) -> float:
        found = volume_check(now, earlier, dispersion=dispersion).p_value
        assert found is not None
        return found

    assert p_value(check.low) > 0.01
    assert p_value(check.high) > 0.01
    assert p_value(check.high + 1) <= 0.01
    assert check.low == 0 or p_value(check.low - 1) <= 0.01


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**9), min_size=4, max_size=8))
def test_any_volumes_have_a_p_value_and_a_range(now: int, earlier: list[int]) -> None:
    check = volume_check(now, earlier)
    assert check.reason is None
    assert check.p_value is not None
    assert 0.0 <= check.p_value <= 1.0
    assert check.low is not None
    assert check.high is not None
    assert 0 <= check.low <= check.high


@pytest.mark.parametrize("ratio", [1.0, 1.05, 2.1, 8.0])
@pytest.mark.parametrize("usual", [1_000, 1_442, 20_000])
def test_the_less_comes_the_less_usual_it_is_whatever_the_traffic_varies_by(usual: int, ratio: float) -> None:
    spread = Dispersion(ratio, 0.0, 0.0, df=840, weeks=6)
    shares = (1.0, 0.9, 0.8, 0.6, 0.4, 0.1, 0.0)
    found = [volume_check(round(share * usual), [usual] * 6, dispersion=spread).p_value for share in shares]
    assert all(p is not None for p in found)
    assert found == sorted(found, reverse=True)  # type: ignore[type-var]
    # Sums of independent tails may be a hair above 1: a dip was taken for usual, with p = 1.
    assert found[3] is not None
    assert found[3] < 1e-4


def test_an_hour_that_was_always_empty_may_stay_so() -> None:
    check = volume_check(0, [0, 0, 0, 0])
    assert (check.p_value, check.ratio, check.low, check.large) == (1.0, None, 0, False)
    burst = volume_check(500, [0, 0, 0, 0], dispersion=INDEPENDENT)
    assert burst.large
    assert burst.p_value is not None
    assert burst.p_value < 1e-9


@pytest.mark.parametrize("earlier", [[], [100], [100, 101, 99]])
def test_a_short_history_is_a_reason_and_no_verdict(earlier: list[int]) -> None:
    check = volume_check(0, earlier)
    assert check.reason == f"the same hours of at least 4 earlier weeks are needed, there are {len(earlier)}"
    assert (check.p_value, check.expected, check.low, check.high, check.large) == (None, None, None, None, False)


@pytest.mark.parametrize(("now", "earlier"), [(-1, [1, 2, 3, 4]), (1, [1, 2, -3, 4])])
def test_negative_volumes_are_refused(now: int, earlier: list[int]) -> None:
    with pytest.raises(StatsError, match="never negative"):
        volume_check(now, earlier)


def test_dispersion_is_recovered_from_the_hours_of_a_few_weeks() -> None:
    rng = np.random.default_rng(5)
    independent = dispersion_of(steady(rng, (8, 168)))
    clumped = dispersion_of(bursts(rng, (8, 168)))
    by_week = dispersion_of(weekly(rng, (40, 168)))
    assert independent is not None
    assert clumped is not None
    assert by_week is not None
    assert independent.ratio == pytest.approx(1.0, abs=0.1)
    assert clumped.ratio == pytest.approx(20.0, rel=0.1)
    assert by_week.shared == pytest.approx(0.01, rel=0.5)
    assert by_week.df_at(385.0) < 100 < by_week.df


def test_equal_counts_of_a_few_weeks_are_no_schedule() -> None:
    few, many = dispersion_of([[20]] * 4), dispersion_of([[20]] * 30)
    assert few is not None
    assert many is not None
    assert (few.ratio, many.ratio) == (1.0, 0.0)


@pytest.mark.parametrize("weeks", [[], np.zeros((0, 3), dtype=np.int64), [[1, 2]], [[0, 0], [0, 0]], [[], []]])
def test_nothing_is_known_of_the_dispersion_without_two_weeks_of_arrivals(weeks: Any) -> None:
    assert dispersion_of(weeks) is None


@pytest.mark.parametrize("weeks", [[1, 2, 3], [[1], [-1]]])
def test_counts_that_are_no_weeks_by_hours_are_refused(weeks: list[list[int]]) -> None:
    with pytest.raises(StatsError):
        dispersion_of(weeks)


def test_a_stream_is_silent_after_three_usual_gaps_and_since_its_last_arrival() -> None:
    gaps = [60.0] * 200
    assert freshness(1_179.0, 1_000.0, gaps).silent is False
    first, later = freshness(1_180.0, 1_000.0, gaps), freshness(9_000.0, 1_000.0, gaps)
    assert (first.silent, first.since) == (later.silent, later.since) == (True, 1_000.0)
    assert (first.usual_gap, first.limit, later.silent_for) == (60.0, 180.0, 8_000.0)


def test_a_nightly_batch_is_fresh_all_day() -> None:
    gaps = [0.001] * 30_000 + [86_400.0] * 30
    assert freshness(86_000.0, 0.0, gaps).silent is False
    assert freshness(3 * 86_400.0, 0.0, gaps).silent is True


def test_one_outage_does_not_make_outages_usual() -> None:
    assert usual_gap(np.array([1.0] * 1_000 + [500.0]), np.ones(1_001, dtype=np.int64)) == 1.0


def test_a_histogram_of_gaps_says_the_same_as_the_gaps() -> None:
    rng = np.random.default_rng(1)
    gaps = np.ceil(rng.exponential(20.0, size=5_000))
    lengths, counts = np.unique(gaps, return_counts=True)
    assert freshness(500.0, 1.0, gaps) == freshness(500.0, 1.0, lengths, counts)


def test_independent_arrivals_are_almost_never_silent() -> None:
    rng = np.random.default_rng(2)
    history, future = rng.exponential(1.0, size=2_000), rng.exponential(1.0, size=200_000)
    limit = freshness(0.0, 0.0, history).limit
    assert limit is not None
    assert (future >= limit).mean() <= 1e-5


@pytest.mark.parametrize(
    ("last", "gaps", "reason"),
    [
        (None, [1.0] * 50, "nothing has arrived yet"),
        (5.0, [], "there are 0"),
        (5.0, [1.0] * 9, "there are 9"),
        (5.0, [0.0] * 50, "arrived at once"),
    ],
)
def test_freshness_that_is_not_known_says_why(last: float | None, gaps: list[float], reason: str) -> None:
    found = freshness(1_000.0, last, gaps)
    assert (found.silent, found.since, found.limit) == (None, None, None)
    assert found.reason is not None
    assert reason in found.reason


def test_an_arrival_from_the_future_is_no_silence() -> None:
    assert freshness(10.0, 12.0, [1.0] * 20).silent_for == 0.0


@pytest.mark.parametrize("gap", [-1.0, float("nan"), float("inf")])
def test_impossible_gaps_are_refused(gap: float) -> None:
    with pytest.raises(StatsError, match="finite"):
        freshness(0.0, 0.0, [1.0, gap])


@pytest.mark.parametrize("counts", [[1], [1, -1]])
def test_counts_that_do_not_fit_the_gaps_are_refused(counts: list[int]) -> None:
    with pytest.raises(StatsError, match="for every gap"):
        freshness(0.0, 0.0, [1.0, 2.0], counts)
