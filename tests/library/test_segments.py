"""Segments of two data sets: what moved in one value of a column, the worst first, and no false alarms about many."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelwatch as mw
from modelwatch.cli import main
from modelwatch.library.comparison import compare
from tests.library.sides import parquet_files
from tests.proofs.lock import Proofs

ROWS = 8_000


def frame(seed: int, *, moved: bool = False, worse: bool = False) -> pd.DataFrame:
    """When moved, amounts in FR are twice what they were; when worse, predictions of old people are."""
    rng = np.random.default_rng(seed)
    country = rng.choice(["DE", "FR", "IT", None], ROWS, p=[0.5, 0.25, 0.2, 0.05])
    age = rng.normal(40, 10, ROWS)
    amount = np.exp(rng.normal(0, 1, ROWS)) * np.where(moved & (country == "FR"), 2.0, 1.0)
    truth = rng.random(ROWS) < 0.4
    right = rng.random(ROWS) < np.where(worse & (age > 47), 0.6, 0.9)
    called = np.where(right, truth, ~truth)
    return pd.DataFrame({"country": country, "age": age, "amount": amount, "prediction": called, "ground_truth": truth})


@pytest.fixture(scope="module")
def before() -> pd.DataFrame:
    return frame(1)


@pytest.fixture(scope="module")
def after() -> pd.DataFrame:
    return frame(2, moved=True)


def test_the_segment_whose_values_moved_is_first(before: pd.DataFrame, after: pd.DataFrame) -> None:
    report = mw.compare(before, after, by="country")
    found = report.segments
    assert found is not None
    assert [each.segment for each in found.segments if each.severity != "stable"] == ["country=FR"]
    [amount] = [each for each in found.segments[0].drift if each.severity != "stable"]
    assert (amount.name, amount.severity) == ("amount", "alert")
    assert amount.p_value is not None
    assert amount.adjusted_p_value == min(1.0, amount.p_value * found.comparisons)
    missing = next(each for each in found.segments if each.segment == "country=(missing)")
    assert missing.share == pytest.approx(0.05, abs=0.01)
    assert report.severity == "alert"
    assert "1 of 4 segments by country shifted:" in report.summary()
    assert "alert: country=FR: amount PSI" in report.summary()


def test_the_segment_whose_predictions_are_worse_is_first(before: pd.DataFrame) -> None:
    report = mw.compare(before, frame(2, worse=True), by=["country", "age"])
    found = report.segments
    assert found is not None
    assert (found.by, found.metric) == (["country", "age"], "accuracy")
    first = found.segments[0]
    assert first.value.startswith("> 46")
    assert first.metric is not None
    assert first.metric.severity == "alert"
    worse = [each.segment for each in found.segments if each.by == "age" and each.severity in ("warning", "alert")]
    assert worse == [first.segment]
    # Contributions of the segments of a column are the change of the metric.
    assert report.performance is not None
    for by in found.by:
        parts = [each.contribution.total for each in found.segments if each.by == by and each.contribution]
        assert sum(parts) == pytest.approx(report.performance.metrics[0].change)
        assert sum(each.rows for each in found.segments if each.by == by) == ROWS


def test_a_segment_that_only_gained_share_is_not_before_one_that_got_worse() -> None:
    def side(rows: dict[str, int], right: dict[str, float]) -> pd.DataFrame:
        found = {"country": [], "prediction": [], "ground_truth": []}
        for country, n in rows.items():
            truth = np.arange(n) % 2 == 0
            found["country"] += [country] * n
            found["prediction"] += np.where(np.arange(n) < n * right[country], truth, ~truth).tolist()
            found["ground_truth"] += truth.tolist()
        return pd.DataFrame(found)

    before = side({"A": 2_000, "B": 1_000, "C": 1_000}, {"A": 0.9, "B": 0.6, "C": 0.9})
    after = side({"A": 1_800, "B": 1_400, "C": 800}, {"A": 0.9, "B": 0.61, "C": 0.89})
    found = mw.compare(before, after, by="country", natural_variation=False).segments
    assert found is not None
    assert {each.severity for each in found.segments} == {"stable"}
    assert [each.value for each in found.segments] == ["C", "A", "B"]


def test_a_bias_that_became_smaller_on_the_other_side_of_zero_is_no_loss() -> None:
    def side(seed: int, bias: dict[str, float]) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        truth, country = rng.uniform(100.0, 1_000.0, 4_000), np.array(["A", "B"] * 2_000)
        said = truth + np.array([bias[each] for each in country]) + rng.normal(size=4_000)
        return pd.DataFrame({"country": country, "prediction": said, "ground_truth": truth})

    before, after = side(1, {"A": -3.0, "B": 0.0}), side(2, {"A": 0.3, "B": 0.2})
    found = mw.compare(before, after, by="country", natural_variation=False).segments
    assert found is not None
    assert found.metric == "mae"
    assert [(each.value, each.severity) for each in found.segments] == [("B", "stable"), ("A", "stable")]
    improved = found.segments[1]
    assert improved.metric is not None
    assert improved.metric.loss == pytest.approx(-2.2, abs=0.1)
    assert improved.adjusted_p_value == 1.0


def test_each_segment_is_compared_as_its_rows_alone(before: pd.DataFrame, after: pd.DataFrame) -> None:
    found = mw.compare(before, after, by="country").segments
    assert found is not None
    reference = mw.Reference.fit(before)
    for each in found.segments:
        if each.value in ("DE", "FR", "IT"):
            of_before, of_after = (side[side["country"] == each.value] for side in (before, after))
            assert (each.reference_rows, each.rows) == (len(of_before), len(of_after))
            assert each.metric is not None
            alone = mw.compare(of_before, of_after).performance
            assert alone is not None
            assert each.metric.current == alone.metrics[0].current
            assert each.metric.reference == alone.metrics[0].reference
            assert each.metric.p_value == alone.metrics[0].p_value
            cells = [mw.profile(side, like=reference) for side in (of_before, of_after)]
            shares = [next(iter(side.parts.values())).rows for side in cells]
            assert shares == [each.reference_rows, each.rows]


def alarms_of_sixty_by_segments() -> int:
    """How many of sixty comparisons of the same data find drift in a segment, at a level of a tenth."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        sides = [
            {
                "x": rng.normal(size=3_000),
                "y": rng.choice(list("abc"), 3_000),
                "z": rng.choice([f"n{n}" for n in range(12)], 3_000),
            }
            for _ in "ab"
        ]
        found = compare(*sides, by="z", alpha=0.2).segments
        assert found is not None
        alarms += found.severity in ("warning", "alert")
    return alarms


def test_false_alarms_of_many_segments_stay_below_alpha(proofs: Proofs) -> None:
    # Of 60 with a chance of at most .1 each: more than 14 have a chance below .1 %.
    assert proofs.figures(alarms_of_sixty_by_segments) <= 14


def test_rare_names_of_the_same_data_are_no_drift_of_a_segment() -> None:
    """Which of thousands of names a sample has is chance; a name that is new and frequent is not."""
    rng = np.random.default_rng(5)
    common = 1 / np.arange(1, 400)

    def side() -> dict[str, np.ndarray]:
        return {
            "z": rng.choice(list("abcde"), 2_500),
            "common": rng.choice([f"n{n}" for n in range(399)], 2_500, p=common / common.sum()),
            "rare": rng.choice([f"k{n}" for n in range(2_000)], 2_500),
        }

    for _ in range(10):
        found = mw.compare(side(), side(), by="z", alpha=0.2).segments
        assert found is not None
        assert found.severity not in ("warning", "alert")
    before, after = side(), side()
    after["common"] = np.where((after["z"] == "b") & (rng.random(2_500) < 0.6), "a new name", after["common"])
    found = mw.compare(before, after, by="z").segments
    assert found is not None
    assert [each.segment for each in found.segments if each.severity == "alert"] == ["z=b"]


def test_a_reference_keeps_its_segments(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    mw.Reference.fit(before, by=["country", "age"]).save(tmp_path / "reference.mw")
    loaded = mw.Reference.load(tmp_path / "reference.mw")
    assert mw.compare(loaded, after).document == mw.compare(before, after, by=["country", "age"]).document
    one = mw.compare(loaded, after, by="age").segments
    assert one is not None
    assert one.by == ["age"]
    with pytest.raises(ValueError, match="no segments by amount: fit it with by="):
        mw.compare(loaded, after, by="amount")
    with pytest.raises(ValueError, match="no column 'country' to divide it by"):
        mw.compare(loaded, after.drop(columns="country"))
    with pytest.raises(ValueError, match="by names 'other': no features of the reference"):
        mw.compare(before, after, by="other")
    with pytest.raises(ValueError, match="a profile has no segments"):
        mw.compare(loaded, mw.profile(after, like=loaded), by="age")


def test_without_labels_and_in_small_segments(before: pd.DataFrame, after: pd.DataFrame) -> None:
    found = mw.compare(before.drop(columns="ground_truth"), after.drop(columns="ground_truth"), by="country").segments
    assert found is not None
    assert found.metric is None
    assert all(each.metric is None for each in found.segments)
    small = mw.compare(before.head(300), after.head(300), by="country").segments
    assert small is not None
    missing = next(each for each in small.segments if each.segment == "country=(missing)")
    assert {each.severity for each in missing.drift} == {"insufficient_data"}


def test_every_form_of_the_report(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    report = mw.compare(before, after, by="country")
    assert json.loads(report.to_json())["segments"]["segments"][0]["segment"] == "country=FR"
    rows = report.to_frame("segments")
    assert rows["segment"][0] == "country=FR"
    assert rows["drifted"][0] == ["amount"]
    assert mw.compare(before, before).to_frame("segments").empty
    text = report.to_html()
    assert "<h2>Segments</h2>" in text
    assert "country=FR" in text


def test_the_command(
    before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = parquet_files(tmp_path, before, after)
    junit = tmp_path / "junit.xml"
    assert main(["compare", *files, "--by", "country", "--fail-on", "alert", "--junit", str(junit)]) == 1
    assert "country=FR" in capsys.readouterr().out
    cases = {(case.get("classname"), case.get("name")): case for case in ET.parse(junit).getroot()}
    assert cases["segment", "country=FR"].find("failure") is not None
    assert cases["segment", "country=DE"].find("failure") is None
    assert main(["compare", *files, "--by", "other"]) == 2
    assert "'other'" in capsys.readouterr().err
