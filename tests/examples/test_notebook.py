"""examples/quickstart.ipynb: it runs, and its committed outputs are those of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from scripts.notebook import NOTEBOOK, executed

MOST_BYTES = 300_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Any]:
    """The notebook after a run in an empty folder."""
    with pytest.MonkeyPatch.context() as patch:
        sources = (repository / "src", repository / "clients/python/src")
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, sources)))
        yield executed(NOTEBOOK, tmp_path_factory.mktemp("notebook"))


def printed(notebook: Any) -> list[str]:
    """What its cells printed, and the plain text of their results, of those whose text is the same each time."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "text" in output:
                found.append(output.text)
            elif "text/html" not in output.data:
                found.append(output.data["text/plain"])
    return found


def test_the_outputs_are_those_of_a_run(run: Any) -> None:
    """After a change: make notebook."""
    committed = nbformat.read(NOTEBOOK, as_version=4)
    assert printed(committed) == printed(run)
    assert any("1.46 times what it was" in text for text in printed(run))
    assert "alert ['amount', 'prediction', 'score']\n" in printed(run)


def test_the_report_is_in_it_and_it_is_small() -> None:
    pages = [
        output.data["text/html"]
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert any("<iframe" in page and "amount" in page for page in pages)
    assert NOTEBOOK.stat().st_size < MOST_BYTES
