"""Two data sets compared without a service: the service's numbers, from every kind of data set, and no false alarms."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import modelwatch as mw
from modelwatch.cli import main
from modelwatch.library.comparison import compare
from modelwatch.library.sources import UnreadableSource
from modelwatch.stats.drift.variation.natural_variation import MAX_SPANS
from tests.library.sides import parquet_files
from tests.proofs.lock import Proofs
from tests.support.servers.live_service import LiveService

ROWS = 3_000


def data(seed: int, *, moved: bool = False, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": np.exp(rng.normal(0, 1, rows)) * (2.2 if moved else 1),
            "age": rng.integers(18, 80, rows),
            "country": rng.choice(["DE", "FR", "IT"], rows, p=[0.2, 0.3, 0.5] if moved else [0.5, 0.3, 0.2]),
            "is_new": rng.random(rows) < 0.3,
            "prediction": rng.choice(["yes", "no"], rows),
            "prediction_probability": rng.random(rows),
        }
    )
    frame.loc[: rows // 10, "age"] = np.nan if moved else frame.loc[: rows // 10, "age"]
    return frame


@pytest.fixture(scope="module")
def before() -> pd.DataFrame:
    return data(1)


@pytest.fixture(scope="module")
def after() -> pd.DataFrame:
    return data(2, moved=True)


def parquet_of(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return sink.getvalue()


def test_the_numbers_are_those_of_the_service(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    named = {"model_name": "m"}
    put: dict[str, Any] = {"params": named, "headers": {"Content-Type": "application/vnd.apache.parquet"}}
    with LiveService(tmp_path) as service, httpx.Client(base_url=service.url, timeout=60) as client:
        content = parquet_of(before)
        client.post("/api/v1/reference", content=content, **put).raise_for_status()
        client.post("/api/v1/predictions/batch", content=parquet_of(after), **put).raise_for_status()
        answer = client.post("/api/v1/drift/check", json={**named, "lookback": "24h"}).raise_for_status()
    served = {each["feature_name"]: each for each in answer.json()["drift_results"]}
    report = mw.compare(before, after)
    assert set(served) == {each.name for each in report.subjects}
    for each in report.subjects:
        other = served[each.name]
        assert each.sample_size == other["sample_size"]
        assert each.reference_counts == other["counts"]["reference"]
        assert each.current_counts == other["counts"]["current"]
        assert each.psi == other["psi"]["score"]
        assert each.p_value == other["evidence"]["p_value"]
        assert each.jensen_shannon == other["jensen_shannon"]["distance"]
        assert each.ks == (other["ks_test"] and other["ks_test"]["statistic"])


def test_what_moved_is_found_and_said(before: pd.DataFrame, after: pd.DataFrame) -> None:
    report = mw.compare(before, after)
    assert report.severity == "alert"
    assert report.drifted == ["amount", "country"]
    amount, country = report.subjects[:2]
    assert (amount.pattern, round(amount.factor or 0, 1)) == ("one_factor", 2.2)
    assert country.severity == "alert"
    (missing,) = report.quality
    assert (missing.name, missing.rule, missing.severity) == ("age", "missing", "alert")
    text = report.summary()
    assert "2 of 6 columns drifted: 3,000 rows compared with 3,000 of the reference." in text
    assert "every value is about 2.16 times what it was" in text
    assert "age: 0 % → 10.0 % missing values" in text


def of_classes(common: int, other: int, fraud: int) -> pd.DataFrame:
    """So many predictions of each class, every other one in another segment."""
    names = ["common"] * common + ["other"] * other + ["fraud"] * fraud
    return pd.DataFrame({"prediction": names, "ground_truth": names, "shop": ["a", "b"] * (len(names) // 2)})


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ((6_250, 3_450, 300), "fraud: 1.0 % → 3.0 %, odds ratio 3.05"),
        ((6_000, 3_980, 20), "fraud: 1.0 % → 0.20 %, odds ratio 4.94"),
    ],
)
def test_a_rare_class_whose_odds_decided_is_named_with_them(
    after: tuple[int, int, int], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = of_classes(6_000, 3_900, 100), of_classes(*after)
    report = mw.compare(*sides, by="shop")
    drifted = next(each for each in report.subjects if each.name == "prediction")
    assert (drifted.odds_category, f"{drifted.odds_ratio:.2f}") == ("fraud", said[-4:])
    lines = report.summary().splitlines()
    assert f"  {drifted.severity}: prediction; {said}" in lines
    assert f"  {drifted.severity}: labels that are {said}" in lines
    of_segment = r"  (alert|warning): shop=a: prediction odds ratio \d\.\d+ of fraud"
    assert any(re.fullmatch(of_segment, each) for each in lines)
    html = report.to_html()
    assert f">{said}</td>" in html
    assert f">labels that are {said}</td>" in html
    assert main(["compare", *parquet_files(tmp_path, *sides), "--junit", str(tmp_path / "junit.xml")]) == 0
    assert f"prediction: {said}" in capsys.readouterr().out
    assert (tmp_path / "junit.xml").read_text().count(f'{said}"') == 2


def test_a_class_that_moved_is_named_by_its_share_where_the_psi_decided() -> None:
    report = mw.compare(of_classes(6_000, 3_900, 100), of_classes(3_000, 6_900, 100))
    [drifted] = [each for each in report.subjects if each.name == "prediction"]
    assert (drifted.odds_category, drifted.odds_ratio) == (None, None)
    assert f"prediction, PSI {drifted.psi:.3f}; common: 60.0 % → 30.0 %" in report.summary()
    assert "labels that are common: 60.0 % → 30.0 %" in report.summary()


def test_without_a_change_there_is_no_drift(before: pd.DataFrame) -> None:
    report = mw.compare(before, data(3))
    assert (report.severity, report.drifted, report.quality) == ("stable", [], [])
    assert report.summary().startswith("No drift in 6 columns")


def test_a_small_but_real_shift_is_no_drift_and_is_said() -> None:
    rng = np.random.default_rng(6)
    before, now = ({"x": rng.normal(mean, 1, 20_000), "y": list(range(20_000))} for mean in (0, 0.15))
    report = mw.compare(before, now)
    assert (report.severity, report.drifted) == ("shifted", [])
    assert "Shifted, but no drift: x: A real difference (p" in report.summary()
    assert ">shifted</span>" in report.to_html()


def alarms_of_four_hundred() -> int:
    """How many of as many comparisons of the same data find drift, at a level of a tenth."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(400):
        sides = [
            {f"f{n}": rng.normal(0, 1, 120) for n in range(4)} | {"c": rng.choice(list("abcdef"), 120)} for _ in "ab"
        ]
        alarms += compare(*sides, alpha=0.1).severity != "stable"
    return alarms


def test_false_alarms_stay_below_alpha(proofs: Proofs) -> None:
    """Small samples, so that chance alone makes the PSI large; each comparison may raise one with this chance."""
    # Of 400 with a chance of at most .1 each: more than 58 have a chance below .1 %.
    assert proofs.figures(alarms_of_four_hundred) <= 58


def test_every_kind_of_data_set(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(after, preserve_index=False)
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, part in enumerate((table.slice(0, 1_000), table.slice(1_000))):
        pq.write_table(part, folder / f"{number}.parquet")
    pq.write_table(table, tmp_path / "one.parquet")
    pyarrow.csv.write_csv(table, tmp_path / "one.csv")
    pyarrow.feather.write_feather(table, tmp_path / "one.arrow")
    expected = mw.compare(before, after).document
    kinds: list[Callable[[], Any]] = [
        lambda: table,
        lambda: {name: after[name].to_numpy() for name in after.columns},
        lambda: after.to_dict("list"),
        lambda: tmp_path / "one.parquet",
        lambda: str(tmp_path / "one.arrow"),
        lambda: tmp_path / "one.csv",
        lambda: folder,
        lambda: table.to_reader(),
    ]
    for kind in kinds:
        assert mw.compare(before, kind()).document == expected


def test_frames_of_polars(before: pd.DataFrame, after: pd.DataFrame) -> None:
    polars = pytest.importorskip("polars")
    expected = mw.compare(before, after).document
    frame = polars.from_arrow(pa.Table.from_pandas(after, preserve_index=False))
    assert mw.compare(before, frame).document == expected
    assert mw.compare(before, frame.lazy()).document == expected


def test_relations_of_duckdb(before: pd.DataFrame, after: pd.DataFrame) -> None:
    duckdb = pytest.importorskip("duckdb")
    expected = mw.compare(before, after).document
    relation = duckdb.from_arrow(pa.Table.from_pandas(after, preserve_index=False))
    assert mw.compare(before, relation).document == expected


def test_a_reference_is_saved_and_loaded(before: pd.DataFrame, after: pd.DataFrame, tmp_path: Path) -> None:
    mw.Reference.fit(before).save(tmp_path / "reference.mw")
    loaded = mw.Reference.load(tmp_path / "reference.mw")
    assert loaded.rows == ROWS
    assert mw.compare(loaded, after).document == mw.compare(before, after).document
    with pytest.raises(TypeError, match="names of columns already: prediction"):
        mw.compare(loaded, after, prediction="other")


def test_a_file_that_is_no_reference(tmp_path: Path) -> None:
    (tmp_path / "other.mw").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"other\.mw is no saved reference"):
        mw.Reference.load(tmp_path / "other.mw")
    with pytest.raises(FileNotFoundError):
        mw.Reference.load(tmp_path / "absent.mw")


def test_natural_variation_of_a_reference_with_times() -> None:
    """A reference whose mean swings each day: a stretch of one mean is nothing new."""
    rng = np.random.default_rng(3)
    hours = np.arange(24 * 30 * 100) / 100
    swing = 1.5 * np.sin(hours / 24 * 2 * np.pi)
    times = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(hours, unit="h")
    reference = pd.DataFrame({"x": swing + rng.normal(0, 1, len(hours)), "timestamp": times})
    later = pd.Timestamp("2026-02-01", tz="UTC") + pd.to_timedelta(np.arange(400) * 9, unit="s")
    current = pd.DataFrame({"x": 1.0 + rng.normal(0, 1, 400), "timestamp": later})
    with_times = mw.compare(reference, current).subjects[0]
    without = mw.compare(reference.drop(columns="timestamp"), current).subjects[0]
    assert with_times.severity == "stable"
    assert with_times.natural_variation is not None
    assert without.natural_variation is None
    assert without.severity == "alert"


def test_what_is_not_compared_is_named() -> None:
    reference = {"a": [1.0] * 200, "only_before": [1] * 200, "nothing": [None] * 200, "list": [[1]] * 200}
    current = pd.DataFrame({"a": [1.0] * 200, "only_now": 1, "nothing": 1, "list": [[1]] * 200})
    report = mw.compare(reference, current)
    assert [each.name for each in report.subjects] == ["a"]
    assert report.left_out == {
        "nothing": "it has no value in the reference",
        "list": "its type is list<item: int64>; numbers, text and booleans can be compared",
        "only_before": "the data set to compare does not have it",
        "only_now": "the reference does not have it",
    }
    mixed = mw.compare({"a": [1.0] * 200}, pd.DataFrame({"a": [1, "x"] * 100}))
    assert mixed.severity == "no_data"
    assert "a" in mixed.left_out


def test_too_few_values_have_no_verdict() -> None:
    report = mw.compare({"a": list(range(500))}, {"a": list(range(20))})
    assert report.severity == "insufficient_data"
    assert "No verdict on a" in report.summary()


@pytest.mark.parametrize("rows", [1, 3, 9])
def test_nothing_is_judged_beside_fewer_than_ten_rows(rows: int) -> None:
    rng = np.random.default_rng(4)
    report = mw.compare({"a": rng.normal(size=rows)}, {"a": rng.normal(size=50_000)})
    assert report.severity == "insufficient_data"
    assert f"{rows} of at least 10" in report.summary()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (5, TypeError, "a int is no data set"),
        ("absent.parquet", UnreadableSource, "absent.parquet: there is no such file or folder"),
        ({"a": [1], "b": [1, 2]}, UnreadableSource, "columns of unequal length"),
        ({"a": []}, ValueError, "the data set to compare has no row"),
    ],
)
def test_what_can_not_be_read_is_named(given: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mw.compare({"a": [1, 2, 3]}, given)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(UnreadableSource, match=r"broken\.parquet"):
        mw.compare({"a": [1]}, tmp_path / "broken.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableSource, match="there is no Parquet file in this folder"):
        mw.compare({"a": [1]}, tmp_path / "empty")


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".csv.gz", "gzip"), (".csv.bz2", "bz2"), (".tsv.zst", "zstd"), (".CSV.lz4", "lz4")]
)
def test_compressed_csv_is_read_as_csv_is(tmp_path: Path, suffix: str, codec: str) -> None:
    plain, compressed = tmp_path / "plain.csv", tmp_path / f"data{suffix}"
    plain.write_text("a,b\n" + "".join(f"{row % 7},{'xyz'[row % 3]}\n" for row in range(500)))
    with pa.CompressedOutputStream(compressed, codec) as stream:
        stream.write(plain.read_bytes())
    found = mw.compare(plain, compressed)
    assert ({each.name for each in found.subjects}, found.severity, found.left_out) == ({"a", "b"}, "stable", {})


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows.parquet.gz", "rows.gz", "rows"])
def test_a_file_of_another_format_is_told_which_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(UnreadableSource, match=r"this is no Parquet file; what can be read: .*\.csv.*\.gz"):
        mw.compare({"a": [1]}, tmp_path / name)


def test_a_file_that_is_not_compressed_as_its_name_says(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_text("a\n1\n")
    with pytest.raises(UnreadableSource, match=r"rows\.csv\.gz: "):
        mw.compare({"a": [1]}, tmp_path / "rows.csv.gz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"min_samples": 0}, "min_samples"),
        ({"psi_warning": 0.5}, "psi_warning is 0.5"),
        ({"tolerance": 0}, "tolerance is 0: expected a number above 0"),
        ({"alpha": math.nan}, "alpha is nan: expected a number between 0 and 1"),
        ({"min_samples": math.nan}, "min_samples is nan: expected at least 1"),
        ({"psi_warning": math.nan}, "psi_warning is nan"),
        ({"psi_alert": math.nan}, "psi_alert nan"),
        ({"tolerance": math.nan}, "tolerance is nan: expected a number above 0"),
    ],
)
def test_settings_that_can_not_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mw.compare({"a": [1]}, {"a": [1]}, **settings)  # type: ignore[arg-type]


def test_times_that_are_none() -> None:
    with pytest.raises(ValueError, match="the column 'timestamp' holds no times"):
        mw.compare({"a": [1, 2], "timestamp": ["x", "y"]}, {"a": [1]})


@pytest.mark.parametrize(
    ("seconds", "message"),
    [(1_770_000_000_000, "row 1 has one 1,770,000,000,000 s after 1970"), (2**62, "out of bounds timestamp")],
)
def test_times_that_no_date_can_tell(seconds: int, message: str) -> None:
    """Milliseconds that were taken for seconds, on either side: there was an OverflowError, or another time."""
    stray = {"a": [1, 2], "timestamp": pa.array([0, seconds], pa.timestamp("s"))}
    plain = {"a": [1, 2], "timestamp": pa.array([0, 60], pa.timestamp("s"))}
    for reference, current in ((stray, plain), (plain, stray)):
        with pytest.raises(ValueError, match=f"the column 'timestamp' holds no times.*{message}"):
            mw.compare(pa.table(reference), pa.table(current))


@pytest.mark.parametrize("stray", ["0001-01-01", "1900-01-01", "1970-01-01", "9999-12-31"])
def test_a_stray_date_costs_no_more_than_the_variation(stray: str) -> None:
    """It made pieces of a week from there on, of each column."""
    rng, times = np.random.default_rng(0), np.datetime64("2026-01-01", "s") + np.arange(2_000) * 600
    times[7] = np.datetime64(stray, "s")
    data = {f"x{number}": rng.normal(size=2_000) for number in range(5)} | {"timestamp": times}
    fitted = mw.Reference.fit(data)
    for each in fitted.subjects.values():
        assert each.variation is not None
        assert len(each.variation.counts) <= MAX_SPANS
    found = mw.compare(fitted, data)
    assert (found.severity, {each.natural_variation for each in found.subjects}) == ("stable", {None})
