"""Unseen categories in traffic whose predictions are alike: those of one client are one piece of news, not five."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import modelwatch as mw
from modelwatch.config import Settings
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.monitoring.checks.drift.evaluation import new_names_p_value
from modelwatch.monitoring.checks.quality.check import QualityCheck, check_quality
from modelwatch.monitoring.checks.quality.evaluation import evaluate_quality
from modelwatch.monitoring.checks.quality.evidence import encode_quality, gather_quality
from modelwatch.monitoring.checks.quality.report_building import quality_report
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.counting.categorical import categorical_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.significance.combined import combined_tests
from modelwatch.stats.drift.significance.names import expected_new, split_reference
from modelwatch.stats.drift.variation.clusters import KeyedRows, clusters_of
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.subjects import StoredReference, Subject
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger, open_store

STREAM = StreamKey("m", "1", "production")
EACH = 5


def cities(rng: np.random.Generator, clients: int) -> list[str]:
    """The city of each row: clients live in one, by Zipf's law."""
    return [f"city {city}" for city in np.repeat(rng.zipf(1.6, clients), EACH).tolist()]


def clients(number: int, first: int = 0) -> list[str]:
    return [f"client {client}" for client in np.repeat(np.arange(first, first + number), EACH).tolist()]


def reference_of(seed: int) -> StoredReference:
    """The reference of 1,000 clients."""
    names, keys = cities(np.random.default_rng([seed, 1]), 1_000), clients(1_000)
    rows = KeyedRows("client", keys, categorical_binning(keys))
    binning, split = split_reference(names, rows.cluster_of)
    profile = Profile.of(binning, names)
    stored = StoredReference("", "", None, Subject("feature", "city"), profile, None, 0, "", "active", split)
    return replace(stored, clusters=clusters_of(profile, names, rows))


@pytest.mark.parametrize("of_window", [20, 40, 200])
def test_new_clients_of_the_same_kind_keep_the_level(of_window: int) -> None:
    """By rows, as without a key, the level of 0.001 was exceeded at least tenfold."""
    level, by_rows, by_clients, windows = 1e-3, 0, 0, 0
    for seed in range(15):
        reference = reference_of(seed)
        expected = expected_new(reference.profile, reference.split)
        assert expected is not None
        for place in range(100):
            current = Profile.of(reference.profile.binning, cities(np.random.default_rng([seed, 2, place]), of_window))
            p_value = new_names_p_value(reference, current, "client", None)
            assert p_value is not None
            by_rows += rate_increase_p_value(expected.hits, expected.n, current.unseen, current.n) < level
            by_clients += p_value < level
            windows += 1
    assert by_rows > 10 * level * windows
    # 1.5 are expected at the level.
    assert by_clients <= 5


def test_many_clients_with_names_that_nobody_had_are_found() -> None:
    reference = reference_of(0)
    names = [*cities(np.random.default_rng(1), 140), *[f"other {place}" for place in range(60) for _ in range(EACH)]]
    p_value = new_names_p_value(reference, Profile.of(reference.profile.binning, names), "client", None)
    assert p_value is not None
    assert p_value < 1e-6


def reference_of_few(seed: int) -> StoredReference:
    """The reference of 12 clients with one city of 300 each, and about five rows: they count as fewer than ten."""
    rng = np.random.default_rng([seed, 1])
    sizes = rng.geometric(0.2, 12)
    names = [f"city {city}" for city in np.repeat(rng.integers(0, 300, 12), sizes).tolist()]
    keys = [f"client {client}" for client in np.repeat(np.arange(12), sizes).tolist()]
    rows = KeyedRows("client", keys, categorical_binning(keys))
    binning, split = split_reference(names, rows.cluster_of)
    profile = Profile.of(binning, names)
    stored = StoredReference("", "", None, Subject("feature", "city"), profile, None, 0, "", "active", split)
    return replace(stored, clusters=clusters_of(profile, names, rows))


def test_beside_few_unequal_clients_new_names_are_not_judged() -> None:
    """What was to be expected was counted by rows: up to 31 % of unchanged windows had more at a level of 1 %."""
    judged = []
    for seed in range(12):
        reference = reference_of_few(seed)
        assert reference.split is not None
        if reference.split.clusters:
            continue
        rng = np.random.default_rng([seed, 2])
        names = [f"city {city}" for city in np.repeat(rng.integers(0, 300, 10), rng.geometric(0.2, 10)).tolist()]
        current = Profile.of(reference.profile.binning, names)
        judged.append(new_names_p_value(reference, current, "client", None))
        assert reference.clusters is not None
        dispersion = reference.clusters.dispersion(current.n, reference.profile.n, None)
        [[found]] = combined_tests([(reference.profile, reference.split, [current])], [[dispersion]])
        assert found.new_names_p_value == 1.0
    assert len(judged) >= 6
    assert set(judged) == {1.0}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


def frame(named: bool) -> ReferenceFrame:
    rng = np.random.default_rng(3)
    samples = [ReferenceSample("feature", "city", "categorical", [*cities(rng, 1_000)])]
    if named:
        samples.append(ReferenceSample("feature", "client", "categorical", [*clients(1_000)]))
    return ReferenceFrame("m", None, samples, in_rows=True)


def few_clients() -> list[str]:
    """Of 40 clients 9 live where none did: 45 of 200 rows."""
    known = [name for name in cities(np.random.default_rng(3), 200) if name in ("city 1", "city 2", "city 3")]
    return [*known[: 31 * EACH], *[f"other {place}" for place in range(9) for _ in range(EACH)]]


@pytest.mark.parametrize("keyed", [False, True])
def test_the_verdict_allows_for_clients_where_the_monitor_names_them(store: Store, keyed: bool) -> None:
    if keyed:
        config = parse_monitor({"drift": {"cluster_by": "client"}})
        put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)
    set_reference_frame(store, frame(keyed), now=NOON, new_id=new_id)
    events = [
        event(f"p{place}", {"city": name, "client": key}, timestamp=NOON - 1_800_000_000)
        for place, (name, key) in enumerate(zip(few_clients(), clients(40, 2_000), strict=True))
    ]
    assert all(open_ledger(store).commit(events).accepted)
    rules = DriftRules.of(Settings())
    quality = QualityRules.of(rules)
    found = {each.feature_name: each for each in check_quality(store, rules, quality, STREAM, NOON).features}
    [unseen] = [rule for rule in found["city"].rules if rule.rule == "unseen_category"]
    assert unseen.rate == pytest.approx(45 / 200)
    assert (unseen.severity in ("warning", "alert")) is not keyed
    if keyed:
        # Clients come and go; whether predictions have one is judged.
        assert found["client"].severity not in ("warning", "alert")
        assert {rule.rule for rule in found["client"].rules} == {"missing", "invalid_type"}
    evidence = gather_quality(store, rules, quality, STREAM, NOON)
    with store.read() as connection:
        again = QualityCheck.restore(connection, encode_quality(evidence))
    assert quality_report(evaluate_quality(again)) == quality_report(evaluate_quality(evidence))


@pytest.mark.parametrize(
    ("known", "come", "lost", "found"),
    [
        (clients(200), "client 201", "unknown", ["unknown"]),
        (list(range(1, 201)) * EACH, 203, -1, [-1.0]),
        # A large client that comes is no code, nor a number far away an error.
        (list(range(1, 201)) * EACH, 5_000, 5_000, []),
    ],
)
def test_a_lost_key_is_a_sentinel_also_where_new_values_of_it_are_no_finding(
    store: Store, known: list[Scalar], come: Scalar, lost: Scalar, found: list[Scalar]
) -> None:
    config = parse_monitor({"drift": {"cluster_by": "client"}})
    put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)
    samples = [ReferenceSample("feature", "client", "categorical" if isinstance(lost, str) else "continuous", known)]
    set_reference_frame(store, ReferenceFrame("m", None, samples, in_rows=True), now=NOON, new_id=new_id)
    keys = [lost] * 120 + [come] * 5 + known[:75]
    events = [event(f"p{place}", {"client": key}, timestamp=NOON - 1_800_000_000) for place, key in enumerate(keys)]
    assert all(open_ledger(store).commit(events).accepted)
    rules = DriftRules.of(Settings())
    [client] = check_quality(store, rules, QualityRules.of(rules), STREAM, NOON).features
    assert [(each.value, each.count) for each in client.sentinels] == [(value, 120) for value in found]
    assert client.severity == ("warning" if found else "stable")
    assert {rule.rule for rule in client.rules} == {"missing", "invalid_type"}
    assert (client.unsound, client.extremes) == (0.0, [])


@pytest.mark.parametrize("keyed", [False, True])
def test_a_comparison_allows_for_clients_that_it_is_told(keyed: bool) -> None:
    before = {"city": cities(np.random.default_rng(3), 1_000), "client": clients(1_000)}
    after = {"city": few_clients(), "client": clients(40, 2_000)}
    if not keyed:
        before, after = ({"city": each["city"]} for each in (before, after))
    report = mw.compare(before, after, cluster_by="client" if keyed else None)
    assert [each.name for each in report.quality] == ([] if keyed else ["city"])
