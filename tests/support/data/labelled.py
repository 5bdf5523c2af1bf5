"""A classifier with labels that come later: its reference, its predictions, and how right it is in chosen hours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import GroundTruth, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from tests.support.background import new_id
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, Clock, event, open_ledger

_batches = itertools.count()


def outcomes(n: int, seed: int = 0, *, flipped: float = 0.0, spread: float = 0.3) -> list[Outcome]:
    """Predictions of `yes` or `no` with the true probability of `yes`; of a share of them the truth is the other one.

    About 88 % are right, and of the flipped ones as many wrong. spread: less is surer.
    """
    rng = np.random.default_rng(seed)
    scores = rng.beta(spread, spread, n)
    truths = (rng.random(n) < scores) != (rng.random(n) < flipped)
    return [
        Outcome("yes" if score > 0.5 else "no", score, "yes" if truth else "no")
        for score, truth in zip(scores.tolist(), truths.tolist(), strict=True)
    ]


def watch_yes(store: Store, **keys: object) -> None:
    """A monitor that says which class the probabilities are about, and what else is given."""
    config = parse_monitor({"positive_class": "yes", **keys})
    put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)


def set_labelled_reference(store: Store, rows: Sequence[Outcome], data_type: str = "categorical") -> None:
    """The labelled reference of all versions."""
    frame = ReferenceFrame(
        "m",
        None,
        [ReferenceSample("prediction", "", data_type, [row.prediction for row in rows])],  # type: ignore[arg-type]
        truths=[row.truth for row in rows],
        probabilities=[row.probability for row in rows],  # type: ignore[misc]
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


def send_labelled(
    store: Store,
    clock: Callable[[], int],
    rows: Sequence[Outcome],
    *,
    at: int,
    label_after: int | None = 0,
    apart: int = SECOND,
    version: str = "1",
    environment: str = "production",
) -> Callable[[], None]:
    """Predictions from `at` on, with labels so many microseconds later, in one commit.

    label_after: None: the labels are sent by calling what is returned, with the time of the clock then.
    """
    batch = next(_batches)
    times = [at + index * apart for index in range(len(rows))]
    events = [
        event(
            f"{batch}-{index}",
            {},
            version=version,
            environment=environment,
            timestamp=time,
            prediction=row.prediction,  # type: ignore[arg-type]
            probability=row.probability,  # type: ignore[arg-type]
        )
        for index, (row, time) in enumerate(zip(rows, times, strict=True))
    ]

    def labels(times: Sequence[int]) -> list[GroundTruth]:
        return [
            GroundTruth("m", f"{batch}-{index}", row.truth, time)  # type: ignore[arg-type]
            for index, (row, time) in enumerate(zip(rows, times, strict=True))
        ]

    ledger = open_ledger(store, clock, prefix=f"p{batch}")
    ledger.commit(events, [] if label_after is None else labels([time + label_after for time in times]))
    ledger.close()

    def label_now() -> None:
        late = open_ledger(store, clock, prefix=f"l{batch}")
        late.commit([], labels([clock()] * len(rows)))
        late.close()

    return label_now


def send_slowly_labelled(store: Store, clock: Callable[[], int]) -> None:
    """Predictions of three hours from noon on, with the labels that have come: these take four hours on average."""
    rng, now, events, labels = np.random.default_rng(1), clock(), [], []
    for number, row in enumerate(outcomes(1_800, 5)):
        at = NOON + number * 6 * SECOND
        events.append(event(f"p{number}", {}, timestamp=at, prediction=row.prediction, probability=row.probability))  # type: ignore[arg-type]
        known = at + int(rng.exponential(4.0) * HOUR)
        if known < now:
            labels.append(GroundTruth("m", f"p{number}", row.truth, known))  # type: ignore[arg-type]
    ledger = open_ledger(store, clock)
    ledger.commit(events, labels)
    ledger.close()


def later(hours: float) -> Clock:
    """A clock so many hours after noon."""
    return Clock(NOON + int(hours * 3_600) * SECOND)
