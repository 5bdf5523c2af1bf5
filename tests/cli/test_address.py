"""The address that commands ask: --url, MODELWATCH_URL, then where a service of the same settings listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.cli.address import normal_url
from modelwatch.cli.base import CliError
from tests.cli.conftest import RunCli
from tests.support.servers.live_service import free_port


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "TLS_CERTFILE", "TLS_KEYFILE", "MODELWATCH_URL", "MODELWATCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_settings_it_is_port_8000_of_this_machine() -> None:
    assert normal_url("") == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000"),
        ("::1", "http://[::1]:9000"),
        ("watch.example.org", "http://watch.example.org:9000"),
    ],
)
def test_host_and_port_are_those_of_the_service(host: str, address: str, elsewhere: Path) -> None:
    (elsewhere / ".env").write_text(f"HOST={host}\nPORT=9000\n")
    assert normal_url("") == address


def test_a_certificate_means_https(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    for name in ("TLS_CERTFILE", "TLS_KEYFILE"):
        (elsewhere / name).write_text("")
        monkeypatch.setenv(name, str(elsewhere / name))
    assert normal_url("") == "https://127.0.0.1:8000"


def test_the_variable_comes_before_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("MODELWATCH_URL", "watch.example.org:8443/")
    assert normal_url("") == "http://watch.example.org:8443"
    assert normal_url("http://other") == "http://other"


@pytest.mark.parametrize(
    ("written", "exported"),
    [
        ("PORT=many", None),
        ("PROT=9000", None),
        ("PORT=9000\nLOG_FROMAT=json", None),
        ("PORT=9000", "many"),
        ("", "0x1F90"),
    ],
)
def test_a_port_that_can_not_be_told_leads_to_no_service(
    written: str, exported: str | None, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text(f"{written}\n")
    if exported is not None:
        monkeypatch.setenv("PORT", exported)
    with pytest.raises(CliError, match=r"1 problem in the settings:(?s:.*)--url or MODELWATCH_URL"):
        normal_url("")
    assert normal_url("http://watch:9000") == "http://watch:9000"
    monkeypatch.setenv("MODELWATCH_URL", "http://watch:9001")
    assert normal_url("") == "http://watch:9001"


@pytest.mark.parametrize("command", [("erase", "m", "one"), ("models", "delete", "m", "--yes"), ("check", "m")])
def test_a_command_asks_nobody_when_the_port_can_not_be_told(
    command: tuple[str, ...], run_cli: RunCli, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("PORT=9000\nLOG_FROMAT=json\n")
    done = run_cli(*command)
    assert done.returncode == 2
    assert "unknown setting 'LOG_FROMAT' in .env: did you mean LOG_FORMAT?" in done.stderr


def test_another_setting_that_is_wrong_does_not_lead_to_another_service(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text("SLACK_WEBHOK_URL=https://hooks.slack.com/services/T0/B0/x\n")
    monkeypatch.setenv("PORT", "9000")
    assert normal_url("") == "http://localhost:9000"
    monkeypatch.setenv("HOST", "0.0.0.0")
    assert normal_url("") == "http://127.0.0.1:9000"


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(CliError, match="is not the address of a service"):
        normal_url("ftp://x")


def test_a_command_names_whom_it_asked(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    done = run_cli("check", "some-model")
    assert done.returncode == 3
    assert f"No service answers at http://127.0.0.1:{port}" in done.stderr
