"""Monitors in files."""

from __future__ import annotations

from pathlib import Path

from modelwatch.config.monitor_files import monitor_files, read_monitors


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
    assert "already" in problems[-1].message
    assert "got 'False'" in str(problems[3])


def test_what_is_not_there(tmp_path: Path) -> None:
    assert monitor_files(tmp_path / "nothing") == monitor_files(tmp_path) == []
    monitors, [problem] = read_monitors([tmp_path / "gone.yaml"])
    assert (monitors, "no such file" in problem.message) == ([], True)
