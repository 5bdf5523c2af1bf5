"""Columns that are not compared: each is named with its own reason, and one that is gone is a finding."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import modelwatch as mw
from modelwatch.cli import main
from tests.library.sides import parquet_files

ROWS = 1_000


def side(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"age": rng.normal(size=ROWS), "fare": rng.normal(size=ROWS), "sex": rng.choice(["f", "m"], ROWS)}
    )


def test_a_feature_that_is_gone_is_missing_from_all_rows() -> None:
    """As in a service, and as in a profile of the same rows."""
    reference = mw.Reference.fit(side(1))
    current = side(2).drop(columns="fare")
    report = mw.compare(reference, current)
    assert report.severity == "alert"
    assert [(each.name, each.rule, each.rate) for each in report.quality] == [("fare", "missing", 1.0)]
    assert "fare: 0 % → 100 % missing values" in report.summary()
    assert "Not compared: fare (the data set to compare does not have it)" in report.summary()
    assert report.absent == ["fare"]
    assert "fare" in report.to_html()
    counted = mw.compare(reference, mw.profile(current, like=reference))
    assert counted.quality == report.quality


def test_predictions_that_are_not_there_are_no_finding() -> None:
    reference = side(1).assign(prediction="yes", prediction_probability=0.5, latency_ms=3.0)
    report = mw.compare(reference, side(2))
    assert (report.severity, report.quality) == ("stable", [])
    assert report.absent == ["prediction", "score", "latency"]


def test_a_feature_that_is_seldom_given_anyway_is_not_said_to_be_gone() -> None:
    reference = side(1).assign(fare=[1.0] * 30 + [None] * (ROWS - 30))
    assert mw.compare(reference, side(2).drop(columns="fare")).severity == "stable"


def test_each_column_has_its_own_reason() -> None:
    """One reason of several was told of all columns without a verdict."""
    reference = side(1).assign(row=[f"id {number}" for number in range(ROWS)])
    current = side(2).assign(row=[f"other {number}" for number in range(ROWS)], age=None)
    lines = mw.compare(reference, current).summary().splitlines()
    assert "No verdict on age: All 1000 values in this window are missing or invalid." in lines
    ids = next(line for line in lines if line.startswith("No verdict on row: "))
    assert "column of ids" in ids
    listed = side(1).assign(seen=[[1]] * ROWS)
    lines = mw.compare(listed, side(2).drop(columns="fare").assign(seen=[[1]] * ROWS)).summary().splitlines()
    assert lines[-2] == "Not compared: fare (the data set to compare does not have it)"
    assert lines[-1].startswith("Not compared: seen (its type is list<")


def test_columns_with_one_reason_share_a_line() -> None:
    few = {f"x{number}": [1.0, 2.0] * 5 for number in range(12)}
    summary = mw.compare({name: values * 50 for name, values in few.items()}, few).summary()
    assert "No verdict on x0, x1, x10, x11, x2, x3, x4, x5, x6, x7 and 2 more: 10 of at least 100 values" in summary


def test_many_reasons_end_in_one_line() -> None:
    reference = {f"x{number}": [1.0] * 400 for number in range(12)}
    current = {f"x{number}": [1.0] * (number + 2) + [None] * (100 - number - 2) for number in range(12)}
    lines = mw.compare(reference, current).summary().splitlines()
    assert sum(line.startswith("No verdict on x") for line in lines) == 6
    assert lines[-1].endswith(": for other reasons, which the report lists")


def test_mixed_types_are_named() -> None:
    given = pd.DataFrame({"a": [1, "x", 2.5, None] * 250, "b": [1, True] * 500, "age": 1.0})
    report = mw.compare(given, given)
    assert report.left_out["a"] == "it mixes values of different types: float, int, str; give it one type"
    assert report.left_out["b"] == "it mixes values of different types: bool, int; give it one type"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**70])
@pytest.mark.parametrize("kind", [list, partial(pd.Series, dtype=object), partial(np.array, dtype=object)])
def test_whole_numbers_beyond_64_bits_are_told_what_to_give(kind: Callable[[list[Any]], Any], number: int) -> None:
    report = mw.compare({"a": [1, 2] * 50, "b": [0.5] * 100}, {"a": kind([1, None, number]), "b": [0.5] * 3})
    assert report.left_out["a"] == (
        "in the data set to compare, it holds whole numbers beyond signed 64 bits; give floats, or texts where they"
        " are ids"
    )


def test_frames_without_rows_have_their_columns() -> None:
    nothing = mw.compare({"a": [[1]] * ROWS}, {"a": [[1]] * ROWS}).to_frame()
    assert set(nothing.columns) == set(mw.compare(side(1), side(2)).to_frame().columns)
    assert len(nothing) == 0


@pytest.mark.parametrize("given", [pd.Series([1.0, 2.0]), pl.Series([1.0, 2.0]), pa.array([1.0, 2.0])])
def test_one_column_without_a_name_is_no_data_set(given: Any) -> None:
    with pytest.raises(TypeError, match="is no data set: expected a frame"):
        mw.compare(given, given)


def test_scores_that_cannot_be_read_leave_the_other_metrics() -> None:
    """A list of probabilities in a cell has no names of classes; labels and predictions don't need them."""
    rng = np.random.default_rng(3)
    truth = rng.choice(["no", "yes"], ROWS)
    said = np.where(rng.random(ROWS) < 0.9, truth, "no")
    given = {"prediction": said, "ground_truth": truth, "prediction_probability": [[0.2, 0.8]] * ROWS}
    report = mw.compare(given, given)
    assert report.performance is not None
    metrics = {each.name: each for each in report.performance.metrics}
    assert metrics["accuracy"].current.value == pytest.approx((said == truth).mean())
    assert "the scores can't be read: their type is list<" in (metrics["roc_auc"].reason or "")
    assert "ground_truth" not in report.left_out


def test_types_with_hundreds_of_fields_are_named_shortly() -> None:
    scores = pa.array([{f"class_{number}": 0.5 for number in range(300)}] * 200)
    table = pa.table({"prediction": ["a", "b"] * 100, "prediction_probability": scores})
    assert mw.compare(table, table).left_out["prediction_probability"].startswith("its type is struct; ")


def test_parameters_and_columns_with_typing_errors() -> None:
    labelled = side(1).assign(said="yes", prediction_id=range(ROWS))
    with pytest.raises(TypeError, match="no parameter 'predicton'; did you mean 'prediction'"):
        mw.compare(labelled, labelled, predicton="said")
    with pytest.raises(ValueError, match=r"prediction is 'sad': neither data set has .*; did you mean 'said'"):
        mw.compare(labelled, labelled, prediction="sad")
    # One of the two may have it alone, as labels that are still to come.
    assert mw.compare(labelled, side(2), prediction="said").absent == ["prediction"]
    assert "fare" not in {each.name for each in mw.compare(labelled, labelled, ignore="fare").subjects}


def test_a_word_in_a_csv_is_one_invalid_value(tmp_path: Path) -> None:
    """It makes the column text; the numbers in it are numbers all the same."""
    reference, current = side(1), side(2)
    reference.to_csv(tmp_path / "reference.csv", index=False)
    odd = current.astype({"age": object})
    odd.loc[3, "age"] = "-"
    odd.to_csv(tmp_path / "odd.csv", index=False)
    report = mw.compare(tmp_path / "reference.csv", tmp_path / "odd.csv")
    age = next(each for each in report.subjects if each.name == "age")
    assert (age.sample_size, age.invalid, age.severity) == (ROWS - 1, (0, 1), "stable")
    segments = mw.compare(tmp_path / "reference.csv", tmp_path / "odd.csv", by="age").segments
    assert segments is not None
    assert {each.value: each.rows for each in segments.segments}["(invalid)"] == 1
    profile = mw.profile(tmp_path / "odd.csv", like=mw.Reference.fit(tmp_path / "reference.csv"))
    assert mw.compare(mw.Reference.fit(tmp_path / "reference.csv"), profile).subjects == report.subjects


def test_half_precision_is_read_as_it_is_written() -> None:
    """0.1 is held as 0.09998: beside a reference of few different values in double precision all of it was drift."""
    shares = np.random.default_rng(5).choice([0.1, 0.2, 0.3, np.nan, np.inf], ROWS)
    double, half = pa.table({"share": shares}), pa.table({"share": shares.astype(np.float16)})
    [found] = mw.compare(double, half).subjects
    assert (found.severity, found.psi) == ("stable", 0.0)
    assert found.missing[0] == found.missing[1] > 0
    assert mw.compare(half, double).subjects[0].psi == 0.0
    labelled = {"prediction": ["a", "b"] * 100, "ground_truth": ["a", "b"] * 100}
    scores = pa.array(np.array([0.9, 0.1] * 100, dtype=np.float16))
    assert mw.compare(pa.table({**labelled, "prediction_probability": scores}), pa.table(labelled)).severity == "stable"


def test_labels_that_are_not_there_are_said_to_be_none() -> None:
    labelled = side(1).assign(prediction=["no", "yes"] * 500, ground_truth=["no", "yes"] * 500)
    without = labelled.assign(ground_truth=None)
    assert mw.compare(without, labelled).left_out["ground_truth"] == "it has no label"


def test_what_to_do_about_scores_is_something_that_can_be_done_here() -> None:
    truth = ["no", "yes"] * 200
    before = {"prediction": truth, "ground_truth": truth, "prediction_probability": [0.9, 0.9] * 200}
    now = {**before, "prediction_probability": [0.1, 0.9] * 200}
    summary = mw.compare(before, now).summary()
    assert "so it is not that of the predicted class: give positive_class." in summary
    assert "monitor" not in summary


def test_a_csv_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    side(1).to_csv(tmp_path / "reference.csv", index=False)
    side(1).iloc[:0].to_csv(tmp_path / "empty.csv", index=False)
    with pytest.raises(ValueError, match="the data set to compare has no row"):
        mw.compare(tmp_path / "reference.csv", tmp_path / "empty.csv")
    with pytest.raises(ValueError, match="the reference has no row"):
        mw.compare(tmp_path / "empty.csv", tmp_path / "reference.csv")


def test_the_command_fails_by_what_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = parquet_files(tmp_path, side(1), side(2).drop(columns="fare"))
    junit = tmp_path / "junit.xml"
    assert main(["compare", *files, "--fail-on", "alert", "--junit", str(junit)]) == 1
    cases = {(case.get("classname"), case.get("name")): case for case in ET.parse(junit).getroot()}
    assert cases["drift", "fare"].find("skipped") is not None
    assert cases["quality", "fare missing"].find("failure") is not None
    files = parquet_files(tmp_path, side(1).assign(prediction="yes"), side(2))
    assert main(["compare", *files, "--fail-on", "alert"]) == 0
    assert main(["compare", *files, "--fail-on", "no-verdict"]) == 4
    assert main(["compare", *files, "--score", "nowhere"]) == 2
    assert "score is 'nowhere': neither data set has such a column" in capsys.readouterr().err


def test_options_that_a_saved_reference_does_not_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, current = str(tmp_path / "saved.mw"), str(tmp_path / "current.parquet")
    labelled = side(1).assign(said=["no", "yes"] * 500, ground_truth=["no", "yes"] * 500)
    mw.Reference.fit(labelled, prediction="said").save(saved)
    labelled.to_parquet(current)
    same = ["--prediction", "said", "--task", "binary", "--positive-class", "yes", "--ignore", "row"]
    assert main(["compare", saved, current, *same]) == 0
    capsys.readouterr()
    other = ["--prediction", "fare", "--task", "multiclass", "--positive-class", "no", "--ignore", "age"]
    assert main(["compare", saved, current, *other]) == 2
    found = capsys.readouterr().err
    assert "--prediction, --task, --positive-class, --ignore: the saved reference was made with other ones" in found
