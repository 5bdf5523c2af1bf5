"""Performance of two labelled data sets: the service's numbers and judgements, in every form of the report."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import modelwatch as mw
from modelwatch.cli import main
from modelwatch.library.comparison import compare
from tests.proofs.lock import Proofs
from tests.support.servers.live_service import LiveService

ROWS = 4_000


def binary(seed: int, right: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.random(ROWS) < 0.3
    called = np.where(rng.random(ROWS) < right, truth, ~truth)
    score = np.clip(np.where(called, 0.8, 0.2) + rng.normal(0, 0.1, ROWS), 0, 1)
    names = np.array(["ok", "fraud"])
    return pd.DataFrame(
        {
            "x": rng.normal(size=ROWS),
            "prediction": names[called.astype(int)],
            "prediction_probability": score,
            "ground_truth": names[truth.astype(int)],
        }
    )


def multiclass(seed: int, right: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, ROWS)
    called = np.where(rng.random(ROWS) < right, truth, rng.integers(0, 4, ROWS))
    return pd.DataFrame({"x": rng.normal(size=ROWS), "prediction": called, "ground_truth": truth})


def regression(seed: int, spread: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, ROWS)
    return pd.DataFrame({"prediction": truth + rng.normal(0, spread, ROWS), "ground_truth": truth})


def parquet_of(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue()


@pytest.mark.parametrize(("make", "good", "bad"), [(binary, 0.9, 0.85), (multiclass, 0.9, 0.8), (regression, 1.0, 1.3)])
def test_the_numbers_are_those_of_the_service(
    make: Callable[[int, float], pd.DataFrame], good: float, bad: float, tmp_path: Path
) -> None:
    before, after = make(1, good), make(2, bad)
    named = {"model_name": "m"}
    put: dict[str, Any] = {"params": named, "headers": {"Content-Type": "application/vnd.apache.parquet"}}
    with LiveService(tmp_path) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        client.post("/api/v1/reference", content=parquet_of(before), **put).raise_for_status()
        client.post("/api/v1/predictions/batch", content=parquet_of(after), **put).raise_for_status()
        answer = client.get("/api/v1/models/m/performance").raise_for_status().json()["current"][0]
    served = next(
        each for each in answer["windows"] if each["matured"] and each["lookback"] == "24h" and not each["immature"]
    )
    found = mw.compare(before, after).performance
    assert found is not None
    assert found.task == answer["task"]
    assert found.classes == answer["classes"]
    assert found.positive_class == answer["positive_class"]
    assert {each.name for each in found.metrics} == set(served["metrics"])
    assert served["labelled"] == found.current.labelled == ROWS
    for each in found.metrics:
        other = served["metrics"][each.name]
        assert [each.current.value, each.current.low, each.current.high, each.current.n] == [
            other["value"],
            other["low"],
            other["high"],
            other["n"],
        ], each.name
        assert (each.severity is None) == (other.get("severity") is None)
        if each.severity is not None and each.reference is not None:
            assert each.reference.value == other["reference"]
            assert each.change == other["change"]
            assert each.loss == other["loss"]
            assert each.p_value == other["p_value"]
            assert each.severity == other["severity"]
    assert found.label_drift is not None
    assert found.label_drift.p_value == served["label_drift"]["p_value"]
    assert json.loads(mw.compare(before, after).to_json())["performance"]["current"]["confusion"] == served["confusion"]
    assert found.severity in ("warning", "alert")


def test_without_a_change_nothing_is_worse() -> None:
    report = mw.compare(binary(1, 0.9), binary(3, 0.9))
    assert report.severity == "stable"
    assert "Performance is not worse: 4,000 labels compared with 4,000 of the reference." in report.summary()


def alarms_of_metrics_and_columns() -> int:
    """How many of 150 comparisons of the same labelled data find anything, at a level of a fifth."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(150):
        sides = []
        for _ in "ab":
            truth = rng.integers(0, 2, 150)
            called = np.where(rng.random(150) < 0.8, truth, 1 - truth)
            sides.append({"x": rng.normal(size=150), "prediction": called, "ground_truth": truth})
        alarms += compare(*sides, alpha=0.2).severity != "stable"
    return alarms


def test_false_alarms_of_metrics_and_columns_together_stay_below_alpha(proofs: Proofs) -> None:
    # Of 150 with a chance of at most .2 each: more than 46 have a chance below .1 %.
    assert proofs.figures(alarms_of_metrics_and_columns) <= 46


def test_columns_have_the_names_that_are_given() -> None:
    names = {"prediction": "y", "prediction_probability": "p", "ground_truth": "truth"}
    before, after = (binary(seed, right).rename(columns=names) for seed, right in ((1, 0.9), (2, 0.8)))
    report = mw.compare(before, after, prediction="y", score="p", ground_truth="truth")
    assert report.performance is not None
    assert report.performance.severity == "alert"
    assert [each.name for each in report.subjects if each.kind == "feature"] == ["x"]
    ignored = mw.compare(before, after, prediction="y", score="p", ground_truth="truth", ignore=("truth",))
    assert ignored.performance is None
    assert ignored.severity == "stable"


def test_labels_of_one_side_alone() -> None:
    before, after = binary(1, 0.9), binary(2, 0.8)
    without = mw.compare(before.drop(columns="ground_truth"), after)
    assert without.performance is not None
    assert without.performance.reason == "The reference has no labels: nothing to compare with."
    assert without.performance.metrics[0].current.value is not None
    assert without.severity == "stable"
    later = mw.compare(before, after.drop(columns="ground_truth"))
    assert later.performance is None
    assert later.left_out["ground_truth"] == "the data set to compare does not have it"
    no_task = mw.compare({"prediction": ["a"] * 200, "ground_truth": ["a"] * 200}, after)
    assert no_task.left_out["ground_truth"].startswith("its labels do not determine a task")
    lists = mw.compare({"a": [1] * 200, "prediction": ["a"] * 200, "ground_truth": [[1]] * 200}, {"a": [1] * 200})
    assert lists.left_out["ground_truth"].startswith("its type is list")


def test_the_task_and_the_positive_class_are_as_stated() -> None:
    found = mw.compare(binary(1, 0.9), binary(2, 0.9), positive_class="ok").performance
    assert found is not None
    assert found.positive_class == "ok"
    with pytest.raises(ValueError, match="positive_class: No such class; there are fraud, ok"):
        mw.compare(binary(1, 0.9), binary(2, 0.9), positive_class="other")
    with pytest.raises(ValueError, match="task: A regression predicts numbers"):
        mw.compare(binary(1, 0.9), binary(2, 0.9), task="regression")
    numbers = mw.compare(multiclass(1, 0.9), multiclass(2, 0.9), task="regression").performance
    assert numbers is not None
    assert numbers.task == "regression"


def test_probabilities_by_class() -> None:
    rng = np.random.default_rng(0)

    def side(right: float) -> dict[str, Any]:
        truth = rng.integers(0, 3, 1_000)
        called = np.where(rng.random(1_000) < right, truth, rng.integers(0, 3, 1_000))
        shares = [{name: 0.8 if name == "abc"[each] else 0.1 for name in "abc"} for each in called]
        return {
            "prediction": [*map("abc".__getitem__, called)],
            "prediction_probability": shares,
            "ground_truth": [*map("abc".__getitem__, truth)],
        }

    found = mw.compare(side(0.9), side(0.6)).performance
    assert found is not None
    assert {"roc_auc_macro", "log_loss"} <= {each.name for each in found.metrics}
    assert [each.class_name for each in found.current.curves] == ["a", "b", "c"]


def test_a_reference_keeps_its_labels(tmp_path: Path) -> None:
    for make, good, bad in ((binary, 0.9, 0.85), (regression, 1.0, 1.3)):
        before, after = make(1, good), make(2, bad)
        mw.Reference.fit(before).save(tmp_path / "reference.mw")
        assert mw.compare(mw.Reference.load(tmp_path / "reference.mw"), after).document == (
            mw.compare(before, after).document
        )
    with pytest.raises(TypeError, match="columns already: task can't be given"):
        mw.compare(mw.Reference.load(tmp_path / "reference.mw"), after, task="regression")


def test_seasons_of_the_reference_are_no_loss() -> None:
    """Accuracy that falls each night falls in a stretch of the night."""
    rng = np.random.default_rng(1)
    rows = 24_000
    hours = np.arange(rows) / rows * 24 * 40
    right = np.where((hours % 24) < 6, 0.75, 0.95)

    def frame(hours: np.ndarray, right: np.ndarray) -> pd.DataFrame:
        truth = rng.random(len(hours)) < 0.5
        called = np.where(rng.random(len(hours)) < right, truth, ~truth)
        times = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")
        return pd.DataFrame({"prediction": called, "ground_truth": truth, "timestamp": times})

    before = frame(hours, right)
    night = frame(24 * 50 + np.arange(400) / 100, np.full(400, 0.75))
    found, without = (mw.compare(before, night, natural_variation=each).performance for each in (True, False))
    assert found is not None
    assert without is not None
    assert (found.severity, without.severity) == ("stable", "alert")


def test_the_report_shows_it(tmp_path: Path) -> None:
    report = mw.compare(binary(1, 0.9), binary(2, 0.85))
    assert "Performance is worse: 4,000 labels compared with 4,000 of the reference." in report.summary()
    assert "alert: Accuracy: 8" in report.summary()
    text = report.to_html(tmp_path / "report.html")
    assert "<h2>Performance</h2>" in text
    for kind in ("matrix", "calibration", "roc"):
        assert f"chart-{kind}" in text
    frame = report.to_frame("performance")
    assert frame["name"].tolist()[:2] == ["accuracy", "precision"]
    assert {"reference", "reference_low", "value", "low", "high", "p_value"} <= set(frame.columns)
    assert report.to_frame("quality").empty
    assert mw.compare({"a": [1] * 200}, {"a": [1] * 200}).to_frame("performance").empty
    with pytest.raises(ValueError, match="of is 'else'"):
        report.to_frame("else")  # type: ignore[arg-type]
    errors = mw.compare(regression(1, 1.0), regression(2, 1.3)).to_html()
    assert "Predicted and actual" in errors


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name, seed, right in (("before", 1, 0.9), ("after", 2, 0.85)):
        paths.append(str(tmp_path / f"{name}.csv"))
        binary(seed, right).rename(columns={"ground_truth": "truth"}).to_csv(paths[-1], index=False)
    junit = tmp_path / "junit.xml"
    command = ["compare", *paths, "--ground-truth", "truth", "--fail-on", "alert", "--junit", str(junit)]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "Accuracy" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if "interval" not in line)
    import xml.etree.ElementTree as ET

    cases = {(case.get("classname"), case.get("name")): case for case in ET.parse(junit).getroot()}
    assert cases["performance", "accuracy"].find("failure") is not None
    assert cases["performance", "labels"].find("failure") is None
    assert main([*command, "--task", "else"]) == 2
    assert "--task 'else'" in capsys.readouterr().err


WITHOUT_A_STORE = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("sqlalchemy", "alembic", "cryptography", "fastapi", "starlette", "uvicorn"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
import modelwatch as mw

side = {"x": [1.0, 2.0] * 200, "prediction": ["a", "b"] * 200, "ground_truth": ["a", "b", "b", "a"] * 100}
report = mw.compare(side, side)
report.to_html()
print(report.performance.metrics[0].current.value)
"""


def test_it_needs_no_store_and_no_server() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_STORE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0.5", done.stderr
