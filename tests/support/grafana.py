"""Dashboards read as Grafana reads them: panels, queries, variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

DASHBOARDS = sorted((REPOSITORY / "dashboards").glob("*.json"))
LABEL_VALUES = re.compile(r"label_values\((?:(.+), )?(\w+)\)")
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


@dataclass(frozen=True)
class Asked:
    """One expression of a dashboard, and where it stands. label: of a variable, whose values it takes."""

    place: str
    expression: str
    instant: bool = False
    label: str | None = None


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def panels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Everything but rows."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def variables(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those whose values are asked of Prometheus, in their order."""
    return [each for each in document["templating"]["list"] if each["type"] == "query"]


def asked(document: Mapping[str, Any]) -> Iterator[Asked]:
    """Every expression of panels, annotations and variables, with the variables still in it."""
    for panel in panels(document):
        for target in panel["targets"]:
            place = f"{panel['title']} {target['refId']}"
            yield Asked(place, target["expr"], instant=target.get("instant", False))
    for annotation in document["annotations"]["list"]:
        yield Asked(f"annotation {annotation['name']}", annotation["expr"])
    for variable in variables(document):
        found = LABEL_VALUES.fullmatch(variable["query"]["query"])
        assert found is not None, variable["query"]
        yield Asked(f"variable {variable['name']}", found[1], label=found[2])


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """The text with values for its variables. Raises KeyError for one that has none."""
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], text)
