"""Resamples of confusion matrices of many classes: those of every cell, from the cells with rows."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from modelwatch.stats.performance.confusion import (
    MEANS,
    ConfusionCounts,
    ConfusionLayout,
    confusion_metrics,
    mean_columns,
    prior_of,
)
from modelwatch.stats.performance.confusion_resamples import sparse_bootstrap
from modelwatch.stats.performance.intervals import bootstrap, percentile_interval
from modelwatch.stats.performance.margins import Margins

DRAWS = 8_000


def labelled(classes: int, rows: int, *, unknown: int = 0, seed: int = 1) -> ConfusionCounts:
    """Rows of which seven of ten are right. unknown: classes beside those of the layout."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes + unknown, size=rows)
    prediction = np.where(rng.random(rows) < 0.7, truth, rng.integers(classes + unknown, size=rows))
    layout = ConfusionLayout(tuple(str(number) for number in range(classes)))
    return ConfusionCounts.of(layout, [str(each) for each in prediction], [str(each) for each in truth])


@pytest.mark.parametrize(("classes", "rows", "unknown"), [(4, 40, 0), (6, 300, 2), (30, 400, 1), (30, 9_000, 0)])
def test_resamples_of_cells_with_rows_are_distributed_as_those_of_all_cells(
    classes: int, rows: int, unknown: int
) -> None:
    counts = labelled(classes, rows, unknown=unknown)
    assert (counts.vector[-1] > 0) == (unknown > 0)
    every = np.ones(classes, dtype=bool)
    prior = prior_of(counts)
    of_cells = bootstrap(
        counts.vector, prior, lambda cells: mean_columns(Margins.of(cells, classes), every, every), seed=1, draws=DRAWS
    )[:, : len(MEANS)]
    sparse = sparse_bootstrap(
        counts.vector, prior, classes, lambda found: mean_columns(found, every, every), seed=2, draws=DRAWS
    )[:, : len(MEANS)]
    deviation = of_cells.std(axis=0)
    # Means differ by chance by sqrt(2 / draws) deviations, quantiles of 2.5 % by 2.7 times as much.
    chance = np.sqrt(2.0 / DRAWS)
    assert np.abs(of_cells.mean(axis=0) - sparse.mean(axis=0)) / deviation == pytest.approx(0.0, abs=4 * chance)
    assert sparse.std(axis=0) / deviation == pytest.approx(1.0, abs=4 * chance)
    ends = [np.array(percentile_interval(each)) for each in (of_cells, sparse)]
    assert (ends[0] - ends[1]) / deviation == pytest.approx(0.0, abs=4 * 2.7 * chance)


def test_a_resample_is_a_matrix_of_shares() -> None:
    counts = labelled(5, 60, unknown=1)
    found: list[Margins] = []

    def kept(margins: Margins) -> np.ndarray:
        found.append(margins)
        return margins.hits

    sparse_bootstrap(counts.vector, prior_of(counts), 5, kept, seed=1, draws=300)
    for margins in found:
        assert margins.truth.sum(axis=1) == pytest.approx(1.0)
        assert margins.predicted.sum(axis=1) == pytest.approx(1.0)
        assert (margins.hits <= np.minimum(margins.truth, margins.predicted)[:, :-1] + 1e-12).all()
        assert (margins.correct >= margins.hits.sum(axis=1) - 1e-12).all()


def test_many_classes_are_drawn_by_the_cells_that_have_rows_and_few_ones_by_all() -> None:
    drawn: list[int] = []

    def counted(*given: object, **options: object) -> object:
        drawn.append(len(given[0]))  # type: ignore[arg-type]
        return sparse_bootstrap(*given, **options)  # type: ignore[arg-type]

    with patch("modelwatch.stats.performance.confusion.sparse_bootstrap", counted):
        for classes in (3, 30, 40):
            found = confusion_metrics(labelled(classes, 500))
            low, value, high = (getattr(found["f1_macro"], name) for name in ("low", "value", "high"))
            assert 0.0 < low < value < high < 1.0
    assert drawn == [41**2 + 1]
