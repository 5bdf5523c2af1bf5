"""One table for all benchmarks: what was measured, against what, in the same run."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    value, baseline: in `unit`; baseline is None where there is nothing to compare with.
    ratio: how many times better than the baseline, above 1 is better, in the middle round; None without one.
    note: how it was measured, and the spread.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    note: str


def compared(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], note: str) -> Row:
    """The row of rates that were taken in the same rounds as those of a baseline; larger is better.

    Its ratio is the median of those of the rounds: what slows the machine down for a while slows both down.
    """
    return _beside(name, unit, ours, baseline, [one / other for one, other in zip(ours, baseline, strict=True)], note)


def less(name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], note: str) -> Row:
    """As `compared`, of figures of which less is better."""
    return _beside(name, unit, ours, baseline, [other / one for one, other in zip(ours, baseline, strict=True)], note)


def _beside(
    name: str, unit: str, ours: Sequence[float], baseline: Sequence[float], ratios: Sequence[float], note: str
) -> Row:
    whose = (("ours", ours), ("baseline", baseline), ("ratio", ratios))
    spread = ", ".join(f"{name} {number(min(each))}-{number(max(each))}" for name, each in whose)
    value, other, ratio = map(statistics.median, (ours, baseline, ratios))
    return Row(
        name, value, unit, other, ratio, f"{note}; {'once' if len(ours) == 1 else f'{len(ours)} rounds, {spread}'}"
    )


def taken(work: Callable[[], object]) -> float:
    """Seconds of processor time of this process that it takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(*works: Callable[[], object], repetitions: int = 7, scale: float = 1.0) -> list[list[float]]:
    """Seconds of processor time of each, times `scale`, in alternating rounds, after one that is not counted."""
    rounds = [[scale * taken(work) for work in works] for _ in range(repetitions + 1)]
    return [list(each) for each in zip(*rounds[1:], strict=True)]


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
