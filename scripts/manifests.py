"""Renews what the chart holds of rules, dashboards and settings, and k8s/deployment.yaml from the chart: `make k8s`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from modelwatch.config.loading import CONFIG_PATH_VARIABLE, KNOWN
from scripts.programs import HELM4, ProgramMissing, fetched

REPOSITORY = Path(__file__).resolve().parents[1]
CHART = REPOSITORY / "charts" / "modelwatch"
SETTINGS = CHART / "files" / "settings.txt"
VALUES = REPOSITORY / "k8s" / "values.yaml"
MANIFEST = REPOSITORY / "k8s" / "deployment.yaml"
RELEASE = NAME = "ai-model-monitoring"
NAMESPACE = "ml-monitoring"
HEAD = """\
# modelwatch on Kubernetes in one file. Made by `make k8s` from charts/modelwatch with k8s/values.yaml: don't edit it.
#
#   kubectl create namespace ml-monitoring
#   kubectl apply -f k8s/deployment.yaml
#
# docs/deployment.md says what is in it, what it needs, and how to change it.
"""


def copies() -> dict[Path, Path]:
    """Files of which the chart needs a copy, because a package holds nothing from outside its folder: copy ->
    source."""
    dashboards = sorted((REPOSITORY / "dashboards").glob("*.json"))
    return {
        CHART / "files" / "modelwatch.rules.yaml": REPOSITORY / "rules" / "modelwatch.rules.yaml",
        **{CHART / "files" / "dashboards" / path.name: path for path in dashboards},
    }


def settings() -> str:
    """The text of the chart's list of settings, by which it refuses unknown names: a name in each line."""
    return "".join(f"{name}\n" for name in sorted({*KNOWN, CONFIG_PATH_VARIABLE}))


def manifest(helm: Path) -> str:
    """The text of k8s/deployment.yaml. Raises subprocess.CalledProcessError when the chart can't be rendered."""
    command = [helm, "template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", VALUES, "--skip-tests"]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True)
    return HEAD + rendered.stdout


def renew() -> None:
    """Writes all of them."""
    wanted = copies()
    for stale in (CHART / "files" / "dashboards").glob("*.json"):
        if stale not in wanted:
            stale.unlink()
    for copy, source in wanted.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    SETTINGS.write_text(settings())
    MANIFEST.write_text(manifest(fetched(HELM4)))


if __name__ == "__main__":
    try:
        renew()
    except ProgramMissing as error:
        sys.exit(f"Helm is needed: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
