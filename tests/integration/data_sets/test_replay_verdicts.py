"""A replay gives the verdicts of live operation, however many rows it puts in a request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwatch.cli import main
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.servers.live_service import LiveService

ROWS, A_DAY = 1_800, 200
START = datetime(2025, 6, 1, tzinfo=UTC)
# What is younger is evaluated once its windows close by the clock.
UNTIL = int((START + timedelta(days=ROWS / A_DAY - 2)).timestamp())
CHECKS = {"drift", "performance", "quality"}
PATIENCE_SECONDS = 120
BATCH_SIZES = {"small": "150", "large": "1500"}

NAMELESS = b'"model_name":""'

Verdicts = dict[tuple[str, int], tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    settings = {"LOOKBACKS": "24h", "MIN_SAMPLES_FOR_DRIFT": "100", "DRIFT_CHECK_INTERVAL": "21600"}
    with LiveService(tmp_path_factory.mktemp("replay"), **settings) as service:
        yield service


def table(size: int, shifted: float) -> pa.Table:
    """Predictions that are right in nine of ten cases; the features move, and the model errs more, from a share on."""
    rng, late = np.random.default_rng(5), np.arange(size) >= shifted * size
    times = [START + timedelta(days=index / A_DAY) for index in range(size)]
    delays = [timedelta(hours=float(hours)) for hours in rng.exponential(6, size)]
    truth = rng.choice(["yes", "no"], size)
    right = rng.random(size) < np.where(late, 0.6, 0.9)
    return pa.table(
        {
            "prediction_id": [f"id-{index}" for index in range(size)],
            "timestamp": times,
            "amount": rng.normal(size=size) + np.where(late, 1.0, 0.0),
            "country": rng.choice(["DE", "FR"], size),
            "prediction": np.where(right, truth, np.where(truth == "yes", "no", "yes")),
            "label": truth,
            "label_at": [at + delay for at, delay in zip(times, delays, strict=True)],
        }
    )


def verdicts(folder: Path, model: str) -> Verdicts:
    """Severity and report of each verdict, by check and window end in seconds, without names."""
    store = Store(f"sqlite:///{folder / 'modelwatch.db'}")
    with store.read() as connection:
        found = [each for check in CHECKS for each in verdicts_of(connection, model, check=check, limit=1_000)]
    store.close()
    named = f'"model_name":"{model}"'.encode()
    return {
        (each.check, each.window_end): (each.severity, said(each.result.replace(named, NAMELESS))) for each in found
    }


def said(result: bytes) -> dict[str, Any]:
    """A report without the id of its reference."""
    report: dict[str, Any] = json.loads(result)
    report.pop("reference_id", None)
    return report


@pytest.mark.timeout(240)
def test_a_replay_gives_the_same_verdicts_whatever_its_batch_size(live: LiveService, tmp_path: Path) -> None:
    reference, stream = tmp_path / "reference.parquet", tmp_path / "stream.parquet"
    labelled = table(2_000, shifted=1.0).drop_columns(["prediction_id", "timestamp", "label_at"])
    pq.write_table(labelled.rename_columns(["amount", "country", "prediction", "ground_truth"]), reference)
    pq.write_table(table(ROWS, shifted=0.6), stream)
    options = ["--label-column", "label", "--label-time-column", "label_at", "--url", live.url]
    for model, size in BATCH_SIZES.items():
        with reference.open("rb") as frame:
            httpx.post(
                f"{live.url}/api/v1/reference",
                params={"model_name": model},
                content=frame.read(),
                headers={"content-type": "application/vnd.apache.parquet"},
            ).raise_for_status()
        assert main(["replay", str(stream), "--model", model, "--batch-size", size, *options]) == 0

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        small, large = (verdicts(live.data_dir, model) for model in BATCH_SIZES)
        done = [{check for check, end in found if end > UNTIL} >= CHECKS for found in (small, large)]
        if all(done) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert done == [True, True], [sorted({check for check, end in found if end > UNTIL}) for found in (small, large)]
    small, large = ({key: found[key] for key in found if key[1] <= UNTIL} for found in (small, large))
    assert small.keys() == large.keys()
    differing = [
        (*key, field, said_of_small[field], large[key][1][field])
        for key, (_, said_of_small) in sorted(small.items())
        for field in said_of_small
        if said_of_small[field] != large[key][1][field]
    ]
    assert not differing, differing[:3]
    assert small == large
    assert len(small) > 30
    for check in ("drift", "performance"):
        assert {small[key][0] for key in small if key[0] == check} >= {"stable", "alert"}
