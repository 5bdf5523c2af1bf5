"""What is said about predictions and labels of a batch that the store did not take."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from modelwatch.errors import Expired, FieldError
from modelwatch.events import Prediction, Rejection
from modelwatch.ingest import Refused

_MESSAGE = (
    "The model's predictions of that day have expired (PREDICTION_RETENTION_DAYS): one that was sent before could count"
    " again"
)


def refusal(event: Prediction) -> Expired:
    """The error for a prediction that was not taken."""
    given = datetime.fromtimestamp(event.timestamp / 1_000_000, UTC).isoformat()
    return Expired("The prediction is too old to be taken.", (FieldError("/timestamp", _MESSAGE, given),))


def rejections(taken: Sequence[bool | str | Refused | None], known: Sequence[Rejection]) -> list[Rejection]:
    """The rows of a batch that were not taken, for their age (None) or their values. taken: what became of the good
    rows; known: the others."""
    others = {each.index for each in known}
    indexes = (index for index in range(len(taken) + len(others)) if index not in others)
    return [
        Rejection(index, "/timestamp", _MESSAGE) if each is None else Rejection(index, "", each.message)
        for index, each in zip(indexes, taken, strict=False)
        if each is None or isinstance(each, Refused)
    ]
