"""Reading the open scenarios: raw columns, and the windows of their oracle files."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.data.data_sets import read_part

NAMES = (
    "acs_employment_binary",
    "agrawal_abrupt_binary",
    "agrawal_gradual_binary",
    "bike_regression",
    "carloan_dq_nannyml",
    "carloan_nannyml",
    "elec2_binary",
    "insects_multiclass",
)


@lru_cache(maxsize=2)
def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The reference rows, the production rows, and the oracle."""
    oracle = json.loads((folder / "oracle_drift.json").read_text())
    reference, production = (read_part(folder, part).to_pandas() for part in ("reference", "production"))
    return reference, production, oracle


def rows(production: pd.DataFrame, window: dict[str, Any]) -> pd.DataFrame:
    """The production rows of one window, by row numbers where it has them, else by half-open time span."""
    if "row_start" in window:
        return production.iloc[window["row_start"] : window["row_end"]]
    stamp = production["timestamp"]
    return production[(stamp >= pd.Timestamp(window["start"])) & (stamp < pd.Timestamp(window["end"]))]


def texts(column: pd.Series) -> list[str | None]:
    """Categorical values as the oracle names them."""
    return [None if pd.isna(value) else str(value) for value in column.tolist()]
