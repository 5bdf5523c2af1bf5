"""Sums that are remembered by what they are sums of: nothing that is stored later is missed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.stats.counting.encoded_counts import encode_counts, sum_counts
from modelwatch.storage.counts import profiles
from modelwatch.storage.counts.profiles import LEAST_ROWS, known_sum
from modelwatch.storage.engine.caches import Decoded
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.erasure import erase
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.background import new_id
from tests.support.events import NOON, open_ledger

WINDOW = 300_000_000
HOURS = 60


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows of each sum that is made from now on."""
    numbers: list[int] = []

    def counted(encoded: list[bytes]) -> object:
        numbers.append(len(encoded))
        return sum_counts(encoded)

    monkeypatch.setattr(profiles, "_known", Decoded(1 << 20, lambda counts: counts.nbytes))
    monkeypatch.setattr(profiles, "sum_counts", counted)
    return numbers


def test_a_sum_is_made_once_and_again_when_one_of_its_parts_is_another(made: list[int]) -> None:
    rng = np.random.default_rng(0)
    vectors = [rng.poisson(0.3, 500) for _ in range(LEAST_ROWS)]
    encoded = [encode_counts(each) for each in vectors]
    assert known_sum(encoded).tolist() == known_sum(list(encoded)).tolist() == sum(vectors).tolist()
    assert made == [LEAST_ROWS]
    other = [*encoded[:-1], encode_counts(vectors[-1] + 1)]
    assert known_sum(other).tolist() == (sum(vectors) + 1).tolist()
    assert known_sum(encoded[:-1]).tolist() == sum(vectors[:-1]).tolist()
    assert made == [LEAST_ROWS, LEAST_ROWS, LEAST_ROWS - 1]


def test_rows_of_the_same_bytes_that_are_divided_otherwise_are_others(made: list[int]) -> None:
    one, other = encode_counts(np.array([0, 7, 255])), encode_counts(np.array([0, 7, 255, 1]))
    assert one + b"\x01" == other
    found = [known_sum([one] * LEAST_ROWS), known_sum([other] * LEAST_ROWS)]
    assert [len(each) for each in found] == [3, 4]


def test_what_is_remembered_can_not_be_changed(made: list[int]) -> None:
    total = known_sum([encode_counts(np.array([1, 2]))] * LEAST_ROWS)
    with pytest.raises(ValueError, match="read-only"):
        total += 1


def test_sums_that_are_too_large_together_are_forgotten(made: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_known", Decoded(5_000, lambda counts: counts.nbytes))
    for value in (1, 2, 1):
        known_sum([encode_counts(np.full(400, value))] * LEAST_ROWS)
    assert len(made) == 3


def test_late_predictions_and_erased_ones_change_a_check_of_days_that_is_known(
    store: Store, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_reference(store)
    ledger = open_ledger(store)
    ledger.commit(
        [
            msgspec.structs.replace(
                each, prediction_id=f"{number // 12}-{number % 12}", timestamp=NOON - number * WINDOW
            )
            for number, each in enumerate(traffic(12 * HOURS))
        ]
    )
    query = DriftQuery("m", "production", "1", lookback="7d")

    def counted() -> DriftReport:
        return check_drift(store, RULES, query, NOON + WINDOW)

    first = counted()
    assert first.summary.predictions == 12 * HOURS
    days = [number for number in made if number >= LEAST_ROWS]
    assert len(days) == 3
    assert counted() == first
    assert [number for number in made if number >= LEAST_ROWS] == days
    [late] = traffic(1, timestamp=NOON - 40 * 12 * WINDOW)
    ledger.commit([msgspec.structs.replace(late, prediction_id="late")])
    assert counted().summary.predictions == 12 * HOURS + 1
    erase(store, "m", "5-3", actor="test", now=NOON, new_id=new_id)
    erase(store, "m", "late", actor="test", now=NOON, new_id=new_id)
    assert counted().summary.predictions == 12 * HOURS - 1
    again = open_ledger(store, prefix="again")
    again.commit([msgspec.structs.replace(traffic(1)[0], prediction_id="5-3", timestamp=NOON - (5 * 12 + 3) * WINDOW)])
    after = counted()
    monkeypatch.setattr(profiles, "_known", Decoded(1 << 20, lambda counts: counts.nbytes))
    assert counted() == after
