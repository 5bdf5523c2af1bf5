"""Columns as data sets of the field have them, compared: no verdict is never called "no drift", and none is noise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import modelwatch as mw
from modelwatch.cli import main
from modelwatch.library.reading import seconds_of
from modelwatch.library.sources import source_of
from modelwatch.monitoring.checks.drift.reasons import why_stable
from modelwatch.monitoring.checks.drift.tolerance import PSI, Measure, tolerance
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.patterns import shift_pattern
from tests.library.sides import parquet_files

ROWS = 500
X = np.random.default_rng(0).normal(size=ROWS)
# 2024-01-01 00:00 and 01:00 UTC.
HOURS = [1_704_067_200, 1_704_070_800]


@pytest.mark.parametrize(
    ("before", "after", "title"),
    [
        ({"a": X}, {"a": X}, "No drift in 1 column"),
        ({"a": X}, {"a": [None] * ROWS}, "No verdict on 1 column"),
        ({"a": X, "b": X}, {"a": [None] * ROWS, "b": X}, "No drift in 1 of 2 columns, no verdict on the other"),
        ({"a": X}, {"b": X}, "No column could be compared"),
        ({"a": X, "b": X}, {"a": X + 3, "b": [None] * ROWS}, "1 of 2 columns drifted"),
    ],
)
def test_what_was_not_judged_is_not_called_free_of_drift(
    before: dict[str, Any], after: dict[str, Any], title: str
) -> None:
    report = mw.compare(before, after)
    assert report.summary().startswith(f"{title}: 500 rows compared with 500 of the reference.")
    [heading] = re.findall("<h1>(.+)</h1>", report.to_html())
    assert heading.split("; ")[0] == title
    assert f"<title>{heading}</title>" in report.to_html()
    assert repr(report) == f"<Report: {title}>"


def test_the_heading_names_all_that_was_found() -> None:
    missing = mw.compare({"a": X}, {"a": np.where(X > 0, X, np.nan)})
    assert "; data quality is worse</h1>" in missing.to_html()
    called = np.arange(ROWS) % 2
    sides = [{"prediction": called, "ground_truth": truth} for truth in (called, np.maximum(called, X > -1))]
    assert "; performance is worse; the labels have shifted</h1>" in mw.compare(*sides).to_html()


def test_labels_alone_that_have_shifted_are_no_worse_performance() -> None:
    sides = []
    for share in (0.5, 0.8):
        truth = (np.arange(2_000) % 10 < 10 * share).astype(int)
        sides.append({"prediction": truth, "ground_truth": truth, "y": np.arange(2_000) % 7})
    page = mw.compare(*sides, ignore=("prediction_id",)).to_html()
    assert "; the labels have shifted</h1>" in page
    assert "performance is worse" not in page


def test_names_that_are_new_because_the_reference_is_a_sample_are_no_finding() -> None:
    rng = np.random.default_rng(1)
    names = np.array([f"merchant {number}" for number in range(2_000)])
    shares = 1 / np.arange(1, 2_001)
    before, after = ({"merchant": rng.choice(names, 1_000, p=shares / shares.sum())} for _ in range(2))
    report = mw.compare(before, after)
    assert (report.severity, report.quality) == ("stable", [])
    renamed = mw.compare(before, {"merchant": [name.upper() for name in after["merchant"]]})
    [unseen] = renamed.quality
    assert (unseen.rule, unseen.severity, unseen.rate) == ("unseen_category", "alert", 1.0)
    assert 0.2 < unseen.reference_rate < 0.4


def test_new_ids_are_no_finding() -> None:
    before, after = ({"user": [f"u{number}" for number in range(first, first + ROWS)]} for first in (0, ROWS))
    report = mw.compare(before, after)
    assert (report.severity, report.quality) == ("insufficient_data", [])


def test_integers_beyond_64_bits_are_left_out_with_a_reason() -> None:
    column = [2**80 + number for number in range(ROWS)]
    report = mw.compare({"a": column, "x": X}, {"a": column, "x": X})
    assert report.severity == "stable"
    assert list(report.left_out) == ["a"]


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"],
        ["2024-01-01T02:00:00+02:00", "2024-01-01T03:00:00+02:00"],
        ["2024-01-01T00:00:00", "2024-01-01T01:00:00"],
        # As pandas writes and reads them in CSV files.
        ["2024-01-01 00:00:00", "2024-01-01 01:00:00"],
    ],
)
def test_times_as_text_are_utc_unless_they_say_otherwise(texts: list[str]) -> None:
    found = seconds_of(source_of({"timestamp": texts}), "timestamp")
    assert found is not None
    assert found.listed() == HOURS


@pytest.mark.parametrize("times", [HOURS, [float(each) for each in HOURS], [True, False]])
def test_numbers_are_no_times_whose_unit_would_be_guessed(times: list[Any]) -> None:
    with pytest.raises(ValueError, match="the column 'timestamp' holds no times: its type is"):
        mw.compare({"timestamp": times, "x": [1.0, 2.0]}, {"x": [1.0, 2.0]})


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_a_factor_is_found_in_values_of_any_size(scale: float) -> None:
    values = (np.abs(X) + 0.01) * scale
    binning = numeric_binning(values)
    found = shift_pattern(*(Profile(binning, binning.count_floats(side)) for side in (values, values * 2)))
    assert found is not None
    assert found.kind == "one_factor"


def accuracy(right: float, rows: int) -> dict[str, Any]:
    """So many rows of a binary model, with this share of right ones."""
    truth = np.arange(rows) % 2
    return {"prediction": np.where(np.arange(rows) // 2 % 1000 < 1000 * right, truth, 1 - truth), "ground_truth": truth}


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (accuracy(0.9, 20_000), accuracy(0.9, 20_000), "Performance is not worse: "),
        (accuracy(0.95, 20_000), accuracy(0.94, 20_000), "Performance is worse by less than the tolerance: "),
        (accuracy(0.9, 2_000), {k: v[-240:] for k, v in accuracy(0.9, 2_000).items()}, "Performance is worse: "),
    ],
)
def test_a_loss_that_is_real_or_may_be_chance_is_not_called_none(
    before: dict[str, Any], after: dict[str, Any], verdict: str
) -> None:
    assert verdict in mw.compare(before, after).summary()


def test_a_large_loss_that_may_be_chance_is_said_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: np.concatenate([column[:170], column[1_970:2_000]]) for name, column in accuracy(0.95, 2_000).items()}
    text = mw.compare(accuracy(0.9, 2_000), few).summary()
    assert "Performance is not worse by more than chance explains: " in text
    assert "  stable: Accuracy: Worse by 5 points, but explained by chance with p = " in text
    files = parquet_files(tmp_path, pd.DataFrame(accuracy(0.9, 2_000)), pd.DataFrame(few))
    assert main(["compare", *files]) == 0
    assert "\nAccuracy: Worse by 5 points, but explained by chance with p = " in capsys.readouterr().out


def test_a_mean_target_that_moved_by_chance_says_so() -> None:
    rng = np.random.default_rng(3)
    truths = rng.normal(size=2_000)
    few = {"ground_truth": truths[:100] + 0.4, "prediction": truths[:100] + 0.4}
    found = mw.compare({"ground_truth": truths, "prediction": truths}, few, alpha=1e-6).performance
    assert found is not None
    assert found.label_drift is not None
    assert found.label_drift.severity == "stable"
    assert found.label_drift.reason is not None
    assert found.label_drift.reason.startswith("The mean moved by 0.3")
    assert "standard deviations, but explained by chance with p = " in found.label_drift.reason


def test_a_large_psi_that_the_reference_reaches_itself_is_explained() -> None:
    rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("24h",), 3_600)
    allowed = tolerance(rules, 0.8)
    measures = (Measure(PSI, 0.44, allowed.psi_warning, allowed.psi_alert, 0.5),)
    assert why_stable(measures, allowed, 1e-4, 0.44) == (
        "PSI is above the configured threshold 0.1, but the reference itself reaches 0.8 in stretches as long."
    )
    assert why_stable(measures, allowed, 1e-4, 0.05) is None


def test_segments_without_a_verdict_are_not_called_unmoved() -> None:
    side = {"x": X, "g": np.repeat(["a", "b", "c", "d", "e"], ROWS // 5)}
    few = {name: column[:120] for name, column in side.items()}
    assert "No shift in 5 segments by g." in mw.compare(side, side, by="g").summary()
    assert "No shift in 1 of 5 segments by g, no verdict on the others." in mw.compare(side, few, by="g").summary()
    fewer = {name: column[::5] for name, column in side.items()}
    assert "No verdict on 5 segments by g: too few rows in each." in mw.compare(side, fewer, by="g").summary()


@pytest.mark.parametrize("name", ["a\x01b", "a\ufffeb", '<b>"&\n', "名前"])
def test_junit_is_xml_whatever_columns_are_called(tmp_path: Path, name: str) -> None:
    files = parquet_files(tmp_path, pd.DataFrame({name: X}), pd.DataFrame({name: X + 1}))
    assert main(["compare", *files, "--junit", str(tmp_path / "junit.xml")]) == 0
    [case, *_] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert case.get("name") == name.replace("\x01", r"\x01").replace("\ufffe", r"\ufffe")
