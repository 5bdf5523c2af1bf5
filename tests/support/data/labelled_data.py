"""The labelled data sets of the shared data: sent with each label at the time it came, and watched meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import GroundTruth, Prediction, ReferenceFrame, ReferenceSample
from modelwatch.findings import Assessment, Finding
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport
from modelwatch.monitoring.checks.performance.rules import LOOKBACKS, PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import IDLE_SECONDS
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import sum_outcomes
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import put_monitor
from tests.support.background import Taken, background, run_out
from tests.support.data.data_sets import read_part
from tests.support.events import NOON, Clock, numbered, open_ledger

ROWS_PER_COMMIT = 2_000
EVER = 1 << 62


@dataclass(frozen=True)
class Labelled:
    """One folder of the shared data. windows: as the oracle has them. by_rows: windows that no base window bounds."""

    name: str
    reference: pa.Table
    production: pa.Table
    meta: dict[str, Any]
    oracle: dict[str, Any]

    @cached_property
    def by_rows(self) -> bool:
        return any(start % 300 for _, start, _ in self.spans)

    @cached_property
    def spans(self) -> list[tuple[str, int, int]]:
        """The windows: name, start and end in seconds."""
        return [(window["window"], *self.span(window)) for window in self.oracle["windows"]]

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
        for name, start, end in self.spans:
            if start * 10**6 <= time < end * 10**6:
                return (name, time) if self.by_rows else ("1", start * 10**6)
        raise AssertionError(f"no window holds {time}")


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def load(folder: Path) -> Labelled:
    return Labelled(
        folder.name,
        read_part(folder, "reference"),
        read_part(folder, "production"),
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


def shown(store: Store, data: Labelled, window: str) -> LabelledWindowReport | None:
    """Entry of the history for a window; None when it has no predictions."""
    [found] = [each for each in data.oracle["windows"] if each["window"] == window]
    start, end = data.span(found)
    history = performance_history(store, StreamKey(data.name, "1", "production"), start, end, end - start)
    return next(iter(history.windows), None)


@dataclass(frozen=True)
class Watched:
    """A data set that was sent from its beginning to its end, while the background work watched it.

    told: after each window of the oracle, what was found anew since the one before, by version and subject; the last
    is after all labels have come. counts: by moment ("final" at the end) and window, its predictions and outcomes.
    """

    data: Labelled
    told: list[dict[tuple[str, str], Finding]]
    counts: dict[str, dict[str, tuple[int, OutcomeCounts]]]

    def places(self, subject: str, version: str = "1") -> list[int]:
        """After which windows the subject was found."""
        return [place for place, found in enumerate(self.told) if (version, subject) in found]


def watch(store: Store, data: Labelled, every: int, lookbacks: tuple[str, ...] = LOOKBACKS) -> Watched:
    """Sends the data set and evaluates as it goes. every: seconds between evaluations. lookbacks: of performance."""
    replay, taken = Replay(store, data), Taken()
    rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("24h",), every, on_new_data=False)
    performance = replace(PerformanceRules.of(rules, 0.02), lookbacks=lookbacks)
    # Each time all has come that there is so far: nothing that is still under way is waited for.
    later = NOON * 2 + 2 * IDLE_SECONDS * 1_000_000
    jobs = background(store, rules, Clock(later), sink=taken, performance=performance)
    watched = Watched(data, [], {})
    moments = {seconds(moment): moment for moment in data.oracle["as_of"]}
    ends = [seconds(window["end"]) for window in data.oracle["windows"]]
    seen = 0
    for time in [*sorted({*moments, *ends}), EVER]:
        replay.until(time * 1_000_000)
        if time in moments or time == EVER:
            moment = moments.get(time, "final")
            windows = data.oracle["windows"]
            watched.counts[moment] = {window["window"]: replay.counts(window) for window in windows}
        if time in ends or time == EVER:
            run_out(jobs)
            watched.told.append(_news(taken.assessments[seen:]))
            seen = len(taken.assessments)
    return watched


def _news(assessments: list[Assessment]) -> dict[tuple[str, str], Finding]:
    return {
        (assessment.version, finding.subject): finding
        for assessment in assessments
        if "performance" in assessment.kinds
        for finding in assessment.findings
        if not finding.holding
    }
