"""Two data sets that are compared, as the files that the command is given."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def parquet_files(folder: Path, before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Paths of both sides as Parquet files in this folder, the earlier one first."""
    files = [folder / "before.parquet", folder / "after.parquet"]
    for file, side in zip(files, (before, after), strict=True):
        side.to_parquet(file)
    return [str(file) for file in files]
