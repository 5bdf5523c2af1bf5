"""Verdicts in the store: the report as it was saved, or an error that names the verdict whose report is damaged."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from modelwatch.errors import DamagedData
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, newest_verdict, result_of, save_verdict
from tests.support.events import NOON

VERDICT = StoredVerdict(
    "v-1", "m", "1", "production", "drift", 300, 1, NOON, 1, "ok", "hash", b"[]", b'{"drift_results":[]}'
)


def test_a_report_is_read_as_it_was_saved(store: Store) -> None:
    with store.write() as connection:
        save_verdict(connection, VERDICT, b"evidence")
    with store.read() as connection:
        assert newest_verdict(connection, VERDICT.stream) == VERDICT
        assert result_of(connection, "v-1") == VERDICT.result
        assert result_of(connection, "v-2") is None


def test_a_damaged_report_is_an_error_that_names_its_verdict(store: Store) -> None:
    with store.write() as connection:
        save_verdict(connection, VERDICT, b"evidence")
        connection.execute(update(tables.verdict).values(result=b"damaged"))
    with store.read() as connection:
        with pytest.raises(DamagedData, match="report of the verdict v-1 can't be read"):
            newest_verdict(connection, VERDICT.stream)
        with pytest.raises(DamagedData, match="report of the verdict v-1 can't be read"):
            result_of(connection, "v-1")
