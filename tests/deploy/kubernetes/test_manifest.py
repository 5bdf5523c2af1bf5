"""k8s/deployment.yaml: what the chart says, under the promised names, ready for `kubectl apply -f`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelwatch.config import Settings
from scripts.manifests import CHART, MANIFEST, SETTINGS, copies, manifest, settings
from tests.deploy.kubernetes.crosschecks import problems
from tests.deploy.kubernetes.objects import Object, of_kind, parsed, pods
from tests.deploy.kubernetes.rendering import KUBERNETES, Helm, schema_problems

NAME, NAMESPACE = "ai-model-monitoring", "ml-monitoring"
OVERLAY = """\
resources: [../base]
images: [{name: modelwatch, newName: registry.example.org/ml/modelwatch, newTag: 0.1.1}]
patches:
  - patch: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: ai-model-monitoring, namespace: ml-monitoring}
      data: {LOOKBACKS: 24h}
"""


@pytest.fixture(scope="module")
def documents() -> list[Object]:
    return parsed(MANIFEST.read_text())


def kustomized(kubectl: Path, folder: Path) -> list[Object]:
    result = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    return parsed(result.stdout)


def test_it_is_what_the_chart_renders(helms: list[Helm]) -> None:
    for helm in helms:
        assert MANIFEST.read_text() == manifest(helm.path), "run `make k8s`"


def test_the_chart_holds_the_rules_and_dashboards_of_the_repository() -> None:
    for copy, source in copies().items():
        assert copy.read_bytes() == source.read_bytes(), f"{copy}: run `make k8s`"
    assert set((CHART / "files" / "dashboards").glob("*.json")) <= copies().keys(), "run `make k8s`"


def test_the_chart_knows_the_settings_of_the_service() -> None:
    assert SETTINGS.read_text() == settings(), "run `make k8s`"
    assert set(SETTINGS.read_text().split()) == {"MODELWATCH_CONFIG", *(name.upper() for name in Settings.model_fields)}


def test_the_objects_fit_each_other(documents: list[Object]) -> None:
    assert problems(documents, made_elsewhere={f"{NAME}-database"}) == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_satisfies_its_strict_schema(documents: list[Object], crd_schemas: Path, version: str) -> None:
    assert [text for each in documents for text in schema_problems(each, version, crd_schemas)] == []


def test_everything_is_in_the_promised_namespace_and_found_by_the_promised_label(documents: list[Object]) -> None:
    assert {each["metadata"]["namespace"] for each in documents} == {NAMESPACE}
    assert {each["metadata"]["labels"]["app"] for each in documents} == {NAME}
    [deployment] = of_kind(documents, "Deployment")
    assert deployment["metadata"]["name"] == NAME
    # `kubectl logs -l app=ai-model-monitoring` shows the service, and not its database.
    assert [pod.owner for pod in pods(documents) if pod.labels.get("app") == NAME] == [deployment]


def test_it_needs_nothing_that_was_not_applied_before(documents: list[Object]) -> None:
    """No hooks, no namespace of its own, and the only Secret is made by a Job of its own."""
    assert "helm.sh/hook" not in MANIFEST.read_text()
    assert of_kind(documents, "Namespace", "Secret") == []
    [job] = of_kind(documents, "Job")
    variables = {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["SECRET_NAME"] == f"{NAME}-database"
    assert job["spec"]["ttlSecondsAfterFinished"] <= 60


def test_three_to_twenty_pods_are_scaled_by_cpu(documents: list[Object]) -> None:
    [scaler] = of_kind(documents, "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 20)
    assert [metric["resource"]["name"] for metric in scaler["spec"]["metrics"]] == ["cpu"]
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_kustomize_takes_it(kubectl: Path, repository: Path, documents: list[Object], crd_schemas: Path) -> None:
    found = kustomized(kubectl, repository / "k8s")
    assert sorted(each["kind"] for each in found) == sorted(each["kind"] for each in documents)
    assert problems(found, made_elsewhere={f"{NAME}-database"}) == []
    assert [text for each in found for text in schema_problems(each, "1.34", crd_schemas)] == []


def test_an_overlay_can_change_image_and_settings(kubectl: Path, repository: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name in ("deployment.yaml", "kustomization.yaml"):
        (base / name).write_bytes((repository / "k8s" / name).read_bytes())
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(OVERLAY)
    found = kustomized(kubectl, overlay)
    [deployment] = of_kind(found, "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.example.org/ml/modelwatch:0.1.1"
    [config] = [each for each in of_kind(found, "ConfigMap") if each["metadata"]["name"] == NAME]
    assert (config["data"]["LOOKBACKS"], config["data"]["PORT"]) == ("24h", "8000")


def test_clusters_without_the_operator_get_all_but_its_kinds(
    kubectl: Path, repository: Path, documents: list[Object]
) -> None:
    found = kustomized(kubectl, repository / "deploy" / "kubernetes" / "without-operator")
    left_out = {each["kind"] for each in documents} - {each["kind"] for each in found}
    assert left_out == {"ServiceMonitor", "PrometheusRule"}
    assert len(documents) - len(found) == 2
