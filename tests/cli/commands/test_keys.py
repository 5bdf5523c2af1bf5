"""API keys from the command line."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import RunCli


def test_a_key_is_made_listed_and_revoked(run_cli: RunCli) -> None:
    made = json.loads(run_cli("keys", "create", "trainer", "--scope", "ingest", "--model", "m", "--json").stdout)
    listed = json.loads(run_cli("keys", "list", "--json").stdout)["keys"]
    assert listed == [{name: value for name, value in made.items() if name != "key"}]
    assert (made["scopes"], made["models"], made["state"]) == (["ingest"], ["m"], "in_force")
    assert run_cli("keys", "revoke", made["id"]).returncode == 0
    assert run_cli("keys", "revoke", made["id"]).returncode == 1
    assert "revoked" in run_cli("keys", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((" ", "--scope", "read"), "NAME: Expected printable text of 1 to 100 characters, got ' '."),
        (("x", "--scope", "write"), "--scope: Expected one or more of ingest, read, admin, got 'write'."),
        (("x", "--scope", "read", "--expires", "soon"), "--expires: Expected a whole number and a unit"),
        (("x", "--scope", "read", "--expires", "0d"), "--expires: Expected an end in the future"),
    ],
)
def test_a_key_that_can_not_be_is_refused(run_cli: RunCli, arguments: tuple[str, ...], says: str) -> None:
    done = run_cli("keys", "create", *arguments)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
