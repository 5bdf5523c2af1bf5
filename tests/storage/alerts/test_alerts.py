"""Incidents as they are stored: the newest of each kind."""

from dataclasses import replace

import pytest

from modelwatch.storage.alerts.alerts import RESOLVED, StoredAlert, latest_incidents, newest_resolved, save_alert
from modelwatch.storage.engine.store import Store

pytestmark = pytest.mark.both_engines

KINDS = ("feature_drift", "performance", "volume")


def incident(
    identity: str, kind: str, opened_at: int, model: str = "m", environment: str = "production"
) -> StoredAlert:
    return StoredAlert(
        identity, identity, model, environment, kind, RESOLVED, "warning", 1, opened_at, opened_at, opened_at, b"{}"
    )


def test_the_newest_incident_of_each_kind_is_found_at_once(store: Store) -> None:
    alerts = [
        incident("old", "feature_drift", 1),
        incident("new", "feature_drift", 3),
        incident("middle", "feature_drift", 2),
        incident("only", "performance", 5),
        incident("of another model", "volume", 9, model="n"),
        incident("elsewhere", "volume", 9, environment="staging"),
        incident("not asked for", "freshness", 9),
    ]
    with store.write() as connection:
        for alert in alerts:
            save_alert(connection, store, alert)
        found = latest_incidents(connection, "m", "production", KINDS)
        assert latest_incidents(connection, "m", "production", ()) == {}
    assert found == {"feature_drift": alerts[1], "performance": alerts[3], "volume": None}
    assert list(found) == list(KINDS)


def test_of_many_models_the_newest_incidents_that_are_over_are_found(store: Store) -> None:
    many = [incident(f"of m{index}", "performance", 1, model=f"m{index}") for index in range(201)]
    alerts = [
        incident("old", "feature_drift", 1),
        incident("new", "feature_drift", 3),
        incident("over", "performance", 1),
        replace(incident("open", "performance", 2), state="firing", resolved_at=None),
        incident("elsewhere", "feature_drift", 2, environment="staging"),
        incident("of another model", "feature_drift", 9, model="n"),
        incident("not asked for", "volume", 9),
        *many,
    ]
    with store.write() as connection:
        for alert in alerts:
            save_alert(connection, store, alert)
        found = newest_resolved(connection, {"m", *(each.model for each in many)}, KINDS[:2])
        assert newest_resolved(connection, (), KINDS) == []
    assert {each.id for each in found} == {"new", "elsewhere", *(each.id for each in many)}
    assert len(found) == len(many) + 2
