"""One feature `x` of the model `m`, sent as predictions of chosen values at chosen times."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.store import Store
from tests.support.background import new_id
from tests.support.events import NOON, Clock, event, open_ledger

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
_batches = itertools.count()


def normal(size: int, shift: float = 0.0, seed: int = 0) -> list[Scalar]:
    """Draws of a standard normal, moved."""
    return [float(value) for value in np.random.default_rng(seed).normal(shift, 1.0, size)]


def send(
    store: Store,
    clock: Clock,
    values: Iterable[Scalar],
    *,
    at: int,
    version: str = "1",
    environment: str = "production",
) -> None:
    """Predictions a second apart from `at` on."""
    batch = next(_batches)
    ledger = open_ledger(store, clock, prefix=f"w{batch}")
    ledger.commit(
        [
            event(
                f"{batch}-{index}",
                {"x": value},
                timestamp=at + index * SECOND,
                version=version,
                environment=environment,
            )
            for index, value in enumerate(values)
        ]
    )
    ledger.close()


def send_hours(store: Store, clock: Clock, hours: int, *, shift_from: int = 10_000, shift_until: int = 10_000) -> None:
    """Two hundred predictions an hour, in the first minutes of each; those between the two hours are shifted."""
    for hour in range(hours):
        shift = 1.5 if shift_from <= hour < shift_until else 0.0
        send(store, clock, normal(200, shift, seed=hour), at=NOON + hour * HOUR)


def set_reference(store: Store, values: list[Scalar]) -> None:
    """The reference of `x`, for all versions."""
    frame = ReferenceFrame("m", None, [ReferenceSample("feature", "x", "continuous", values)])
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


def finish(clock: Clock) -> None:
    """Nothing arrives for a while, so that the newest window closes too."""
    clock.advance(60)
