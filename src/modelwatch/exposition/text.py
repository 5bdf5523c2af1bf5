"""Metric families as text, in the formats of Prometheus and OpenMetrics.

The lines of samples are the same in both, so those of a state that has not changed are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

# Prometheus' own names of what OpenMetrics calls otherwise; beside the type, what its name ends with.
_IN_PROMETHEUS = {"counter": ("counter", "_total"), "info": ("gauge", "_info"), "unknown": ("untyped", "")}

T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Written:
    """A metric family. lines: those of its samples, each with its end."""

    name: str
    documentation: str
    type: str
    lines: str


def written(metric: Metric) -> Written:
    """The family with its samples written. They are taken to have no time stamps and no exemplars."""
    lines = "".join(_line(sample.name, sample.labels, sample.value) for sample in metric.samples)
    return Written(metric.name, metric.documentation, metric.type, lines)


def together(parts: Iterable[Sequence[Written]]) -> list[Written]:
    """The families of the parts, each of which has the same ones in the same order, with the samples of all."""
    return [
        Written(each[0].name, each[0].documentation, each[0].type, "".join(one.lines for one in each))
        for each in zip(*parts, strict=True)
    ]


def encoded(families: Iterable[Written], *, openmetrics: bool) -> bytes:
    """Body of an answer: in the OpenMetrics format, or in the text format of Prometheus."""
    pieces = []
    for family in families:
        kind, ending = (family.type, "") if openmetrics else _IN_PROMETHEUS.get(family.type, (family.type, ""))
        documentation = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            documentation = documentation.replace('"', r"\"")
        name = f"{family.name}{ending}"
        pieces += [f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n", family.lines]
    if openmetrics:
        pieces.append("# EOF\n")
    return "".join(pieces).encode()


class Unchanged(Generic[T, V]):
    """What was made of something, for as long as that stays equal. Calls may overlap: whichever ends last leaves what
    it made, and none sees half of it.

    >>> lengths = Unchanged[str, int]()
    >>> lengths.of({"a": "one", "b": "three"}, len)
    {'a': 3, 'b': 5}
    """

    def __init__(self) -> None:
        self._known: Mapping[str, tuple[T, V]] = {}

    def of(self, given: Mapping[str, T], make: Callable[[T], V]) -> dict[str, V]:
        """What is made of each, by name; whatever is not named is forgotten."""
        known, found = self._known, dict[str, tuple[T, V]]()
        for name, one in given.items():
            before = known.get(name)
            found[name] = before if before is not None and before[0] == one else (one, make(one))
        self._known = found
        return {name: value for name, (_, value) in found.items()}


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    number: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    if not labels:
        return f"{name} {number}\n"
    pairs = ",".join([f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items())])
    return f"{name}{{{pairs}}} {number}\n"


def _escaped(text: str) -> str:
    if "\\" in text or "\n" in text or '"' in text:
        return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return text
