"""Objects of Kubernetes as tests look at them: read from YAML, found by kind and name, with their pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Object = dict[str, Any]
WORKLOADS = ("Deployment", "StatefulSet", "Job", "Pod")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML has no constructor for `=`, a plain value that matchers and enumerations of Prometheus have."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def parsed(text: str) -> list[Object]:
    """The documents of a YAML text; empty ones are left out."""
    return [each for each in yaml.load_all(text, _Loader) if each]


@dataclass(frozen=True)
class PodOf:
    """The pod that a workload makes: its labels and its specification."""

    owner: Object
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Container ports by their name."""
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", ())}


def label(document: Object) -> str:
    """Kind and name, for messages."""
    return f"{document['kind']} {document['metadata']['name']}"


def of_kind(documents: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in documents if each["kind"] in kinds]


def names_of(documents: Iterable[Object], kind: str) -> set[str]:
    return {each["metadata"]["name"] for each in of_kind(documents, kind)}


def pods(documents: Iterable[Object]) -> Iterator[PodOf]:
    """The pods of all workloads."""
    for each in of_kind(documents, *WORKLOADS):
        if each["kind"] == "Pod":
            yield PodOf(each, each["metadata"].get("labels", {}), each["spec"])
        else:
            template = each["spec"]["template"]
            yield PodOf(each, template["metadata"].get("labels", {}), template["spec"])


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()
