"""Monitors in the store: revisions, conflicts and the audit trail."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, text, update

from modelwatch.config.monitors.monitor import as_document, parse_monitor
from modelwatch.errors import Conflict, DamagedData, UnknownModel
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.models import known_models, require_model
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import StoredMonitor, all_monitors, delete_monitor, monitor_of, put_monitor
from tests.support.background import new_id
from tests.support.events import NOON

pytestmark = pytest.mark.both_engines

FIRST, SECOND = parse_monitor({"budget": 2}), parse_monitor({"budget": 3, "labels": {"team": "x"}})


def put(store: Store, config: object = FIRST, **given: object) -> StoredMonitor:
    options = {"source": "api", "actor": "ann", "now": NOON, "new_id": new_id, **given}
    return put_monitor(store, "m", config, **options)  # type: ignore[arg-type]


def present(store: Store) -> StoredMonitor | None:
    with store.read() as connection:
        return monitor_of(connection, "m")


def test_a_monitor_is_kept_for_a_model_that_was_never_heard_of(store: Store) -> None:
    assert present(store) is None
    stored = put(store)
    assert (stored.revision, stored.source, stored.updated_by, stored.updated_at) == (1, "api", "ann", NOON)
    assert present(store) == stored
    with store.read() as connection:
        assert all_monitors(connection) == [stored]


def test_a_model_with_a_monitor_alone_is_known(store: Store) -> None:
    put(store)
    with store.read() as connection:
        assert known_models(connection) == ["m"]
        assert require_model(connection, "m") == 0
    delete_monitor(store, "m", actor="bob", now=NOON, new_id=new_id)
    with store.read() as connection, pytest.raises(UnknownModel):
        require_model(connection, "m")


def test_a_monitor_that_an_earlier_release_kept_alone_makes_its_model_known(store: Store) -> None:
    put(store)
    with store.write() as connection:
        connection.execute(delete(tables.model))
        for newer in (tables.process, tables.store_size, tables.received_profile, tables.feature_block):
            newer.drop(connection)
        for index in ("prediction_by_block", "prediction_by_arrival"):
            connection.execute(text(f"DROP INDEX {index}"))
        for table, newest in (("prediction", "block"), ("prediction", "place"), ("reference", "clusters")):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {newest}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0018'"))
    migrate(store)
    with store.read() as connection:
        assert known_models(connection) == ["m"]


def test_the_same_again_is_no_new_revision(store: Store) -> None:
    put(store)
    assert put(store).revision == 1
    assert put(store, SECOND).revision == 2
    assert put(store, SECOND, source="file:m.yaml").revision == 3


def test_a_change_of_another_revision_is_a_conflict(store: Store) -> None:
    with pytest.raises(Conflict, match="revision 0, not 4"):
        put(store, expected_revision=4)
    put(store, expected_revision=0)
    put(store, SECOND, expected_revision=1)
    with pytest.raises(Conflict, match="revision 2, not 1"):
        put(store, expected_revision=1)
    with pytest.raises(Conflict):
        delete_monitor(store, "m", actor="bob", now=NOON, new_id=new_id, expected_revision=1)


def test_a_revision_never_comes_back(store: Store) -> None:
    """Who saw revision 1 before it was removed and set anew by others must not overwrite theirs."""
    put(store)
    delete_monitor(store, "m", actor="bob", now=NOON, new_id=new_id)
    assert put(store, SECOND, expected_revision=0).revision == 2
    with pytest.raises(Conflict, match="revision 2, not 1"):
        put(store, expected_revision=1)
    delete_monitor(store, "m", actor="bob", now=NOON + 1, new_id=new_id, expected_revision=2)
    assert put(store).revision == 3


def test_a_refused_change_leaves_no_trace(store: Store) -> None:
    put(store)
    with pytest.raises(Conflict):
        put(store, SECOND, expected_revision=9)
    assert present(store) == put(store)
    with store.read() as connection:
        assert len(audit_page(connection, limit=10)) == 1


def test_two_at_once_get_a_revision_each(store: Store) -> None:
    configs = [parse_monitor({"budget": number}) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        revisions = list(pool.map(lambda config: put(store, config).revision, configs))
    assert sorted(revisions) == list(range(1, 9))


def test_every_key_comes_back_from_the_store(store: Store) -> None:
    document = {
        "labels": {"team": "é"},
        "schedule": {"every": "15m"},
        "alerts": {
            "repeat_every": "never",
            "escalation_factor": "never",
            "routes": [{"channels": ["a"], "continue": True}],
            "quiet_hours": [{"from": "22:00", "to": "07:30", "timezone": "Europe/Berlin"}],
        },
    }
    put(store, parse_monitor(document))
    found = present(store)
    assert found is not None
    assert as_document(found.config) == document


def test_a_monitor_can_be_removed(store: Store) -> None:
    put(store)
    assert delete_monitor(store, "m", actor="bob", now=NOON, new_id=new_id)
    assert not delete_monitor(store, "m", actor="bob", now=NOON, new_id=new_id)
    assert present(store) is None


def test_every_change_is_in_the_audit_trail_with_what_it_was(store: Store) -> None:
    put(store)
    put(store)
    put(store, SECOND, now=NOON + 1)
    delete_monitor(store, "m", actor="bob", now=NOON + 2, new_id=new_id)
    assert not delete_monitor(store, "m", actor="bob", now=NOON + 3, new_id=new_id)
    with store.read() as connection:
        entries = audit_page(connection, target="monitor/m", limit=10)[::-1]
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("monitor.put", "ann"),
        ("monitor.put", "ann"),
        ("monitor.delete", "bob"),
    ]
    details = [json.loads(entry.detail) for entry in entries]
    assert [(each["before"], each["after"]) for each in details] == [
        (None, {"budget": 2.0}),
        ({"budget": 2.0}, {"budget": 3.0, "labels": {"team": "x"}}),
        ({"budget": 3.0, "labels": {"team": "x"}}, None),
    ]
    assert [each["revision"] for each in details] == [1, 2, 2]
    assert [entry.at for entry in entries] == [NOON, NOON + 1, NOON + 2]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"budget": "x"}'])
def test_a_damaged_monitor_is_an_error_that_names_its_model_and_missing_in_lists(store: Store, damaged: str) -> None:
    put(store)
    put_monitor(store, "other", SECOND, source="api", actor="ann", now=NOON, new_id=new_id)
    with store.write() as connection:
        this = tables.monitor.c.model == "m"
        connection.execute(update(tables.monitor).where(this).values(config=damaged))
    with pytest.raises(DamagedData, match="The stored monitor of 'm' can't be read"):
        present(store)
    with store.read() as connection:
        assert [each.model for each in all_monitors(connection)] == ["other"]
    # Also the empty one is a change.
    assert put(store, parse_monitor({})).revision == 2
    found = present(store)
    assert found is not None
    assert (found.config, found.source) == (parse_monitor({}), "api")


def test_a_damaged_monitor_can_be_removed(store: Store) -> None:
    put(store)
    with store.write() as connection:
        connection.execute(update(tables.monitor).values(config="{"))
    assert delete_monitor(store, "m", actor="ann", now=NOON, new_id=new_id)
    assert present(store) is None
    assert put(store).revision == 2
