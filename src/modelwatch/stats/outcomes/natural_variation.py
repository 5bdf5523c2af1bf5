"""Natural variation of metrics and of labels: how far they are from stretch to stretch of the labelled reference.

Accuracy has seasons where the data have, and so has the share of a class. A reference whose labelled rows carry time
stamps knows by how much a metric varies between stretches of it, beyond what chance gives so many rows; a window that
differs as much is no worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.odds import log_odds
from modelwatch.stats.errors import MalformedProfile
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.margins import OTHER
from modelwatch.stats.performance.worsening import Worsening, worsening, worsening_metrics

# Seconds of the stretches that a reference is cut into.
LENGTHS = (3_600, 21_600, 86_400, 604_800)
MIN_STRETCHES = 10
MIN_STRETCH_ROWS = 30
# Of more stretches so many are looked at, evenly spread.
MOST_STRETCHES = 60
# What chance gives is that of as many rows drawn anywhere, so many times.
SHUFFLES = 2
# Variation that chance gives so often is none.
LEVEL = 0.01
# Its area would be as costly as all other metrics together.
LEFT_OUT = frozenset({"pr_auc"})
# These mean another thing when another class is the positive one.
OF_ONE_CLASS = frozenset({"precision", "recall", "specificity", "f1"})
# Of a regression, the mean of its targets, in standard deviations of them all.
MEAN_TARGET = "mean_target"


def odds_of(name: str) -> str:
    """Name of the logarithm of a true class's odds, as it stands among the metrics."""
    return f"odds of {name}"


class MetricVariation(msgspec.Struct, frozen=True):
    """Variation of a metric between stretches of a reference: the standard deviation beyond chance, of so many."""

    deviation: float
    stretches: int


class NaturalVariation(msgspec.Struct, frozen=True):
    """By the length of the stretches in seconds, as text, the variation of each metric that has any."""

    lengths: dict[str, dict[str, MetricVariation]]

    def of(self, metric: str, seconds: int) -> MetricVariation | None:
        """The variation of a metric between stretches about this long: the nearest length that is known, the shorter
        one first, since it varies more. None where nothing is known or nothing varies."""
        known = sorted(int(length) for length in self.lengths)
        if not known:
            return None
        length = max((each for each in known if each <= seconds), default=known[0])
        return self.lengths[str(length)].get(metric)

    def with_another_positive_class(self) -> NaturalVariation:
        """The part that still holds when another class becomes the positive one."""
        kept = {
            length: {name: each for name, each in metrics.items() if name not in OF_ONE_CLASS}
            for length, metrics in self.lengths.items()
        }
        return NaturalVariation(kept)


def natural_variation(
    layout: OutcomeLayout, outcomes: Sequence[Outcome], times: Sequence[int | None], rng: np.random.Generator
) -> NaturalVariation | None:
    """The variation of every metric over the stretches of a labelled reference; `times` in seconds, None without one.

    For each length, of stretches with at least 30 rows, if there are at least 10: the variance of the metric over them,
    less that over as many rows drawn from all of them. Where a chi-square test takes the rest for chance, nothing
    varies. The same for the labels: the logarithm of the odds of each class, or the mean target of a regression. None
    when no length has that many stretches. Source: the moment estimate of a between-group variance, as DerSimonian and
    Laird (1986) for studies.

    >>> layout = OutcomeLayout("binary", ("no", "yes"), "yes")
    >>> rows = [Outcome("yes", None, "yes" if i % 10 or (i // 500) % 2 else "no") for i in range(10_000)]
    >>> found = natural_variation(layout, rows, [i * 173 for i in range(10_000)], np.random.default_rng(0))
    >>> round(found.of("accuracy", 86_400).deviation, 2), found.of("recall", 86_400)
    (0.05, None)
    """
    timed = [(time, outcome) for time, outcome in zip(times, outcomes, strict=True) if time is not None]
    if not timed:
        return None
    rows = [outcome for _, outcome in timed]
    at = np.array([time for time, _ in timed], dtype=np.int64)
    entries = layout.entries(rows)
    whole = OutcomeCounts(layout, entries.total(layout.size))
    names = [name for family in whole.families() for name in worsening_metrics(family) if name not in LEFT_OUT]
    names += _truth(whole, whole)
    lengths = {}
    for length in LENGTHS:
        groups = _stretches(at, length)
        number = int(groups.max()) + 1
        if number < MIN_STRETCHES:
            continue

        def values(of_rows: NDArray[np.intp], number: int = number) -> list[dict[str, float | None]]:
            chosen = np.where(of_rows < 0, number, of_rows)
            sums = entries.sums(chosen, number + 1, layout.size)
            return [_values(names, whole, OutcomeCounts(layout, counts)) for counts in list(sums)[:number]]

        found, shuffled = values(groups), [values(rng.permutation(groups)) for _ in range(SHUFFLES)]
        varying = {name: _variation(name, found, shuffled) for name in names}
        lengths[str(length)] = {name: each for name, each in varying.items() if each is not None}
    return NaturalVariation(lengths) if lengths else None


def beyond_natural(found: Worsening, natural: MetricVariation | None) -> Worsening:
    """The same loss with the chance that natural variation and sampling give one as large together.

    The p-value of the test says how large the sampling error is; the variation between stretches is added to its
    square. The tail is Student's t, because the variation rests on few stretches, with the degrees of freedom of
    Satterthwaite.

    >>> found = Worsening(0.9, 0.8, -0.1, 0.1, 1e-12)
    >>> round(beyond_natural(found, MetricVariation(0.05, 20)).p_value, 3), beyond_natural(found, None).p_value
    (0.037, 1e-12)
    """
    if found.loss is None:
        return found
    return replace(found, p_value=p_value_beyond_natural(found.loss, found.p_value, natural))


def p_value_beyond_natural(size: float, p_value: float, natural: MetricVariation | None) -> float:
    """The one-sided p-value of a difference this large, with the natural variation; see `beyond_natural`."""
    from scipy import special

    if natural is None or natural.deviation <= 0.0 or size <= 0.0 or p_value >= 0.5:
        return p_value
    sampling = (size / -special.ndtri(max(p_value, 1e-300))) ** 2
    between = natural.deviation**2 * (1.0 + 1.0 / natural.stretches)
    together = sampling + between
    df = (natural.stretches - 1) * (together / between) ** 2
    return max(p_value, float(special.stdtr(df, -size / math.sqrt(together))))


def encode_natural(variation: NaturalVariation) -> bytes:
    """Bytes that `decode_natural` turns back into the same variation."""
    return msgspec.msgpack.encode(variation)


def decode_natural(raw: bytes) -> NaturalVariation:
    """The variation of its bytes. Raises MalformedProfile when they are not one."""
    try:
        found = msgspec.msgpack.decode(raw, type=NaturalVariation)
    except msgspec.MsgspecError as error:
        raise MalformedProfile(f"these are not the bytes of a variation of metrics: {error}") from error
    for metric, each in (item for of_length in found.lengths.values() for item in of_length.items()):
        if not (0.0 <= each.deviation < math.inf and each.stretches >= MIN_STRETCHES):
            raise MalformedProfile(
                f"the variation of {metric} is a deviation of at least 0 between at least {MIN_STRETCHES} stretches,"
                f" got {each.deviation} between {each.stretches}"
            )
    return found


def _stretches(times: NDArray[np.int64], length: int) -> NDArray[np.intp]:
    """The stretch of each row, from 0 on; -1 of those in none that is looked at."""
    pieces = (times - times.min()) // length
    present, sizes = np.unique(pieces, return_counts=True)
    usable = present[sizes >= MIN_STRETCH_ROWS]
    if len(usable) > MOST_STRETCHES:
        usable = usable[np.linspace(0, len(usable) - 1, MOST_STRETCHES).round().astype(np.intp)]
    if not len(usable):
        return np.full(len(times), -1, dtype=np.intp)
    place = np.searchsorted(usable, pieces).clip(0, len(usable) - 1)
    return np.where(usable[place] == pieces, place, -1)


def _values(names: Sequence[str], whole: OutcomeCounts, stretch: OutcomeCounts) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for reference, current in zip(whole.families(), stretch.families(), strict=True):
        for name in worsening_metrics(reference):
            if name in names:
                found[name] = worsening(name, reference, current).current
    return found | _truth(whole, stretch)


def _truth(whole: OutcomeCounts, stretch: OutcomeCounts) -> dict[str, float | None]:
    """The mean target in standard deviations of all, or the logarithm of the odds of each true class."""
    if whole.regression is not None and stretch.regression is not None:
        spread = math.sqrt(whole.regression.targets.variance)
        known = spread > 0.0 and stretch.regression.n > 0
        return {MEAN_TARGET: stretch.regression.targets.mean / spread if known else None}
    if whole.confusion is None or stretch.confusion is None:
        return {}
    used = whole.confusion.matrix.sum(axis=1) > 0
    truth = stretch.confusion.matrix.sum(axis=1)
    odds = log_odds(truth, int(truth.sum())).tolist()
    names = [odds_of(name) for name in (*whole.layout.classes, OTHER)]
    return {name: value for name, value, occurs in zip(names, odds, used, strict=True) if occurs}


def _variation(
    name: str, found: Sequence[Mapping[str, float | None]], shuffled: Sequence[Sequence[Mapping[str, float | None]]]
) -> MetricVariation | None:
    from scipy import special

    values = [value for each in found if (value := each[name]) is not None]
    by_chance = [[value for each in draw if (value := each[name]) is not None] for draw in shuffled]
    if len(values) < MIN_STRETCHES or min(map(len, by_chance)) < MIN_STRETCHES:
        return None
    chance = float(np.mean([np.var(draw, ddof=1) for draw in by_chance]))
    total = float(np.var(values, ddof=1))
    df = len(values) - 1
    if total <= chance or (chance > 0.0 and float(special.chdtrc(df, df * total / chance)) >= LEVEL):
        return None
    return MetricVariation(math.sqrt(total - chance), len(values))
