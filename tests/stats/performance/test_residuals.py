"""Errors of a regression by cell, and what was true where how much was predicted."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.performance.residuals import error_counts, error_edges, prediction_cells, prediction_edges


@pytest.mark.parametrize("scale", [1e-6, 0.3, 1.0, 77.0, 1e9])
def test_edges_are_round_symmetric_and_hold_most_errors(scale: float) -> None:
    errors = np.random.default_rng(3).normal(0.0, scale, 2_000)
    edges = error_edges(errors)
    width = edges[1] - edges[0]
    assert edges.tolist() == pytest.approx((-edges[::-1]).tolist())
    assert width / 10 ** np.floor(np.log10(width) + 1e-9) in (
        pytest.approx(1.0),
        pytest.approx(2.0),
        pytest.approx(2.5),
        pytest.approx(5.0),
    )
    inside = error_counts(errors, edges)[1:-1].sum()
    assert 0.9 < inside / len(errors) < 1.0


def test_every_error_is_in_one_cell_and_zero_errors_have_edges() -> None:
    edges = error_edges(np.zeros(5))
    assert error_counts(np.zeros(5), edges).sum() == 5
    assert error_counts(np.array([-1e9, 1e9]), edges)[[0, -1]].tolist() == [1, 1]


def test_cells_of_predictions_have_the_means_of_their_rows() -> None:
    rng = np.random.default_rng(4)
    predicted = rng.uniform(0, 100, 5_000)
    truth = predicted * 0.9 + rng.normal(0, 5, 5_000)
    cells = prediction_cells(predicted, truth, prediction_edges(predicted))
    assert [each.n for each in cells] == [500] * 10
    for each in cells:
        assert each.low is not None
        assert each.high is not None
        assert each.low < each.truth < each.high
        assert each.low - 1 < 0.9 * each.predicted < each.high + 1


def test_a_frequent_prediction_makes_fewer_cells() -> None:
    predicted = np.array([1.0] * 90 + [2.0] * 10)
    cells = prediction_cells(predicted, predicted, prediction_edges(predicted))
    assert [(each.n, each.truth) for each in cells] == [(90, 1.0), (10, 2.0)]
