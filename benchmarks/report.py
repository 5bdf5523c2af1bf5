"""One table for all benchmarks: what was measured, against what, in the same run."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    value, baseline: in `unit`; baseline is None where there is nothing to compare with.
    ratio: how many times better than the baseline, above 1 is better; None without one.
    note: how it was measured, and the spread.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of processor time of several repetitions."""

    median: float
    least: float
    most: float


def compared(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], note: str) -> Row:
    """The row of rates that were taken in the same rounds as those of a baseline; larger is better."""
    value, other = statistics.median(ours), statistics.median(baseline)
    whose = (("ours", ours), ("baseline", baseline))
    spread = ", ".join(f"{name} {number(min(each))}-{number(max(each))}" for name, each in whose)
    return Row(name, value, unit, other, value / other, f"{note}; {len(ours)} rounds, {spread}")


def less(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], note: str) -> Row:
    """As `compared`, of figures of which less is better."""
    row = compared(name, unit, ours, baseline, note)
    assert row.baseline is not None
    return replace(row, ratio=row.baseline / row.value)


def measure(*works: Callable[[], object], repetitions: int = 7) -> list[Timing]:
    """Processor time of each, in alternating rounds, after one that is not counted."""
    seconds: list[list[float]] = [[] for _ in works]
    for place in range(repetitions + 1):
        for work, taken in zip(works, seconds, strict=True):
            start = time.process_time()
            work()
            if place:
                taken.append(time.process_time() - start)
    return [Timing(statistics.median(each), min(each), max(each)) for each in seconds]


def table(rows: Sequence[Row]) -> str:
    """The rows as plain text, columns aligned."""
    cells = [("measurement", "value", "unit", "baseline", "ratio", "note")]
    cells += [(r.name, number(r.value), r.unit, number(r.baseline), number(r.ratio), r.note) for r in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    lines = []
    for row in cells:
        padded = [row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), row[5]]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three or four significant digits; a dash for nothing."""
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def show(rows: Sequence[Row], arguments: Sequence[str]) -> None:
    """Print the rows as a table, or as JSON when `--json` is among the arguments."""
    print(json.dumps([asdict(row) for row in rows], indent=2) if "--json" in arguments else table(rows))
