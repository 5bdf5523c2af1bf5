"""How alike the predictions of one client are, and how many of each a window has."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy.stats import t as student

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.encoded_counts import encode_counts
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import effective_rate_increase_p_value
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.combined import DECLARED, combined_detectable, combined_tests
from modelwatch.stats.drift.significance.names import (
    decode_split,
    encode_split,
    expected_new,
    is_ids,
    names_p_value,
    split_reference,
)
from modelwatch.stats.drift.variation.clusters import Clusters, KeyedRows, clusters_of, decode_clusters, encode_clusters
from modelwatch.stats.drift.variation.overdispersion import AT_MOST, LOCATION, ON_AVERAGE, widened_tail
from modelwatch.stats.errors import MalformedProfile

CLIENTS = [f"client {number}" for number in range(400)]


def of_clients(rng: np.random.Generator, clients: np.ndarray, correlation: float) -> np.ndarray:
    """Values with so large a correlation of two of the same client."""
    own = rng.normal(size=clients.max() + 1)
    return np.sqrt(correlation) * own[clients] + np.sqrt(1.0 - correlation) * rng.normal(size=len(clients))


def test_a_cluster_is_the_rows_with_the_same_key() -> None:
    """By hand: clusters of 3, 2 and 1, and a row without a key, which is alone: (9 + 4 + 1 + 1) / 7."""
    keys = ["a", "b", "a", None, "c", "b", "a"]
    rows = KeyedRows("client", keys, categorical_binning(keys))
    assert rows.size == pytest.approx(15 / 7)
    assert len(set(rows.cluster_of.tolist())) == 4
    numbers = KeyedRows("client", [1, 2, 1, 1, 2, 3], numeric_binning(np.array([1.0, 2.0, 3.0])))
    assert numbers.size == pytest.approx(14 / 6)


@pytest.mark.parametrize("correlation", [0.05, 0.1, 0.3])
def test_the_correlation_of_a_client_is_found(correlation: float) -> None:
    rng = np.random.default_rng(1)
    clients = np.repeat(np.arange(400), 25)
    values = of_clients(rng, clients, correlation)
    keys = [CLIENTS[place] for place in clients]
    reference = Profile.of(numeric_binning(values), values)
    found = clusters_of(reference, values.tolist(), KeyedRows("client", keys, categorical_binning(keys)))
    assert found is not None
    assert found.varies
    assert (found.groups, found.size) == (400, 25.0)
    assert found.group_size == pytest.approx(25.0)
    assert found.statistics[LOCATION] == pytest.approx(correlation, abs=0.05)
    # Kish: 1 + (m - 1) ρ, where window and reference have clusters of one size.
    dispersion = found.dispersion(500, 10_000, 25.0)
    assert dispersion is not None
    of_both = 1 / 500 + 1 / 10_000
    assert 1 / dispersion.effective[LOCATION] + 1 / 10_000 == pytest.approx(
        of_both * (1 + 24 * found.statistics[LOCATION])
    )


def test_clusters_that_are_no_more_alike_change_nothing() -> None:
    rng, varies = np.random.default_rng(2), 0
    for _ in range(40):
        values = rng.normal(size=4_000)
        keys = [CLIENTS[place] for place in rng.integers(0, 400, 4_000)]
        reference = Profile.of(numeric_binning(values), values)
        found = clusters_of(reference, values.tolist(), KeyedRows("client", keys, categorical_binning(keys)))
        varies += found is None or found.dispersion(100, 4_000, 30.0) is not None
    assert varies <= 2


@pytest.mark.parametrize("correlation", [0.05, 0.3])
def test_bursts_of_one_client_keep_the_level_with_a_key_and_break_it_without(correlation: float) -> None:
    """Windows of 300 predictions in bursts of 20 and 60 of one client each, of clients old and new."""
    rng = np.random.default_rng(3)
    low = {"with": 0, "without": 0}
    for _ in range(12):
        sizes = rng.choice([5, 20, 60], 400)
        clients = np.repeat(np.arange(400), sizes)
        values = of_clients(rng, clients, correlation)
        names = [CLIENTS[place] for place in clients]
        rows, reference = (
            KeyedRows("client", names, cells := categorical_binning(names)),
            Profile.of(numeric_binning(values), values),
        )
        found = clusters_of(reference, values.tolist(), rows)
        assert found is not None
        windows, dispersions = [], []
        for _ in range(60):
            bursts = rng.choice([20, 60], 8)
            of_burst = np.repeat(np.arange(8), bursts)
            senders = [CLIENTS[place] if rng.random() < 0.5 else f"new {place}" for place in rng.integers(0, 400, 8)]
            now = Profile.of(reference.binning, of_clients(rng, of_burst, correlation))
            keys = Profile.of(cells, [senders[place] for place in of_burst])
            windows.append(now)
            dispersions.append(found.dispersion(now.n, reference.n, found.size_in(keys)))
        [with_key] = combined_tests([(reference, None, windows)], [dispersions])
        [without] = combined_tests([(reference, None, windows)])
        low["with"] += sum(each.p_value < 1e-3 for each in with_key)
        low["without"] += sum(each.p_value < 1e-3 for each in without)
    # 720 windows: 0.7 are expected, five would be there in one of 1,000 runs.
    assert low["with"] < 5
    assert low["without"] > 30


def test_the_key_of_a_window_tells_how_large_its_clusters_are() -> None:
    names = [*["often"] * 60, *[name for name in CLIENTS for _ in range(2)]]
    cells = categorical_binning(names)
    rows = KeyedRows("client", names, cells)
    found = Clusters("client", rows.size, 400, 2.0, (0.1,) * 4, (0.1,) * 10, True)
    assert found.size_in(Profile.of(cells, ["often"] * 30)) == 30.0
    # Those that have no cell of their own are as large as the reference's, and no larger than all of them together.
    others = sorted(cells.rare)
    assert found.size_in(Profile.of(cells, others[:10])) == pytest.approx(rows.size)
    assert found.size_in(Profile.of(cells, ["new"] * 40)) == pytest.approx(rows.size)
    assert found.size_in(Profile.of(cells, [others[0], "new"])) == 2.0
    assert found.size_in(Profile.empty(cells)) is None
    numbers = numeric_binning(np.arange(10.0))
    assert found.size_in(Profile.of(numbers, [1.0, 2.0])) is None
    unknown, known = found.dispersion(100, 860, None), found.dispersion(100, 850, rows.size)
    assert unknown is not None
    assert known is not None
    assert unknown.effective.tolist() == pytest.approx(known.effective.tolist(), rel=1e-3)


@pytest.mark.parametrize(("clients", "rows", "varies"), [(9, 400, False), (12, 400, True), (400, 400, False)])
def test_of_few_clusters_and_of_single_values_nothing_is_known(clients: int, rows: int, varies: bool) -> None:
    of_row = np.arange(rows) % clients
    keys, values = [CLIENTS[place] for place in of_row], of_row * 3.0
    reference = Profile.of(numeric_binning(values), values)
    found = clusters_of(reference, values.tolist(), KeyedRows("client", keys, categorical_binning(keys)))
    assert (found.groups, found.varies) == (clients, varies)
    assert found.group_size == pytest.approx(rows / clients, rel=0.05)
    assert (found.dispersion(100, rows, 20.0) is not None) is varies
    assert decode_clusters(encode_clusters(found)) == found
    empty = clusters_of(reference, [None] * rows, KeyedRows("client", keys, categorical_binning(keys)))
    assert (empty.groups, empty.varies) == (0, False)


def test_twelve_clusters_keep_the_level_of_location_and_of_scale() -> None:
    """With Student's t as of location, the scale said seven times too often at 1e-2 that it is beyond chance, and 20
    times at 1e-3: squares of the means of few clusters have heavy tails."""
    rng, found = np.random.default_rng(12), []
    clients = np.arange(12).repeat(83)
    names = [CLIENTS[place] for place in clients]
    rows = KeyedRows("client", names, categorical_binning(names))
    for _ in range(300):
        values = of_clients(rng, clients, 0.3)
        reference = Profile.of(numeric_binning(values), values)
        clusters = clusters_of(reference, values.tolist(), rows)
        now = Profile.of(reference.binning, rng.normal(size=1_000))
        [[test]] = combined_tests([(reference, None, [now])], [[clusters.dispersion(now.n, reference.n, 1.0)]])
        assert test.location is not None
        assert test.scale is not None
        found.append((test.location.p_value, test.scale.p_value))
    low = (np.array(found) < 0.01).sum(axis=0)
    # 3 are expected; nine or more would be there in one of 250 runs.
    assert low.max() < 9


@pytest.mark.parametrize("size", [1.0, 5.0, 83.0])
def test_more_values_of_few_clusters_say_no_less(size: float) -> None:
    """Of a shift that is beyond chance at about 1e-6: a part of the window says what the whole one says, at least."""
    rng = np.random.default_rng(1)
    clients = np.arange(12).repeat(83)
    values = of_clients(rng, clients, 0.3)
    names = [CLIENTS[place] for place in clients]
    reference = Profile.of(numeric_binning(values), values)
    clusters = clusters_of(reference, values.tolist(), KeyedRows("client", names, categorical_binning(names)))
    says = []
    for n in (128, 512, 2_048, 8_192, 100_000):
        dispersion = clusters.dispersion(n, reference.n, size)
        assert dispersion is not None
        effective, freedom = dispersion.effective[LOCATION], dispersion.freedom[LOCATION]
        says.append(float(effective / student.isf(5e-7, freedom) ** 2))
    assert (np.diff(says) >= -1e-9).all()


def test_damaged_clusters_are_refused() -> None:
    with pytest.raises(MalformedProfile, match="clusters"):
        decode_clusters(b"{}")
    found = Clusters("client", 2.0, 40, 2.0, (0.1, 0.0, 0.1, 0.2), (0.1,), False)
    assert decode_clusters(encode_clusters(found)) == found


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("size", -1.0, "^size of"),
        ("groups", -3, "^groups of"),
        ("group_size", -0.5, "^group_size of"),
        ("groups", 9, "at least 10 of more than one value"),
        ("group_size", 1.0, "at least 10 of more than one value"),
        ("statistics", (0.1, 0.2), "with 4 statistics"),
        ("statistics", (0.1, -0.2, 0.0, 0.1), "no less than 0"),
        ("cells", (-0.1,), "no less than 0"),
    ],
)
def test_clusters_that_can_not_be_are_refused(field: str, value: object, why: str) -> None:
    right = Clusters("client", 2.0, 40, 2.0, (0.1, 0.0, 0.1, 0.2), (0.1,), True)
    with pytest.raises(MalformedProfile, match=why):
        decode_clusters(encode_clusters(msgspec.structs.replace(right, **{field: value})))


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([2, 3, 1, 0, 5, 5], "clusters = 0"),
        ([2, 13, 1, 12, 5, 5], "once = 13"),
        ([2, 3, 13, 12, 5, 5], "twice = 13"),
        ([2, 3, 1, 12, 0, 0], "at least one value"),
        ([1, 3, 1, 0, 0], "at least one value"),
        ([2, 3, 1, -12, 5, 5], "below 0"),
        ([1, 3, 1, -5, 5], "below 0"),
    ],
)
def test_splits_that_can_not_be_are_refused(numbers: list[int], why: str) -> None:
    with pytest.raises(MalformedProfile, match=why):
        decode_split(encode_counts(np.array(numbers, dtype=np.int64), signed=True))


def test_the_smallest_shift_that_few_clusters_show_is_that_of_the_test_that_runs() -> None:
    """Windows of as many values as 60 clusters of 40 have, in five classes that were declared. How alike they are is
    known with 59 degrees of freedom alone, and so the same shift is worth less."""
    rng, alpha = np.random.default_rng(4), 1e-5
    values = [str(value) for _ in range(60) for value in rng.choice(5, 40, p=rng.dirichlet(np.full(5, 20.0)))]
    keys = [CLIENTS[number] for number in np.arange(60).repeat(40)]
    cells = categorical_binning(values)
    reference = Profile.of(cells, values)
    clusters = clusters_of(reference, values, KeyedRows("client", keys, categorical_binning(keys)))
    n = 24_000
    dispersion = clusters.dispersion(n, reference.n, 40.0)
    assert dispersion is not None
    detectable = combined_detectable(reference, alpha)
    smallest = detectable.of_dispersed(n, 4, dispersion)
    without = detectable.of(int(dispersion.effective[AT_MOST]), 4)
    assert smallest is not None
    assert smallest > 1.2 * without

    def p_value(size: float) -> float:
        """Of a window that shows the shift and no chance: its statistic is near the noncentrality."""
        towards = reference.coarse * np.array([1.0, 1.0, 1.0, -1.0, -1.0, 0.0, 0.0])
        least, most = 0.0, 0.99
        for _ in range(40):
            middle = 0.5 * (least + most)
            shown = reference.coarse + middle * towards
            least, most = (middle, most) if psi(reference.coarse, shown) < size else (least, middle)
        counts = np.zeros(cells.size, dtype=np.int64)
        counts[: len(shown)] = np.rint(n * shown / shown.sum())
        [[found]] = combined_tests([(reference, None, [Profile(cells, counts)])], [[dispersion]])
        return found.omnibus_p_value / DECLARED["all cells"]

    assert p_value(smallest) < alpha < p_value(without)
    # 12 clusters of 100: nothing at all can be said of windows of one cluster.
    assert detectable.of_dispersed(100, 4, replace(dispersion, freedom=np.full(4, 1.0))) is None


def test_what_the_reference_varies_counts_once_for_new_names() -> None:
    """Its clusters are in what is expected: so a window counts as by Kish's own size."""
    rng = np.random.default_rng(11)
    keys = [CLIENTS[number] for number in np.arange(200).repeat(5)]
    cities = of_customers(rng, 30, 200)
    rows = KeyedRows("customer", keys, categorical_binning(keys))
    binning, split = split_reference(cities, rows.cluster_of)
    assert split is not None
    reference = Profile.of(binning, cities)
    tested = reference.n - int(split.naming.sum())
    window = Profile.of(binning, ["elsewhere"] * 200 + cities[:400])
    dispersion = clusters_of(reference, cities, rows).dispersion(window.n, tested, 5.0)
    expected = expected_new(reference, split)
    assert dispersion is not None
    assert expected is not None
    found = names_p_value(expected, window, dispersion, tested)
    size = window.n / 5.0
    assert dispersion.effective[ON_AVERAGE] < 0.7 * size
    tail = effective_rate_increase_p_value(expected.hits, expected.n, window.unseen / 5.0, size)
    assert found == pytest.approx(widened_tail(tail, float(dispersion.freedom[ON_AVERAGE])), rel=0.2)
    # In the window again, as before, the same says less.
    assert found < 0.1 * names_p_value(expected, window, dispersion.independent_draws(), tested)


@pytest.mark.parametrize(("customers", "window"), [(12, 10), (30, 100), (200, 100)])
def test_new_names_of_new_customers_keep_the_level(customers: int, window: int) -> None:
    """Zipf's law with 1.2 or 1.6: each customer has five rows with one name."""
    rng, found = np.random.default_rng(5), []
    keys = [CLIENTS[number] for number in np.arange(customers).repeat(5)]
    rows = KeyedRows("customer", keys, categorical_binning(keys))
    shares = np.arange(1.0, 2_001.0) ** (-1.6 if customers < 200 else -1.2)
    for _ in range(30):

        def drawn(number: int) -> list[str]:
            return [str(name) for name in rng.choice(2_000, number, p=shares / shares.sum()).repeat(5)]

        sample = drawn(customers)
        binning, split = split_reference(sample, rows.cluster_of)
        reference = Profile.of(binning, sample)
        if split is None or is_ids(reference, split):
            continue
        tested = reference.n - int(split.naming.sum())
        clusters, expected = clusters_of(reference, sample, rows), expected_new(reference, split)
        for _ in range(20):
            now = Profile.of(binning, drawn(window))
            found.append(names_p_value(expected, now, clusters.dispersion(now.n, tested, 5.0), tested))
    assert len(found) > 300
    assert np.mean(np.array(found) < 0.05) <= 0.05


def of_customers(rng: np.random.Generator, kinds: int, customers: int) -> list[str]:
    """Five rows of each customer, all with its city."""
    return [str(city) for city in rng.integers(0, kinds, customers).repeat(5)]


@pytest.mark.parametrize("kinds", [50, 300])
def test_new_customers_with_cities_of_the_same_distribution_keep_the_level(kinds: int) -> None:
    rng, found = np.random.default_rng(11), []
    keys = [f"customer {number}" for number in np.arange(1_000).repeat(5)]
    rows = KeyedRows("customer", keys, categorical_binning(keys))
    for _ in range(5):
        cities = of_customers(rng, kinds, 1_000)
        binning, split = split_reference(cities, rows.cluster_of)
        assert split is not None
        assert binning.naming is not None
        reference = Profile.of(binning, cities)
        clusters = clusters_of(reference, cities, rows)
        windows = [Profile.of(binning, of_customers(rng, kinds, 200)) for _ in range(40)]
        tested = reference.n - int(split.naming.sum())
        dispersions = [clusters.dispersion(each.n, tested, 5.0) for each in windows]
        found += combined_tests([(reference, split, windows)], [dispersions])[0]
        # A third of all customers in one city, and in one that is new.
        moved = [*of_customers(rng, kinds, 130), *[binning.naming.named[0]] * 350]
        new = [*of_customers(rng, kinds, 130), *["elsewhere"] * 350]
        of_moved = [Profile.of(binning, each) for each in (moved, new)]
        [both] = combined_tests(
            [(reference, split, of_moved)], [[clusters.dispersion(each.n, tested, 5.0) for each in of_moved]]
        )
        assert max(each.p_value for each in both) < 1e-6
    assert sum(each.p_value < 1e-2 for each in found) <= 5
    assert min(each.p_value for each in found) > 1e-4


def test_names_are_split_and_counted_by_clusters() -> None:
    """By hand: 40 clusters of 3 values. 20 have a name of their own, 10 pairs share one."""
    names = [f"alone {number}" for number in range(20)] + [f"pair {number // 2}" for number in range(20)]
    sample = [name for name in names for _ in range(3)]
    clusters = np.arange(40).repeat(3)
    binning, split = split_reference(sample, clusters)
    assert split is not None
    assert (split.once, split.twice, split.clusters) == (20, 10, 40)
    assert not (split.naming % 3).any()
    assert 40 <= split.naming.sum() < 43
    assert is_ids(Profile.of(binning, sample), split)
    after = decode_split(encode_split(split))
    assert (after.naming.tolist(), after.once, after.twice, after.clusters) == (split.naming.tolist(), 20, 10, 40)
    # Values without a name belong to no cluster; each value its own, or few clusters: as without.
    assert split_reference([*sample, None], np.append(clusters, 99))[1].clusters == 40  # type: ignore[union-attr]
    for same in (np.arange(120), np.arange(9).repeat(14)[:120]):
        one, other = split_reference(sample, same)[1], split_reference(sample)[1]
        assert one is not None
        assert other is not None
        assert (one.naming.tolist(), one.once, one.clusters) == (other.naming.tolist(), other.once, 0)


def test_a_cluster_that_holds_most_values_names_no_cells() -> None:
    sample = ["large"] * 200 + [str(number % 10) for number in range(100)]
    _, split = split_reference(sample, np.append(np.zeros(200, dtype=np.int64), np.arange(1, 51).repeat(2)))
    assert split is not None
    assert split.naming.sum() == 100


def test_a_rare_cell_without_two_values_of_one_cluster_varies_as_all_do() -> None:
    """Clusters of one name each, but for a rare name that six of them have once."""
    values = np.array(["a", "b", "c", "d"])[np.arange(200) % 4].repeat(5)
    values[:30:5] = "rare"
    keys = [CLIENTS[number] for number in np.arange(200).repeat(5)]
    reference = Profile.of(categorical_binning(values.tolist()), values.tolist())
    found = clusters_of(reference, values.tolist(), KeyedRows("client", keys, categorical_binning(keys)))
    assert found.statistics[ON_AVERAGE] > 0.5
    assert found.cells[4] == found.statistics[ON_AVERAGE]
    assert found.cells[0] != found.statistics[ON_AVERAGE]


def test_few_large_clusters_are_not_given_away_to_name_cells() -> None:
    rng = np.random.default_rng(1)
    clusters = np.where(rng.random(20_000) < 0.75, 0, 1 + rng.integers(0, 500, 20_000))
    values = rng.choice(["a", "b", "c", "d"], 20_000, p=[0.4, 0.3, 0.2, 0.1]).tolist()
    values[0] = "rare"
    binning, split = split_reference(values, clusters)
    assert split is not None
    assert not split.clusters
    assert not is_ids(Profile.of(binning, values), split)


def test_the_same_rows_in_another_order_are_the_same_clusters() -> None:
    rng = np.random.default_rng(2)
    keys = [f"c{number}" for number in rng.integers(0, 400, 2_000)]
    names = [f"city {hash_of % 60}" for hash_of in rng.integers(0, 10_000, 2_000)]
    order = rng.permutation(2_000).tolist()
    found = []
    for places in (range(2_000), order):
        of_keys, values = [keys[place] for place in places], [names[place] for place in places]
        rows = KeyedRows("client", of_keys, categorical_binning(of_keys))
        found.append(split_reference(values, rows.cluster_of))
    (binning, split), (same, again) = found
    assert split is not None
    assert again is not None
    assert binning == same
    assert (split.naming == again.naming).all()
    assert split.clusters == again.clusters > 10
