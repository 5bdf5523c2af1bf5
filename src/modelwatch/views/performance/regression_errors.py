"""Distribution of the errors of a regression, and targets by predicted value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from modelwatch.events import Scalar
from modelwatch.stats.counting.datatypes import number_of
from modelwatch.stats.performance.mergeable import Floats
from modelwatch.stats.performance.residuals import error_edges, prediction_edges
from modelwatch.storage.counts.labelled_values import labelled_values
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.outcome_references import labelled_rows_of
from modelwatch.views.performance.error_cells import RegressionErrors, errors_by_cell, truths_by_cell
from modelwatch.views.stretches.labelled_stretch import LabelledStretch

# Of more labelled rows, those of some of the base windows are read.
MOST_ROWS = 10_000


def regression_errors(store: Store, found: LabelledStretch) -> RegressionErrors | None:
    """The errors of a stretch; None for classifiers, and where no rows are stored."""
    if found.layout.task != "regression" or found.matured is None or found.measured is None:
        return None
    labelled, window, query = found.measured.counts.n, found.matured.window, found.query
    with store.read() as connection:
        layouts = read_layouts(connection, query.stream.model, found.generation)
        one_of = max(1, -(-labelled // MOST_ROWS))
        span = (window.start, window.end)
        pairs = labelled_values(connection, query.stream, layouts, span, one_of=one_of, segment=query.segment)
        known = None
        if found.reference is not None and not query.segment:
            known = labelled_rows_of(connection, found.reference.id)
    predicted, truth = _numbers(pairs)
    if not len(predicted):
        return None
    of_reference = _numbers([] if known is None else zip(known.predictions, known.truths, strict=False))
    usual = of_reference if len(of_reference[0]) else (predicted, truth)
    edges, cells = error_edges(usual[0] - usual[1]), prediction_edges(usual[0])
    return RegressionErrors(
        rows=len(predicted),
        labelled=labelled,
        edges=edges.tolist(),
        counts=errors_by_cell(predicted, truth, edges),
        reference_counts=errors_by_cell(*of_reference, edges) if known is not None else [],
        by_prediction=truths_by_cell(predicted, truth, cells),
        reference_by_prediction=truths_by_cell(*of_reference, cells),
    )


def _numbers(pairs: Iterable[tuple[Scalar, Scalar]]) -> tuple[Floats, Floats]:
    """The pairs of two finite numbers."""
    both = np.array([(number_of(said), number_of(was)) for said, was in pairs], dtype=np.float64).reshape(-1, 2)
    both = both[np.isfinite(both).all(axis=1)]
    return both[:, 0], both[:, 1]
