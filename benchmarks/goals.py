"""What the benchmarks must show: the goals, each with the recorded row that is measured by it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import Row, number


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of one row.

    row: a pattern of its whole name, in the benchmark or, where it has one, beside a commit. least_ratio: of the row;
    most: its value must be at most so large, in its unit.
    """

    work: str
    beside: str
    benchmark: str
    row: str
    least_ratio: float | None = None
    most: float | None = None


SINGLE = "durable single-prediction ingest, 10 features"
FASTAPI = "FastAPI + pydantic, in memory"
# The newest commit whose service did not work in columns.
BEFORE_COLUMNS = "faf1b948"
EARLIER = f"the service of {BEFORE_COLUMNS}, before it worked in columns"

GOALS = (
    Goal("single predictions, durable, 10 features", FASTAPI, "ingest", SINGLE, 3.5),
    Goal("its 99th percentile, 64 connections", "", "ingest", f"{SINGLE}: 99th percentile.*", most=25.0),
    Goal("JSON batch of lists, 1,000 x 50, rate", f"{FASTAPI}, same body", "batches", "batch as lists", 5.0),
    *(
        Goal(
            f"batch as {way}, 1,000 x 50, processor time",
            EARLIER,
            "batches",
            f"batch as {way}, beside {BEFORE_COLUMNS}: processor time",
            ratio,
        )
        for way, ratio in (("maps", 3.0), ("lists", 4.0), ("arrow", 7.0), ("parquet", 7.0))
    ),
    *(
        Goal(
            f"bytes a prediction of 50 features, {engine}",
            EARLIER,
            "store",
            f"{engine}, 50 numbers.*, beside {BEFORE_COLUMNS}: bytes a prediction",
            1 / 0.35,
        )
        for engine in ("SQLite", "PostgreSQL")
    ),
    Goal("re-binning: scan and counts in new cells", EARLIER, "store", f"re-binning.*, beside {BEFORE_COLUMNS}", 6.0),
    Goal(
        "shared PostgreSQL, 4 writers, batches of 100",
        "additive upserts of the same counts",
        "postgres",
        ".* 4 writers, beside additive upserts, same cells",
        3.5,
    ),
    Goal("a scrape of 20,000 series", "", "reads", "scrape", most=150.0),
    Goal("a drift check over 30 days, warm", "", "reads", "drift check over 30 days", most=100.0),
    Goal("10,000 profiles of 50 features merged", "whylogs", "merging", "10,000 .*, beside whylogs", 100.0),
)


def goal_lines(measured: Mapping[str, Sequence[Row]]) -> Iterator[tuple[str, str, str, str, str]]:
    """Cells of a table: the work, what it stands beside, what was measured, the goal, and whether it is reached.

    measured: rows by benchmark; of one that was measured beside a commit its name is `NAME, before COMMIT`.
    """
    for goal in GOALS:
        found = [
            row
            for name, rows in sorted(measured.items())
            if name.split(", before ")[0] == goal.benchmark
            for row in rows
            if re.fullmatch(goal.row, row.name)
        ]
        wanted = f"≥ {goal.least_ratio:.3g} times" if goal.least_ratio is not None else f"≤ {number(goal.most)}"
        if not found:
            yield goal.work, goal.beside, "", wanted, "not recorded"
            continue
        row = found[0]
        if goal.least_ratio is not None:
            ratio = row.ratio or 0.0
            yield goal.work, goal.beside, f"{number(ratio)} times", wanted, _reached(ratio >= goal.least_ratio)
        else:
            value = f"{number(row.value)} {row.unit}"
            yield goal.work, goal.beside, value, f"{wanted} {row.unit}", _reached(row.value <= (goal.most or 0.0))


def _reached(is_reached: bool) -> str:
    return "reached" if is_reached else "**not reached**"
