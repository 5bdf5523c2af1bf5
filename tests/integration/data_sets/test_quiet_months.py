"""Real data with the rhythm of days and weeks and without drift: how many alerts months of it would have brought."""

from __future__ import annotations

import csv
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.config import Settings
from modelwatch.monitoring.backtest import backtest
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.models import StreamKey
from tests.proofs.lock import Proofs
from tests.support.background import new_id
from tests.support.data.data_sets import DataSets, read_part
from tests.support.data.scenarios import ARROW, ROWS_PER_COMMIT, arrow_stream
from tests.support.events import NOON, open_ledger, open_store

# Of each data set: until when it is the reference, and how long nothing but its rhythm happens in it.
TAXI = (datetime(2014, 9, 1, tzinfo=UTC), datetime(2014, 11, 24, tzinfo=UTC))
ELEC2 = (datetime(1997, 2, 4, tzinfo=UTC), datetime(1997, 5, 1, tzinfo=UTC))
NUMBERS = ("nswdemand", "vicdemand", "vicprice", "transfer", "period")


def taxi_alerts(file: Path, natural: str) -> float:
    """Alerts in 30 days of half-hourly taxi passengers in New York: two months, then almost three; by rules whose
    p-values allow for natural variation (`tests`), or whose sizes alone do (`sizes`)."""
    rows = list(csv.DictReader(file.read_text().splitlines()))
    times = [datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC) for row in rows]
    table = pa.table(
        {"timestamp": pa.array(times, pa.timestamp("us", "UTC")), "value": [float(row["value"]) for row in rows]}
    )
    return _alerts(table, TAXI, natural)


def elec2_alerts(folder: Path, natural: str) -> float:
    """The same of half-hourly electricity demand and prices in New South Wales: nine months, then three."""
    parts = [read_part(folder, part) for part in ("train", "reference", "production")]
    table = pa.concat_tables([part.select(["timestamp", *NUMBERS, "day"]) for part in parts]).sort_by("timestamp")
    days = table["day"].cast(pa.string())
    return _alerts(table.set_column(table.schema.get_field_index("day"), "day", days), ELEC2, natural)


def _alerts(table: pa.Table, span: tuple[datetime, datetime], natural: str) -> float:
    times = table["timestamp"].to_pylist()
    first, last = (sum(time < border for time in times) for border in span)
    table = table.append_column("prediction", pa.array(["x"] * len(times)))
    table = table.append_column("prediction_id", pa.array([str(place) for place in range(len(times))]))
    decoder = Decoder(Limits(), lambda: NOON, lambda: uuid.uuid4().hex)
    with TemporaryDirectory() as data, closing(open_store(Path(data))) as store:
        frame = decoder.reference(arrow_stream(table.slice(0, first)), ARROW, "m", None)
        set_reference_frame(store, frame, now=NOON, new_id=new_id)
        ledger = open_ledger(store)
        for start in range(first, last, ROWS_PER_COMMIT):
            body = arrow_stream(table.slice(start, min(ROWS_PER_COMMIT, last - start)))
            assert all(ledger.commit(decoder.batch(body, ARROW, {"model_name": "m"}).events).accepted)
        rules = replace(DriftRules.of(Settings()), kinds=(), dispersed=natural == "tests")
        found = backtest(store, rules, StreamKey("m", "unversioned", "production"), NOON, most=10_000)
    assert found.evaluations > 1_000
    assert found.alerts_per_30_days is not None
    return round(found.alerts_per_30_days, 2)


@pytest.mark.timeout(900)
def test_taxi_passengers_of_days_and_nights_keep_the_budget(shared_data: DataSets, proofs: Proofs) -> None:
    file = shared_data / "nab" / "nyc_taxi.csv"
    assert proofs.figures(taxi_alerts, file, "tests") <= 1.0 < proofs.figures(taxi_alerts, file, "sizes")


@pytest.mark.timeout(900)
def test_demand_and_prices_of_electricity_keep_the_budget(shared_data: DataSets, proofs: Proofs) -> None:
    folder = shared_data / "elec2_binary"
    assert proofs.figures(elec2_alerts, folder, "tests") <= 1.0 < proofs.figures(elec2_alerts, folder, "sizes")
