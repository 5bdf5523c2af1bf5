"""Errors for predictions and labels of a batch that the store did not take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from modelwatch.errors import Conflict, Expired, FieldError
from modelwatch.events import Prediction, Rejection
from modelwatch.ingest import Refused
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import is_being_deleted

_EXPIRED = "The model's predictions of that day have expired (PREDICTION_RETENTION_DAYS): a repeat could count twice"
_DELETED = (
    "It belongs to a model, a version or an environment that is being deleted: send it again when the deletion has"
    " ended"
)


def refusal(store: Store, event: Prediction) -> Expired | Conflict:
    """The error for a prediction that was not taken. Reads the store."""
    if _is_deleted(store, event):
        return Conflict(f"{_DELETED}.")
    given = datetime.fromtimestamp(event.timestamp / 1_000_000, UTC).isoformat()
    return Expired("The prediction is too old to be accepted.", (FieldError("/timestamp", _EXPIRED, given),))


def rejections(
    taken: Sequence[bool | str | Refused | None], known: Sequence[Rejection], deleted: Collection[int] = ()
) -> list[Rejection]:
    """The rows of a batch that were not taken: for their age, or since they are deleted (None), or for their values.

    taken: outcomes of the good rows; known: the others. deleted: places among the good rows, see `deleted_among`.
    """
    others = {each.index for each in known}
    indexes = (index for index in range(len(taken) + len(others)) if index not in others)
    found = []
    for place, (index, each) in enumerate(zip(indexes, taken, strict=False)):
        if isinstance(each, Refused):
            found.append(Rejection(index, "", each.message))
        elif each is None:
            found.append(
                Rejection(index, "", _DELETED) if place in deleted else Rejection(index, "/timestamp", _EXPIRED)
            )
    return found


def deleted_among(store: Store, events: Sequence[Prediction], taken: Sequence[bool | Refused | None]) -> set[int]:
    """The places of the events that were not taken because they belong to what is being deleted. Reads the store."""
    not_taken = [place for place, each in enumerate(taken) if each is None]
    return {place for place in not_taken if _is_deleted(store, events[place])}


def _is_deleted(store: Store, event: Prediction) -> bool:
    with store.read() as connection:
        return is_being_deleted(connection, event.model_name, event.model_version, event.environment)
