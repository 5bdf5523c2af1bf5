"""References with time stamps that span less than a look-back, as anybody's first upload of a day's log does."""

from __future__ import annotations

import pytest

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.background import Seen, background, new_id, run_out
from tests.support.data.streams import HOUR, MINUTE, finish, normal, send_hours
from tests.support.events import NOON, Clock
from tests.support.rules import RULES


@pytest.mark.parametrize("spacing", [0, MINUTE // 60, MINUTE, 20 * HOUR // 1_000])
def test_a_reference_shorter_than_a_look_back_is_compared_without_a_known_variation(store: Store, spacing: int) -> None:
    clock, seen = Clock(NOON + 100 * HOUR), Seen()
    frame = ReferenceFrame(
        "m",
        None,
        [ReferenceSample("feature", "x", "continuous", normal(1_000, seed=99))],
        timestamps=[NOON - 30 * HOUR + row * spacing for row in range(1_000)],
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)
    send_hours(store, clock, 4, shift_from=2)
    finish(clock)
    run_out(background(store, RULES, clock, seen))
    assert seen.failures == 0
    with store.read() as connection:
        severities = [verdict.severity for verdict in verdicts_of(connection, "m", limit=100)]
    assert severities[0] == "alert"
    assert severities[-1] == "stable"
    asked = check_drift(store, RULES, DriftQuery("m", "production"), clock.now)
    assert asked.drift_results[0].severity == "alert"
