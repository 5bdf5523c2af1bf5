"""Processor time of evaluating a quiet stream: its reads, the judgement, and quality beside drift.

The stream has 50 features and 834 windows in seven days, and is looked at over an hour, a day and a week; then over
seven look-backs. Beside the sum of the windows: each vector made and added. Beside the judgement: the same functions,
asked for one subject and one look-back at a time. A wide model has 2,000 features.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Callable

import numpy as np

from benchmarks.report import Row, less, measure
from benchmarks.stores import ledger_of, new_id, sqlite_store
from modelwatch.config import Settings
from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.drift.check import DriftCheck, inputs_at
from modelwatch.monitoring.checks.drift.evaluation import evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.drift.judge import Case, judge, judge_all
from modelwatch.monitoring.checks.drift.report_building import report_of
from modelwatch.monitoring.checks.drift.tolerance import tolerance
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts, sum_counts
from modelwatch.stats.drift.significance.combined import combined_tests
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store

STREAM = StreamKey("m", "1", "production")
RULES = dataclasses.replace(DriftRules.of(Settings()), lookbacks=("1h", "24h", "7d"))
SEVEN = dataclasses.replace(RULES, lookbacks=("1h", "3h", "6h", "12h", "24h", "3d", "7d"))
# The start of a base window.
START = 1_750_000_200
WEEK = 2_016
MICROSECONDS = 1_000_000
REFERENCE_ROWS = 2_000
# Features, windows, and predictions in each.
SIZES, QUICK_SIZES = ((50, 834, 10), (2_000, 4, 100)), ((50, 100, 10), (500, 4, 20))
ROUNDS, QUICK_ROUNDS = 9, 5


def run(*, quick: bool = False) -> list[Row]:
    """Every part once for each round; the numbers are medians."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    narrow, wide = QUICK_SIZES if quick else SIZES
    return [*_of(*narrow, rounds), *_of(*wide, max(3, rounds // 3))]


def _of(features: int, windows: int, predictions: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder, sqlite_store(folder) as store:
        _fill(store, features, windows, predictions)
        point, now = Point(START + WEEK * 300, 3_600), (START + 30 * 86_400) * MICROSECONDS
        drift, quality = DriftCheck(store), QualityCheck(store, lambda connection, model: QualityRules.of(RULES))

        def read(rules: DriftRules = RULES) -> Inputs:
            return inputs_at(store, rules, STREAM, point, now)()

        def both() -> None:
            inputs = inputs_at(store, RULES, STREAM, point, now)
            drift.conclude(STREAM, point, [], inputs)
            quality.conclude(STREAM, point, [], inputs)

        inputs = read()
        name, note = f"{features:,} features", f"{windows} windows of {predictions}, processor time"
        rows = [
            _row(f"{name}: drift with its reads", rounds, lambda: report_of(evaluate_drift(read())), note),
            _row(f"{name}: of it, the reads", rounds, read, note),
            _row(f"{name}: drift and quality", rounds, both, note),
            _row(f"{name}: judged", rounds, *_judgements(inputs), note="beside one by one"),
        ]
        if features == SIZES[0][0]:
            seven = f"{name}, 7 look-backs"
            rows += [
                _row(f"{name}: windows summed", rounds, *_sums(features, windows, predictions), note="beside each"),
                _row(f"{seven}: drift with its reads", rounds, lambda: report_of(evaluate_drift(read(SEVEN))), note),
                _row(f"{seven}: judged", rounds, *_judgements(read(SEVEN)), note="beside one by one"),
                _row(f"{seven}: of it, the tests", rounds, _tests(read(SEVEN)), note),
            ]
        return rows


def _judgements(inputs: Inputs) -> tuple[Callable[[], object], Callable[[], object]]:
    cases = []
    for subject, reference in inputs.chosen.items():
        thresholds = RULES.thresholds(subject.kind, subject.name)
        allowed = tolerance(thresholds, None)
        windows = tuple((profile, allowed) for profile in inputs.counts[subject].profiles)
        cases.append(Case(reference.profile, reference.split, thresholds.min_samples, windows))

    def one_by_one() -> object:
        return [
            judge(case.reference, current, allowed, 1e-5, case.min_samples, case.split)
            for case in cases
            for current, allowed in case.windows
        ]

    return lambda: judge_all(cases, 1e-5), one_by_one


def _tests(inputs: Inputs) -> Callable[[], object]:
    some = [
        (reference.profile, reference.split, inputs.counts[subject].profiles)
        for subject, reference in inputs.chosen.items()
    ]
    dispersions = [[None] * len(profiles) for _, _, profiles in some]
    return lambda: combined_tests(some, dispersions)


def _sums(features: int, windows: int, predictions: int) -> tuple[Callable[[], object], Callable[[], object]]:
    rng = np.random.default_rng(1)
    encoded = [
        encode_counts(np.bincount(rng.integers(0, 204 * features, features * predictions), minlength=204 * features))
        for _ in range(windows)
    ]
    return lambda: sum_counts(encoded), lambda: sum(map(decode_counts, encoded))


def _row(name: str, rounds: int, work: Callable[[], object], other: object = None, note: str = "") -> Row:
    """In milliseconds. other: what it is compared with, in the same rounds; or the note."""
    if callable(other):
        return less(name, "ms", *measure(work, other, repetitions=rounds, scale=1e3), note)
    [ours] = measure(work, repetitions=rounds, scale=1e3)
    note = f"{other}; {rounds} rounds, {min(ours):.1f}-{max(ours):.1f}"
    return Row(name, statistics.median(ours), "ms", None, None, note)


def _fill(store: Store, features: int, windows: int, predictions: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"f{index}" for index in range(features)]
    ids = iter(range(1 << 40))
    samples = [
        ReferenceSample("feature", name, "continuous", rng.normal(100, 25, REFERENCE_ROWS).tolist()) for name in names
    ]
    set_reference_frame(store, ReferenceFrame(STREAM.model, None, samples), now=START * MICROSECONDS, new_id=new_id)
    chosen = np.sort(rng.choice(WEEK, windows, replace=False))
    chosen[-1] = WEEK - 1
    ledger = ledger_of(store, lambda: START * MICROSECONDS)

    def prediction(window: int, row: list[float]) -> Prediction:
        at = (START + 300 * window) * MICROSECONDS
        return Prediction(*STREAM, f"p{next(ids)}", at, dict(zip(names, row, strict=True)), "yes")

    for some in np.array_split(chosen, max(1, windows // 14)):
        values = {window: rng.normal(100, 25, (predictions, features)).tolist() for window in some.tolist()}
        ledger.commit([prediction(window, row) for window, rows in values.items() for row in rows])
    ledger.close()
