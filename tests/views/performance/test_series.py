"""Labels over time: each label is in the step of its prediction, whenever it came; what is none says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelwatch.errors import InvalidInput
from modelwatch.storage.engine.store import Store
from modelwatch.views.performance.series import label_series
from modelwatch.views.stretches.stretch import SeriesQuery
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR
from tests.support.events import NOON, event, open_ledger

BEGIN = NOON // 1_000_000 // 3_600 * 3_600
STRETCH: dict[str, Any] = {"start": BEGIN, "end": BEGIN + 3 * 3_600, "step": 3_600}


@pytest.mark.both_engines
def test_each_label_is_in_the_step_of_its_prediction_and_coverage_is_told(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    batches = [outcomes(200, seed, flipped=0.4 if seed == 1 else 0.0) for seed in range(3)]
    for hour, batch in enumerate(batches):
        send_labelled(store, later(100), batch, at=NOON + hour * HOUR, label_after=None if hour == 2 else 50 * HOUR)
    found = label_series(store, SeriesQuery("m", "production", **STRETCH), later(101)())
    assert found.reference is not None
    assert sum(found.reference.counts) == 2_000
    assert [step.predictions for step in found.steps] == [200] * 3
    assert [step.n for step in found.steps] == [200, 200, 0]
    place = {name: cell for cell, name in enumerate(found.reference.cells)}
    for step, batch in zip(found.steps[:2], batches, strict=False):
        truths = [row.truth for row in batch]
        assert [step.counts[place[name]] for name in ("yes", "no")] == [truths.count("yes"), truths.count("no")]
        assert sum(step.shares) == pytest.approx(1.0)
        assert step.psi is not None
        assert step.severity is None
    assert found.steps[2].psi is None
    whole = np.sum([step.counts for step in found.steps], axis=0)
    at_once = label_series(store, SeriesQuery("m", "production", **{**STRETCH, "step": 10_800}), later(101)())
    assert np.sum([step.counts for step in at_once.steps], axis=0).tolist() == whole.tolist()


def test_what_has_no_classes_says_so_and_a_window_is_refused(store: Store) -> None:
    open_ledger(store).commit([event("1", timestamp=NOON + 1)])
    found = label_series(store, SeriesQuery("m", "production", **STRETCH), later(1)())
    assert found.steps == []
    assert found.reason is not None
    with pytest.raises(InvalidInput) as refused:
        label_series(store, SeriesQuery("m", "production", **STRETCH, window=7_200), later(1)())
    assert refused.value.errors[0].pointer == "/window"
