"""Two Parquet files for a comparison of libraries: numbers and categories, of which some have moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_A_GROUP = 100_000
CATEGORIES = 12
# Of the columns, every fifth holds categories, and every seventh has moved.
EVERY_CATEGORICAL, EVERY_MOVED = 5, 7
SHIFT = 0.5


@dataclass(frozen=True)
class Size:
    """Rows of either file, and their columns."""

    reference: int
    current: int
    columns: int

    def __str__(self) -> str:
        return f"{self.reference:,} x {self.columns} against {self.current:,} x {self.columns}"


def moved(columns: int) -> list[str]:
    """Names of the columns that have moved."""
    return sorted(f"x{place}" for place in range(0, columns, EVERY_MOVED))


def write(folder: Path, size: Size, seed: int = 1) -> tuple[Path, Path]:
    """The paths of reference.parquet and current.parquet, written in groups of rows."""
    rng = np.random.default_rng(seed)
    reference, current = folder / "reference.parquet", folder / "current.parquet"
    _write(rng, reference, size.reference, size.columns, shifted=False)
    _write(rng, current, size.current, size.columns, shifted=True)
    return reference, current


def _write(rng: np.random.Generator, path: Path, rows: int, columns: int, *, shifted: bool) -> None:
    names = np.array([f"category {letter}" for letter in "abcdefghijkl"])
    assert len(names) == CATEGORIES
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, ROWS_A_GROUP):
        size = min(ROWS_A_GROUP, rows - start)
        group = {}
        for place in range(columns):
            has_moved = shifted and place % EVERY_MOVED == 0
            if place % EVERY_CATEGORICAL == 0:
                weights = np.arange(1, CATEGORIES + 1, dtype=np.float64) ** (2.0 if has_moved else 1.0)
                group[f"x{place}"] = names[rng.choice(CATEGORIES, size, p=weights / weights.sum())]
            elif place % 2:
                group[f"x{place}"] = rng.normal(SHIFT if has_moved else 0.0, 1.0, size)
            else:
                group[f"x{place}"] = rng.gamma(2.0, 10.0 + 5.0 * has_moved, size)
        table = pa.table(group)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
