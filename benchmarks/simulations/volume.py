"""Volume and silence: false alarms over two years of slow streams, and changes that are found.

The streams are those of `tests/support/data/arrivals.py`; each is judged by the service's own code, at the points at
which it would be evaluated, for a model that has no other data-quality subjects: with features the looks get a smaller
part of the budget, and false alarms are rarer.
"""

from __future__ import annotations

from multiprocessing import get_context

import numpy as np

from benchmarks.report import Row
from modelwatch.monitoring.checks.quality.judge import SPANS
from tests.support.data.arrivals import DAY, KINDS, RULES, START, Rates, drawn, silences, volume_incidents

RATES = (1, 10, 100, 1_000)
# Of these kinds slow streams alone are looked at: a thousand rows a day are as a hundred.
SLOW = frozenset({"moody", "sessions", "wandering", "gaps", "batches"})
DAYS, QUICK_DAYS = 730, 120
STREAMS, QUICK_STREAMS = 20, 1
# A change is made after so many days, and lasts for so many.
CHANGED_AT, CHANGED_FOR = 70, 14
CHANGES = {"outage": 0.0, "drop to a fifth": 0.2, "four times as much": 4.0}
POWER_STREAMS, QUICK_POWER_STREAMS = 20, 1


def run(*, quick: bool = False) -> list[Row]:
    """False alarms of each kind of stream, and which changes of it are found."""
    rows = []
    cases = [(name, per_day, quick) for name in KINDS for per_day in RATES if per_day < RATES[-1] or name not in SLOW]
    with get_context("spawn").Pool() as pool:
        for found in pool.imap(_case, cases):
            rows += found
    return rows


def _case(case: tuple[str, int, bool]) -> list[Row]:
    name, per_day, quick = case
    days, streams, power = (QUICK_DAYS, QUICK_STREAMS, QUICK_POWER_STREAMS) if quick else (DAYS, STREAMS, POWER_STREAMS)
    kind = KINDS[name]
    return [*_false_alarms(name, kind, per_day, days, streams), _found(name, kind, per_day, power)]


def _false_alarms(name: str, kind: Rates, per_day: int, days: int, streams: int) -> list[Row]:
    """Mean incidents a stream; the baseline is what the budget allows."""
    spans: dict[str, list[int]] = {name: [] for name, _ in SPANS}
    silent = []
    for seed in range(streams):
        rng = np.random.default_rng([seed, per_day])
        times = drawn(rng, kind(rng, per_day, days))
        lived = volume_incidents(times)
        for span, found in lived.incidents.items():
            spans[span].append(len(found))
        silent.append(len(silences(times)))
    months = days / 30.0
    allowed = RULES.budget * 0.25 * months
    each = ", ".join(f"{span} {np.mean(found):.2f}" for span, found in spans.items())
    note = f"{streams} streams of {days} days: {each}"
    told = sum(float(np.mean(found)) for found in spans.values())
    return [
        Row(f"{name}, {per_day:,} a day: volume", told, "incidents", allowed, None, note),
        Row(
            f"{name}, {per_day:,} a day: silence",
            float(np.mean(silent)),
            "incidents",
            RULES.silences * months,
            None,
            "",
        ),
    ]


def _found(name: str, kind: Rates, per_day: int, streams: int) -> Row:
    """The share of streams in which each change is told within its two weeks."""
    shares = {}
    for what, factor in CHANGES.items():
        found = 0
        for seed in range(streams):
            rng = np.random.default_rng([seed, per_day, 1])
            rates = kind(rng, per_day, CHANGED_AT + CHANGED_FOR + 1)
            changed = rates.copy()
            changed[CHANGED_AT * 24 : (CHANGED_AT + CHANGED_FOR) * 24] *= factor
            found += _is_found(drawn(rng, changed))
        shares[what] = found / streams
    note = ", ".join(f"{what} {share:.0%}" for what, share in shares.items())
    return Row(f"{name}, {per_day:,} a day: found", shares["outage"], "of outages", None, None, note)


def _is_found(times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    start = START + CHANGED_AT * DAY
    lived = volume_incidents(times)
    if any(start < at <= start + CHANGED_FOR * DAY for each in lived.incidents.values() for at in each):
        return True
    lasting = np.append(times, start + CHANGED_FOR * DAY)
    return len(silences(lasting[lasting <= start + CHANGED_FOR * DAY])) > len(silences(times[times < start]))
