"""The report of a comparison: as data, as a frame, and as a page that opens from a disk, without scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import modelwatch as mw
from modelwatch.charts.drawing.numbers import SPACE
from modelwatch.cli import main
from modelwatch.library.reports.report import Document, Report
from tests.support.examples import is_night

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMA_FILE = REPOSITORY / "docs" / "comparison.schema.json"
# Looked at by axe in each run, as every page of the service; the other widths and schemes every night.
BY_AXE = ((390, "light"), (1280, "dark"))
NAMES = ["<script>alert(1)</script>", "名前", "اسم", "a" * 200]


def schema() -> str:
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Document)), indent=1).decode() + "\n"


@pytest.fixture(scope="module")
def report() -> Report:
    rng = np.random.default_rng(0)

    def side(shift: float) -> dict[str, Any]:
        numbers = {f"feature {place}": rng.normal(shift * (place % 5 == 0), 1, 2_000) for place in range(40)}
        texts = {name: rng.choice(["<b>", "x", "y"], 2_000) for name in NAMES}
        more = {f"category {place}": rng.integers(0, 30, 2_000).astype(str) for place in range(6)}
        return {**numbers, **texts, **more}

    return mw.compare(side(0), side(1) | {"new": [1] * 2_000})


def test_json(report: Report, tmp_path: Path) -> None:
    found = json.loads(report.to_json(tmp_path / "report.json"))
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert found["schema"] == "modelwatch-comparison/1"
    assert found["severity"] == "alert"
    assert len(found["subjects"]) == 50
    assert len(found["drifted"]) == 8
    assert found["left_out"] == {"new": "the reference does not have it"}
    first = found["subjects"][0]
    assert sum(first["current_counts"]) == first["sample_size"] == 2_000
    assert len(first["cells"]) == len(first["reference_counts"])


def test_the_schema_of_the_json_is_that_of_the_documentation() -> None:
    """After a change: python -m tests.library.reports.test_report writes it."""
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == json.loads(schema())


def test_the_title_of_the_page_has_all_findings_as_its_heading() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=2_000)
    before = {"x": values, "few": np.where(np.arange(2_000) < 2_000, values, np.nan)}
    after = {"x": np.where(np.arange(2_000) % 2, values, np.nan), "few": np.where(np.arange(2_000) < 5, 0.0, np.nan)}
    text = mw.compare(before, after).to_html()
    titles = [re.search(f"<{tag}>(.+?)</{tag}>", text) for tag in ("title", "h1")]
    said = "No drift in 1 of 2 columns, no verdict on the other; data quality is worse"
    assert [each and each.group(1) for each in titles] == [said, said]


def test_frame(report: Report) -> None:
    frame = report.to_frame()
    assert len(frame) == 50
    assert frame["severity"].tolist()[:8] == ["alert"] * 8
    assert {"name", "psi", "p_value", "missing", "reference_missing"} <= set(frame.columns)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_html_is_small_and_has_no_scripts(report: Report, tmp_path: Path) -> None:
    text = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == text
    assert len(text.encode()) <= 300_000
    tags = Tags()
    tags.feed(text)
    assert not {"script", "link", "iframe", "img"} & set(tags.tags)
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert all(value is None or value.startswith(("#", "url(#")) for name, value in tags.attributes if name == "href")
    assert tags.tags.count("details") == 50
    assert "&lt;script&gt;" in text


def test_a_feature_may_have_the_name_of_another_subject() -> None:
    """Here the prediction is in `y`, and a feature is called `prediction`: each has the chart of its own cells."""
    rng = np.random.default_rng(1)
    before, after = ({"prediction": rng.normal(at, 1, 500), "y": rng.choice(["no", "yes"], 500)} for at in (0, 2))
    report = mw.compare(before, after, prediction="y")
    assert {(each.kind, each.name) for each in report.subjects} == {
        ("feature", "prediction"),
        ("prediction", "prediction"),
    }
    text = report.to_html()
    assert text.count("chart-histogram") - text.count(".chart-histogram") == 1
    assert text.count('class="chart chart-categories"') == 1


def test_columns_of_few_values_and_of_many_zeros_have_their_chart() -> None:
    rng = np.random.default_rng(3)
    rows = 1_000

    def side(share: float) -> dict[str, Any]:
        return {
            "zeros": np.where(rng.random(rows) < share, 0.0, rng.exponential(1, rows)),
            "sevens": np.where(rng.random(rows) < share, 7.0, rng.normal(7, 2, rows)),
            "few": rng.integers(0, 3, rows),
            "one": np.full(rows, 5.0),
        }

    text = mw.compare(side(0.5), side(0.2)).to_html()
    assert text.count('class="chart chart-histogram') == 4
    for name in ("= 0:", "= 7:", "= 1:", "= 5:"):
        assert name in text
    assert "6.999999" not in text


def test_the_category_that_decided_is_drawn_however_rare_it_is_and_what_is_left_out_is_said() -> None:
    rng = np.random.default_rng(1)
    names = [f"c{place:02}" for place in range(30)]

    def side(rows: int, share: float) -> dict[str, Any]:
        shares = [*[(1 - share) / 29] * 29, share]
        return {"prediction": rng.choice(names, rows, p=shares), "x": rng.normal(size=rows)}

    report = mw.compare(side(20_000, 0.004), side(8_000, 0.012))
    assert report.drifted == ["prediction"]
    [decided] = [each for each in report.subjects if each.name == "prediction"]
    assert decided.odds_category == "c29"
    text = report.to_html()
    chart = text[text.index('class="chart chart-categories"') :]
    chart = chart[: chart.index("</details>")]
    assert "<title>c29: 1" in chart
    assert sum(f"<title>{name}: " in chart for name in names) == 15
    assert "15 of 30 categories are left out: rarer ones." in chart
    few = mw.compare({"x": ["a", "b"] * 500}, {"x": ["a", "b"] * 500}).to_html()
    assert "left out" not in few


def test_a_notebook_shows_it_in_a_frame_of_its_own(report: Report) -> None:
    tags = Tags()
    tags.feed(report._repr_html_())
    assert tags.tags == ["iframe"]
    assert dict(tags.attributes)["srcdoc"] == report.to_html()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    from tests.support.servers.programs import installed

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=installed("chromium", "chromium"), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def page(report: Report, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The report in a tab: opening it takes longer than to look at it once more."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.to_html(path)
    with opened(browser, path) as page:
        yield page


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(page: Any, width: int, scheme: str) -> None:
    look(page, width, scheme)


def test_performance_and_segments_in_a_browser(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)

    def side(right: float) -> dict[str, Any]:
        truth = rng.random(1_500) < 0.4
        called = np.where(rng.random(1_500) < right, truth, ~truth)
        score = np.clip(np.where(called, 0.8, 0.2) + rng.normal(0, 0.1, 1_500), 0, 1)
        country = rng.choice(["DE", "a rather long name of a country", "名前"], 1_500)
        return {"country": country, "prediction": called, "prediction_probability": score, "ground_truth": truth}

    path = tmp_path / "report.html"
    mw.compare(side(0.9), side(0.8), by="country").to_html(path)
    with opened(browser, path) as page:
        for width, scheme in BY_AXE:
            look(page, width, scheme)


@contextmanager
def opened(browser: Any, path: Path) -> Iterator[Any]:
    """A tab that shows a file, and says nothing on the console."""
    page = browser.new_page()
    try:
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.goto(path.as_uri())
        yield page
        assert not messages
    finally:
        page.close()


def look(page: Any, width: int, scheme: str) -> None:
    """The page fits its width, on screens and in print, and can be read by everybody."""
    from axe_playwright_python.sync_playwright import Axe

    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(media="screen", color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if (width, scheme) in BY_AXE or is_night():
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    import pandas as pd

    rng = np.random.default_rng(0)
    paths = []
    for name, shift in (("before", 0.0), ("after", 1.0)):
        path = tmp_path / f"{name}.csv"
        frame = pd.DataFrame({"x": rng.normal(shift, 1, 1_000), "y": rng.normal(0, 1, 1_000), "id": range(1_000)})
        frame.to_csv(path, index=False)
        paths.append(str(path))
    return paths[0], paths[1]


def test_the_command_prints_what_it_can_where_the_encoding_has_not_all_characters(
    files: tuple[str, str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelwatch", "compare", *files, "--ignore", "id"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 2 columns drifted" in done.stdout
    assert re.search(r"^x +alert +\S+ +< 10\^-\d+ +1,000$", done.stdout, re.MULTILINE), done.stdout


def test_the_command(files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files, "--ignore", "id"]) == 0
    shown = capsys.readouterr().out
    assert "1 of 2 columns drifted" in shown
    assert all(len(line) <= 80 for line in shown.splitlines()[2:])
    assert SPACE not in shown
    assert main(["compare", *files, "--ignore", "id", "--fail-on", "warning", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["drifted"] == ["x"]
    html, junit = tmp_path / "report.html", tmp_path / "junit.xml"
    assert main(["compare", files[0], files[0], "--html", str(html), "--junit", str(junit), "--fail-on", "alert"]) == 0
    assert html.read_text("utf-8").startswith("<!doctype html>")
    import xml.etree.ElementTree as ET

    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "0")


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]) == 2
    assert "a.csv: there is no such file or folder" in capsys.readouterr().err
    assert main(["compare", "a", "b", "--fail-on", "everything"]) == 2
    assert "--fail-on 'everything'" in capsys.readouterr().err


def test_no_verdict_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("x\n" + "\n".join(map(str, range(20))))
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert main(["compare", *files, "--fail-on", "no-verdict"]) == 4


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema(), "utf-8")
