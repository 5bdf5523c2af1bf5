"""The labelled data sets, with the labels at the times they came: counts and metrics are those of scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwatch.config.monitors import parse_monitor
from modelwatch.events import GroundTruth, Prediction, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references import labelled_outcomes, set_reference_frame
from modelwatch.stats import OutcomeCounts, OutcomeLayout
from modelwatch.stats.performance import performance
from modelwatch.storage import Store, generation_of, put_monitor, read_layouts, sum_outcomes, sum_windows
from tests.support.events import NOON, Clock, numbered, open_ledger

ROWS_PER_COMMIT = 2_000
SCENARIOS = [
    "elec2_binary",
    "insects_multiclass",
    "bike_regression",
    "carloan_nannyml",
    "acs_employment_binary",
    "agrawal_abrupt_binary",
    "agrawal_gradual_binary",
]


@dataclass(frozen=True)
class Labelled:
    """One folder of the shared data. windows: as the oracle has them. by_rows: windows that no base window bounds."""

    name: str
    reference: pa.Table
    production: pa.Table
    meta: dict[str, Any]
    oracle: dict[str, Any]

    @property
    def by_rows(self) -> bool:
        return any(seconds(window["start"]) % 300 for window in self.oracle["windows"])

    def probability(self, row: dict[str, Any]) -> float | dict[str, float] | None:
        columns = self.meta["probability"]
        if len(columns) > 1:
            return {column.removeprefix("proba_"): row[column] for column in columns}
        return row[columns[0]] if columns else None

    @cached_property
    def last_row(self) -> float:
        """The time of the last row, in seconds."""
        times: list[datetime] = self.production["timestamp"].to_pylist()
        return max(times).timestamp()

    def span(self, window: dict[str, Any]) -> tuple[int, int]:
        """[start, end) in seconds; the last row of a data set belongs to the window that ends with it."""
        ends_with = window is self.oracle["windows"][-1] and 0 <= self.last_row - seconds(window["end"]) < 1
        return seconds(window["start"]), seconds(window["end"]) + (300 if ends_with else 0)

    def place(self, time: int) -> tuple[str, int]:
        """Version and time stamp to send a row with.

        Where base windows don't bound the oracle's, each of these is a version of the model. Where nearly every row
        has a base window of its own, all rows of a window are sent with its start.
        """
        if not self.by_rows and self.name != "acs_employment_binary":
            return "1", time
        for window in self.oracle["windows"]:
            start, end = self.span(window)
            if start * 10**6 <= time < end * 10**6:
                return (window["window"], time) if self.by_rows else ("1", start * 10**6)
        raise AssertionError(f"no window holds {time}")


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def load(shared_data: Path, name: str) -> Labelled:
    folder = shared_data / name
    return Labelled(
        name,
        pq.read_table(folder / "reference.parquet"),
        pq.read_table(folder / "production.parquet"),
        json.loads((folder / "meta.json").read_text()),
        json.loads((folder / "oracle_performance.json").read_text()),
    )


def reference_frame(data: Labelled) -> ReferenceFrame:
    rows = data.reference.to_pylist()
    kind = "continuous" if data.meta["task"] == "regression" else "categorical"
    predictions = ReferenceSample("prediction", "", kind, [row["prediction"] for row in rows])  # type: ignore[arg-type]
    return ReferenceFrame(
        data.name,
        None,
        [predictions],
        truths=[row["label"] for row in rows],
        probabilities=[data.probability(row) for row in rows],
    )


def sent(data: Labelled) -> Iterator[tuple[int, Prediction | GroundTruth]]:
    """Predictions and labels in the order of time."""
    pieces: list[tuple[int, int, Prediction | GroundTruth]] = []
    for number, row in enumerate(data.production.to_pylist()):
        time = microseconds(row["timestamp"])
        identity = str(row["prediction_id"])
        version, timestamp = data.place(time)
        event = Prediction(
            data.name,
            version,
            "production",
            identity,
            timestamp,
            {},
            row["prediction"],
            data.probability(row),
        )
        pieces.append((time, 2 * number, event))
        if row["label"] is not None and row["label_arrival_ts"] is not None:
            arrival = microseconds(row["label_arrival_ts"])
            pieces.append((arrival, 2 * number + 1, GroundTruth(data.name, identity, row["label"], arrival)))
    pieces.sort(key=lambda piece: piece[:2])
    return ((time, piece) for time, _, piece in pieces)


class Replay:
    """Sends the data set up to a time, and says what the store knows then."""

    def __init__(self, store: Store, data: Labelled) -> None:
        self.store, self.data = store, data
        if data.meta["task"] == "binary":
            positive = parse_monitor({"positive_class": "1"})
            put_monitor(store, data.name, positive, source="test", actor="test", now=NOON, new_id=numbered("monitor"))
        set_reference_frame(store, reference_frame(data), now=NOON, new_id=numbered("r"))
        self.ledger = open_ledger(store, Clock(NOON * 2))
        self.rest = list(sent(data))
        self.place = 0

    def until(self, time: int) -> None:
        while self.place < len(self.rest) and self.rest[self.place][0] <= time:
            piece = []
            while self.place < len(self.rest) and self.rest[self.place][0] <= time and len(piece) < ROWS_PER_COMMIT:
                piece.append(self.rest[self.place][1])
                self.place += 1
            events = [each for each in piece if isinstance(each, Prediction)]
            self.ledger.commit(events, [each for each in piece if isinstance(each, GroundTruth)])

    def counts(self, window: dict[str, Any]) -> tuple[int, OutcomeCounts]:
        """Predictions, and the outcomes of those that are labelled."""
        span, version = self.data.span(window), "1"
        if self.data.by_rows:
            span, version = (0, 1 << 40), window["window"]
        with self.store.read() as connection:
            layouts = read_layouts(connection, self.data.name, generation_of(connection, self.data.name) or 0)
            [slots] = sum_windows(connection, self.data.name, layouts, "production", [span], version)
            [sums] = sum_outcomes(connection, self.data.name, layouts, "production", [span], version)
        layout = layouts.of(version).outcome
        counts = OutcomeCounts(layout, sums[version]) if version in sums else OutcomeCounts.empty(layout)
        return slots[version].predictions if version in slots else 0, counts


def check(counts: OutcomeCounts, oracle: dict[str, Any]) -> None:
    """Every figure of the oracle that the counts have."""
    assert counts.n == oracle["n_labelled"]
    if not counts.n:
        return
    metrics = {name: estimate for family in counts.families() for name, estimate in performance(family).items()}
    names = {"average_precision": "pr_auc", "roc_auc_ovr_macro": "roc_auc_macro"}
    compared = 0
    for name, expected in oracle.items():
        estimate = metrics.get(names.get(name, name))
        if estimate is None or (name.endswith(("_macro", "_weighted")) and name != "roc_auc_ovr_macro"):
            continue
        compared += 1
        if expected is None or estimate.value is None:
            # Where scikit-learn says 0 for a zero denominator, there is no value here.
            assert estimate.value is None, name
            assert expected in (None, 0.0), name
        else:
            assert abs(estimate.value - expected) <= max(1e-9 * max(1.0, abs(expected)), estimate.bound + 1e-12), name
    assert compared >= 3
    if counts.confusion is not None and "tp" in oracle:
        matrix = counts.confusion.matrix
        assert [matrix[1, 1], matrix[0, 1], matrix[1, 0], matrix[0, 0]] == [
            oracle[name] for name in ("tp", "fp", "fn", "tn")
        ]
    if counts.confusion is not None and "confusion" in oracle:
        assert counts.confusion.matrix[:-1, :-1].tolist() == oracle["confusion"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SCENARIOS)
def test_counts_and_metrics_are_those_of_the_oracle(store: Store, shared_data: Path, name: str) -> None:
    data = load(shared_data, name)
    replay = Replay(store, data)
    frame = reference_frame(data)
    reference = labelled_outcomes(frame, "1" if data.meta["task"] == "binary" else None)
    assert reference is not None
    check(reference, data.oracle["reference"])
    for moment in data.oracle["as_of"]:
        replay.until(seconds(moment) * 1_000_000)
        for window in data.oracle["windows"]:
            check(replay.counts(window)[1], window["as_of"][moment])
    replay.until(1 << 62)
    for window in data.oracle["windows"]:
        predictions, counts = replay.counts(window)
        assert predictions == window["final"]["n"]
        check(counts, window["final"])


def test_the_layout_follows_the_task(store: Store, shared_data: Path) -> None:
    layouts: dict[str, OutcomeLayout] = {}
    for name in ("elec2_binary", "insects_multiclass", "bike_regression"):
        data = load(shared_data, name)
        found = labelled_outcomes(reference_frame(data), None)
        assert found is not None
        layouts[name] = found.layout
    assert (layouts["elec2_binary"].task, layouts["elec2_binary"].positive) == ("binary", "1")
    assert layouts["insects_multiclass"].task == "multiclass"
    assert layouts["insects_multiclass"].class_scores
    assert layouts["bike_regression"].task == "regression"
