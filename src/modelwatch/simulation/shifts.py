"""Shifts of one feature: what its values do from time 0 on, and how soon that can be known at all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwatch.simulation.traffic import Floats

Kind = Literal["location", "scale", "half", "ramp", "category", "new"]

# How wide the integral of a divergence is, in standard deviations, and how many steps it has.
WIDTH, STEPS = 12.0, 20_001
# Hours until a ramp is at its full height.
RAMP_HOURS = 24.0
# The share that the one category has before it grows.
CATEGORY_SHARE = 0.02
FORM = re.compile(r"(?:(location|scale|half|ramp|category|new):)?(-?\d+(?:\.\d+)?|-?\.\d+)")
TITLES: dict[Kind, str] = {
    "location": "{0:g} σ",
    "scale": "scale × {0:g}",
    "half": "half moves {0:g} σ",
    "ramp": "ramp to {0:g} σ in 24 h",
    "category": "a category 2 % → {1:g} %",
    "new": "new names {1:g} %",
}


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift that begins at time 0.

    size: `location` in standard deviations; `scale` the factor of the standard deviation; `half` as location, of one
    half of the traffic at random; `ramp` as location, reached after 24 hours; `category` the share of one that had 2 %;
    `new` the share of names that were never there.
    """

    kind: Kind
    size: float

    @classmethod
    def parsed(cls, text: str) -> Shift:
        """The shift of a text such as 0.5, location:0.5, scale:1.5, half:1, ramp:0.5, category:0.08 or new:0.05.

        Raises ValueError, with what was expected.

        >>> Shift.parsed("scale:1.5"), Shift.parsed("-2")
        (Shift(kind='scale', size=1.5), Shift(kind='location', size=-2.0))
        """
        match = FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                "expected standard deviations such as 0.5, or scale:1.5, half:1, ramp:0.5, category:0.08 or new:0.05"
            )
        kind, size = _kind(match[1]), float(match[2])
        low, high = {"scale": (0.01, 100.0), "category": (0.0001, 0.9999), "new": (0.0001, 0.9999)}.get(
            kind, (-100.0, 100.0)
        )
        if not low <= size <= high:
            raise ValueError(f"expected {low:g} to {high:g} for {kind}")
        return cls(kind, size)

    @property
    def title(self) -> str:
        """Name in tables."""
        return TITLES[self.kind].format(self.size, self.size * 100.0)

    @property
    def of_names(self) -> bool:
        """True for a shift of a categorical feature."""
        return self.kind in ("category", "new")

    @property
    def divergence(self) -> float | None:
        """Kullback-Leibler divergence of the shifted from the old distribution, in nats a value.

        None where a bound by it is not defined: of a ramp, which is another distribution every minute, and of new
        names, which can't be told apart from others that are not known yet.

        >>> round(Shift("location", 0.5).divergence, 4), round(Shift("category", 0.08).divergence, 4)
        (0.125, 0.0528)
        """
        size = self.size
        if self.kind == "location":
            return size * size / 2.0
        if self.kind == "scale":
            return (size * size - 1.0) / 2.0 - math.log(size)
        if self.kind == "category":
            return size * math.log(size / CATEGORY_SHARE) + (1.0 - size) * math.log(
                (1.0 - size) / (1.0 - CATEGORY_SHARE)
            )
        if self.kind == "half":
            x = np.linspace(-WIDTH, WIDTH + abs(size), STEPS) * math.copysign(1.0, size)
            ratio = np.log(0.5 + 0.5 * np.exp(size * x - size * size / 2.0))
            density = np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi)
            return float((np.exp(ratio) * density * ratio).sum() * abs(x[1] - x[0]))
        return None

    def below(self, edges: Floats, ages: Floats) -> Floats:
        """The share of an ordered feature's values below each edge, so many hours after the shift began; shape (ages,
        edges). Before it, values are standard normal."""
        from scipy.special import ndtr  # loaded on first use: it takes a third of a second

        of_all = np.ones((len(ages), 1))
        if self.kind == "scale":
            return np.asarray(of_all * ndtr(edges / self.size))
        if self.kind == "half":
            return np.asarray(of_all * (ndtr(edges) + ndtr(edges - self.size)) / 2.0)
        height = np.minimum(ages / RAMP_HOURS, 1.0)[:, None] if self.kind == "ramp" else of_all
        return np.asarray(ndtr(edges - self.size * height))

    def lorden(self, rate: float, features: int, budget: float) -> float | None:
        """Lower bound of the mean delay, in hours, of any rule with so many false alarms in 30 days.

        rate: values an hour. features: that share the budget. None without a divergence.
        Source: Lorden (1971), Procedures for reacting to a change in distribution, for rare false alarms.

        >>> round(Shift("location", 0.5).lorden(100.0, 50, 0.5), 2)
        1.26
        """
        divergence = self.divergence
        if not divergence:
            return None
        between = rate * 30 * 24 * features / budget
        return max(0.0, math.log(max(between, 1.0))) / (divergence * rate)


def _kind(name: str | None) -> Kind:
    for kind in TITLES:
        if kind == name:
            return kind
    return "location"
