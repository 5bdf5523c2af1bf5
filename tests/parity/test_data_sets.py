"""The data sets that are part of the repository: small, with a source and a licence, and complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import DATA
from tests.support.data.data_sets import DataSets, read_part

MODELS = sorted(path.parent.name for path in DATA.glob("*/meta.json"))


def test_they_are_small_and_each_has_a_source_and_a_licence() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) <= 10_000_000
    rows = [line.split("|") for line in (DATA / "README.md").read_text().splitlines() if line.startswith("| `")]
    listed = {name.strip(" `"): row for row in rows for name in row[1].split(",")}
    assert listed.keys() == {path.name for path in DATA.iterdir() if path.is_dir()}
    for row in listed.values():
        assert all(cell.strip() for cell in row[5:7])


@pytest.mark.parametrize("name", MODELS)
def test_each_has_the_columns_and_rows_that_it_says(shared_data: DataSets, name: str) -> None:
    folder = shared_data / name
    assert folder == DATA / name
    meta = json.loads((folder / "meta.json").read_text())
    features = [*meta["numeric_features"], *meta["categorical_features"]]
    for part in ("reference", "production"):
        table = read_part(folder, part)
        assert {"prediction_id", "timestamp", "label", "label_arrival_ts", *features} <= set(table.column_names)
        assert table["prediction_id"].null_count == 0
    oracle = json.loads((folder / "oracle_drift.json").read_text())
    assert sum(window["n"] for window in oracle["windows"]) <= table.num_rows


def test_a_set_that_shares_columns_has_its_own_values_in_its_own(shared_data: DataSets) -> None:
    plain, damaged = (read_part(shared_data / name, "production") for name in ("carloan_nannyml", "carloan_dq_nannyml"))
    assert plain.schema.names == damaged.schema.names
    assert plain["proba"].equals(damaged["proba"])
    assert damaged["driver_tenure"].null_count > plain["driver_tenure"].null_count == 0


def test_one_that_is_nowhere_skips_with_the_reason_or_fails(tmp_path: Path) -> None:
    (tmp_path / "beside" / "closed").mkdir(parents=True)
    data_sets = DataSets(tmp_path / "own", tmp_path / "beside")
    assert data_sets / "closed" == tmp_path / "beside" / "closed"
    with pytest.raises(pytest.skip.Exception, match="elec2_binary has no open licence"):
        data_sets / "elec2_binary"
    with pytest.raises(pytest.fail.Exception, match="bike is not in "):
        data_sets / "bike"
