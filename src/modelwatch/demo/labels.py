"""The times at which the ground truth of payments becomes known, and sending it then.

A fraud is noticed by the customer, the sooner the more it hurts; that a payment was in order is certain when no one has
complained for some hours. Of some payments nothing is ever heard.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TRUTH_PATH = "/api/v1/ground-truth/batch"
KNOWN_SHARE = {"fraud": 0.97, "legitimate": 0.90}
MEDIAN_HOURS = {"fraud": 1.5, "legitimate": 4.0}
SPREAD = 0.5


class Label(NamedTuple):
    """The truth about a payment. known_at: seconds since 1970."""

    known_at: float
    prediction_id: str
    truth: str


def labels_of(
    rng: np.random.Generator, ids: Sequence[str], times: NDArray[np.float64], truths: Sequence[str]
) -> list[Label]:
    """The labels of payments made at these times; none of those whose truth never becomes known.

    times: seconds, shape (payments,).
    """
    known_shares = np.array([KNOWN_SHARE[truth] for truth in truths])
    hours = np.array([MEDIAN_HOURS[truth] for truth in truths]) * rng.lognormal(0.0, SPREAD, len(ids))
    known_at = times + hours * 3_600
    certain = rng.random(len(ids)) < known_shares
    rows = zip(known_at.tolist(), ids, truths, certain.tolist(), strict=True)
    return [Label(moment, identity, truth) for moment, identity, truth, known in rows if known]


class PendingLabels:
    """Labels that are not known yet, until they are sent.

    send: posts labels in the form of the API and returns the service's answer.
    """

    def __init__(self, send: Callable[[list[dict[str, Any]]], Any], model: str, iso: Callable[[float], str]) -> None:
        self.sent = 0
        self.accepted = 0
        self._send = send
        self._model = model
        self._iso = iso
        self._waiting: list[Label] = []

    def add(self, labels: Sequence[Label]) -> None:
        """Keeps labels until they are due."""
        self._waiting = list(heapq.merge(self._waiting, sorted(labels)))

    def send_due(self, until: float) -> None:
        """Sends the labels that are known by then (seconds since 1970), in the order in which they became known."""
        due = list(itertools.takewhile(lambda label: label.known_at <= until, self._waiting))
        if not due:
            return
        del self._waiting[: len(due)]
        answer = self._send(
            [
                {
                    "model_name": self._model,
                    "prediction_id": label.prediction_id,
                    "ground_truth": label.truth,
                    "timestamp": self._iso(label.known_at),
                }
                for label in due
            ]
        )
        self.sent += len(due)
        self.accepted += answer["accepted"]
