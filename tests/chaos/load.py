"""Clients that never give up: each sends predictions and labels, again and again until they are acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from modelwatch.events import GroundTruth, Prediction, Scalar

MODEL = "m"
SECOND = 1_000_000
# The first client sends so many predictions at once, of so many features: they become a block.
WIDE_BATCH, WIDE = 60, 20
SHIFT_FROM = 0.5
"""The share of the run after which the feature is shifted."""


@dataclass
class Taken:
    """What a client has had acknowledged, and how often it had to send something again."""

    predictions: list[Prediction] = field(default_factory=list)
    labels: list[GroundTruth] = field(default_factory=list)
    repeats: int = 0
    duplicates: int = 0


class Client(threading.Thread):
    """A model service that knows several replicas and asks any of them.

    began: event time, in microseconds, of the run's start. hours: of event time, that pass in `seconds`. pause: seconds
    that it waits before it sends more.
    """

    def __init__(
        self, number: int, urls: Sequence[str], began: int, hours: float, seconds: float, pause: float, seed: int
    ) -> None:
        super().__init__(name=f"client-{number}")
        self.taken = Taken()
        self.failure: BaseException | None = None
        self._number = number
        self._urls = urls
        self._began = began
        self._pace = hours * 3_600 / seconds
        self._seconds = seconds
        self._pause = pause
        self._rng = random.Random(f"{seed} {number}")
        self._give_up = threading.Event()

    def give_up(self) -> None:
        """Ends it, whatever has not been acknowledged."""
        self._give_up.set()

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - the run looks at it
            self.failure = error

    def _run(self) -> None:
        start = time.monotonic()
        sequence = 0
        unlabelled: list[Prediction] = []
        with httpx.Client(timeout=5) as http:
            while (elapsed := time.monotonic() - start) < self._seconds and not self._give_up.is_set():
                sequence += 1
                size = WIDE_BATCH if self._number == 0 else self._rng.choice([1, 1, 5, 50])
                events = [self._event(f"{self._number}-{sequence}-{index}", elapsed) for index in range(size)]
                early = [each for each in events if self._rng.random() < 0.1]
                self._label(http, early)
                repeated = self._rng.sample(self.taken.predictions, min(2, len(self.taken.predictions)))
                self._send(http, events, repeated if self._rng.random() < 0.3 else [])
                unlabelled += events
                if self._rng.random() < 0.3:
                    self._label(http, self._rng.sample(unlabelled, min(10, len(unlabelled))))
                    unlabelled = unlabelled[-200:]
                self._give_up.wait(self._pause)

    def send_afterwards(self, hours: int) -> None:
        """Sends shifted hours after those of the run, so that there is something to tell in any run."""
        with httpx.Client(timeout=5) as http:
            for hour in range(hours):
                elapsed = self._seconds + hour * 3_600 / self._pace
                events = [self._event(f"{self._number}-after-{hour}-{index}", elapsed) for index in range(150)]
                self._send(http, events, [])

    def _event(self, identity: str, elapsed: float) -> Prediction:
        shift = 2.0 if elapsed > SHIFT_FROM * self._seconds else 0.0
        at = self._began + int((elapsed * self._pace + self._rng.random() * 60) * SECOND)
        says = self._rng.choice(["no", "yes"])
        features: dict[str, Scalar] = {"x": self._rng.gauss(shift, 1.0)}
        if self._number == 0:
            features |= {f"f{place}": self._rng.random() for place in range(1, WIDE)}
        return Prediction(MODEL, "1", "production", identity, at, features, says, 0.8)

    def _send(self, http: httpx.Client, events: list[Prediction], repeated: list[Prediction]) -> None:
        body = [_prediction_body(each) for each in (*events, *repeated)]
        if len(body) == 1:
            self._until_taken(http, "/api/v1/predictions", body[0])
        else:
            answer = self._until_taken(http, "/api/v1/predictions/batch", body)
            if answer is not None:
                assert not answer["rejected"], answer
                assert answer["accepted"] + answer["duplicates"] == len(body), answer
                self.taken.duplicates += answer["duplicates"]
        self.taken.predictions += events

    def _label(self, http: httpx.Client, events: list[Prediction]) -> None:
        if not events:
            return
        labels = [_truth(each) for each in events]
        body = [
            {
                "model_name": MODEL,
                "prediction_id": each.prediction_id,
                "ground_truth": each.value,
                "timestamp": _iso(each.timestamp),
            }
            for each in labels
        ]
        self._until_taken(http, "/api/v1/ground-truth/batch", body)
        self.taken.labels += labels

    def _until_taken(self, http: httpx.Client, path: str, body: Any) -> Any:
        while True:
            try:
                answer = http.post(f"{self._rng.choice(self._urls)}{path}", json=body)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                return answer.json()
            if answer is not None and answer.status_code != 503:
                raise AssertionError(f"{path} was answered {answer.status_code}: {answer.text}")
            self.taken.repeats += 1
            if self._give_up.wait(0.05):
                raise AssertionError(f"{path} was never acknowledged")


def _truth(event: Prediction) -> GroundTruth:
    """The same for an id however often it is sent: mostly what was predicted, until the feature shifts."""
    value = event.features["x"]
    assert isinstance(value, float)
    right = int(value * 1_000) % 10 != 0
    truth = event.prediction if right else ("no" if event.prediction == "yes" else "yes")
    return GroundTruth(MODEL, event.prediction_id, truth, event.timestamp + 60 * SECOND)


def _prediction_body(event: Prediction) -> dict[str, Any]:
    return {
        "model_name": MODEL,
        "model_version": event.model_version,
        "prediction_id": event.prediction_id,
        "timestamp": _iso(event.timestamp),
        "features": event.features,
        "prediction": event.prediction,
        "prediction_probability": event.probability,
    }


def _iso(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
