"""Up to which time each model has data and is evaluated."""

from __future__ import annotations

from dataclasses import replace

from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.standing import Standing, overall_standing, standing_of, standings
from modelwatch.storage.verdicts.verdicts import save_verdict
from modelwatch.times import MICROS_PER_SECOND
from tests.storage.verdicts.test_verdicts import VERDICT
from tests.support.events import NOON, open_ledger
from tests.support.events import event as prediction

HOUR = 3_600 * MICROS_PER_SECOND


def test_each_model_has_its_own_also_where_another_has_newer_data(store: Store) -> None:
    sent = {"early": NOON, "late": NOON + 5 * HOUR}
    open_ledger(store).commit(
        [
            prediction(f"{model}-{at}", model=model, timestamp=at)
            for model, end in sent.items()
            for at in (end - HOUR, end)
        ]
    )
    with store.write() as connection:
        for end in (300, 600):
            save_verdict(connection, replace(VERDICT, id=f"v-{end}", model="early", window_end=end), b"evidence")
    early, late = (end // MICROS_PER_SECOND for end in sent.values())
    with store.read() as connection:
        assert standings(connection) == {"early": Standing(early, 600), "late": Standing(late, None)}
        assert standing_of(connection, "early") == Standing(early, 600)
        assert standing_of(connection, "unknown") == Standing()
        assert overall_standing(connection) == Standing(late, 600)
        assert overall_standing(connection, ["early"]) == Standing(early, 600)
