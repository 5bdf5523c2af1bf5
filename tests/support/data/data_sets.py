"""The real data sets: those of the repository, and those beside it that must not be copied into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WITHOUT_LICENCE = frozenset({"elec2_binary", "insects_multiclass"})


@dataclass(frozen=True)
class DataSets:
    """The folders of the data sets by name, as in `data_sets / "bike_regression"`.

    own: those that are part of the repository. beside: where others may lie.
    """

    own: Path
    beside: Path

    def __truediv__(self, name: str) -> Path:
        """The folder of a data set, or a file in it. Skips the test where one without an open licence is not here;
        fails for another one."""
        for place in (self.own, self.beside):
            if (place / name).exists():
                return (place / name).resolve()
        if Path(name).parts[0] not in WITHOUT_LICENCE:
            pytest.fail(f"{name} is not in {self.own}")
        pytest.skip(f"{name} has no open licence, so it is not part of the repository, and {self.beside} is without it")


def read_part(folder: Path, part: str) -> pa.Table:
    """The rows of a data set's `reference` or `production`.

    A data set that has `columns_of` in its `meta.json` shares the columns that it does not have with the one of that
    name: row by row they are the same.
    """
    table = pq.read_table(folder / f"{part}.parquet")
    base = json.loads((folder / "meta.json").read_text()).get("columns_of")
    if base is None:
        return table
    shared = pq.read_table(folder.parent / base / f"{part}.parquet")
    for name in table.column_names:
        shared = shared.set_column(shared.schema.get_field_index(name), name, table[name])
    return shared
