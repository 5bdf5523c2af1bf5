"""References of a few rows: names that chance left out of them are no drift."""

from __future__ import annotations

import numpy as np
import pytest

import modelwatch as mw

# Some common names and many rare ones.
SHARES = 1 / np.arange(1, 41)


@pytest.mark.parametrize("rows", [10, 15, 20, 29])
def test_new_names_beside_few_rows_are_expected(rows: int) -> None:
    """Unchanged data was an alert in every other comparison, and in all of them where each name is rare."""
    names = [f"name {number}" for number in range(40)]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for shares in (SHARES / SHARES.sum(), np.full(40, 1 / 40)):
            before, now = (rng.choice(names, size, p=shares) for size in (rows, 3_000))
            report = mw.compare({"a": before}, {"a": now})
            assert report.severity in ("stable", "insufficient_data")
            assert report.quality == []


@pytest.mark.parametrize("rows", [10, 20, 29])
def test_a_column_of_ids_of_few_rows_is_not_judged(rows: int) -> None:
    report = mw.compare({"row": [f"a{row}" for row in range(rows)]}, {"row": [f"b{row}" for row in range(3_000)]})
    assert (report.severity, report.quality) == ("insufficient_data", [])
    assert "This is a column of ids" in report.summary()


def test_a_name_that_replaces_another_is_found_beside_few_rows() -> None:
    rng = np.random.default_rng(1)
    report = mw.compare(
        {"a": rng.choice(["x", "y", "z"], 29)}, {"a": rng.choice(["x", "y", "new"], 3_000, p=[0.1, 0.1, 0.8])}
    )
    assert report.severity == "alert"
