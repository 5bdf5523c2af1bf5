"""The recorded report of the benchmarks, and when `make bench-check` fails."""

from __future__ import annotations

import json
import math
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from benchmarks import recorded
from benchmarks.__main__ import BENCHMARKS, LONG, check, module_of, run_of
from benchmarks.goals import BEFORE_COLUMNS, GOALS
from benchmarks.peers.data import Size
from benchmarks.peers.environments import PeerMissing
from benchmarks.peers.run import peers_named
from benchmarks.recorded import TRIES, Measured, record, recorded_ratios, regressions, this_machine
from benchmarks.report import Row, compared, less
from benchmarks.servers import Server
from benchmarks.simulations import directed_levels, levels
from benchmarks.simulations.levels import Names
from benchmarks.storage.shapes import SHAPES
from tests.support.data.arrivals import KINDS
from tests.support.servers.live_service import LiveService
from tests.support.servers.programs import installed

FAST = Row("counting", 10.0, "ns", 40.0, 4.0, "9-11 | quiet")
BARE = Row("size", 3.0, "MB", None, None, "once")


ONE_CASE = (Names(50, 0.0, 300, 300),)
# What is changed of modules so that a benchmark takes a second or some.
SMALL: dict[str, dict[str, Any]] = {
    "batches": {"WAYS": ("lists", "maps", "arrow"), "BODIES_BESIDE": 1},
    "client": {"QUICK_CALLS": 400, "QUICK_SECONDS": 1},
    "compare": {"REPETITIONS": 3, "QUICK": Size(500, 500, 3), "PEERS": ()},
    "detection": {"TRAFFIC": {100.0: (20, 20, ("1",))}},
    "directed_levels": {"CASES": dict(list(directed_levels.CASES.items())[:1])},
    "evaluation": {"QUICK_SIZES": ((50, 14, 10), (60, 4, 20)), "QUICK_ROUNDS": 2},
    "ingest": {"SECONDS": 1, "CONNECTIONS": 2},
    "kernels": {"FEATURES": 5, "CATEGORICAL": 1, "PSEUDO_VALUES": 1_000, "QUICK_REPETITIONS": 1},
    "labels": {"QUICK": 2_000, "BATCH": 200},
    "levels": {"CASES": levels.CASES[:1], "NAMES": ONE_CASE, "GRID": ONE_CASE},
    "merging": {"QUICK_PROFILES": 20, "MADE": 2, "REFERENCE_ROWS": 1_000},
    "nearly_ids": {"CASES": ((Names(540, 0.0, 300, 300), 10_000),)},
    "pages": {"QUICK_MODELS": 5, "QUICK_HOURS": 3, "FEATURES": 8, "REPETITIONS": 2},
    "postgres": {"QUICK_SECONDS": 0.1, "QUICK_ROUNDS": 1, "QUICK_LABELS": 200, "PROCESSES": (1, 2)},
    "reads": {"MODELS": 3, "HOURS": 2, "FEATURES": 5, "WIDE": 5, "DAYS": 3, "HOURS_A_DAY": 2, "QUICK": 2},
    "replay": {"QUICK": 500, "DAYS": 10},
    "retention": {"QUICK_PREDICTIONS": 1_000, "SMALL_COMMITS": 5, "BATCH": 100, "QUICK_ROWS_A_DAY": 40},
    "segments": {"PREDICTIONS": 2_000},
    "soak": {"QUICK_SECONDS": 1.0},
    "starvation": {"QUICK_SHARE": 200},
    "store": {"QUICK_BATCHES": 2, "GROUPS": 2, "QUICK_KNOWN": 50, "COMMITS": 2, "SHAPES": (SHAPES[0], SHAPES[-1])},
    "volume": {"KINDS": {"constant": KINDS["constant"]}, "RATES": (10,)},
    "ways": {"SPANS": {"one window": 200}},
}


@contextmanager
def forked_service(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A service as benchmarks measure them, but on any core and there at once."""
    with LiveService(folder, **(environment or {})) as live:
        assert live.pid is not None
        yield Server(live.port, live.pid)


BESIDE: dict[str, dict[str, Any]] = {
    "batches": {
        "benchmarks.service.batches.service": forked_service,
        "benchmarks.service.batches.ROWS": 200,
        "benchmarks.service.ways.ROWS": 200,
    },
    "catching_up": {"modelwatch.demo.story.STREAM_HOURS": 6, "modelwatch.demo.story.STREAM_SIZE": 3_000},
    "keys": {
        "benchmarks.service.ingest.SECONDS": 1,
        "benchmarks.service.ingest.CONNECTIONS": 2,
        "benchmarks.service.keys.service": forked_service,
    },
    "store": {"benchmarks.storage.shapes.REFERENCE_ROWS": 200},
}


class Tries:
    """A benchmark that gives these ratios, one a run."""

    def __init__(self, *ratios: float) -> None:
        self._ratios = list(ratios)
        self.runs = 0

    def __call__(self) -> Sequence[Row]:
        self.runs += 1
        return [replace(FAST, ratio=self._ratios.pop(0)), BARE]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    found = tmp_path / "report.json", tmp_path / "report.md"
    monkeypatch.setattr(recorded, "FIGURES", found[0])
    monkeypatch.setattr(recorded, "PAGE", found[1])
    return found


def test_a_ratio_may_fall_by_a_fifth() -> None:
    run = Tries(3.2)
    assert regressions("kernels", run, {"counting": 4.0}) == []
    assert run.runs == 1


def test_one_good_try_is_enough() -> None:
    run = Tries(1.0, 2.0, 3.9)
    assert regressions("kernels", run, {"counting": 4.0}) == []
    assert run.runs == TRIES


def test_a_ratio_that_stays_below_is_a_regression() -> None:
    run = Tries(3.1, 3.0, 2.0)
    assert regressions("kernels", run, {"counting": 4.0}) == ["kernels: counting: 3.1 times its baseline, recorded 4"]
    assert run.runs == TRIES


def test_what_is_not_measured_any_more_is_a_regression() -> None:
    assert regressions("kernels", Tries(4.0, 4.0, 4.0), {"gone": 2.0}) == [
        "kernels: gone: recorded, and not measured any more"
    ]


def test_the_report_has_the_machine_and_every_command(files: tuple[Path, Path]) -> None:
    machine = this_machine()
    record(machine, {"kernels": Measured([FAST, BARE], 61.4, "make bench ARGS=kernels")})
    record(machine, {"ways": Measured([FAST], 9.6, 'make bench ARGS="ways --quick"')})
    page = files[1].read_text()
    assert "`make bench ARGS=kernels`, 61 s on" in page
    assert '`make bench ARGS="ways --quick"`, 10 s on' in page
    assert f"{machine.cores} cores" in page
    assert f"Python {machine.versions['Python']}" in page
    assert "| counting | 10 | ns | 40 | 4 | 9-11 \\| quiet |" in page
    assert recorded_ratios() == {"kernels": {"counting": 4.0}, "ways": {"counting": 4.0}}
    assert json.loads(files[0].read_text())["benchmarks"]["kernels"]["rows"][1]["baseline"] is None


def test_the_report_says_which_goals_are_reached(files: tuple[Path, Path]) -> None:
    rows = [
        replace(FAST, name="durable single-prediction ingest, 10 features", ratio=3.6),
        replace(BARE, name="durable single-prediction ingest, 10 features: 99th percentile at 64", value=31, unit="ms"),
    ]
    arrow = replace(FAST, name=f"batch as arrow, beside {BEFORE_COLUMNS}: processor time", ratio=6.9)
    other = replace(arrow, name="batch as arrow, beside abc: processor time", ratio=1.0)
    record(
        this_machine(), {"ingest": Measured(rows, 1.0, ""), "batches, before abc": Measured([other, arrow], 1.0, "")}
    )
    page = files[1].read_text()
    assert f"| {GOALS[0].work} | {GOALS[0].beside} | 3.6 times | ≥ 3.5 times | reached |" in page
    assert "| 31 ms | ≤ 25 ms | **not reached** |" in page
    assert "| 6.9 times | ≥ 7 times | **not reached** |" in page
    assert page.count("| not recorded |") == len(GOALS) - 3


def test_goals_beside_the_service_of_before_are_measured_beside_its_commit(files: tuple[Path, Path]) -> None:
    smaller = replace(FAST, name=f"SQLite, 50 numbers, 1,000 a commit, beside {BEFORE_COLUMNS}: bytes a prediction")
    scanned = replace(FAST, name=f"re-binning after a new reference, SQLite, beside {BEFORE_COLUMNS}", ratio=7.7)
    plain = replace(FAST, name="SQLite, 50 numbers, 1,000 a commit: bytes a prediction", ratio=1.0)
    title = f"store, before {BEFORE_COLUMNS}"
    record(this_machine(), {"store": Measured([plain], 1.0, ""), title: Measured([smaller, scanned], 1.0, "")})
    page = files[1].read_text()
    assert "| 4 times | ≥ 2.86 times | reached |" in page
    assert "| 7.7 times | ≥ 6 times | reached |" in page
    assert page.count("| not recorded |") == len(GOALS) - 2


def test_rows_of_one_name_are_not_recorded(files: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="kernels has several rows with the name counting"):
        record(this_machine(), {"kernels": Measured([FAST, BARE, FAST], 1.0, "")})
    assert not files[0].exists()


def test_every_benchmark_is_in_the_documentation(repository: Path) -> None:
    page = (repository / "docs" / "benchmarks.md").read_text()
    missing = [name for name in [*BENCHMARKS, *LONG] if f"`{name}`" not in page]
    assert missing == []
    assert {goal.benchmark for goal in GOALS} <= {*BENCHMARKS, *LONG}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", [*BENCHMARKS, *LONG])
def test_a_benchmark_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(name)
    if name in ("ingest", "keys"):
        installed("wrk", "wrk")
    if name == "merging":
        monkeypatch.setattr(module, "python_of", Mock(side_effect=PeerMissing("not in tests")))
    for attribute, value in SMALL.get(name, {}).items():
        monkeypatch.setattr(module, attribute, value)
    for place, value in BESIDE.get(name, {}).items():
        monkeypatch.setattr(place, value)
    rows = list(run_of(name)(quick=True))
    assert rows
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert not math.isnan(row.value)
        assert row.ratio is None or 0.0 < row.ratio < math.inf


def test_a_peer_is_named_by_what_its_name_begins_with() -> None:
    assert peers_named("alibi, evidently") == ["alibi-detect", "evidently"]
    for unknown in ("evidnetly", "evidently,", ""):
        with pytest.raises(ArgumentTypeError, match="there are evidently, nannyml"):
            peers_named(unknown)


def test_without_a_record_there_is_nothing_to_fall_below(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not files[0].exists()
    assert recorded_ratios() == {}
    assert check(["kernels", "ways"]) is False
    said = capsys.readouterr()
    assert said.out == "Nothing was compared.\n"
    assert "kernels: nothing to compare with is recorded (make bench ARGS='kernels --record')" in said.err


def test_what_a_machine_lacks_is_no_regression() -> None:
    assert regressions("ingest", list, {"durable": 3.0}) == []


def test_a_ratio_is_that_of_the_middle_round() -> None:
    # The machine was half as fast in the last round.
    row = compared("commits", "a second", [10.0, 12.0, 5.5], [5.0, 5.0, 2.0], "")
    assert (row.value, row.baseline, row.ratio) == (10.0, 5.0, 2.4)
    row = less("time", "ms", [5.0, 5.0, 2.0], [10.0, 12.0, 5.5], "")
    assert (row.value, row.baseline, row.ratio) == (5.0, 10.0, 2.4)
    assert "ratio 2-2.75" in row.note
    assert less("size", "bytes", [5.0], [10.0], "in a file").note == "in a file; once"
