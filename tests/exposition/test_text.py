"""The text of metric families, beside the encoders of Prometheus' own library."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.exposition import generate_latest as prometheus_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

from modelwatch.exposition.text import Unchanged, encoded, together, written

ODD = 'a "quoted"\nname \\ with {braces}, commas=1 and ünïcödé\\n'
NUMBERS = [0, 1, -1, 0.1, 1e-300, 123456.7, 1234567.0, 1e7, 1e16, 2.5e300, float("inf"), float("-inf"), float("nan")]


class Families(Collector):
    """A gauge with odd texts and numbers, and a family of an unknown type."""

    def collect(self) -> list[Metric]:
        gauge = GaugeMetricFamily("of_state", f"Said with {ODD}.", labels=("second", "first"))
        for place, number in enumerate(NUMBERS):
            gauge.add_metric((ODD, f"n{place}"), number)
        unknown = UnknownMetricFamily("left_out_total", "Neither counter nor gauge.", labels=("model_name",))
        unknown.add_metric(("m",), 7)
        return [gauge, unknown, GaugeMetricFamily("nothing", "Without samples.", labels=("model_name",))]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("seen_total", "Counted.", ("model_name", "feature_name"), registry=registry)
    counter.labels("m", ODD).inc(3)
    Gauge("depth", "No labels.", registry=registry).set(12)
    Histogram("took_seconds", "Durations.", ("a",), registry=registry, buckets=(0.1, 1e7)).labels("x").observe(0.5)
    Summary("work_seconds", "Durations.", registry=registry).observe(2.5)
    Info("build", "Version.", registry=registry).info({"version": "1"})
    registry.register(Families())
    return registry


@pytest.mark.parametrize(
    ("openmetrics", "of_library"),
    [(False, prometheus_text), (True, openmetrics_text)],
    ids=["prometheus", "openmetrics"],
)
def test_the_text_is_that_of_the_library_byte_for_byte(
    registry: CollectorRegistry, openmetrics: bool, of_library: Callable[[CollectorRegistry], bytes]
) -> None:
    text = encoded(map(written, registry.collect()), openmetrics=openmetrics)
    assert text == of_library(registry)
    assert text.count(b'second="a \\"quoted\\"\\nname') == len(NUMBERS)


def test_parts_of_families_are_joined_in_their_order() -> None:
    def part(*names: str) -> list[Metric]:
        one, two = GaugeMetricFamily("one", "1", labels=("n",)), GaugeMetricFamily("two", "2", labels=("n",))
        for place, name in enumerate(names):
            one.add_metric((name,), place)
        return [one, two]

    whole, parts = part("a", "b"), [part(), part("a"), part("b")]
    parts[2][0].samples[0] = parts[2][0].samples[0]._replace(value=1)
    assert together([list(map(written, each)) for each in parts]) == list(map(written, whole))


def test_only_what_has_changed_is_made_again() -> None:
    made: list[str] = []

    def make(of: str) -> str:
        made.append(of)
        return of.upper()

    known = Unchanged[str, str]()
    assert known.of({"a": "x", "b": "y"}, make) == {"a": "X", "b": "Y"}
    assert known.of({"b": "y", "a": "z"}, make) == {"b": "Y", "a": "Z"}
    assert made == ["x", "y", "z"]
    # What was not named once is forgotten.
    assert known.of({"a": "z"}, make) == {"a": "Z"}
    assert known.of({"a": "z", "b": "y"}, make) == {"a": "Z", "b": "Y"}
    assert made == ["x", "y", "z", "y"]
