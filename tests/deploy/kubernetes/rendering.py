"""The chart as Helm renders it, and the schemas of Kubernetes."""

from __future__ import annotations

import functools
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils

from scripts.manifests import CHART
from tests.deploy.kubernetes.objects import Object, label, parsed

VALUE_SETS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
KUBERNETES = tuple(f"1.{minor}" for minor in range(30, 38))
# Secrets and the like that a value set takes from others. The password's Job makes the first one.
MADE_ELSEWHERE = {
    "default": {"modelwatch-database"},
    "minimal": set[str](),
    "ha": {"modelwatch-postgresql", "modelwatch-channels"},
    "everything": {"everything-database", "more", "certificate", "registry", "authority", "metrics-key"},
}

# The library reads megabytes of definitions again for each document.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


@dataclass(frozen=True)
class Helm:
    """One version of Helm."""

    path: Path

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        command = [self.path, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    @functools.cache  # noqa: B019 - there are two of them, for as long as the tests run
    def template(self, values: str = "default", *words: object, version: str = KUBERNETES[-1]) -> str:
        """What the chart renders to with a value set of its folder `ci`."""
        result = self(
            "template", "modelwatch", CHART, "--namespace", "ml", "--kube-version", version,
            "--values", CHART / "ci" / f"{values}-values.yaml", *words,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refusal(self, *settings: str) -> str:
        """Why the chart is not rendered with these settings (`--set`)."""
        result = self("template", "modelwatch", CHART, *(word for each in settings for word in ("--set", each)))
        assert result.returncode != 0, f"{settings} was not refused"
        return result.stderr

    def objects(self, values: str = "default", *words: object) -> list[Object]:
        return parsed(self.template(values, *words))


def schema_problems(document: Object, version: str, crds: Path) -> list[str]:
    """What the strict schema of this version of Kubernetes, or that of the operator, finds wrong."""
    group = document["apiVersion"].partition("/")[0]
    if group == "monitoring.coreos.com":
        schema = _crd_schema(crds, document["kind"])
        errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
        return [f"{label(document)}: {error.json_path}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{label(document)} for {version}: {'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [f"{label(document)} for {version}: {error.message}"]
    return []


@functools.cache
def _crd_schema(crds: Path, kind: str) -> Any:
    return json.loads((crds / f"{kind.lower()}_monitoring.coreos.com_v1.json").read_text())
