"""What docs/deployment.md shows works: values, manifests, and the commands that can be run without a cluster."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import make_url

from modelwatch.config import describe_settings, load_settings
from modelwatch.storage.engine.store import Store
from scripts.manifests import CHART
from tests.conftest import REPOSITORY
from tests.deploy.kubernetes.crosschecks import problems
from tests.deploy.kubernetes.objects import of_kind, parsed
from tests.deploy.kubernetes.rendering import Helm, schema_problems
from tests.support.alerts.notifications import put, row, states
from tests.support.servers.doubles import Receiver, eventually
from tests.support.servers.live_service import LiveService
from tests.support.servers.postgres import Cluster, programs

TEXT = (REPOSITORY / "docs" / "deployment.md").read_text()
POSTGRESQL = (REPOSITORY / "docs" / "postgresql.md").read_text()
SETUP = [line for line in POSTGRESQL.splitlines() if line.startswith("CREATE ")]
# Instead of `modelwatch`, which is the superuser of the tests' server.
OWNER = "modelwatch_owner"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BASH = [text for language, text in BLOCKS if language == "bash"]
YAML = [text for language, text in BLOCKS if language == "yaml"]
NAMES = yaml.safe_load((CHART / "values.yaml").read_text()).keys()
VALUES = [text for text in YAML if yaml.safe_load(text).keys() <= NAMES]
GRANT = 'psql --command="GRANT SELECT ON ALL TABLES IN SCHEMA public TO modelwatch_reader" "$DATABASE_URL"'
# Runs here what would be run in the container of the database by `docker compose exec -T postgres`.
HERE = 'docker() { "${@:5}"; }'
# Commands of programs that are not here, or that need a cluster, a daemon or the internet.
ELSEWHERE = re.compile(r"(docker|kubectl|kind|minikube|kubeseal|helm (repo|test)|helm install prometheus)\b")


def block(words: str) -> str:
    """The shell block with these words in it."""
    [found] = [text for text in BASH if words in text]
    return found


def commands(text: str) -> list[str]:
    """Its command lines, each on one line and without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run(text: str, folder: Path, **environment: str) -> None:
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def on_path() -> dict[str, str]:
    """PostgreSQL's programs where the shell finds them."""
    return {"PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}"}


def predict(service: LiveService, count: int) -> None:
    rows = [{"model_name": "m", "prediction_id": str(n), "features": {"x": n}, "prediction": "a"} for n in range(count)]
    httpx.post(f"{service.url}/api/v1/predictions/batch", json=rows).raise_for_status()


def stored(service: LiveService) -> int:
    answer: dict[str, Any] = httpx.get(f"{service.url}/api/v1/models/m").json()
    return int(answer["predictions"])


def test_the_passwords_for_compose_serve_and_are_no_trouble_to_the_service(tmp_path: Path) -> None:
    [first] = [line for line in commands(block("openssl")) if line.startswith("printf")]
    run(first, tmp_path)
    env = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert env.keys() == {"COMPOSE_POSTGRES_PASSWORD", "COMPOSE_GRAFANA_PASSWORD"}
    assert all(re.fullmatch("[0-9a-f]{24,48}", value) for value in env.values())
    load_settings({}, dotenv=tmp_path / ".env")


def test_the_unit_names_settings_and_gives_the_service_time_to_stop() -> None:
    [text] = [text for language, text in BLOCKS if language == "ini"]
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    known = {doc.name for doc in describe_settings()}
    assert {word.partition("=")[0] for word in service["Environment"].split()} <= known
    assert int(service["TimeoutStopSec"]) >= 20
    assert service["StateDirectory"] == "modelwatch"


@pytest.mark.parametrize("values", VALUES, ids=lambda text: text.splitlines()[0])
def test_values_that_are_shown_are_taken(helm: Helm, crd_schemas: Path, tmp_path: Path, values: str) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(values)
    documents = helm.objects("default", "--values", path)
    assert (
        problems(documents, made_elsewhere={"modelwatch-database", "modelwatch-channels", "modelwatch-certificate"})
        == []
    )
    assert [text for each in documents for text in schema_problems(each, "1.34", crd_schemas)] == []


def test_the_values_of_all_chapters_are_among_them() -> None:
    assert [next(iter(yaml.safe_load(text))) for text in VALUES] == [
        "networkPolicy",
        "ingress",
        "tls",
        "secrets",
        "tolerations",
    ]


@pytest.mark.parametrize(
    "command",
    [line for text in BASH for line in commands(text) if re.match(r"helm (install|upgrade).* charts/modelwatch", line)],
    ids=lambda line: line.split()[1],
)
def test_helm_takes_the_options_that_are_shown(helm: Helm, command: str) -> None:
    words = shlex.split(command)[2:]
    not_for_template = {"--install", "--create-namespace", "--reuse-values", "modelwatch", "charts/modelwatch"}
    options = [word for word in words if word not in not_for_template]
    documents = parsed(helm.template("default", *options))
    assert of_kind(documents, "Deployment")
    assert (
        problems(documents, made_elsewhere={"modelwatch-database", "modelwatch-postgresql", "modelwatch-metrics"}) == []
    )


def test_the_overlay_changes_image_and_settings(kubectl: Path, repository: Path, tmp_path: Path) -> None:
    [text] = [text for text in YAML if "images:" in text]
    [resource] = yaml.safe_load(text)["resources"]
    shutil.copytree(repository / "k8s", tmp_path / resource)
    (tmp_path / "kustomization.yaml").write_text(text)
    result = subprocess.run([kubectl, "kustomize", tmp_path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    documents = parsed(result.stdout)
    [deployment] = of_kind(documents, "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.org/ml/modelwatch:0.1.0"
    [config] = [each for each in of_kind(documents, "ConfigMap") if "PORT" in each["data"]]
    assert config["data"]["LOOKBACKS"] == "24h,7d"


def test_a_sqlite_store_is_backed_up_while_it_is_written_to_and_restored(tmp_path: Path) -> None:
    command = block("VACUUM INTO").replace("python3", shlex.quote(shutil.which("python3") or "python3"))
    with LiveService(tmp_path / "modelwatch-data") as service:
        predict(service, 70)
        run(command, tmp_path)
        predict(service, 90)
        assert stored(service) == 90
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(tmp_path / "backup.db", restored / "modelwatch.db")
    with LiveService(restored) as service:
        assert stored(service) == 70
        predict(service, 90)
        assert stored(service) == 90


def test_a_copy_without_channels_sends_nothing_and_takes_no_key_of_the_original(tmp_path: Path) -> None:
    with Receiver() as taken:
        original = tmp_path / "original"
        with LiveService(original, API_KEYS_REQUIRED="false"):
            pass
        address = f"sqlite:///{original / 'modelwatch.db'}"
        here = {"PYTHONPATH": str(REPOSITORY / "src"), "DATABASE_URL": address}
        program = f"{shlex.quote(sys.executable)} -m modelwatch"
        run(f"{program} keys create trainer --scope admin > key", tmp_path, **here)
        [key] = re.findall(r"\bmw_\S+", (tmp_path / "key").read_text())
        with closing(Store(address)) as store:
            put(store, row("webhook"))
        shutil.copytree(original, tmp_path / "copy")
        here["DATABASE_URL"] = f"sqlite:///{tmp_path / 'copy' / 'modelwatch.db'}"
        run(re.sub(r"\bmodelwatch (?=keys)", f"{program} ", block("modelwatch keys revoke")), tmp_path, **here)
        with closing(Store(here["DATABASE_URL"])) as store:
            with LiveService(tmp_path / "copy", API_KEYS_REQUIRED="true") as copy:
                eventually(lambda: states(store) == {"a1:1:webhook": "dead"})
                answer = httpx.get(f"{copy.url}/api/v1/models", headers={"Authorization": f"Bearer {key}"})
                assert answer.status_code == 401
            # A later one goes out once there is a channel; the one before it never does.
            put(store, row("webhook", alert="a2"))
            with LiveService(tmp_path / "copy", ALERT_WEBHOOK_URL=taken.url):
                eventually(lambda: taken.keys)
            assert taken.keys == ["a2:1:webhook"]


@pytest.fixture
def of_a_role(postgres: Cluster) -> Iterator[str]:
    """The address of a database whose role owns it and has no other privileges, as docs/postgresql.md sets it up."""
    [role, database] = SETUP
    postgres.execute(role.replace("modelwatch", OWNER))
    postgres.execute(database.replace("modelwatch", OWNER))
    try:
        yield postgres.url(OWNER, OWNER, "change-me")
    finally:
        for name in (OWNER, "modelwatch_restored"):
            postgres.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        postgres.execute(f"DROP ROLE {OWNER}")


def test_postgresql_is_backed_up_while_it_is_written_to_and_restored(
    postgres: Cluster, of_a_role: str, tmp_path: Path
) -> None:
    with LiveService(tmp_path / "data", DATABASE_URL=of_a_role) as service:
        predict(service, 70)
        restored = postgres.url("modelwatch_restored", OWNER, "change-me")
        environment = {**on_path(), "ADMIN_URL": postgres.url(), "DATABASE_URL": of_a_role, "RESTORED_URL": restored}
        run(block("pg_restore").replace("--owner=modelwatch", f"--owner={OWNER}"), tmp_path, **environment)
        predict(service, 90)
    with LiveService(tmp_path / "again", DATABASE_URL=restored) as again:
        assert stored(again) == 70
        predict(again, 90)
        assert stored(again) == 90


def test_a_backup_restored_in_place_is_all_that_there_is(of_a_role: str, tmp_path: Path) -> None:
    """Also of a newer schema than that of the backup: what is left of it would be in the way of the next upgrade."""
    back_up, restore, _ = in_place()
    environment = {**on_path(), "DATABASE_URL": of_a_role}
    is_restored_in_place(back_up, restore, tmp_path, environment)


def test_a_backup_is_restored_in_place_where_the_role_is_the_first_superuser(postgres: Cluster, tmp_path: Path) -> None:
    """As in Compose and in the chart: what else it owns is the server's own. Who may only read still may."""
    [(is_first,)] = postgres.execute("SELECT rolsuper AND oid = 10 FROM pg_roles WHERE rolname = 'modelwatch'")
    assert is_first
    [back_up] = [line for line in commands(block("exec -T postgres")) if line.startswith("docker")]
    postgres.execute("CREATE ROLE modelwatch_reader LOGIN PASSWORD 'change-me'")
    postgres.execute("CREATE DATABASE modelwatch ENCODING 'UTF8' TEMPLATE template0")
    try:
        url = postgres.url("modelwatch")
        connection = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": make_url(url).password or ""}
        environment = {**on_path(), **connection, "DATABASE_URL": url}
        is_restored_in_place(f"{GRANT}\n{HERE}\n{back_up}", f"{HERE}\n{in_place()[2]}", tmp_path, environment)
        reader = postgres.url("modelwatch", "modelwatch_reader", "change-me")
        run('psql --command="TABLE stream" "$DATABASE_URL"', tmp_path, **{**environment, "DATABASE_URL": reader})
    finally:
        postgres.execute("DROP DATABASE modelwatch WITH (FORCE)")
        postgres.execute("DROP ROLE modelwatch_reader")


def in_place() -> list[str]:
    """The shell blocks of docs/postgresql.md: the backup, and how it is restored in place, also in Compose."""
    return re.findall(r"^```bash\n(.*?)^```$", POSTGRESQL, re.MULTILINE | re.DOTALL)


def is_restored_in_place(back_up: str, restore: str, folder: Path, environment: dict[str, str]) -> None:
    url = environment["DATABASE_URL"]
    with LiveService(folder / "data", DATABASE_URL=url) as service:
        predict(service, 70)
        run(back_up, folder, **environment)
        predict(service, 90)
    run('psql --command="CREATE TABLE of_a_newer_version ()" "$DATABASE_URL"', folder, **environment)
    run(restore, folder, **environment)
    run("! psql --command='TABLE of_a_newer_version' \"$DATABASE_URL\"", folder, **environment)
    with LiveService(folder / "again", DATABASE_URL=url) as again:
        assert stored(again) == 70


def test_every_command_is_run_or_known_to_need_more_than_this_machine() -> None:
    run_here = ("printf", "python3", "modelwatch keys", "pg_dump", "createdb", "pg_restore", "helm install modelwatch")
    run_here += ("helm upgrade",)
    for line in (line for text in BASH for line in commands(text)):
        assert line.startswith(run_here) or ELSEWHERE.match(line), f"neither run nor known: {line}"


def test_what_the_commands_name_is_there(repository: Path) -> None:
    paths = re.findall(r"(?:-f|-k) ((?:k8s|deploy)[\w./-]*)|`((?:k8s|deploy|charts|dashboards)/[\w./-]+)`", TEXT)
    assert len(paths) > 4
    for path in (first or second for first, second in paths):
        assert (repository / path).exists(), path
