"""Asks a Prometheus what Grafana would ask it for a dashboard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.grafana import asked, filled_in, variables
from tests.support.servers.prometheus import Prometheus


@dataclass(frozen=True)
class TimeRange:
    """What is chosen in Grafana, in seconds; rate_interval is what it makes of `$__rate_interval`."""

    start: float
    end: float
    step: float
    rate_interval: str

    @property
    def intervals(self) -> dict[str, str]:
        return {"__rate_interval": self.rate_interval, "__range": f"{int(self.end - self.start)}s"}


def empty_places(document: Mapping[str, Any], prometheus: Prometheus, span: TimeRange) -> set[str]:
    """The panels, annotations and variables that get nothing but NaN, or nothing at all."""
    values = chosen(document, prometheus, span)
    empty = {f"variable {name}" for name, value in values.items() if not value}
    for each in asked(document):
        expression = filled_in(each.expression, {**values, **span.intervals})
        if each.label is None and not numbers(prometheus, expression, each.instant, span):
            empty.add(each.place)
    return empty


def chosen(document: Mapping[str, Any], prometheus: Prometheus, span: TimeRange) -> dict[str, str]:
    """The values that Grafana chooses at first: all where there may be several, else the first; empty without any."""
    values: dict[str, str] = {}
    for variable, each in zip(variables(document), [one for one in asked(document) if one.label], strict=True):
        wanted = {"match[]": filled_in(each.expression, values), "start": span.start, "end": span.end}
        found = sorted({labels[each.label] for labels in prometheus.get("series", **wanted)})
        several = variable["allValue"] if variable["multi"] else next(iter(found), "")
        values[variable["name"]] = several if found else ""
    return values


def numbers(prometheus: Prometheus, expression: str, instant: bool, span: TimeRange) -> list[float]:
    """Everything but NaN that comes back."""
    if instant:
        texts = [each["value"][1] for each in prometheus.query(expression, span.end)]
    else:
        series = prometheus.query_range(expression, span.start, span.end, span.step)
        texts = [text for each in series for _, text in each["values"]]
    return [value for value in map(float, texts) if not math.isnan(value)]
