"""Statements compiled once: look-ups touch the rows of their ids alone, and rows are inserted whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.prepared import NewRows, Prepared, RowsById, in_list
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.maintenance.retention import expire_days, remove_predictions
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.servers.postgres import Cluster
from tests.support.stores.labels import BINARY, label, set_layout

ROWS = 3_000
FEW = 20
DAY = 86_400


@pytest.fixture
def unknown(postgres: Cluster) -> Iterator[Store]:
    """A store of whose tables the planner knows that they are small; nobody tells it what they become."""
    with postgres.database() as url:
        store = Store(url)
        open_ledger(store, Clock(NOON), "first").commit([event("1", model="small")], [label("1", model="small")])
        with store.write() as connection:
            for table in ("prediction", "label"):
                connection.exec_driver_sql(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
                connection.exec_driver_sql(f"ANALYZE {table}")
        yield store
        store.close()


@pytest.mark.both_engines
def test_a_prepared_statement_takes_lists_of_any_length(store: Store) -> None:
    wanted = Prepared(
        store,
        select(tables.writer.c.id)
        .where(in_list(store, tables.writer.c.id, "ids"), tables.writer.c.opened_at == bindparam("at"))
        .order_by(tables.writer.c.id),
    )
    names = ["a", 'b "quoted", {x}', "ü漢"]
    with store.open_write() as connection:
        rows = [{"id": name, "host": "here", "opened_at": 1, "sealed": False, "commits": 0} for name in names]
        connection.execute(insert(tables.writer), rows)
        for chosen in ([], names[:1], names, [*names, "unknown"]):
            found = wanted.execute(connection, ids=chosen, at=1).fetchall()
            assert {name for (name,) in found} == set(chosen) & set(names)
        assert wanted.execute(connection, ids=names, at=2).fetchall() == []


@pytest.mark.both_engines
def test_rows_are_found_by_their_ids_in_the_model_alone(store: Store) -> None:
    ledger = filled(store, "m", "other")
    ledger.commit([event("7", timestamp=NOON + DAY * 1_000_000)])
    rows = RowsById(store, tables.prediction, [tables.prediction.c.prediction_id, tables.prediction.c.model])
    with store.read() as connection:
        found = rows.read(connection, "m", ["7", "8", "no such id", "it's"])
        assert sorted(map(tuple, found)) == [("7", "m"), ("7", "m"), ("8", "m")]
        assert list(rows.read(connection, "m", [])) == []


KEYS = {"day": 1, "model": "m", "version": "1", "environment": "production", "ts": 5, "arrived_at": 7, "generation": 1}


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("ids", "latencies", "probabilities"),
    [
        (["a"], [None], [None]),
        (["a"], [2], ["0.5"]),
        (["a", "b", "c"], [1, 1, 1], ["0.5"] * 3),
        (["a", "b", "c"], [None, 2, 2.5], [None, None, "0.5"]),
        (["a", "b", "c"], [None, None, None], [None, None, None]),
    ],
)
def test_rows_are_inserted_as_they_are_whether_their_columns_have_one_value_or_several(
    store: Store, ids: list[str], latencies: list[float | None], probabilities: list[str | None]
) -> None:
    table, number = tables.prediction, len(ids)
    names = ("prediction_id", "latency_ms", "probability", "features", "model", "ts")
    columns = {name: [value] * number for name, value in KEYS.items()}
    columns |= {"prediction_id": ids, "latency_ms": latencies, "probability": probabilities}
    columns |= {"prediction": ['"yes"'] * number, "features": [b"{}"] * number}
    insert = NewRows(store, table, ("prediction_id", "day"))
    with store.write() as connection:
        assert sorted(map(tuple, insert.insert(connection, columns))) == [(identity, 1) for identity in ids]
        assert list(insert.insert(connection, columns)) == []
        found = connection.execute(select(*(table.c[name] for name in names)).order_by(table.c.prediction_id)).all()
    expected = zip(ids, latencies, probabilities, strict=True)
    assert [tuple(row) for row in found] == [(*row, b"{}", "m", 5) for row in expected]


@pytest.mark.both_engines
def test_a_null_where_there_must_be_none_is_an_error_that_leaves_no_row(store: Store) -> None:
    """Not a row that is taken for a known one."""
    columns = {name: [value] * 3 for name, value in KEYS.items()}
    columns |= {"prediction_id": ["a", "b", "c"], "prediction": ['"yes"', None, '"yes"']}
    insert = NewRows(store, tables.prediction, ("prediction_id",))
    with pytest.raises(IntegrityError, match=r"(?i)not.null"), store.open_write() as connection:
        insert.insert(connection, columns)
    with store.read() as connection:
        assert connection.execute(select(tables.prediction)).all() == []


@pytest.mark.both_engines
@pytest.mark.parametrize("known_ids", ["bd", "a", "e", "abcd"])
@pytest.mark.parametrize("versions", [["1"] * 5, ["1", "1", "2", "1", "1"]])
def test_exactly_the_rows_that_are_new_are_returned_and_the_others_stay_as_they_were(
    store: Store, versions: list[str], known_ids: str
) -> None:
    table = tables.prediction
    columns = {name: [value] * 5 for name, value in KEYS.items()} | {"version": versions}
    columns |= {"prediction_id": list("abcde"), "prediction": ["1"] * 5}
    insert = NewRows(store, table, ("prediction_id", "version"), alike=("day", "model", "version"))
    version_of = dict(zip("abcde", versions, strict=True))
    known = {name: values[: len(known_ids)] for name, values in columns.items()}
    known |= {"prediction_id": list(known_ids), "version": [version_of[identity] for identity in known_ids]}
    known |= {"prediction": ["0"] * len(known_ids)}
    with store.write() as connection:
        first = sorted(map(tuple, insert.insert(connection, known)))
        assert first == [(identity, version_of[identity]) for identity in known_ids]
        new = sorted(map(tuple, insert.insert(connection, columns)))
        assert new == [(identity, version_of[identity]) for identity in "abcde" if identity not in known_ids]
        assert list(insert.insert(connection, columns)) == []
        found = connection.execute(select(table.c.prediction_id, table.c.version, table.c.prediction)).all()
    assert sorted(map(tuple, found)) == [
        (identity, version, "0" if identity in known_ids else "1") for identity, version in version_of.items()
    ]


def test_the_sign_of_zero_is_kept(postgres: Cluster) -> None:
    with postgres.database() as url:
        store = Store(url)
        columns = {name: [value] * 2 for name, value in KEYS.items()}
        columns |= {"prediction_id": ["a", "b"], "latency_ms": [0.0, -0.0], "prediction": ["1"] * 2}
        with store.write() as connection:
            NewRows(store, tables.prediction, ("model",)).insert(connection, columns)
            query = select(tables.prediction.c.latency_ms).order_by(tables.prediction.c.prediction_id)
            assert [str(value) for (value,) in connection.execute(query)] == ["0.0", "-0.0"]
        store.close()


def test_a_few_ids_of_a_model_that_the_planner_does_not_know_read_a_few_rows(unknown: Store) -> None:
    filled(unknown, "m")
    rows = RowsById(unknown, tables.prediction, [tables.prediction.c.version])
    with unknown.read() as connection:
        rows.read(connection, "m", [str(number) for number in range(FEW)])
        assert fetched(connection, "prediction") <= 2 * FEW


def test_a_few_repeats_and_labels_read_a_few_rows(unknown: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    set_layout(unknown, BINARY)
    ledger = filled(unknown, "m")
    ledger.commit([], [label(str(number)) for number in range(ROWS)])
    with unknown.open_write() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    reads: dict[str, int] = {}
    commit = Connection.commit

    def note(connection: Connection) -> None:
        for table in ("prediction", "label"):
            reads[table] = reads.get(table, 0) + fetched(connection, table)
        commit(connection)

    monkeypatch.setattr(Connection, "commit", note)
    ids = [str(number) for number in range(FEW)]
    outcome = ledger.commit(
        [event(identity) for identity in ids], [label(identity, "no", timestamp=NOON + 1) for identity in ids]
    )
    assert outcome.accepted == [False] * FEW
    assert outcome.labels == ["corrected"] * FEW
    assert 0 < reads["prediction"] <= 6 * FEW
    assert 0 < reads["label"] <= 6 * FEW


def test_a_few_expired_predictions_go_without_reading_the_rest_of_their_day(unknown: Store) -> None:
    filled(unknown, "m")
    day = NOON // (DAY * 1_000_000)
    expire_days(unknown, "m", day=day + 1, arrived_before=NOON * 2)
    before = fetched_since_the_start(unknown)
    assert remove_predictions(unknown, "m", day, FEW) is not None
    assert fetched_since_the_start(unknown) - before <= 4 * FEW


def filled(store: Store, *models: str) -> Ledger:
    ledger = open_ledger(store, Clock(NOON))
    for model in models:
        ledger.commit([event(str(number), model=model) for number in range(ROWS)])
    return ledger


def fetched(connection: Connection, table: str) -> int:
    """How many rows of a table this transaction has read so far, with what the server has not noted yet of others."""
    row = connection.exec_driver_sql(
        f"SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = '{table}'"
    ).scalar_one()
    return int(row)


def fetched_since_the_start(store: Store) -> int:
    """How many rows of predictions all transactions have read, once the server has noted it."""
    with store.read() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    with store.read() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'prediction'"
            ).scalar_one()
        )
