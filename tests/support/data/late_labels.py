"""A classifier whose labels take weeks: its predictions, when the truth of each becomes known, and how right it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelwatch.events import GroundTruth, Prediction
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.engine.store import Store
from tests.support.data.labelled import outcomes
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, Clock, event, open_ledger

DAY = 24 * HOUR
DAY_SECONDS = 86_400
# Days after the prediction, drawn anew for each label. Arguments: the prediction, and the day it is of.
Delay = Callable[[np.random.Generator, Outcome, int], float]


def like_any_other(mean: float) -> Delay:
    """The delay does not depend on what the label says."""
    return lambda rng, row, day: rng.exponential(mean)


def send_days(
    store: Store,
    delay: Delay,
    *,
    days: int,
    a_day: int,
    flipped: Callable[[int], float] = lambda day: 0.0,
    seed: int = 0,
) -> tuple[list[Prediction], list[GroundTruth]]:
    """Sends days of predictions from NOON on, and the label of each; returns both, the labels in order of predictions.

    flipped: by day, the share whose truth is the other one.
    """
    rng = np.random.default_rng(seed)
    predictions: list[Prediction] = []
    labels: list[GroundTruth] = []
    for day in range(days):
        for index, row in enumerate(outcomes(a_day, seed * 10_000 + day, flipped=flipped(day))):
            at = NOON + day * DAY + index * (DAY // a_day)
            name = f"{day}-{index}"
            said = event(name, {}, timestamp=at, prediction=row.prediction, probability=row.probability)  # type: ignore[arg-type]
            predictions.append(said)
            known = at + int(delay(rng, row, day) * DAY_SECONDS) * SECOND
            labels.append(GroundTruth("m", name, row.truth, known))  # type: ignore[arg-type]
    clock = Clock(NOON + 2 * days * DAY)
    ledger = open_ledger(store, clock, prefix=f"late{seed}")
    for start in range(0, len(predictions), 5_000):
        ledger.commit(predictions[start : start + 5_000], labels[start : start + 5_000])
    ledger.close()
    return predictions, labels
