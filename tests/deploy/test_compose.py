"""docker-compose.yml and the files that it mounts, by the schema and by the tools of the programs that read them."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.config import load_settings
from modelwatch.config.loading import KNOWN
from tests.conftest import REPOSITORY
from tests.deploy.compose import problems
from tests.support.servers.alertmanager import PACKAGE as ALERTMANAGER
from tests.support.servers.programs import installed
from tests.support.servers.prometheus import promtool

FILE = REPOSITORY / "docker-compose.yml"
CONFIGURATION = REPOSITORY / "deploy" / "compose"


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return copy.deepcopy(found)


def test_it_satisfies_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_its_parts_fit_each_other(document: dict[str, Any]) -> None:
    assert list(problems(document, REPOSITORY)) == []
    assert document["services"].keys() == {"modelwatch", "postgres", "prometheus", "alertmanager", "grafana"}


@pytest.mark.parametrize(
    ("service", "breaks", "message"),
    [
        ("grafana", lambda it: it.update(image="grafana/grafana"), "has no version"),
        ("grafana", lambda it: it.update(image="grafana/grafana:latest"), "has no version"),
        ("postgres", lambda it: it.pop("healthcheck"), "modelwatch waits for the health of postgres"),
        ("postgres", lambda it: it.pop("cap_drop"), "keeps capabilities"),
        ("modelwatch", lambda it: it.update(ports=["8000:8000"]), "open to other machines"),
        ("modelwatch", lambda it: it.update(depends_on={"db": {"condition": "service_started"}}), "depends on db"),
        ("grafana", lambda it: it["environment"].update(GF_SECURITY_ADMIN_PASSWORD="admin123"), "everybody can read"),
        (
            "grafana",
            lambda it: it["environment"].update(GF_SECURITY_ADMIN_PASSWORD="${COMPOSE_GRAFANA_PASSWORD:-admin}"),
            "everybody can read",
        ),
        (
            "modelwatch",
            lambda it: it["environment"].update(DATABASE_URL="postgresql://modelwatch:secret@postgres/modelwatch"),
            "everybody can read",
        ),
        ("prometheus", lambda it: it["volumes"].append("./nothing:/x:ro"), "which is not there"),
        ("prometheus", lambda it: it["volumes"].append("./rules:/x"), "may write to ./rules"),
        ("prometheus", lambda it: it["volumes"].append("more:/x"), "mounts the volume more"),
    ],
)
def test_what_is_broken_is_told(
    document: dict[str, Any], service: str, breaks: Callable[[dict[str, Any]], object], message: str
) -> None:
    breaks(document["services"][service])
    assert any(message in text for text in problems(document, REPOSITORY))


def test_what_the_service_is_told_are_settings(document: dict[str, Any]) -> None:
    assert document["services"]["modelwatch"]["environment"].keys() <= KNOWN


def test_one_env_file_serves_compose_and_the_service(tmp_path: Path, document: dict[str, Any]) -> None:
    """Compose reads its passwords from the .env of the checkout, and so does `modelwatch serve` its settings."""
    names = sorted(set(re.findall(r"\$\{(COMPOSE_\w+)", FILE.read_text())))
    assert names == ["COMPOSE_GRAFANA_PASSWORD", "COMPOSE_POSTGRES_PASSWORD"]
    env = tmp_path / ".env"
    env.write_text("".join(f"{name}=0123456789abcdef\n" for name in names) + "PSI_ALERT_THRESHOLD=0.3\n")
    assert load_settings({}, dotenv=env).psi_alert_threshold == 0.3


def test_only_the_service_reaches_the_database(document: dict[str, Any]) -> None:
    services = document["services"]
    assert {name for name, each in services.items() if "store" in each["networks"]} == {"modelwatch", "postgres"}
    assert services["postgres"]["networks"] == ["store"]
    assert document["networks"]["store"]["internal"]


def test_prometheus_takes_its_configuration_and_rules(tmp_path: Path) -> None:
    shutil.copy(CONFIGURATION / "prometheus.yml", tmp_path)
    (tmp_path / "rules").mkdir()
    shutil.copy(REPOSITORY / "rules" / "modelwatch.rules.yaml", tmp_path / "rules")
    result = promtool("check", "config", tmp_path / "prometheus.yml")
    assert result.returncode == 0, result.stdout
    assert "rules found" in result.stdout


def test_alertmanager_takes_its_configuration_which_keeps_the_same_alerts_quiet_as_the_example() -> None:
    path = CONFIGURATION / "alertmanager.yml"
    command = [installed("amtool", ALERTMANAGER), "check-config", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    example = yaml.safe_load((REPOSITORY / "rules" / "alertmanager.example.yaml").read_text())
    assert yaml.safe_load(path.read_text())["inhibit_rules"] == example["inhibit_rules"]


def test_grafana_finds_prometheus_and_the_dashboards(document: dict[str, Any]) -> None:
    [source] = yaml.safe_load((CONFIGURATION / "grafana/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["uid"], source["url"]) == ("modelwatch-prometheus", "http://prometheus:9090")
    [provider] = yaml.safe_load((CONFIGURATION / "grafana/dashboards/modelwatch.yaml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in document["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
