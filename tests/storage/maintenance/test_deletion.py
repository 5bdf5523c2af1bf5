"""Deleting models, versions and environments: exactly, in pieces, whoever is killed in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import UnknownModel, UnknownResource
from modelwatch.events import GroundTruth
from modelwatch.monitoring.scheduler.jobs.deletions import Deletions
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions import blocks
from modelwatch.storage.maintenance.deletion import deletion_by_id, deletions_under_way, request_deletion
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.references import in_force
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.alerts.assessments import Desk, assessment
from tests.support.background import background, new_id, run_out
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.servers.forking import forked
from tests.support.stores.deleting import delete_in_small_steps
from tests.support.stores.labels import CLASSES, joined, set_layout, summed_outcomes
from tests.support.stores.stored import block_rows

pytestmark = pytest.mark.both_engines

LEASE = Lease("chores", "me", 1)
OF_MODELS = [
    tables.prediction,
    tables.label,
    tables.profile,
    tables.outcome,
    tables.stream,
    tables.reference,
    tables.verdict,
    tables.alert,
    tables.monitor,
    tables.finding_tally,
]
BESIDE_REFERENCES = [tables.reference_segment, tables.labelled_rows]


def rows(store: Store, model: str = "m") -> dict[str, int]:
    """How many rows each table has of a model."""
    with store.read() as connection:
        counts = {
            table.name: connection.execute(select(func.count()).where(table.c.model == model)).scalar_one()
            for table in OF_MODELS
        }
        name = tables.model.c.name
        counts["model"] = connection.execute(select(func.count()).where(name == model)).scalar_one()
    return {name: count for name, count in counts.items() if count}


def job(store: Store, desk: Desk | None = None, seconds: float = 60.0) -> Deletions:
    def end_alerts(deletion: Any) -> bool:
        part = deletion.part
        return desk is not None and desk.book.forget(
            deletion.model, part.version, part.environment, actor=deletion.actor
        )

    return Deletions(store, end_alerts, timer=time.monotonic, new_id=new_id, round_seconds=seconds)


def fill(store: Store, model: str = "m") -> None:
    """Two versions in two environments, with labels, a reference, verdicts, an alert and a monitor."""
    set_reference(store, model)
    config = parse_monitor({"segments": ["merchant"]})
    put_monitor(store, model, config, source="test", actor="test", now=NOON, new_id=new_id)
    with store.write() as connection:
        # As if each of them was labelled.
        ids = connection.execute(select(tables.reference.c.id).where(tables.reference.c.model == model)).scalars()
        documents = [{"reference": identity, "document": b"rows"} for identity in ids]
        connection.execute(insert(tables.labelled_rows), documents)
    for version in ("1", "2"):
        for environment in ("production", "staging"):
            events = traffic(150, shift={"amount": 3.0}, model=model, version=version, environment=environment)
            labels = [GroundTruth(model, each.prediction_id, each.prediction, each.timestamp) for each in events[:50]]
            open_ledger(store, prefix=new_id()).commit(events, labels)
    run_out(background(store, RULES, Clock(NOON + 400_000_000), provisional_size=10**9))


def ask(store: Store, part: Part | None = None, model: str = "m") -> str:
    wanted = part or Part()
    return request_deletion(store, model, wanted, actor="ann", now=NOON, new_id=new_id).id


def counted(store: Store, model: str = "m") -> dict[tuple[str, str], int]:
    table = tables.profile
    with store.read() as connection:
        found = connection.execute(
            select(table.c.version, table.c.environment, func.sum(table.c.predictions))
            .where(table.c.model == model, table.c.segment == "")
            .group_by(table.c.version, table.c.environment)
        )
        return {(row[0], row[1]): int(row[2]) for row in found}


def test_nothing_of_a_model_is_left_and_nothing_of_others_is_touched(store: Store) -> None:
    fill(store)
    fill(store, "other")
    before = rows(store, "other")
    assert set(before) >= {"prediction", "label", "profile", "outcome", "stream", "reference", "verdict", "monitor"}
    identity = ask(store)
    assert not job(store)(LEASE, NOON)
    assert rows(store) == {}
    assert rows(store, "other") == before
    with store.read() as connection:
        done = deletion_by_id(connection, identity)
        assert done is not None
        assert (done.predictions, done.finished_at) == (600, NOON)
        references = set(connection.execute(select(tables.reference.c.id)).scalars())
        for table in BESIDE_REFERENCES:
            assert set(connection.execute(select(table.c.reference)).scalars()) <= references
        actions = [(each.actor, each.action) for each in audit_page(connection, target="model/m", limit=10)]
    assert sorted(actions) == [("ann", "model.delete"), ("ann", "model.deleted")]


@pytest.mark.parametrize(
    ("part", "left"),
    [
        (Part(version="1"), {("2", "production"), ("2", "staging")}),
        (Part(environment="staging"), {("1", "production"), ("2", "production")}),
    ],
)
def test_of_a_version_or_an_environment_the_rest_stays_as_it_was(
    store: Store, part: Part, left: set[tuple[str, str]]
) -> None:
    fill(store)
    before = counted(store)
    ask(store, part)
    job(store)(LEASE, NOON)
    assert counted(store) == {place: before[place] for place in left}
    with store.read() as connection:
        for table in (tables.prediction, tables.stream, tables.verdict, tables.outcome):
            places = connection.execute(
                select(table.c.version, table.c.environment).where(table.c.model == "m").distinct()
            )
            assert {(row[0], row[1]) for row in places} == left
        labels = connection.execute(select(func.count()).select_from(tables.label)).scalar_one()
    assert labels == 100
    assert rows(store)["reference"] > 0


def test_the_references_of_a_version_alone_go_with_it(store: Store) -> None:
    fill(store)
    set_reference(store, version="1")
    ask(store, Part(version="1"))
    job(store)(LEASE, NOON)
    with store.read() as connection:
        assert {each.version for each in in_force(connection, "m")} == {None}
    ledger = open_ledger(store, prefix="after")
    assert ledger.commit([event("new", {"amount": 1.0}, version="1")]).accepted == [True]
    run_out(background(store, RULES, Clock(NOON + 400_000_000), provisional_size=10**9))
    assert counted(store)["1", "production"] == 1


def test_nothing_is_taken_meanwhile_and_everything_is_afterwards(store: Store) -> None:
    ledger = open_ledger(store, prefix="running")
    old = event("old", {"x": 1.0})
    assert ledger.commit([old, event("kept", version="2")]).accepted == [True, True]
    ask(store, Part(version="1"))
    label = GroundTruth("m", "late", "yes", NOON)
    found = ledger.commit([event("new"), event("also", version="2")], [label])
    assert (found.accepted, found.labels) == ([None, True], ["waiting"])
    job(store)(LEASE, NOON)
    assert ledger.commit([old, event("new")]).accepted == [True, True]
    assert counted(store) == {("1", "production"): 2, ("2", "production"): 2}


def test_a_model_of_the_same_name_begins_anew_in_writers_that_knew_the_one_before(store: Store) -> None:
    set_reference(store)
    ledger = open_ledger(store, prefix="running")
    events = traffic(40)
    assert ledger.commit(events).accepted == [True] * 40
    ask(store)
    refused = ledger.commit(events, [GroundTruth("m", "late", "yes", NOON)])
    assert (refused.accepted, refused.labels) == ([None] * 40, ["expired"])
    job(store)(LEASE, NOON)
    assert rows(store) == {}
    again = ledger.commit(events, [GroundTruth("m", events[0].prediction_id, "yes", NOON)])
    assert (again.accepted, again.labels) == ([True] * 40, ["accepted"])
    assert counted(store) == {("1", "production"): 40}
    with store.read() as connection:
        assert connection.execute(select(tables.model.c.generation)).scalar_one() == 2
        assert in_force(connection, "m") == []
        [stream] = connection.execute(select(tables.stream.c.version)).scalars()
    assert stream == "1"


def test_a_label_that_comes_while_its_prediction_goes_leaves_no_count(store: Store) -> None:
    set_layout(store, CLASSES)
    ledger = open_ledger(store, prefix="running")
    events = [event(f"p{index}", prediction="yes" if index % 2 else "no") for index in range(60)]
    labels = [GroundTruth("m", each.prediction_id, each.prediction, NOON) for each in events]
    ledger.commit(events, labels[:30])
    ask(store, Part(version="1"))
    ledger.commit([], labels[30:])
    assert summed_outcomes(store) == joined(store, events, labels)
    job(store)(LEASE, NOON)
    assert summed_outcomes(store) == {}
    ledger.commit(events, labels[:20])
    assert summed_outcomes(store) == joined(store, events, labels[:20])


def test_asked_for_again_it_is_the_same_and_of_what_is_not_known_it_is_refused(store: Store) -> None:
    fill(store)
    whole = ask(store)
    assert ask(store) == whole
    assert ask(store, Part(version="1")) == whole
    with pytest.raises(UnknownModel):
        ask(store, model="nobody")
    job(store)(LEASE, NOON)
    with pytest.raises(UnknownModel):
        ask(store)
    fill(store)
    for part in (Part(version="9"), Part(environment="nowhere")):
        with pytest.raises(UnknownResource):
            ask(store, part)


class TestAlerts:
    def test_who_was_told_is_told_that_it_is_over(self, store: Store) -> None:
        desk = Desk(store)
        open_ledger(store).commit(traffic(10, model="fraud"))
        desk.take(assessment(0, {"amount": "alert"}))
        desk.deliver()
        ask(store, model="fraud")
        job(store, desk)(LEASE, NOON)
        assert desk.alerts() == []
        [sent] = [sent for sent in desk.sent() if sent.event == "resolved"]
        assert sent.notice.summary.startswith("Resolved by ann: “The data of this alert was deleted.”.")
        assert desk.steps() == []

    def test_one_about_other_versions_too_loses_the_members_of_this_one(self, store: Store) -> None:
        desk = Desk(store)
        open_ledger(store).commit([*traffic(10, model="fraud"), *traffic(10, model="fraud", version="2")])
        desk.take(assessment(0, {"amount": "alert"}), assessment(0, {"amount": "warning"}, version="2"))
        ask(store, Part(version="1"), model="fraud")
        job(store, desk)(LEASE, NOON)
        alert = desk.alert()
        assert ([member.version for member in alert.members], alert.severity) == (["2"], "warning")
        assert alert.is_open

    def test_of_another_environment_stay(self, store: Store) -> None:
        desk = Desk(store)
        open_ledger(store).commit([*traffic(5, model="fraud"), *traffic(5, model="fraud", environment="staging")])
        desk.take(assessment(0, {"amount": "alert"}), assessment(0, {"amount": "alert"}, environment="staging"))
        ask(store, Part(environment="staging"), model="fraud")
        job(store, desk)(LEASE, NOON)
        assert [alert.environment for alert in desk.alerts()] == ["production"]


def test_a_model_that_is_being_deleted_is_not_evaluated(store: Store) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400, shift={"amount": 3.0}))
    ask(store)
    desk = Desk(store)
    run_out(background(store, RULES, Clock(NOON + 400_000_000), sink=desk.book, provisional_size=10**9))
    assert desk.alerts() == []
    assert "verdict" not in rows(store)


def test_it_goes_on_after_each_piece_and_counts_each_row_once(store: Store) -> None:
    fill(store)
    identity = ask(store)
    steps = []
    for _ in range(200):
        # As if killed after every piece: nothing is remembered but what is in the store.
        piece(store, job(store))
        with store.read() as connection:
            found = deletion_by_id(connection, identity)
        assert found is not None
        steps.append(found.step)
        if found.finished_at is not None:
            break
    assert found is not None
    assert (found.predictions, rows(store)) == (600, {})
    assert list(dict.fromkeys(steps)) == [
        "predictions", "labels", "writers", "profiles", "received", "outcomes", "verdicts", "references", "end",
    ]  # fmt: skip


def piece(store: Store, deletions: Deletions) -> None:
    with store.read() as connection:
        [under_way] = deletions_under_way(connection)
    deletions._piece(under_way, NOON)


@pytest.mark.timeout(300)
def test_whoever_is_killed_in_between_leaves_it_where_it_was(
    store: Store, url_of: Callable[[Store], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "FEWEST_VALUES", 1)
    fill(store)
    fill(store, "other")
    sizes = [len(members) for members in block_rows(store).values()]
    assert sizes == [150] * 8
    identity = ask(store)
    attempt = 0
    for attempt in range(60):
        child = forked(delete_in_small_steps, url_of(store))
        child.join(0.05 + 0.02 * attempt)
        child.kill()
        child.join()
        # A block goes with its last row: each counts those that are left.
        block_rows(store)
        with store.read() as connection:
            found = deletion_by_id(connection, identity)
        assert found is not None
        if found.finished_at is not None:
            break
    assert attempt > 0, "it was over before anybody was killed"
    assert found is not None
    assert found.finished_at is not None
    assert (found.predictions, rows(store)) == (600, {})
    assert [len(members) for members in block_rows(store).values()] == [150] * 4


@pytest.fixture
def url_of() -> Callable[[Store], str]:
    return lambda store: store.engine.url.render_as_string(hide_password=False)
