"""The Elec2 electricity market, replayed through real HTTP: three constant features come alive in May 1997."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.data.data_sets import DataSets
from tests.support.servers.live_service import LiveService

MODEL = "elec2"
WOKEN = ("vicprice", "vicdemand", "transfer")
ROWS_PER_REQUEST = 5_000

Results = dict[str, dict[str, Any]]


def as_sent(table: pa.Table) -> pa.Table:
    """The columns that a model service would send; the day of the week is a category."""
    table = table.drop_columns(["label", "label_arrival_ts"])
    table = table.rename_columns(["prediction_probability" if name == "proba" else name for name in table.column_names])
    return table.set_column(table.column_names.index("day"), "day", table["day"].cast(pa.string()))


def arrow_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.fixture(scope="module")
def service(shared_data: DataSets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = shared_data / "elec2_binary"
    with (
        LiveService(tmp_path_factory.mktemp("elec2")) as live,
        httpx.Client(base_url=f"{live.url}/api/v1", timeout=120) as client,
    ):
        reference = as_sent(pq.read_table(folder / "reference.parquet"))
        # Class ids are categories: the prediction column is text in the reference, as numbers are on the wire.
        sink = io.BytesIO()
        pq.write_table(reference, sink)
        answer = client.post(
            "/reference",
            params={"model_name": MODEL},
            content=sink.getvalue(),
            headers={"content-type": "application/vnd.apache.parquet"},
        )
        assert answer.status_code == 201, answer.text
        production = as_sent(pq.read_table(folder / "production.parquet"))
        for start in range(0, production.num_rows, ROWS_PER_REQUEST):
            part = production.slice(start, ROWS_PER_REQUEST)
            answer = client.post(
                "/predictions/batch",
                params={"model_name": MODEL},
                content=arrow_stream(part),
                headers={"content-type": "application/vnd.apache.arrow.stream"},
            )
            assert answer.json() == {"accepted": part.num_rows, "duplicates": 0, "rejected": []}, answer.text
        yield client


@pytest.fixture(scope="module")
def oracle(shared_data: DataSets) -> list[dict[str, Any]]:
    windows: list[dict[str, Any]] = json.loads((shared_data / "elec2_binary" / "oracle_drift.json").read_text())[
        "windows"
    ]
    return windows


@pytest.fixture(scope="module")
def checked(service: httpx.Client, oracle: list[dict[str, Any]]) -> dict[str, Results]:
    """What the service says of each of the oracle's windows, by window and feature."""
    said = {}
    for window in oracle:
        answer = service.post(
            "/drift/check", json={"model_name": MODEL, "start": window["start"], "end": window["end"]}
        )
        assert answer.status_code == 200, answer.text
        said[window["window"]] = {result["feature_name"]: result for result in answer.json()["drift_results"]}
    return said


def test_the_features_that_come_alive_are_alert_at_once_and_not_before(checked: dict[str, Results]) -> None:
    for name in WOKEN:
        for window in (f"w{index:03}" for index in range(12)):
            result = checked[window][name]
            assert (result["severity"], result["psi"]["score"], result["ks_test"]["statistic"]) == ("stable", 0, 0)
        first = [window for window in ("w012", "w013") if checked[window][name]["severity"] == "alert"]
        assert first, f"{name} is not alert in w012 or w013"


def test_every_row_of_every_window_is_counted(checked: dict[str, Results], oracle: list[dict[str, Any]]) -> None:
    for window in oracle:
        for name, expected in window["features"].items():
            result = checked[window["window"]][name]
            assert result["sample_size"] == expected["n"] - expected["missing"]
            assert result["counts"]["missing"] == expected["missing"]


@pytest.mark.parametrize("name", ["period", "nswdemand", "day"])
def test_scores_over_http_equal_the_oracle(
    checked: dict[str, Results], oracle: list[dict[str, Any]], name: str
) -> None:
    """Features without an atom of a tenth of the mass: their cells are the oracle's own."""
    for window in oracle:
        expected, result = window["features"][name], checked[window["window"]][name]
        assert result["psi"]["score"] == pytest.approx(expected["psi_eps1e4"], abs=1e-9), window["window"]
        js = result["jensen_shannon"]
        assert js["distance"] == pytest.approx(expected["js_distance_b2"], abs=1e-9)
        assert js["divergence"] == pytest.approx(expected["js_divergence_b2"], abs=1e-9)
        if name == "day":
            assert result["ks_test"] is None
            # The test takes the part of the reference that did not name its cells; the oracle takes all of it.
            p_value, evidence = result["evidence"]["p_value"], result["evidence"]
            if evidence["effective_n"] is None:
                assert (p_value < 1e-6) == (expected["chi2_p"] < 1e-6)
            elif expected["chi2_p"] < 1e-6:
                # Natural variation, which the oracle does not know, makes an odd day less surprising.
                assert expected["chi2_p"] < p_value < 0.05


@pytest.mark.parametrize("name", ["period", *WOKEN])
def test_ks_over_http_is_exact_where_every_value_is_an_atom(
    checked: dict[str, Results], oracle: list[dict[str, Any]], name: str
) -> None:
    for window in oracle:
        expected, ks = window["features"][name], checked[window["window"]][name]["ks_test"]
        assert ks["statistic"] == pytest.approx(expected["ks_stat"], abs=1e-9), window["window"]
        assert ks["p_value"] == pytest.approx(expected["ks_p_asymp"], rel=1e-6, abs=1e-300)


def test_ks_over_http_bounds_the_exact_value_of_a_continuous_feature(
    checked: dict[str, Results], oracle: list[dict[str, Any]]
) -> None:
    for window in oracle:
        exact, ks = window["features"]["nswdemand"]["ks_stat"], checked[window["window"]]["nswdemand"]["ks_test"]
        assert ks["statistic"] - 1e-12 <= exact <= ks["upper_bound"] + 1e-12
        assert ks["upper_bound"] - ks["statistic"] <= 1 / 200 + 1e-3


@pytest.mark.parametrize("name", WOKEN)
def test_scores_of_a_constant_reference_follow_from_its_three_cells(
    checked: dict[str, Results], oracle: list[dict[str, Any]], name: str
) -> None:
    """Below, equal and above the constant: recomputed from the oracle's own counts of those three."""
    for window in oracle:
        facts = window["features"][name]
        below, above = facts["below_ref_min"], facts["above_ref_max"]
        current = [below, facts["n"] - facts["missing"] - below - above, above]
        reference = [0, 1, 0]
        expected = 0.0
        for p, count in zip(reference, current, strict=True):
            q = max(count / sum(current), 1e-4)
            p_floored = max(p, 1e-4)
            expected += (q - p_floored) * math.log(q / p_floored)
        result = checked[window["window"]][name]
        assert result["counts"]["current"] == current
        assert result["psi"]["score"] == pytest.approx(expected, abs=1e-9)


def test_a_second_replay_counts_nothing_twice(service: httpx.Client, shared_data: DataSets) -> None:
    production = as_sent(pq.read_table(shared_data / "elec2_binary" / "production.parquet")).slice(0, 2_000)
    answer = service.post(
        "/predictions/batch",
        params={"model_name": MODEL},
        content=arrow_stream(production),
        headers={"content-type": "application/vnd.apache.arrow.stream"},
    )
    assert answer.json() == {"accepted": 0, "duplicates": 2_000, "rejected": []}
