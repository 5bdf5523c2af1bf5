"""Tables fit 80 columns, whatever the names."""

from __future__ import annotations

import io
import sys
from unittest import mock

import pytest
from rich.cells import cell_len

from modelwatch.cli.output import coloured, print_notes, print_table

NAMES = ("amount", "a" * 512, "取引金額" * 30, "größe der überweisung " * 12, "👩‍🔬" * 20)


def printed(name: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with mock.patch.object(sys, "stdout", stream):
        print_table(
            ("what", "verdict", "PSI", "p", "values", "reference", "span"),
            [(name, coloured("insufficient_data"), "12.345", "1.2e-300", "1,234,567", "12,345,678 (p)", "24h")],
            numbers=("PSI", "p", "values", "reference"),
        )
        print_notes([(name, "> 1,234.5: 10.0% -> 61.0%"), ("x", name)])
    stream.seek(0)
    return stream.read()


@pytest.mark.parametrize("name", NAMES, ids=("short", "long", "wide", "words", "joined"))
@pytest.mark.parametrize("width", [None, "80", "100"])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, name: str, width: str | None) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if width is not None:
        monkeypatch.setenv("COLUMNS", width)
    lines = printed(name).splitlines()
    assert max(map(cell_len, lines)) <= int(width or 80)
    whole = "".join("".join(lines).split())
    assert all(
        each in whole for each in ("insufficientdata", "12.345", "1.2e-300", "1,234,567", "12,345,678(p)", "24h")
    )


@pytest.mark.parametrize("name", ["a" * 512, "取引金額" * 30])
def test_a_long_name_is_broken_and_not_cut(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = printed(name)
    assert text.count(name[0]) >= 3 * name.count(name[0])
