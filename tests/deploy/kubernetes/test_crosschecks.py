"""The cross-checks see what is wrong: each is shown a good set of objects with one thing broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.kubernetes.crosschecks import problems
from tests.deploy.kubernetes.objects import Object, of_kind
from tests.deploy.kubernetes.rendering import MADE_ELSEWHERE, Helm, schema_problems

Break = Callable[[dict[str, Any]], object]
SETS = ("default", "everything")


@pytest.fixture(scope="module")
def sets(helm: Helm) -> dict[str, list[Object]]:
    return {name: helm.objects(name) for name in SETS}


def the(documents: list[Object], kind: str, ending: str = "") -> Object:
    return next(each for each in of_kind(documents, kind) if each["metadata"]["name"].endswith(ending))


def template(workload: Object) -> dict[str, Any]:
    found: dict[str, Any] = workload["spec"]["template"]
    return found


def container(workload: Object) -> dict[str, Any]:
    found: dict[str, Any] = template(workload)["spec"]["containers"][0]
    return found


BROKEN: dict[str, tuple[str, str, Break]] = {
    "a selector of other pods": (
        "Deployment", "does not select its own pods", lambda it: it["spec"]["selector"]["matchLabels"].update(app="x"),
    ),
    "a spread of other pods": (
        "Deployment",
        "spreads other pods",
        lambda it: template(it)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(a="x"),
    ),
    "a budget of no pods": (
        "PodDisruptionBudget",
        "PodDisruptionBudget everything selects no pods",
        lambda it: it["spec"]["selector"]["matchLabels"].update(app="x"),
    ),
    "a policy of no pods": (
        "NetworkPolicy",
        "NetworkPolicy everything selects no pods",
        lambda it: it["spec"]["podSelector"]["matchLabels"].update(app="x"),
    ),
    "a policy of another port": (
        "NetworkPolicy",
        "opens the port 8080",
        lambda it: it["spec"]["ingress"][0]["ports"][0].update(port=8080),
    ),
    "a service of no pods": ("Service", "selects no pods", lambda it: it["spec"]["selector"].update(app="x")),
    "a service of another port": (
        "Service", "has no port web", lambda it: it["spec"]["ports"][0].update(targetPort="web"),
    ),
    "a long name of a port": (
        "Deployment",
        "is no name of a port",
        lambda it: container(it)["ports"][0].update(name="a-name-of-a-port-too-long"),
    ),
    "a port beyond all ports": (
        "Deployment", "there is no port 99999", lambda it: container(it)["ports"][0].update(containerPort=99_999),
    ),
    "a probe of no port": (
        "Deployment",
        "readinessProbe asks web",
        lambda it: container(it)["readinessProbe"]["httpGet"].update(port="web"),
    ),
    "a probe of a number": (
        "Deployment", "startupProbe asks 8000", lambda it: container(it)["startupProbe"]["httpGet"].update(port=8000),
    ),
    "a liveness that looks at the database": (
        "Deployment",
        "a lost database would restart the pods",
        lambda it: container(it)["livenessProbe"]["httpGet"].update(path="/health"),
    ),
    "an ingress to no port": (
        "Ingress",
        "leads to a port that is not there",
        lambda it: it["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"].update(name="web"),
    ),
    "a stateful set without its service": (
        "StatefulSet", "names a service that is not there", lambda it: it["spec"].update(serviceName="x"),
    ),
    "replicas beside an autoscaler": (
        "Deployment", "sets replicas beside an autoscaler", lambda it: it["spec"].update(replicas=3),
    ),
    "an autoscaler of nothing": (
        "HorizontalPodAutoscaler",
        "scales what is not there",
        lambda it: it["spec"]["scaleTargetRef"].update(name="x"),
    ),
    "an autoscaler upside down": (
        "HorizontalPodAutoscaler", "a minimum above its maximum", lambda it: it["spec"].update(minReplicas=21),
    ),
    "an autoscaler without a request": (
        "Deployment", "requests no CPU", lambda it: container(it)["resources"]["requests"].pop("cpu"),
    ),
    "a monitor of no service": (
        "ServiceMonitor",
        "selects no service",
        lambda it: it["spec"]["selector"]["matchLabels"].update(app="x"),
    ),
    "a monitor of no port": (
        "ServiceMonitor", "has no port named web", lambda it: it["spec"]["endpoints"][0].update(port="web"),
    ),
    "a monitor that the stack does not find": (
        "ServiceMonitor", "has no label release", lambda it: it["metadata"]["labels"].pop("release"),
    ),
    "pods that are scraped twice": (
        "Deployment",
        "is scraped twice",
        lambda it: template(it)["metadata"]["annotations"].update({"prometheus.io/scrape": "true"}),
    ),
    "a quantity that is none": (
        "Deployment",
        "cpu banana is no quantity",
        lambda it: container(it)["resources"]["requests"].update(cpu="banana"),
    ),
    "no limit of memory": (
        "Deployment", "has no limit of memory", lambda it: container(it)["resources"].pop("limits"),
    ),
    "a volume without a size": (
        "Deployment", "None is no size", lambda it: template(it)["spec"]["volumes"][0]["emptyDir"].clear(),
    ),
    "an image without a version": (
        "StatefulSet", "the image postgres has no version", lambda it: container(it).update(image="postgres"),
    ),
    "the latest image": (
        "Deployment", "has no version", lambda it: container(it).update(image="host:5000/modelwatch:latest"),
    ),
    "a mount of no volume": (
        "Deployment", "mounts data, which is no volume", lambda it: template(it)["spec"]["volumes"].pop(0),
    ),
    "a volume that nothing mounts": (
        "Deployment",
        "has the volume x, which nothing mounts",
        lambda it: template(it)["spec"]["volumes"].append({"name": "x", "emptyDir": {"sizeLimit": "1Mi"}}),
    ),
    "no place to write": (
        "Deployment",
        "can't write to /var/lib/modelwatch",
        lambda it: container(it)["volumeMounts"][0].update(readOnly=True),
    ),
    "no place for PostgreSQL to write": (
        "StatefulSet", "can't write to /tmp", lambda it: container(it)["volumeMounts"].pop(2),
    ),
    "root": (
        "Deployment", "may run as root", lambda it: template(it)["spec"]["securityContext"].update(runAsUser=0),
    ),
    "no seccomp profile": (
        "Deployment",
        "has no seccomp profile",
        lambda it: template(it)["spec"]["securityContext"].pop("seccompProfile"),
    ),
    "a token": (
        "Deployment",
        "has a token of the cluster",
        lambda it: template(it)["spec"].pop("automountServiceAccountToken"),
    ),
    "variables of other services": (
        "Deployment", "gets variables of other services", lambda it: template(it)["spec"].pop("enableServiceLinks"),
    ),
    "privileges": (
        "Deployment",
        "may gain privileges",
        lambda it: container(it)["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    "capabilities": (
        "Deployment",
        "keeps capabilities",
        lambda it: container(it)["securityContext"]["capabilities"].update(drop=["NET_RAW"]),
    ),
    "an image that is written to": (
        "Deployment",
        "may write to its image",
        lambda it: container(it)["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    "a short grace period": (
        "Deployment",
        "is killed before it has answered",
        lambda it: template(it)["spec"].update(terminationGracePeriodSeconds=10),
    ),
    "a secret that nobody makes": (
        "Deployment",
        "needs the Secret x",
        lambda it: container(it)["env"][0]["valueFrom"]["secretKeyRef"].update(name="x"),
    ),
    "a config map that nobody makes": (
        "Deployment",
        "needs the ConfigMap x",
        lambda it: container(it)["envFrom"][0]["configMapRef"].update(name="x"),
    ),
    "an account that nobody makes": (
        "Deployment",
        "needs the ServiceAccount x",
        lambda it: template(it)["spec"].update(serviceAccountName="x"),
    ),
    "a role that nobody makes": (
        "RoleBinding", "gives a role that is not there", lambda it: it["roleRef"].update(name="x"),
    ),
    "a role for nobody": (
        "RoleBinding", "gives it to an account that is not there", lambda it: it["subjects"][0].update(name="x"),
    ),
    "a name with a capital": (
        "PodDisruptionBudget", "has no name that DNS takes", lambda it: it["metadata"].update(name="Upper"),
    ),
    "a label with a space": (
        "PodDisruptionBudget", "which is none", lambda it: it["metadata"]["labels"].update(team="a b"),
    ),
    "too much for kubectl": (
        "ConfigMap", "too many for kubectl apply", lambda it: it["data"].update(x="x" * 300_000),
    ),
}  # fmt: skip


def test_the_sets_are_good_before_they_are_broken(sets: dict[str, list[Object]]) -> None:
    for name, documents in sets.items():
        assert problems(documents, made_elsewhere=MADE_ELSEWHERE[name]) == []


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_set_is_told(sets: dict[str, list[Object]], broken: str) -> None:
    kind, message, breaks = BROKEN[broken]
    documents = copy.deepcopy(sets["everything"])
    breaks(the(documents, kind))
    found = problems(documents, made_elsewhere=MADE_ELSEWHERE["everything"])
    assert any(message in text for text in found), found


def test_two_objects_of_one_name_are_told(sets: dict[str, list[Object]]) -> None:
    documents = sets["default"]
    found = problems([*documents, documents[0]], made_elsewhere=MADE_ELSEWHERE["default"])
    assert any("is there 2 times" in text for text in found)


@pytest.mark.parametrize(
    ("kind", "breaks", "message"),
    [
        ("HorizontalPodAutoscaler", lambda it: it["spec"].update(minReplica=3), "minReplica"),
        ("Deployment", lambda it: it["spec"].update(replicas="three"), "'three' is not of type"),
        ("Deployment", lambda it: it.update(apiVersion="apps/v1beta1"), "Couldn't find schema"),
        ("ServiceMonitor", lambda it: it["spec"]["endpoints"][0].update(prt="http"), "prt"),
        ("PrometheusRule", lambda it: it["spec"]["groups"][0].update(interval="5 min"), "5 min"),
    ],
)
def test_the_schemas_are_strict(
    sets: dict[str, list[Object]], crd_schemas: Any, kind: str, breaks: Break, message: str
) -> None:
    document = copy.deepcopy(the(sets["everything"], kind))
    assert schema_problems(document, "1.34", crd_schemas) == []
    breaks(document)
    [found] = schema_problems(document, "1.34", crd_schemas)
    assert message in found
