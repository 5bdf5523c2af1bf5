"""Verdicts computed again from the command line."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest
from sqlalchemy import update

from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.cli.conftest import RunCli
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send_hours, set_reference
from tests.support.events import NOON, Clock, open_store
from tests.support.servers.live_service import LiveService

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600)


@pytest.fixture
def verdict(tmp_path: Path) -> tuple[str, str]:
    """The address of a store, and the id of its last verdict."""
    store = open_store(tmp_path)
    clock = Clock(NOON + 100 * HOUR)
    set_reference(store, normal(2_000, seed=99))
    send_hours(store, clock, 4)
    finish(clock)
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        identity = verdicts_of(connection, "m", limit=1)[0].id
    store.close()
    return f"sqlite:///{tmp_path / 'modelwatch.db'}", identity


def test_a_verdict_is_reproduced_from_the_store(verdict: tuple[str, str], run_cli: RunCli) -> None:
    url, identity = verdict
    done = run_cli("verify-verdict", identity, DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduced bit by bit" in done.stdout
    done = run_cli("verify-verdict", identity, "--database-url", url, "--json")
    assert json.loads(done.stdout)["reproduced"] is True


def test_one_that_another_processor_rounds_otherwise_is_reproduced(verdict: tuple[str, str], run_cli: RunCli) -> None:
    url, identity = verdict
    store = Store(url)
    with store.read() as connection:
        [stored] = [each for each in verdicts_of(connection, "m", limit=10) if each.id == identity]
    result = re.sub(rb'("score":)(0\.\d+)', lambda found: found[1] + _rounded_otherwise(found[2]), stored.result)
    assert result != stored.result
    with store.write() as connection:
        connection.execute(
            update(tables.verdict).where(tables.verdict.c.id == identity).values(result=zlib.compress(result))
        )
    store.close()
    done = run_cli("verify-verdict", identity, DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduced from the evidence up to rounding" in done.stdout
    assert "score" in done.stdout
    assert "bit by bit" not in done.stdout
    done = run_cli("verify-verdict", identity, "--database-url", url, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["outcome"], found["reproduced"]) == (0, "reproduced_up_to_rounding", True)


def _rounded_otherwise(number: bytes) -> bytes:
    return repr(float(number) * (1.0 + 1e-14)).encode()


def test_one_that_was_changed_is_exit_code_1(verdict: tuple[str, str], run_cli: RunCli) -> None:
    url, identity = verdict
    store = Store(url)
    with store.write() as connection:
        connection.execute(update(tables.verdict).values(inputs_hash="0" * 64))
    store.close()
    done = run_cli("verify-verdict", identity, DATABASE_URL=url)
    assert done.returncode == 1
    assert "NOT REPRODUCED" in done.stdout


def test_one_by_earlier_rules_is_exit_code_5_and_says_what_is_different(
    verdict: tuple[str, str], run_cli: RunCli
) -> None:
    url, identity = verdict
    store = Store(url)
    with store.write() as connection:
        connection.execute(update(tables.verdict).values(rules_version=1, result=zlib.compress(b'{"summary": {}}')))
    store.close()
    done = run_cli("verify-verdict", identity, DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (5, "")
    assert "evidence intact; it was made by version 1 of the rules" in done.stdout
    assert "in the report of now only" in done.stdout
    assert "NOT REPRODUCED" not in done.stdout


def test_a_service_does_it_too(verdict: tuple[str, str], tmp_path: Path, run_cli: RunCli) -> None:
    url, identity = verdict
    with LiveService(tmp_path / "service", DATABASE_URL=url) as service:
        done = run_cli("verify-verdict", identity, "--url", service.url)
        assert done.returncode == 0, done.stderr
        assert "reproduced bit by bit" in done.stdout
        unknown = run_cli("verify-verdict", "nothing", "--url", service.url)
        assert unknown.returncode == 2
        assert "nothing" in unknown.stderr


def test_what_can_not_be_looked_up_is_said_plainly(verdict: tuple[str, str], run_cli: RunCli) -> None:
    url, _ = verdict
    unknown = run_cli("verify-verdict", "nothing", DATABASE_URL=url)
    assert (unknown.returncode, "no verdict with the id 'nothing'" in unknown.stderr) == (2, True)
    absent = run_cli("verify-verdict", "nothing", DATABASE_URL="sqlite:////nowhere/at/all.db")
    assert absent.returncode == 2
    assert "There is no store" in absent.stderr
