"""Headlines of verdicts: the numbers of lists, kept beside the reports."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from modelwatch.monitoring.checks.headline import Headline, decode_headline
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.headlines import Reading, newest_of, newest_states, readings_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY, newest_verdict
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.background import background, run_out
from tests.support.events import NOON, Clock, open_ledger

STREAM = StreamKey("m", "1", "production")
END = NOON // 1_000_000 + 300


@pytest.fixture
def evaluated(store: Store) -> Store:
    """A store with one evaluation of a stream whose amounts have moved."""
    set_reference(store)
    open_ledger(store).commit(traffic(400, shift={"amount": 1.0}))
    run_out(background(store, RULES, Clock(NOON + 400_000_000), provisional_size=10**9, quality=QualityRules.of(RULES)))
    return store


def headline(store: Store, check: str) -> Headline:
    with store.read() as connection:
        stored = newest_of(connection, [STREAM], check)[STREAM][1]
    found = decode_headline(stored, "v1")
    assert found is not None
    return found


def test_that_of_drift_has_the_largest_psi_and_what_it_rests_on(evaluated: Store) -> None:
    found = headline(evaluated, DRIFT)
    assert (found.subject, found.names, found.found) == ("amount", ("amount",), 1)
    assert found.value is not None
    assert found.value > 0.25
    assert (found.n, found.predictions, found.seconds) == (400, 400, 86_400)
    assert found.rate == 400
    assert found.alert is not None


def test_that_of_quality_has_the_share_of_unsound_values(evaluated: Store) -> None:
    found = headline(evaluated, QUALITY)
    # One of the 400 amounts lies outside of the reference, and no merchant does.
    assert found.value == pytest.approx(1 / 800)
    assert found.predictions == 400


def test_what_they_show_over_time_is_read_by_steps(evaluated: Store) -> None:
    with evaluated.read() as connection:
        end = newest_states(connection)[STREAM].window_end
        found = readings_of(connection, [STREAM], DRIFT, end - 7_200, end, 3_600)
        before = readings_of(connection, [STREAM], DRIFT, end - 7_200, end - 1, 3_600)
    value = headline(evaluated, DRIFT).value
    assert found == {STREAM: [Reading(end - 3_600, value, 400.0, "alert")]}
    assert before == {}


def test_a_verdict_of_an_earlier_release_has_none_and_is_read_as_before(evaluated: Store) -> None:
    with evaluated.write() as connection:
        connection.execute(update(tables.verdict).values(value=None, rate=None, headline=None))
    with evaluated.read() as connection:
        state, stored = newest_of(connection, [STREAM], DRIFT)[STREAM]
        assert stored is None
        assert newest_of(connection, [STREAM], PERFORMANCE) == {}
        verdict = newest_verdict(connection, STREAM)
        assert readings_of(connection, [STREAM], DRIFT, 0, state.window_end, 10**9)[STREAM][0].value is None
    assert verdict is not None
    assert (verdict.id, verdict.severity) == (state.id, "alert")
