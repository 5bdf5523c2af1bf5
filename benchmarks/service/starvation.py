"""Time until a drifting model has its verdict, beside very many small models, or very many versions of one."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.report import Row
from benchmarks.stores import ledger_of, new_id, now, sqlite_store
from modelwatch.config import Settings
from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample
from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.performance.check import PerformanceCheck
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import QualityCheck
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.evaluator import Evaluator
from modelwatch.monitoring.scheduler.jobs.maintenance import Maintenance
from modelwatch.monitoring.scheduler.runner import BackgroundJobs
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import latest_verdicts

DRIFTING = "drifting"
MODELS, VERSIONS, QUICK_SHARE = 10_000, 5_000, 10
LONGEST_SECONDS = 600.0
BATCH = 2_000
SETTINGS = Settings()
RULES = DriftRules.of(SETTINGS)


class _Nothing:
    """Takes what nobody asks for here."""

    def take(self, connection: object, assessment: Assessment) -> None: ...

    def evaluated(self, model: str, seconds: float) -> None: ...

    def job_failed(self) -> None:
        raise AssertionError("an evaluation failed")

    def __getattr__(self, name: str) -> object:
        return lambda *given, **named: None


def background(store: Store) -> BackgroundJobs:
    """The background work of a service with the default settings."""
    nothing = _Nothing()
    quality = QualityRules.of(RULES)
    performance = PerformanceRules.of(RULES, SETTINGS.performance_tolerance)
    evaluator = Evaluator(
        store,
        RULES,
        nothing,
        nothing,
        timer=time.perf_counter,
        new_id=new_id,
        round_seconds=4.0,
        beside_drift=(QualityCheck(store, lambda connection, model: quality),),
        label_check=PerformanceCheck(store, lambda connection, model: performance),
    )
    maintenance = Maintenance(
        store,
        new_id=new_id,
        provisional_size=SETTINGS.provisional_reference_size,
        rotation_seconds=SETTINGS.writer_rotation_seconds,
        timer=time.perf_counter,
        round_seconds=1.0,
        folded=evaluator.reread,
    )
    return BackgroundJobs(
        store,
        (maintenance, evaluator),
        nothing,
        holder="bench",
        clock=now,
        timer=time.perf_counter,
        lease_seconds=15.0,
    )


def small(models: int, versions: int, at: int) -> Iterator[Prediction]:
    """One prediction of each version of each model."""
    for model, version in itertools.product(range(models), range(versions)):
        yield prediction(f"small-{model}", f"{version}", f"s{version}", 0.0, at)


def prediction(model: str, version: str, identity: str, value: float, at: int) -> Prediction:
    return Prediction(
        model_name=model,
        model_version=version,
        environment="production",
        prediction_id=identity,
        timestamp=at,
        features={"x": value},
        prediction="yes",
    )


def fill(store: Store, models: int, versions: int) -> None:
    """The many, and in the middle of them one model whose data are far from its reference."""
    rng = np.random.default_rng(3)
    values = [float(value) for value in rng.normal(0.0, 1.0, 2_000)]
    frame = ReferenceFrame(DRIFTING, None, [ReferenceSample("feature", "x", "continuous", values)])
    set_reference_frame(store, frame, now=now(), new_id=new_id)
    at = now() - 900_000_000
    drifting = [prediction(DRIFTING, "1", f"d{number}", float(rng.normal(2.0)), at + number) for number in range(500)]
    # All have been silent for long enough to be due at once.
    ledger = ledger_of(store, lambda: now() - 60_000_000)
    for some in _batches([*small(models, versions, at), *drifting]):
        ledger.commit(some)
    ledger.close()


def seconds_until_found(store: Store, longest: float = LONGEST_SECONDS) -> float:
    """From the start of the background work to the end of the round that stores the drifting model's alert.

    Between rounds it rests as long as the last one took, as a service does that has more to do.
    """
    work = background(store)
    began = time.perf_counter()
    while time.perf_counter() - began < longest:
        round_began = time.perf_counter()
        work.once()
        with store.read() as connection:
            if any(verdict.severity == "alert" for verdict in latest_verdicts(connection, DRIFTING)):
                return time.perf_counter() - began
        time.sleep(time.perf_counter() - round_began)
    raise AssertionError(f"nothing was found within {longest:g} s")


def measure(models: int, versions: int, longest: float = LONGEST_SECONDS) -> float:
    """Seconds until the drift is found beside so many."""
    with tempfile.TemporaryDirectory() as folder, sqlite_store(folder) as store:
        fill(store, models, versions)
        return seconds_until_found(store, longest)


def run(*, quick: bool) -> list[Row]:
    """The two cases; a tenth of it when quick."""
    share = QUICK_SHARE if quick else 1
    return [
        Row(
            f"a drift is found beside many {what}",
            measure(models, versions),
            "s",
            None,
            None,
            f"{models:,} models of {versions:,} versions, from the start of the work on",
        )
        for what, models, versions in (
            ("models", MODELS // share, 1),
            ("versions of one", 1, VERSIONS // share),
        )
    ]


def _batches(events: Sequence[Prediction]) -> Iterator[Sequence[Prediction]]:
    for start in range(0, len(events), BATCH):
        yield events[start : start + BATCH]
