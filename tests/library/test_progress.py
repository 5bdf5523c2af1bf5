"""The progress bar of long inputs: where somebody watches, or where it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

import modelwatch as mw
from modelwatch.library import reading
from modelwatch.library.reading import progress_bar

DATA = {"a": list(range(300)), "b": ["x", "y", "z"] * 100}


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(None, "Counting", 50, 10**9) as done:
        done()
    mw.compare(DATA, DATA)
    assert capsys.readouterr() == ("", "")


def test_it_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    mw.compare(DATA, DATA, progress=True)
    mw.profile(DATA, like=mw.Reference.fit(DATA), progress=True)
    shown = capsys.readouterr().err
    for text in ("Reading the reference", "Counting", "2/2"):
        assert text in shown


@pytest.mark.parametrize(("wanted", "rows", "bars"), [(None, 10**8, 1), (None, 100, 0), (False, 10**8, 0)])
def test_on_a_terminal_long_inputs_show_it(
    monkeypatch: pytest.MonkeyPatch, wanted: bool | None, rows: int, bars: int
) -> None:
    started: list[Any] = []

    class Bar:
        def __init__(self, *_: Any, **given: Any) -> None:
            started.append(given)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None: ...

        def add_task(self, *_: Any, **__: Any) -> int:
            return 0

        def advance(self, task: int) -> None: ...

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("rich.progress.Progress", Bar)
    with progress_bar(wanted, "Counting", 2, rows) as done:
        done()
    assert len(started) == bars
    assert reading.LONG < 2 * 10**8
