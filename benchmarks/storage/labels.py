"""A storm of labels: one for each of some hundred thousand stored predictions, in random order, on SQLite.

One label in ten comes twice and one in a hundred is corrected. The baseline is what any such join must do at least: one
look-up of each prediction by its id through the same index, in the same order, with the bare driver. At the end the
counts must be exact, or there is no result.
"""

from __future__ import annotations

import gc
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.report import Row, compared, less
from benchmarks.stores import ledger_of, new_id, sqlite_store
from modelwatch.events import GroundTruth, Prediction
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import sum_outcomes
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_references

PREDICTIONS = 400_000
QUICK = 50_000
BATCH = 2_000
ROUNDS = 5
MODEL = "fraud"
LAYOUT = OutcomeLayout("binary", ("legitimate", "fraud"), "fraud", "positive")
START = 1_750_000_000_000_000
SPAN = 86_400_000_000


class Pace(NamedTuple):
    """So many a second, and microseconds of processor time for each."""

    rate: float
    cpu: float


def run(*, quick: bool = False) -> list[Row]:
    """Labels a second, beside look-ups a second; in rounds, one after the other."""
    size = QUICK if quick else PREDICTIONS
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder, sqlite_store(folder) as store:
        outcomes = OutcomeCounts.empty(LAYOUT)
        set_references(store, MODEL, None, {}, outcomes=outcomes, source="benchmark", now=START, new_id=new_id)
        ledger = ledger_of(store)
        events = _predictions(size, rng)
        for start in range(0, size, BATCH):
            ledger.commit(events[start : start + BATCH])
        labels, truth = _labels(events, rng)
        ours: list[Pace] = []
        plain: list[Pace] = []
        order = [label.prediction_id for label in labels]
        # As the service does: the collector need not look through what stays.
        gc.collect()
        gc.freeze()
        for number in range(ROUNDS):
            piece = slice(len(labels) * number // ROUNDS, len(labels) * (number + 1) // ROUNDS)
            plain.append(_looked_up(Path(folder) / "modelwatch.db", order[piece]))
            ours.append(_labelled(ledger, labels[piece]))
        _check(store, events, truth)
    name = f"labels joined to {size:,} stored predictions, random order"
    note = "baseline: bare look-ups by the same index; 10 % repeats, 1 % corrections, counts exact"
    return [
        compared(name, "labels/s", [each.rate for each in ours], [each.rate for each in plain], note),
        less(f"{name}: processor time", "us CPU", [each.cpu for each in ours], [each.cpu for each in plain], note),
    ]


def _predictions(size: int, rng: np.random.Generator) -> list[Prediction]:
    scores = rng.random(size)
    times = np.sort(rng.integers(0, SPAN, size))
    return [
        Prediction(
            MODEL,
            "1",
            "production",
            f"{index:012x}",
            START + int(times[index]),
            {"amount": float(scores[index])},
            "fraud" if scores[index] >= 0.5 else "legitimate",
            float(scores[index]),
        )
        for index in range(size)
    ]


def _labels(events: list[Prediction], rng: np.random.Generator) -> tuple[list[GroundTruth], list[tuple[str, int]]]:
    """The labels in the order they come, and of each prediction the truth that holds and its first time."""
    shuffled = random.Random(0)
    delays = rng.integers(0, 2 * SPAN, len(events))
    positive = rng.random(len(events)) < 0.4
    truth, labels = [], []
    for index, event in enumerate(events):
        at, value = event.timestamp + int(delays[index]), "fraud" if positive[index] else "legitimate"
        label = GroundTruth(MODEL, event.prediction_id, value, at)
        labels.append(label)
        if index % 10 == 3:
            labels.append(label)
        if index % 100 == 7:
            value = "legitimate" if positive[index] else "fraud"
            labels.append(GroundTruth(MODEL, event.prediction_id, value, at + 1_000_000))
        truth.append((value, at))
    shuffled.shuffle(labels)
    return labels, truth


def _looked_up(path: Path, order: list[str]) -> Pace:
    connection = sqlite3.connect(path)
    cursor = connection.cursor()
    query = "SELECT day, version, environment, ts, prediction, probability FROM prediction"
    query += " WHERE model = ? AND prediction_id = ?"
    began, used = time.perf_counter(), time.process_time()
    for identity in order:
        cursor.execute(query, (MODEL, identity)).fetchall()
    pace = _pace(len(order), began, used)
    connection.close()
    return pace


def _labelled(ledger: Ledger, labels: list[GroundTruth]) -> Pace:
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, len(labels), BATCH):
        ledger.commit([], labels[start : start + BATCH])
    return _pace(len(labels), began, used)


def _pace(number: int, began: float, used: float) -> Pace:
    return Pace(number / (time.perf_counter() - began), (time.process_time() - used) / number * 1e6)


def _check(store: Store, events: list[Prediction], truth: list[tuple[str, int]]) -> None:
    outcomes = [
        Outcome(event.prediction, event.probability, value, max(0, at - event.timestamp) / 1_000_000)
        for event, (value, at) in zip(events, truth, strict=True)
    ]
    expected = OutcomeCounts.of(LAYOUT, outcomes)
    with store.read() as connection:
        layouts = read_layouts(connection, MODEL, generation_of(connection, MODEL) or 0)
        [sums] = sum_outcomes(connection, MODEL, layouts, "production", [(0, 1 << 40)])
    if not np.array_equal(sums["1"], expected.vector):
        raise RuntimeError("the counts of the labels are not exact")
