"""Databases of the PostgreSQL server that tests share: each test has an empty one, whoever had it before."""

from __future__ import annotations

import psycopg
import pytest

from modelwatch.storage.counts.streams import generations
from modelwatch.storage.engine.store import Store
from tests.support.events import event, open_ledger
from tests.support.servers.postgres import Cluster

HELD, CHANGED = "SELECT 1", "ALTER TABLE audit ADD COLUMN more integer"
OLD = "UPDATE alembic_version SET version_num = 1"
TRIGGERED = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"


def test_a_database_is_emptied_and_given_out_again(postgres: Cluster) -> None:
    with postgres.database() as url:
        store = Store(url)
        open_ledger(store).commit([event("a")])
        with store.read() as connection:
            assert generations(connection)
        store.close()
    with postgres.database() as again:
        assert again == url
        store = Store(again)
        with store.read() as connection:
            assert not generations(connection)
        store.close()


@pytest.mark.parametrize("statement", [HELD, CHANGED, OLD, TRIGGERED])
def test_one_that_is_still_held_or_has_been_changed_is_not(postgres: Cluster, statement: str) -> None:
    with postgres.database() as url:
        holder = psycopg.connect(url, autocommit=True)
        holder.execute(statement.encode())
        if statement is not HELD:
            holder.close()
    with postgres.database() as other:
        assert other != url
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    holder.close()


def test_two_at_once_are_two(postgres: Cluster) -> None:
    with postgres.database() as one, postgres.database() as other:
        assert one != other
