"""A digest changes with what a function does, by itself or through what it uses, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs.definitions import Sources

BASE = {
    "house/__init__.py": "",
    "house/main.py": '''
from house import numbers
from house.shapes import Shape

def start(shape: Shape) -> float:
    """What is measured."""
    return numbers.double(Shape(2).area())

def unrelated():
    return 1
''',
    "house/numbers.py": "FACTOR = 2\n\ndef double(x):\n    return FACTOR * x\n\ndef triple(x):\n    return 3 * x\n",
    "house/shapes.py": '''
class Shape:
    """A square."""

    def __init__(self, side):
        self.side = side

    def area(self):
        return power(self.side, 2)

def power(x, n):
    return x**n
''',
}


@pytest.fixture
def base(tmp_path: Path) -> str:
    return digest(tmp_path / "base", {})


def digest(folder: Path, changes: dict[str, str], start: tuple[str, str] = ("house.main", "start")) -> str:
    """Of `start` in the house with other files. changes: by path, the new text; the file goes when it is None."""
    for name, text in (BASE | changes).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Sources({"house": folder / "house"}).digest(start)


def changed(name: str, old: str, new: str) -> dict[str, str]:
    assert old in BASE[name]
    return {name: BASE[name].replace(old, new)}


@pytest.mark.parametrize(
    "changes",
    [
        changed("house/numbers.py", "FACTOR = 2", "FACTOR = 3"),
        changed("house/numbers.py", "FACTOR * x", "x * FACTOR"),
        changed("house/shapes.py", "x**n", "x * n"),
        changed("house/shapes.py", "power(self.side, 2)", "power(self.side, 3)"),
        changed("house/main.py", "Shape(2)", "Shape(3)"),
        changed("house/numbers.py", "def triple", "print(FACTOR)\n\ndef triple"),
    ],
    ids=["value", "function", "function of a method", "method", "start", "statement of a module"],
)
def test_what_is_used_counts(tmp_path: Path, base: str, changes: dict[str, str]) -> None:
    assert digest(tmp_path / "changed", changes) != base


@pytest.mark.parametrize(
    "changes",
    [
        changed("house/numbers.py", "3 * x", "x + x + x"),
        changed("house/main.py", "return 1", "return 2"),
        changed("house/shapes.py", "A square.", "What has four equal sides."),
        changed("house/shapes.py", "return x**n", "# By itself.\n    return (x ** n)"),
        changed("house/shapes.py", "def power(x, n):", "def power(x: float, n: int) -> float:"),
        changed("house/main.py", "shape: Shape", "shape"),
    ],
    ids=["unused", "unused beside it", "docstring", "comment and formatting", "annotations", "annotation"],
)
def test_what_changes_nothing_does_not_count(tmp_path: Path, base: str, changes: dict[str, str]) -> None:
    assert digest(tmp_path / "changed", changes) == base


def test_a_definition_that_moves_changes_nothing(tmp_path: Path, base: str) -> None:
    moved = {
        "house/rooms/__init__.py": "from .powers import power\n",
        "house/rooms/powers.py": "def power(x, n):\n    return x**n\n",
        "house/shapes.py": BASE["house/shapes.py"]
        .split("def power")[0]
        .replace("class", "from .rooms import power\n\n\nclass"),
    }
    assert digest(tmp_path / "moved", moved) == base


def test_a_module_that_is_renamed_changes_nothing(tmp_path: Path, base: str) -> None:
    renamed = {
        "house/figures.py": BASE["house/shapes.py"],
        "house/shapes.py": "",
        **changed("house/main.py", "house.shapes", "house.figures"),
    }
    assert digest(tmp_path / "renamed", renamed) == base


def test_an_import_inside_a_function_is_followed(tmp_path: Path) -> None:
    within = changed(
        "house/numbers.py", "    return 3 * x", "    from house.shapes import power\n    return power(x, 3)"
    )
    start = ("house.numbers", "triple")
    before = digest(tmp_path / "before", within, start)
    other = within | changed("house/shapes.py", "x**n", "x * n")
    assert digest(tmp_path / "after", other, start) != before


def test_a_module_that_is_handed_on_counts_as_a_whole(tmp_path: Path) -> None:
    handed = changed("house/main.py", "numbers.double(Shape(2).area())", "getattr(numbers, 'double')(2)")
    before = digest(tmp_path / "before", handed)
    assert digest(tmp_path / "after", handed | changed("house/numbers.py", "3 * x", "x + x + x")) != before


def test_what_two_modules_call_the_same_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    digest(tmp_path, {"house/other.py": "def power(x, n):\n    return 0\n"})
    used = Sources({"house": tmp_path / "house"}).closure(("house.main", "start"))
    assert ("house.shapes", "power") in used
    assert ("house.other", "power") not in used
    assert ("house.numbers", "triple") not in used


def test_a_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="nothing"):
        digest(tmp_path, {}, ("house.main", "nothing"))


def test_a_file_elsewhere_has_no_name(tmp_path: Path) -> None:
    sources = Sources({"house": tmp_path / "house"})
    assert sources.name_of(tmp_path / "house" / "rooms" / "__init__.py") == "house.rooms"
    with pytest.raises(ValueError, match="is not below"):
        sources.name_of(tmp_path / "elsewhere.py")


def test_the_code_of_a_real_proof_is_found(sources: Sources) -> None:
    used = sources.closure(("tests.support.data.months", "live_through"))
    for definition in ("parts_of_tests", "judge_all", "Evaluator", "BackgroundJobs", "sum_windows", "write_month"):
        assert definition in {name for _, name in used}
    assert not any(module.startswith(("modelwatch.api", "modelwatch.web", "modelwatch.cli")) for module, _ in used)
