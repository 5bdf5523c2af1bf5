"""What a schema can't see: whether the objects of one set fit each other. Each check yields what is wrong, in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.deploy.kubernetes.objects import Object, PodOf, label, matches, names_of, of_kind, pods

# What `kubectl apply` may keep of an object in its annotation.
LARGEST_BYTES = 262_144
DRAIN_SECONDS = 10
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i|[MGTPE])?")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Where a program writes: its image's data folder, and temporary files.
WRITTEN = {"modelwatch": ("/var/lib/modelwatch", "/tmp"), "migrate": ("/var/lib/modelwatch", "/tmp")}
WRITTEN["postgresql"] = ("/var/lib/postgresql/data", "/var/run/postgresql", "/tmp")

Check = Callable[[list[Object]], Iterator[str]]


def problems(documents: list[Object], *, made_elsewhere: Iterable[str] = ()) -> list[str]:
    """Everything that is wrong. made_elsewhere: Secrets, ConfigMaps and the like that others make."""
    found = [text for check in CHECKS for text in check(documents)]
    return found + list(_references(documents, set(made_elsewhere)))


def _names(documents: list[Object]) -> Iterator[str]:
    counted = Counter(label(each) for each in documents)
    yield from (f"{name} is there {times} times" for name, times in counted.items() if times > 1)
    for each in documents:
        metadata = each["metadata"]
        if not DNS_NAME.fullmatch(metadata["name"]):
            yield f"{label(each)} has no name that DNS takes"
        for name, value in metadata.get("labels", {}).items():
            if not isinstance(value, str) or not re.fullmatch(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", value):
                yield f"{label(each)} has the label {name}={value}, which is none"
        size = len(json.dumps(each))
        if size > LARGEST_BYTES:
            yield f"{label(each)} has {size} bytes, too many for kubectl apply"


def _selectors(documents: list[Object]) -> Iterator[str]:
    for each in of_kind(documents, "Deployment", "StatefulSet"):
        labels = each["spec"]["template"]["metadata"].get("labels", {})
        if not matches(each["spec"]["selector"]["matchLabels"], labels):
            yield f"{label(each)} does not select its own pods"
        for spread in each["spec"]["template"]["spec"].get("topologySpreadConstraints", ()):
            if not matches(spread["labelSelector"]["matchLabels"], labels):
                yield f"{label(each)} spreads other pods than its own"
    for each in of_kind(documents, "PodDisruptionBudget", "NetworkPolicy"):
        key = "selector" if each["kind"] == "PodDisruptionBudget" else "podSelector"
        if not _selected(documents, each["spec"][key].get("matchLabels", {})):
            yield f"{label(each)} selects no pods"


def _services(documents: list[Object]) -> Iterator[str]:
    for each in of_kind(documents, "Service"):
        selected = _selected(documents, each["spec"]["selector"])
        if not selected:
            yield f"{label(each)} selects no pods"
        for port in each["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            for pod in selected:
                if target not in pod.ports and target not in pod.ports.values():
                    yield f"{label(each)}: {label(pod.owner)} has no port {target}"
    for each in of_kind(documents, "StatefulSet"):
        if each["spec"]["serviceName"] not in names_of(documents, "Service"):
            yield f"{label(each)} names a service that is not there"
    services = {each["metadata"]["name"]: each for each in of_kind(documents, "Service")}
    for each in of_kind(documents, "Ingress"):
        for path in (path for rule in each["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            ports = services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]
            if backend["port"].get("name") not in {port["name"] for port in ports}:
                yield f"{label(each)} leads to a port that is not there"


def _ports(documents: list[Object]) -> Iterator[str]:
    for pod in pods(documents):
        for container in pod.containers:
            for port in container.get("ports", ()):
                if not PORT_NAME.fullmatch(port.get("name", "")):
                    yield f"{label(pod.owner)}: {port.get('name')} is no name of a port"
                if not 1 <= port["containerPort"] <= 65_535:
                    yield f"{label(pod.owner)}: there is no port {port['containerPort']}"
            yield from _probes(pod, container)
    for each in of_kind(documents, "NetworkPolicy"):
        reached = _selected(documents, each["spec"]["podSelector"].get("matchLabels", {}))
        known = {number for pod in reached for number in pod.ports.values()}
        for rule in each["spec"].get("ingress", ()):
            for port in rule.get("ports", ()):
                if port["port"] not in known:
                    yield f"{label(each)} opens the port {port['port']}, where nobody listens"


def _probes(pod: PodOf, container: Any) -> Iterator[str]:
    own = {port["name"] for port in container.get("ports", ())}
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(kind, {})
        for way in ("httpGet", "tcpSocket"):
            if way in probe and probe[way]["port"] not in own:
                yield f"{label(pod.owner)}: {kind} asks {probe[way]['port']}, which is no named port of its container"
    path = container.get("livenessProbe", {}).get("httpGet", {}).get("path", "/livez")
    if path != "/livez":
        yield f"{label(pod.owner)}: livenessProbe asks {path}: a lost database would restart the pods"


def _scaling(documents: list[Object]) -> Iterator[str]:
    deployments = {each["metadata"]["name"]: each for each in of_kind(documents, "Deployment")}
    for each in of_kind(documents, "HorizontalPodAutoscaler"):
        target = deployments.get(each["spec"]["scaleTargetRef"]["name"])
        if target is None:
            yield f"{label(each)} scales what is not there"
            continue
        if "replicas" in target["spec"]:
            yield f"{label(target)} sets replicas beside an autoscaler: each apply would undo the scaling"
        if each["spec"]["minReplicas"] > each["spec"]["maxReplicas"]:
            yield f"{label(each)} has a minimum above its maximum"
        for container in target["spec"]["template"]["spec"]["containers"]:
            if "cpu" not in container.get("resources", {}).get("requests", {}):
                yield f"{label(target)} requests no CPU, so there is no utilisation of it to scale by"


def _monitors(documents: list[Object]) -> Iterator[str]:
    services = of_kind(documents, "Service")
    for each in of_kind(documents, "ServiceMonitor"):
        found = [one for one in services if matches(each["spec"]["selector"]["matchLabels"], one["metadata"]["labels"])]
        if not found:
            yield f"{label(each)} selects no service"
        for endpoint in each["spec"]["endpoints"]:
            for one in found:
                if endpoint["port"] not in {port["name"] for port in one["spec"]["ports"]}:
                    yield f"{label(each)}: {label(one)} has no port named {endpoint['port']}"
        if "release" not in each["metadata"]["labels"]:
            yield f"{label(each)} has no label release, by which kube-prometheus-stack looks for it"
        for pod in pods(documents):
            annotations = pod.owner["spec"].get("template", {}).get("metadata", {}).get("annotations", {})
            if "prometheus.io/scrape" in annotations:
                yield f"{label(pod.owner)} is scraped twice: by its annotation and by {label(each)}"


def _resources(documents: list[Object]) -> Iterator[str]:
    for pod in pods(documents):
        for container in pod.containers:
            resources = container.get("resources", {})
            if "memory" not in resources.get("limits", {}):
                yield f"{label(pod.owner)}: {container['name']} has no limit of memory"
            for part in resources.values():
                for name, quantity in part.items():
                    if not QUANTITY.fullmatch(str(quantity)):
                        yield f"{label(pod.owner)}: {name} {quantity} is no quantity"
        volumes = [each for each in pod.spec.get("volumes", ()) if "emptyDir" in each]
        sizes = [each["emptyDir"].get("sizeLimit") for each in volumes]
        yield from (f"{label(pod.owner)}: {size} is no size" for size in sizes if not QUANTITY.fullmatch(str(size)))


def _images(documents: list[Object]) -> Iterator[str]:
    for pod in pods(documents):
        for image in (container["image"] for container in pod.containers):
            name, _, digest = image.partition("@")
            tag = name.rpartition("/")[2].partition(":")[2]
            if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) and tag in {"", "latest"}:
                yield f"{label(pod.owner)}: the image {image} has no version"


def _volumes(documents: list[Object]) -> Iterator[str]:
    for pod in pods(documents):
        claims = [each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", ())]
        volumes = {each["name"] for each in pod.spec.get("volumes", ())} | set(claims)
        mounted: set[str] = set()
        for container in pod.containers:
            mounts = container.get("volumeMounts", ())
            mounted |= {mount["name"] for mount in mounts}
            writable = {mount["mountPath"] for mount in mounts if not mount.get("readOnly")}
            for path in WRITTEN.get(container["name"], ()):
                if path not in writable:
                    yield f"{label(pod.owner)}: {container['name']} can't write to {path}"
        yield from (f"{label(pod.owner)} mounts {name}, which is no volume" for name in sorted(mounted - volumes))
        yield from (
            f"{label(pod.owner)} has the volume {name}, which nothing mounts" for name in sorted(volumes - mounted)
        )


def _security(documents: list[Object]) -> Iterator[str]:
    """The restricted profile of the Pod Security Standards, and a file system that is not written to."""
    bound = {subject["name"] for each in of_kind(documents, "RoleBinding") for subject in each["subjects"]}
    for pod in pods(documents):
        own = pod.spec.get("securityContext", {})
        if not own.get("runAsNonRoot") or own.get("runAsUser") == 0:
            yield f"{label(pod.owner)} may run as root"
        if own.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{label(pod.owner)} has no seccomp profile"
        if pod.spec.get("automountServiceAccountToken", True) and pod.spec.get("serviceAccountName") not in bound:
            yield f"{label(pod.owner)} has a token of the cluster that it does not need"
        if pod.spec.get("enableServiceLinks", True):
            yield f"{label(pod.owner)} gets variables of other services"
        for container in pod.containers:
            context = container.get("securityContext", {})
            if context.get("allowPrivilegeEscalation", True) or context.get("privileged"):
                yield f"{label(pod.owner)}: {container['name']} may gain privileges"
            if context.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{label(pod.owner)}: {container['name']} keeps capabilities"
            if not context.get("readOnlyRootFilesystem"):
                yield f"{label(pod.owner)}: {container['name']} may write to its image"


def _stopping(documents: list[Object]) -> Iterator[str]:
    for pod in pods(documents):
        for container in pod.containers:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if pause and pod.spec.get("terminationGracePeriodSeconds", 30) < pause + DRAIN_SECONDS:
                yield f"{label(pod.owner)} is killed before it has answered what it took"


def _references(documents: list[Object], made_elsewhere: set[str]) -> Iterator[str]:
    made = {
        kind: names_of(documents, kind) | made_elsewhere for kind in ("ConfigMap", "Secret", "ServiceAccount", "Role")
    }
    made["PersistentVolumeClaim"] = names_of(documents, "PersistentVolumeClaim") | made_elsewhere
    made["ServiceAccount"].add("default")
    for pod in pods(documents):
        for kind, name in _named(pod):
            if name not in made[kind]:
                yield f"{label(pod.owner)} needs the {kind} {name}, which is not there"
    for each in of_kind(documents, "RoleBinding"):
        if each["roleRef"]["name"] not in made["Role"]:
            yield f"{label(each)} gives a role that is not there"
        for subject in each["subjects"]:
            if subject["name"] not in made["ServiceAccount"]:
                yield f"{label(each)} gives it to an account that is not there"


def _named(pod: PodOf) -> Iterator[tuple[str, str]]:
    """The objects without which the pod would not start."""
    yield "ServiceAccount", pod.spec.get("serviceAccountName", "default")
    yield from (("Secret", each["name"]) for each in pod.spec.get("imagePullSecrets", ()))
    for volume in pod.spec.get("volumes", ()):
        if "configMap" in volume and not volume["configMap"].get("optional"):
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume and not volume["secret"].get("optional"):
            yield "Secret", volume["secret"]["secretName"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in pod.containers:
        sources = [*container.get("envFrom", ()), *(each.get("valueFrom", {}) for each in container.get("env", ()))]
        for source in sources:
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                for name in (key, key.replace("Ref", "KeyRef")):
                    if name in source and not source[name].get("optional"):
                        yield kind, source[name]["name"]


def _selected(documents: list[Object], selector: dict[str, str]) -> list[PodOf]:
    return [pod for pod in pods(documents) if matches(selector, pod.labels)]


CHECKS: tuple[Check, ...] = (
    _names,
    _selectors,
    _services,
    _ports,
    _scaling,
    _monitors,
    _resources,
    _images,
    _volumes,
    _security,
    _stopping,
)
