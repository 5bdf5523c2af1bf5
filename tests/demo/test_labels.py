"""When the demo's labels become known, and that each is told once."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwatch.demo.labels import KNOWN_SHARE, MEDIAN_HOURS, Label, PendingLabels, labels_of

SIZE = 20_000


def test_most_payments_are_heard_of_hours_later_and_frauds_sooner() -> None:
    times = np.linspace(0.0, 86_400.0, SIZE)
    truths = ["fraud" if index % 10 == 0 else "legitimate" for index in range(SIZE)]
    ids = [str(index) for index in range(SIZE)]
    labels = labels_of(np.random.default_rng(1), ids, times, truths)
    for truth, share in KNOWN_SHARE.items():
        hours = [(each.known_at - times[int(each.prediction_id)]) / 3_600 for each in labels if each.truth == truth]
        assert abs(len(hours) / truths.count(truth) - share) < 0.02
        assert abs(np.median(hours) - MEDIAN_HOURS[truth]) < 0.2
        assert min(hours) > 0
    assert all(each.truth == truths[int(each.prediction_id)] for each in labels)


def test_labels_are_told_once_in_the_order_in_which_they_became_known() -> None:
    told: list[list[dict[str, Any]]] = []

    def send(labels: list[dict[str, Any]]) -> dict[str, int]:
        told.append(labels)
        return {"accepted": len(labels)}

    pending = PendingLabels(send, "m", str)
    pending.add([Label(30.0, "c", "fraud"), Label(10.0, "a", "legitimate")])
    pending.send_due(5.0)
    assert told == []
    pending.send_due(10.0)
    pending.add([Label(20.0, "b", "fraud"), Label(40.0, "d", "fraud")])
    pending.send_due(30.0)
    assert [[each["prediction_id"] for each in some] for some in told] == [["a"], ["b", "c"]]
    assert told[1][0] == {"model_name": "m", "prediction_id": "b", "ground_truth": "fraud", "timestamp": "20.0"}
    assert (pending.sent, pending.accepted) == (3, 3)
