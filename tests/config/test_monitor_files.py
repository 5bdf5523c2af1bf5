"""Monitors in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.config.monitors.files import monitor_files, read_monitors


def write(folder: Path, **files: str) -> list[Path]:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return monitor_files(folder)


def test_one_in_a_file_or_several_in_a_list(tmp_path: Path) -> None:
    files = write(
        tmp_path, a_yaml="model: a\nbudget: 2\n", b_json='{"monitors": [{"model": "b"}, {"model": "c"}]}', c_txt="no"
    )
    assert [path.name for path in files] == ["a.yaml", "b.json"]
    monitors, problems = read_monitors(files)
    assert [(each.model, each.config.budget) for each in monitors] == [("a", 2.0), ("b", None), ("c", None)]
    assert problems == []


def test_every_problem_of_every_file_is_said(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        a_yaml="model: a\nbudgt: 2\n",
        b_yaml="budget: 2\n",
        c_yaml="monitors: [{model: x}, {model: x, drift: {psi_alert: no}}]\nother: 1\n",
        d_yaml="monitors: 5\n",
        e_yaml="[",
        f_yaml="",
        g_yaml="model: x\n",
    )
    _, problems = read_monitors(files)
    said = [f"{each.path.name} {each.pointer}" for each in problems]
    assert said == [
        "a.yaml /budgt",
        "b.yaml /model",
        "c.yaml /other",
        "c.yaml /monitors/1/drift/psi_alert",
        "d.yaml /monitors",
        "e.yaml ",
        "f.yaml ",
        "g.yaml ",
    ]
    assert "'x' has a monitor in" in problems[-1].message
    assert str(problems[0]) == f"{files[0]} /budgt: Unknown key; did you mean budget?"
    assert "Required in a file" in problems[1].message
    assert "YAML, line" in problems[5].message
    assert problems[6].message == "Expected an object of names and values"
    assert "got 'False'" in str(problems[3])


def test_the_same_model_twice_in_one_file_is_pointed_at(tmp_path: Path) -> None:
    files = write(tmp_path, a_yaml="monitors: [{model: x, budget: 1}, {model: x, budget: 2}]\n")
    [kept], [problem] = read_monitors(files)
    assert (kept.config.budget, kept.pointer) == (1.0, "/monitors/0")
    assert str(problem) == f"{files[0]} /monitors/1: The model 'x' has a monitor in {files[0]} already"


def test_a_list_may_be_empty_and_a_json_file_is_no_yaml(tmp_path: Path) -> None:
    files = write(tmp_path, a_json="model: a\n", b_yaml="monitors: []\n", c_yml="{model: c}\n")
    monitors, [problem] = read_monitors(files)
    assert ([each.model for each in monitors], problem.path.name) == (["c"], "a.json")
    assert problem.message.startswith("The document is not JSON")


def test_nothing_is_passed_over_in_silence_but_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone.yaml")
    (tmp_path / "b.yaml").mkdir()
    (tmp_path / "c.YAML").write_bytes(b"\xff")
    (tmp_path / ".#d.yaml").symlink_to("user@host")
    files = monitor_files(tmp_path)
    assert [path.name for path in files] == ["a.yaml", "c.YAML"]
    _, problems = read_monitors(files)
    assert [each.message for each in problems] == [
        "It can't be read: no such file or directory",
        "The document is not UTF-8: invalid start byte at byte 0.",
    ]


def test_a_folder_that_can_not_be_listed_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, whom no permission stops."""

    def denied(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", denied)
    _, [problem] = read_monitors(monitor_files(tmp_path))
    assert str(problem).startswith(f"{tmp_path}: It can't be read")


def test_what_is_not_there(tmp_path: Path) -> None:
    assert monitor_files(tmp_path / "nothing") == monitor_files(tmp_path) == []
    monitors, [problem] = read_monitors([tmp_path / "gone.yaml"])
    assert (monitors, "no such file" in problem.message) == ([], True)
