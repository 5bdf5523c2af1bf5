"""When a model's data began."""

from __future__ import annotations

import pytest

from modelwatch.storage.counts.streams import first_data, streams_of
from modelwatch.storage.counts.volumes import first_window
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON, open_ledger
from tests.support.events import event as prediction

HOUR = 3_600_000_000


@pytest.mark.parametrize("environment", ["production", "staging", "unknown"])
def test_the_first_data_of_a_model_are_those_of_its_oldest_version_in_the_environment(
    store: Store, environment: str
) -> None:
    starts = {("1", "production"): 5, ("2", "production"): 3, ("3", "production"): 4, ("2", "staging"): 1}
    open_ledger(store).commit(
        [
            prediction(f"{version}-{place}-{at}", version=version, environment=place, timestamp=NOON + at * HOUR)
            for (version, place), first in starts.items()
            for at in (first, first + 30)
        ]
    )
    with store.read() as connection:
        streams = [each for each in streams_of(connection, "m") if each.environment == environment]
        expected = min((at for each in streams if (at := first_window(connection, each)) is not None), default=None)
        assert first_data(connection, "m", environment) == expected
    known = {"production": NOON + 3 * HOUR, "staging": NOON + HOUR}.get(environment)
    assert expected == (None if known is None else known // 1_000_000)
