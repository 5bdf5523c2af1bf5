"""Models whose own row can't be read: what is sent of them is refused by name, and what is sent of others is taken."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import DamagedData
from modelwatch.privacy import Keyring
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.secrets.keys import check_keys
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger


def damage(store: Store, column: str) -> None:
    with store.write() as connection:
        connection.execute(update(tables.model).where(tables.model.c.name == "bad").values(**{column: '{"'}))


@pytest.mark.parametrize(
    ("column", "named"),
    [
        ("privacy", "The stored privacy rules of 'bad' can't be read: it is no JSON of such rules."),
        ("deleting", "What is being deleted of the model 'bad' can't be read: "),
    ],
)
def test_it_is_refused_and_others_are_taken(store: Store, column: str, named: str) -> None:
    open_ledger(store).commit([event("a", model="bad"), event("b", model="good")])
    damage(store, column)
    ledger = open_ledger(store, prefix="another")
    with pytest.raises(DamagedData) as error:
        ledger.commit([event("c", model="bad")])
    assert str(error.value).startswith(named)
    assert ledger.commit([event("d", model="good")]).accepted == [True]


def test_a_service_starts_and_a_new_monitor_mends_the_rules(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    open_ledger(store).commit([event("a", model="bad")])
    damage(store, "privacy")
    check_keys(store, Keyring())
    assert "The stored privacy rules of 'bad' can't be read" in caplog.text
    put_monitor(store, "bad", parse_monitor({}), source="test", actor="test", now=NOON, new_id=new_id)
    assert open_ledger(store, prefix="another").commit([event("b", model="bad")]).accepted == [True]
