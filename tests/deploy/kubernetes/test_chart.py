"""The chart renders to what Kubernetes takes, with Helm 3 and Helm 4, for every version that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from modelwatch.config import Settings, load_settings
from modelwatch.config.loading import KNOWN
from scripts.manifests import CHART
from tests.deploy.kubernetes.crosschecks import problems
from tests.deploy.kubernetes.objects import names_of, of_kind, parsed, pods
from tests.deploy.kubernetes.rendering import KUBERNETES, MADE_ELSEWHERE, VALUE_SETS, Helm, schema_problems

each_value_set = pytest.mark.parametrize("values", VALUE_SETS)


def test_there_are_four_value_sets() -> None:
    assert set(VALUE_SETS) == {"default", "minimal", "ha", "everything"} == set(MADE_ELSEWHERE)


@each_value_set
def test_it_passes_the_strict_lint(helms: list[Helm], values: str) -> None:
    for helm in helms:
        result = helm("lint", "--strict", CHART, "--values", CHART / "ci" / f"{values}-values.yaml")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "[WARNING]" not in result.stdout


@each_value_set
def test_both_versions_of_helm_render_the_same_for_every_version_of_kubernetes(helms: list[Helm], values: str) -> None:
    three, four = helms
    for version in KUBERNETES:
        assert three.template(values, version=version) == four.template(values, version=version)


@each_value_set
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_satisfies_its_strict_schema(helm: Helm, crd_schemas: Path, values: str, version: str) -> None:
    documents = parsed(helm.template(values, version=version))
    assert [text for each in documents for text in schema_problems(each, version, crd_schemas)] == []


@each_value_set
def test_the_objects_fit_each_other(helm: Helm, values: str) -> None:
    assert problems(helm.objects(values), made_elsewhere=MADE_ELSEWHERE[values]) == []


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    result = helm("template", CHART, "--kube-version", "1.29")
    assert "chart requires kubeVersion: >=1.30" in result.stderr


@each_value_set
def test_the_service_accepts_its_settings(helm: Helm, values: str, tmp_path: Path) -> None:
    """The settings of the ConfigMap and of the chart's own Secrets, as a pod has them in its environment."""
    documents = helm.objects(values)
    environment: dict[str, str] = {}
    for each in of_kind(documents, "ConfigMap"):
        if "PORT" in each["data"]:
            environment |= each["data"]
    for each in of_kind(documents, "Secret"):
        environment |= each["stringData"]
    settings = load_settings(environment, dotenv=None, DATA_DIR=str(tmp_path))
    assert settings.port == 8000
    assert not settings.is_local
    assert settings.keys_required
    assert settings.scheme == ("https" if values == "everything" else "http")


def test_every_name_that_the_chart_gives_is_a_setting(helm: Helm) -> None:
    for values in VALUE_SETS:
        [config] = [each for each in of_kind(helm.objects(values), "ConfigMap") if "PORT" in each["data"]]
        assert config["data"].keys() <= KNOWN


def test_large_numbers_reach_the_service_as_they_are(helm: Helm) -> None:
    [config] = [each for each in of_kind(helm.objects("everything"), "ConfigMap") if "PORT" in each["data"]]
    data = config["data"]
    assert (data["MAX_BUFFER_BYTES"], data["PSI_ALERT_THRESHOLD"], data["DEBUG"]) == ("268435456", "0.3", "false")
    assert data["HOST"] == "::"


def test_a_change_of_a_setting_or_a_secret_restarts_the_pods(helm: Helm) -> None:
    def checksums(*settings: str) -> tuple[str, str]:
        words = [word for each in settings for word in ("--set", each)]
        [deployment] = of_kind(helm.objects("default", *words), "Deployment")
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        return annotations["checksum/config"], annotations["checksum/secret"]

    before = checksums()
    assert checksums() == before
    assert checksums("config.LOOKBACKS=24h")[0] != before[0]
    assert checksums("secrets.values.SMTP_URL=smtp://mail")[1] != before[1]


def test_an_upgrade_of_the_chart_does_not_restart_the_database(helm: Helm, tmp_path: Path) -> None:
    packed = helm("package", CHART, "--version", "0.9.9", "--app-version", "0.9.9", "--destination", tmp_path)
    assert packed.returncode == 0, packed.stderr
    newer = parsed(helm("template", "modelwatch", tmp_path / "modelwatch-0.9.9.tgz", "--namespace", "ml").stdout)
    [before], [after] = (of_kind(each, "StatefulSet") for each in (helm.objects(), newer))
    assert before["spec"]["template"] == after["spec"]["template"]
    [deployment] = of_kind(newer, "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "modelwatch:0.9.9"


def test_the_bundled_database_takes_all_connections_of_all_pods(helm: Helm) -> None:
    documents = helm.objects()
    [database], [scaler] = of_kind(documents, "StatefulSet"), of_kind(documents, "HorizontalPodAutoscaler")
    [option] = [word for word in database["spec"]["template"]["spec"]["containers"][0]["args"] if "=" in word]
    pods_at_most = scaler["spec"]["maxReplicas"] + 1
    needed = pods_at_most * Settings().database_pool_size
    assert option == "max_connections=200"
    assert needed + 10 <= 200
    # The chart reckons with the same default as the service.
    assert f"must be at least {(pods_at_most + 20) * Settings().database_pool_size + 10}" in helm.refusal(
        "autoscaling.maxReplicas=40"
    )


def test_there_is_no_password_in_what_is_rendered(helm: Helm) -> None:
    documents = helm.objects()
    assert of_kind(documents, "Secret") == []
    [database] = of_kind(documents, "StatefulSet")
    variables = {each["name"]: each for each in database["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["POSTGRES_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "modelwatch-database"


def test_only_the_password_job_may_do_something_in_the_cluster(helm: Helm) -> None:
    documents = helm.objects("everything")
    [role] = of_kind(documents, "Role")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
    assert of_kind(documents, "ClusterRole", "ClusterRoleBinding") == []
    with_token = {pod.owner["metadata"]["name"] for pod in pods(documents) if pod.spec["automountServiceAccountToken"]}
    assert with_token == {"everything-password"}


def test_the_schema_is_migrated_before_an_upgrade_and_never_from_a_hook_of_an_installation(helm: Helm) -> None:
    jobs = {each["metadata"]["name"]: each["metadata"]["annotations"] for each in of_kind(helm.objects("ha"), "Job")}
    assert jobs["modelwatch-migrate"]["helm.sh/hook"] == "pre-upgrade"
    assert of_kind(helm.objects("ha", "--set", "migration.enabled=false"), "Job") == []


def test_sqlite_has_one_pod_at_a_time_and_keeps_its_file(helm: Helm) -> None:
    documents = helm.objects("minimal")
    [deployment] = of_kind(documents, "Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    [claim] = of_kind(documents, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_operator_gets_objects_only_when_asked(helm: Helm) -> None:
    assert of_kind(helm.objects(), "ServiceMonitor", "PrometheusRule") == []
    found = of_kind(helm.objects("ha"), "ServiceMonitor", "PrometheusRule")
    assert {each["kind"] for each in found} == {"ServiceMonitor", "PrometheusRule"}
    assert {each["metadata"]["labels"]["release"] for each in found} == {"prometheus"}


def test_the_rules_are_those_of_the_repository(helm: Helm, repository: Path) -> None:
    [rule] = of_kind(helm.objects("ha"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((repository / "rules" / "modelwatch.rules.yaml").read_text())


def test_the_dashboards_are_those_of_the_repository(helm: Helm, repository: Path) -> None:
    found = {
        name: json.loads(text)
        for each in of_kind(helm.objects(), "ConfigMap")
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
    }
    assert found == {path.name: json.loads(path.read_text()) for path in (repository / "dashboards").glob("*.json")}
    assert found.keys() == {"model-monitoring.json", "modelwatch-service.json"}


def test_with_tls_everything_speaks_https(helm: Helm) -> None:
    documents = helm.objects("everything")
    [monitor] = of_kind(documents, "ServiceMonitor")
    [endpoint] = monitor["spec"]["endpoints"]
    assert (endpoint["scheme"], endpoint["port"]) == ("https", "https")
    assert endpoint["tlsConfig"] == {
        "serverName": "everything.ml.svc",
        "ca": {"secret": {"name": "certificate", "key": "ca.crt"}},
        "minVersion": "TLS12",
    }
    assert endpoint["authorization"]["credentials"] == {"name": "metrics-key", "key": "token"}
    [deployment] = of_kind(documents, "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in ("startup", "liveness", "readiness")]
    assert probes == ["HTTPS"] * 3


def test_prometheus_gets_in_with_the_key_that_is_named_and_without_one_where_none_is(helm: Helm) -> None:
    def metrics_are_public(*settings: str) -> str | None:
        words = [word for each in settings for word in ("--set", each)]
        [config] = [each for each in of_kind(helm.objects("default", *words), "ConfigMap") if "PORT" in each["data"]]
        found: str | None = config["data"].get("METRICS_PUBLIC")
        return found

    assert metrics_are_public() is None
    assert metrics_are_public("serviceMonitor.enabled=true") == "true"
    assert metrics_are_public("serviceMonitor.enabled=true", "config.METRICS_PUBLIC=false") == "false"
    key = "serviceMonitor.authorization.existingSecret=key"
    assert metrics_are_public("serviceMonitor.enabled=true", key) is None


def test_an_external_database_can_be_given_as_an_address(helm: Helm) -> None:
    url = "postgresql://user:p,w@db.example.org:5432/modelwatch?sslmode=verify-full"
    words = ("--set", "database.kind=external", "--set-literal", f"database.external.url={url}")
    documents = helm.objects("default", *words)
    # One of the release, and one of the migration before an upgrade.
    assert [secret["stringData"] for secret in of_kind(documents, "Secret")] == [{"DATABASE_URL": url}] * 2
    assert problems(documents) == []
    assert "StatefulSet" not in {each["kind"] for each in documents}


def test_long_names_still_fit(helm: Helm) -> None:
    documents = helm.objects("everything", "--set", f"fullnameOverride={'n' * 44}")
    assert problems(documents, made_elsewhere={*MADE_ELSEWHERE["everything"], f"{'n' * 44}-database"}) == []


def test_without_hooks_there_are_none(helm: Helm) -> None:
    text = helm.template("default", "--set", "hooks.enabled=false")
    assert "helm.sh/hook" not in text
    assert names_of(parsed(text), "Job") == {"modelwatch-password"}


def test_it_can_be_packed_with_all_it_needs(helms: list[Helm], tmp_path: Path) -> None:
    for number, helm in enumerate(helms):
        folder = tmp_path / str(number)
        assert helm("package", CHART, "--destination", folder).returncode == 0
        [archive] = folder.iterdir()
        rendered = helm("template", "modelwatch", archive, "--namespace", "ml", "--set", "prometheusRule.enabled=true")
        assert rendered.returncode == 0, rendered.stderr
        assert of_kind(parsed(rendered.stdout), "PrometheusRule")[0]["spec"]["groups"]
