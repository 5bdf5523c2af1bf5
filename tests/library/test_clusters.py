"""Rows of one customer are alike: two data sets are compared as a monitor with `drift.cluster_by` compares them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelwatch as mw
from modelwatch.cli import main
from modelwatch.config import Settings
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.library.comparison import compare
from modelwatch.library.reports.report import Report
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.references.monitors import put_monitor
from tests.library.sides import parquet_files
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger, open_store


def frame(customers: int, each: int, seed: int, first: int = 0) -> pd.DataFrame:
    """Customers with several rows each; half of the variance of an amount is between them, and most like one colour."""
    rng = np.random.default_rng(seed)
    of_row = np.repeat(np.arange(customers), each)
    liked = rng.choice(["red", "green", "blue"], customers)[of_row]
    colour = np.where(rng.random(len(of_row)) < 0.8, liked, rng.choice(["red", "green", "blue"], len(of_row)))
    return pd.DataFrame(
        {
            "customer": [f"customer {first + place}" for place in of_row],
            "amount": rng.normal(size=customers)[of_row] + rng.normal(size=len(of_row)),
            "colour": colour,
            "country": np.where(of_row % 2, "DE", "FR"),
        }
    )


@pytest.fixture(scope="module")
def before() -> pd.DataFrame:
    return frame(200, 20, 1)


@pytest.fixture(scope="module")
def after() -> pd.DataFrame:
    """Few customers with many rows, of the same distribution."""
    return frame(12, 100, 2, first=200)


def of(report: Report, name: str) -> SubjectReport:
    [found] = [each for each in report.results if each.feature_name == name]
    return found


def test_few_customers_with_many_rows_are_no_drift(before: pd.DataFrame, after: pd.DataFrame) -> None:
    without, found = compare(before, after), compare(before, after, cluster_by="customer")
    assert of(without, "amount").severity == "shifted"
    assert of(found, "amount").severity not in ("shifted", "warning", "alert")
    evidence = of(found, "amount").evidence
    assert evidence is not None
    # 1,200 values of groups of 100 and a correlation of a half, beside 4,000 of groups of 20.
    expected = 1_200 / (1 + 0.5 * (99 * 4_000 + 19 * 1_200) / 5_200)
    assert evidence.effective_n == pytest.approx(expected, rel=0.3)
    assert {each.name: each.effective_n for each in found.subjects}["amount"] == evidence.effective_n
    # Customers come and go: they are not compared.
    assert [each.name for each in found.subjects] == ["amount", "colour", "country"]
    assert found.left_out["customer"] == "rows are grouped by it"


def test_a_shift_of_all_customers_is_drift(before: pd.DataFrame) -> None:
    moved = frame(200, 20, 3)
    moved["amount"] += 1.5
    assert compare(before, moved, cluster_by="customer").drifted == ["amount"]


def test_of_known_customers_the_evidence_is_that_of_a_monitor(before: pd.DataFrame, tmp_path: Path) -> None:
    # The service counts the 100 most frequent ones one by one.
    before = before[before["customer"].str.len() < len("customer 100")]
    after = before.groupby("customer").head(5)
    with closing(open_store(tmp_path)) as store:
        config = parse_monitor({"drift": {"cluster_by": "customer"}})
        put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)
        samples = [
            ReferenceSample("feature", name, "continuous" if name == "amount" else "categorical", before[name].tolist())
            for name in ("customer", "amount", "colour")
        ]
        set_reference_frame(store, ReferenceFrame("m", None, samples, in_rows=True), now=NOON, new_id=new_id)
        rows = after[["customer", "amount", "colour"]].to_dict("records")
        events = [event(f"p{place}", row, timestamp=NOON - 1_800_000_000) for place, row in enumerate(rows)]
        assert all(open_ledger(store).commit(events).accepted)
        served = check_drift(store, DriftRules.of(Settings()), DriftQuery("m", "production", "1", lookback="1h"), NOON)
    report = compare(before, after, cluster_by="customer")
    for each in served.drift_results:
        ours = of(report, each.feature_name).evidence
        assert ours is not None
        assert each.evidence is not None
        assert (ours.p_value, ours.effective_n) == (each.evidence.p_value, each.evidence.effective_n)
        assert ours.effective_n is not None
    assert [each.feature_name for each in served.drift_results] == ["amount", "colour"]


def test_segments_allow_for_it_too(before: pd.DataFrame, after: pd.DataFrame) -> None:
    without = compare(before, after, by="country").segments
    found = compare(before, after, by="country", cluster_by="customer").segments
    assert without is not None
    assert found is not None
    assert without.severity == "alert"
    assert found.severity not in ("warning", "alert")


def test_a_saved_reference_knows_it(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reference.mw"
    mw.Reference.fit(before, cluster_by="customer").save(path)
    loaded = mw.Reference.load(path)
    expected = compare(before, after, cluster_by="customer")
    assert compare(loaded, after).results == compare(loaded, after, cluster_by="customer").results == expected.results
    with pytest.raises(ValueError, match=r"'country'.*fit it with cluster_by="):
        compare(loaded, after, cluster_by="country")
    with pytest.raises(ValueError, match=r"'customer'.*fit it with cluster_by="):
        compare(mw.Reference.fit(before), after, cluster_by="customer")


def test_without_the_key_now_groups_are_as_large_as_in_the_reference(before: pd.DataFrame, after: pd.DataFrame) -> None:
    evidence = of(compare(before, after.drop(columns="customer"), cluster_by="customer"), "amount").evidence
    assert evidence is not None
    assert evidence.effective_n is not None
    assert 50 < evidence.effective_n < 200


def test_a_key_that_is_no_feature_is_named(before: pd.DataFrame, after: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="cluster_by is 'client': the reference has no such feature"):
        compare(before, after, cluster_by="client")


def test_the_command(
    before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = parquet_files(tmp_path, before, after)
    assert main(["compare", *files, "--fail-on", "warning"]) == 1
    assert main(["compare", *files, "--fail-on", "warning", "--cluster-by", "customer"]) == 0
    capsys.readouterr()
    assert main(["compare", *files, "--cluster-by", "client"]) == 2
    assert "'client'" in capsys.readouterr().err


def test_new_customers_from_many_cities_are_no_drift_and_an_id_of_each_is_not_judged() -> None:
    rng = np.random.default_rng(4)

    def side(customers: int, first: int) -> pd.DataFrame:
        of_row = np.arange(customers).repeat(5)
        names = [f"customer {first + place}" for place in of_row]
        cities = rng.integers(0, 300, customers)[of_row].astype(str)
        return pd.DataFrame({"customer": names, "city": cities, "account": [f"of {name}" for name in names]})

    before, after = side(1_000, 0), side(400, 1_000)
    assert of(compare(before, after), "city").severity == "alert"
    report = compare(before, after, cluster_by="customer")
    assert of(report, "city").severity == "stable"
    assert of(report, "account").severity == "insufficient_data"
    assert "100 % of the reference's values have names that one value of the key alone has" in str(
        of(report, "account").reason
    )
