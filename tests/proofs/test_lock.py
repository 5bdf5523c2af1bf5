"""When a proof runs, and what is recorded of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROOFS, REPOSITORY
from tests.proofs.definitions import Sources
from tests.proofs.lock import Mode, Proofs, same

runs: list[int] = []
offset: list[float] = [0.0]


@dataclass(frozen=True)
class Length:
    """What is measured in these tests."""

    metres: float
    names: list[tuple[str, int]]


def length(metres: int) -> Length:
    """It counts how often it runs."""
    runs.append(metres)
    return Length(metres + offset[0], [("a", metres)])


def size_of(path: Path) -> int:
    """Of a file, or of the files of a folder."""
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    runs.clear()
    offset[0] = 0.0


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.json"
    path.write_text("{\n}\n")
    return path


def proofs_of(lock: Path, sources: Sources, mode: Mode = Mode.CHANGED) -> Proofs:
    return Proofs(lock, sources, mode, {})


def test_what_is_recorded_does_not_run_again(lock: Path, sources: Sources) -> None:
    first = proofs_of(lock, sources, Mode.RENEW).figures(length, 3)
    later = proofs_of(lock, sources)
    assert later.figures(length, 3) == first == Length(3.0, [("a", 3)])
    assert (runs, later.ran) == ([3], [])
    assert json.loads(lock.read_text())["length(3)"]["figures"] == {"metres": 3.0, "names": [["a", 3]]}


def test_what_is_not_recorded_runs_once_in_each_run(lock: Path, sources: Sources) -> None:
    proofs = proofs_of(lock, sources)
    assert proofs.figures(length, 3) == proofs.figures(length, 3)
    assert (runs, proofs.ran) == ([3], ["length(3)"])
    proofs_of(lock, sources).figures(length, 3)
    assert runs == [3, 3]
    assert json.loads(lock.read_text()) == {}


def test_what_has_changed_runs_and_is_recorded_when_that_is_asked_for(lock: Path, sources: Sources) -> None:
    proofs_of(lock, sources, Mode.RENEW).figures(length, 3)
    proofs_of(lock, sources, Mode.RENEW).figures(length, 4)
    lock.write_text(re.sub('("length.3.": {"digest": ")[0-9a-f]*', r"\g<1>0", lock.read_text()))
    proofs_of(lock, sources).figures(length, 3)
    assert json.loads(lock.read_text())["length(3)"]["digest"] == "0"
    again = proofs_of(lock, sources, Mode.RENEW)
    again.figures(length, 3)
    again.figures(length, 4)
    assert (runs, again.ran) == ([3, 4, 3, 3], ["length(3)"])
    assert json.loads(lock.read_text())["length(3)"]["digest"] != "0"
    assert [line.partition(":")[0] for line in lock.read_text().splitlines()] == [
        "{",
        '"length(3)"',
        '"length(4)"',
        "}",
    ]


def test_when_all_are_run_other_figures_of_the_same_code_are_an_error(lock: Path, sources: Sources) -> None:
    proofs_of(lock, sources, Mode.RENEW).figures(length, 3)
    offset[0] = 1e-9
    assert proofs_of(lock, sources, Mode.ALL).figures(length, 3).metres == pytest.approx(3)
    offset[0] = 0.5
    with pytest.raises(AssertionError, match=r"length\(3\) gives .*3\.5.* and gave .*3\.0"):
        proofs_of(lock, sources, Mode.ALL).figures(length, 3)


def test_the_content_of_files_counts(lock: Path, sources: Sources, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("a")
    renewing = proofs_of(lock, sources, Mode.RENEW)
    assert renewing.figures(size_of, data) == 1
    assert proofs_of(lock, sources).figures(size_of, data) == 1
    (data / "b.txt").write_text("bb")
    proofs = proofs_of(lock, sources)
    assert proofs.figures(size_of, data) == 3
    assert proofs.ran == ["size_of(data)"]
    assert proofs.figures(size_of, data / "b.txt") == 2


def test_fractions_are_the_same_to_a_millionth_and_all_else_exactly() -> None:
    assert same({"a": [1.0, 2]}, {"a": [1.0 + 1e-9, 2]})
    assert not same({"a": [1.0, 2]}, {"a": [1.0001, 2]})
    assert not same([1], [2])
    assert not same([1.0], [1.0, 1.0])
    assert not same({"a": 1.0}, {"b": 1.0})
    assert not same([None], [0.0])


def test_each_recorded_proof_is_one_of_a_test() -> None:
    tests = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py"))
    recorded = json.loads(PROOFS.read_text())
    assert [name for name in recorded if f"figures({name.partition('(')[0]}" not in tests] == []
