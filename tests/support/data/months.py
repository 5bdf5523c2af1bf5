"""Months of traffic, written as the profiles that such traffic leaves: no prediction is sent one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from modelwatch.config import BASE_WINDOW_SECONDS, Settings
from modelwatch.monitoring.checks.drift.evaluation import evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import Inputs, decode_evidence, inputs_of
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.drift.report_building import report_of
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import Slot, SlotKey, save
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import StoredVerdict, evidence_of, verdicts_of
from tests.support.background import Taken, background, new_id, run_out
from tests.support.events import NOON, Clock, open_store

HOUR = 3_600
RULES = DriftRules.of(Settings())
RATE, REFERENCE = 100, 10_000


def write_month(
    store: Store,
    model: str,
    rng: np.random.Generator,
    *,
    features: int,
    hours: int,
    shift: tuple[int, float] | None = None,
) -> None:
    """A reference of 10,000 values of each feature, and 100 predictions in each of `hours` hours from noon on.

    The predictions of an hour stand in its last base window. shift: from this hour on the first feature is moved by so
    many standard deviations.
    """
    names = [f"f{index}" for index in range(features)]
    profiles = {}
    for name in names:
        sample = rng.normal(size=REFERENCE)
        profiles[Subject("feature", name)] = Profile.of(numeric_binning(sample), sample)
    set_references(store, model, None, profiles, source="test", now=NOON, new_id=new_id)
    with store.write() as connection:
        generation = generation_of(connection, model)
        assert generation is not None
        layout = read_layouts(connection, model, generation).common
        slots = {}
        for hour in range(hours):
            counts = np.zeros(layout.size, dtype=np.int64)
            for name, values in zip(names, rng.normal(size=(features, RATE)), strict=True):
                moved = shift is not None and name == names[0] and hour >= shift[0]
                counts[layout.slices[Subject("feature", name)]] = _counted(
                    profiles[Subject("feature", name)], values + shift[1] if moved and shift is not None else values
                )
            start = NOON // 1_000_000 + (hour + 1) * HOUR - BASE_WINDOW_SECONDS
            latest = (start + BASE_WINDOW_SECONDS) * 1_000_000 - 1
            slots[SlotKey(model, generation, "1", "production", start)] = Slot(RATE, counts, latest, latest)
        save(connection, ManyRows(store, store.upsert(tables.profile)), "*", slots)
        connection.execute(
            insert(tables.stream),
            {"model": model, "version": "1", "environment": "production", "first_seen_at": NOON},
        )


def _counted(reference: Profile, values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(reference.binning.count(values.tolist()))


@dataclass(frozen=True)
class Month:
    """Verdicts on a month without drift.

    findings: (evaluation, feature) pairs at which a feature was in warning or alert. strict: those that a tenth of the
    budget would have left. naive: (hour, feature) pairs at which the PSI of the last hour was above 0.1.
    """

    evaluations: int
    findings: int
    strict: int
    naive: int
    assessed: int


def live_through(folder: str, seed: int, months: int) -> list[Month]:
    """Months of 50 features without drift, each a model of its own, through the scheduler of a real store."""
    store = open_store(Path(folder))
    rng = np.random.default_rng(seed)
    result = []
    for month in range(months):
        model = f"month-{seed}-{month}"
        write_month(store, model, rng, features=50, hours=24 + 720)
        taken = Taken()
        clock = Clock(NOON + 1_000 * HOUR * 1_000_000)
        run_out(background(store, RULES, clock, sink=taken, provisional_size=10**9))
        with store.read() as connection:
            verdicts = verdicts_of(connection, model, limit=10_000)
        result.append(
            _summed(store, [each for each in verdicts if each.window_end > NOON // 1_000_000 + 24 * HOUR], taken)
        )
    store.close()
    return result


def _summed(store: Store, verdicts: list[StoredVerdict], taken: Taken) -> Month:
    findings = strict = naive = 0
    for verdict in verdicts:
        report = msgspec.json.decode(verdict.result, type=DriftReport)
        findings += len(report.summary.drifted)
        naive += sum(
            line.psi is not None and line.psi > 0.1
            for subject in report.drift_results
            for line in subject.lookbacks
            if line.lookback == "1h"
        )
        if report.summary.drifted:
            strict += _findings_at(store, verdict, RULES.budget / 10)
    assessed = sum(len(assessment.findings) > 0 for assessment in taken.assessments)
    return Month(len(verdicts), findings, strict, naive, assessed)


def _findings_at(store: Store, verdict: StoredVerdict, budget: float) -> int:
    """Number of features that would drift if the same evidence were judged under another budget."""
    with store.read() as connection:
        raw = evidence_of(connection, verdict.id)
        assert raw is not None
        inputs = inputs_of(connection, decode_evidence(raw))
    stricter = replace(inputs.evidence, rules=replace(inputs.evidence.rules, budget=budget))
    return len(report_of(evaluate_drift(Inputs(stricter, inputs.references))).summary.drifted)


def hours_until_seen(folder: str, seed: int, sigmas: float, repetitions: int) -> list[int | None]:
    """For each repetition the hours from a shift of one of 50 features until it was found; None: not within 12."""
    store = open_store(Path(folder))
    rng = np.random.default_rng(seed)
    delays: list[int | None] = []
    for repetition in range(repetitions):
        taken = Taken()
        write_month(store, f"shift-{seed}-{repetition}", rng, features=50, hours=36, shift=(24, sigmas))
        clock = Clock(NOON + 1_000 * HOUR * 1_000_000)
        run_out(background(store, RULES, clock, sink=taken, provisional_size=10**9))
        begun = NOON // 1_000_000 + 24 * HOUR
        seen = [
            each.window_end
            for each in taken.assessments
            if each.window_end > begun and any(finding.subject == "f0" for finding in each.findings)
        ]
        delays.append((min(seen) - begun) // HOUR if seen else None)
    store.close()
    return delays
