"""Values that make no sense are refused, in words that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.manifests import CHART, SETTINGS
from tests.deploy.kubernetes.objects import of_kind
from tests.deploy.kubernetes.rendering import Helm


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["autoscalling.enabled=false"], "autoscalling"),
        (["image.tags=1"], "tags"),
        (["replicaCount=three"], "replicaCount"),
        (["resources.requests.cpu=banana"], "cpu"),
        (["resources.request.cpu=1"], "request"),
        (["database.kind=mysql"], "bundled"),
        (["database.external.url=mysql://x"], "url"),
        (["service.port=99999"], "port"),
        (["config.lower_case=1"], "lower_case"),
        (["config.LOOKBACKS.a=1h"], "LOOKBACKS"),
        (["secrets.existingSecret=Not_A_Name"], "existingSecret"),
        (["topologySpread.whenUnsatisfiable=Never"], "ScheduleAnyway"),
        (["podDisruptionBudget.maxUnavailable=120%"], "maxUnavailable"),
        (["serviceMonitor.interval=5 min"], "interval"),
        (["monitors.fraud\\.txt=x"], "fraud.txt"),
        (["networkPolicy.ingressFrom[0].podSelektor.a=b"], "podSelektor"),
        (["ingress.hosts[0].host=example.org"], "paths"),
        (["fullnameOverride=Upper"], "fullnameOverride"),
    ],
)
def test_the_schema_refuses_what_it_does_not_know(helms: list[Helm], settings: list[str], named: str) -> None:
    for helm in helms:
        message = helm.refusal(*settings)
        assert "values don't meet the specifications of the schema" in message
        assert named in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["image.tag=latest"], "image.tag=latest is no version"),
        (["database.bundled.image.tag=latest"], "database.bundled.image.tag=latest is no version"),
        (["database.kind=sqlite"], "set autoscaling.enabled=false"),
        (["database.kind=sqlite", "autoscaling.enabled=false"], "set replicaCount=1"),
        (["database.kind=external"], "needs database.external.existingSecret"),
        (
            ["database.kind=external", "database.external.existingSecret=a", "database.external.url=postgresql://b"],
            "give either url or existingSecret",
        ),
        (["autoscaling.minReplicas=9", "autoscaling.maxReplicas=5"], "minReplicas must not be above"),
        (["autoscaling.maxReplicas=40"], "database.bundled.maxConnections must be at least 338"),
        (["config.DATABASE_POOL_SIZE=20"], "database.bundled.maxConnections must be at least 430"),
        (["tls.enabled=true"], "tls.enabled needs tls.existingSecret"),
        (["preStopSeconds=25"], "must be at least preStopSeconds + 10"),
        (["config.SMTP_URL=smtp://user:s3cret@mail"], "config.SMTP_URL is secret: give it in secrets.values"),
        (["config.PORT=9000"], "config.PORT is set by the chart: see service.port"),
        (["config.DATABASE_URL=sqlite:///x"], "config.DATABASE_URL is set by the chart: see database"),
        (["secrets.values.DATABASE_URL=postgresql://x"], "secrets.values.DATABASE_URL is set by the chart"),
        (["config.NOSUCH=1"], "config.NOSUCH is no setting of the service: docs/settings.md lists all settings"),
        (["config.PSI_WARNING=0.2"], "did you mean PSI_ALERT_THRESHOLD or PSI_WARNING_THRESHOLD?"),
    ],
)
def test_values_that_contradict_each_other_are_refused(helms: list[Helm], settings: list[str], message: str) -> None:
    for helm in helms:
        told = helm.refusal(*settings)
        assert message in told
        assert "s3cret" not in told


def test_every_setting_may_be_given_somewhere(helm: Helm) -> None:
    """What `config` refuses of the service's settings is secret, or set by the chart."""
    for name in SETTINGS.read_text().split():
        result = helm("template", "modelwatch", CHART, "--set-string", f"config.{name}=1")
        assert result.returncode == 0 or "is secret" in result.stderr or "is set by the chart" in result.stderr, name


def test_a_secret_of_a_file_of_channels_may_have_any_name(helm: Helm) -> None:
    [secret] = of_kind(helm.objects("minimal", "--set=secrets.values.SLACK_ML_URL=https://x"), "Secret")
    assert secret["stringData"]["SLACK_ML_URL"] == "https://x"


def test_every_value_is_described_by_the_schema() -> None:
    """Every default is in the schema, and everything in the schema has a default."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == defaults.keys()

    def compare(described: dict[str, Any], given: Any, path: str) -> None:
        described = schema["definitions"].get(described.get("$ref", "").rpartition("/")[2], described)
        if described.get("additionalProperties") is not False or not isinstance(given, dict):
            return
        assert given.keys() <= described["properties"].keys(), path
        for name, value in given.items():
            compare(described["properties"][name], value, f"{path}.{name}")

    compare(schema, defaults, "")


def test_everything_uses_every_group_of_values() -> None:
    """The value set `everything` would be a poor proof without them."""
    given = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    left = {"migration", "hooks", "replicaCount", "resources", "preStopSeconds", "terminationGracePeriodSeconds"}
    left |= {"startupProbe", "livenessProbe", "readinessProbe", "podSecurityContext", "containerSecurityContext"}
    assert defaults.keys() - given.keys() <= left | {"topologySpread"}


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/", "http://ml.example.org"),
        ("/watch/", "http://ml.example.org/watch"),
        ("/watch(/|$)(.*)", "http://ml.example.org"),
    ],
)
def test_the_public_address_has_the_path_of_the_ingress(helm: Helm, tmp_path: Path, path: str, public: str) -> None:
    hosts = [{"host": "ml.example.org", "paths": [{"path": path, "pathType": "Prefix"}]}]
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"ingress": {"enabled": True, "hosts": hosts}}))
    [settings] = of_kind(helm.objects("default", "--values", values), "ConfigMap")[:1]
    assert settings["data"]["PUBLIC_URL"] == public


def test_the_migration_before_an_upgrade_has_the_url_of_the_upgrade(helm: Helm) -> None:
    """The Secret of the release is only written after the hook: by then it would have looked at another database."""
    url = "postgresql://u:p@db.example.org/mw"
    chosen = ("--set", "database.kind=external", "--set", f"database.external.url={url}")
    documents = helm.objects("minimal", *chosen)
    [job] = [each for each in of_kind(documents, "Job") if each["metadata"]["name"].endswith("-migrate")]
    [container] = job["spec"]["template"]["spec"]["containers"]
    [variable] = [each for each in container["env"] if each["name"] == "DATABASE_URL"]
    named = variable["valueFrom"]["secretKeyRef"]
    [secret] = [each for each in of_kind(documents, "Secret") if each["metadata"]["name"] == named["name"]]
    assert secret["stringData"][named["key"]] == url
    hook, weight = "helm.sh/hook", "helm.sh/hook-weight"
    assert secret["metadata"]["annotations"][hook] == job["metadata"]["annotations"][hook] == "pre-upgrade"
    assert int(secret["metadata"]["annotations"][weight]) < int(job["metadata"]["annotations"][weight])


def test_no_pod_has_a_number_of_a_user_where_the_namespace_gives_one(helm: Helm) -> None:
    """As OpenShift wants it."""
    numbers = ("runAsUser", "runAsGroup", "fsGroup")
    places = ("podSecurityContext", "database.bundled.podSecurityContext")
    documents = helm.objects("default", *(f"--set={place}.{name}=null" for place in places for name in numbers))
    for kind in ("Deployment", "StatefulSet", "Job"):
        for each in of_kind(documents, kind):
            context = each["spec"]["template"]["spec"]["securityContext"]
            assert context["runAsNonRoot"]
            assert not set(numbers) & context.keys()
