"""The real data sets, as a model service would send them, and what a store says of each of their windows."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import covering
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.store import Store
from tests.support.data.data_sets import read_part
from tests.support.events import NOON, open_ledger

ROWS_PER_COMMIT = 10_000
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Scenario:
    """One folder of the shared data."""

    name: str
    meta: dict[str, Any]
    reference: pa.Table
    production: pa.Table
    windows: list[dict[str, Any]]


def load(folder: Path) -> Scenario:
    """The scenario with its tables in the columns of the wire; categories are text, labels are left out."""
    meta = json.loads((folder / "meta.json").read_text())
    tables = [_as_sent(read_part(folder, part), meta) for part in ("reference", "production")]
    windows = json.loads((folder / "oracle_drift.json").read_text())["windows"]
    return Scenario(folder.name, meta, tables[0], tables[1], windows)


def _as_sent(table: pa.Table, meta: dict[str, Any]) -> pa.Table:
    features = [*meta["numeric_features"], *meta["categorical_features"]]
    columns = {name: table[name] for name in ("prediction_id", "timestamp", *features)}
    for name in meta["categorical_features"]:
        columns[name] = table[name].cast(pa.string())
    columns["prediction"] = table[meta["prediction"]]
    if len(meta.get("probability") or []) == 1:
        columns["prediction_probability"] = table[meta["probability"][0]]
    return pa.table(columns)


def arrow_stream(table: pa.Table) -> bytes:
    """The table as the body of a request."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def fill(store: Store, scenario: Scenario) -> None:
    """Sets the scenario's reference and stores its production rows."""
    decoder = Decoder(Limits(), lambda: NOON, lambda: uuid.uuid4().hex)
    frame = decoder.reference(arrow_stream(scenario.reference), ARROW, scenario.name, None)
    set_reference_frame(store, frame, now=NOON, new_id=lambda: uuid.uuid4().hex)
    ledger = open_ledger(store)
    for start in range(0, scenario.production.num_rows, ROWS_PER_COMMIT):
        body = arrow_stream(scenario.production.slice(start, ROWS_PER_COMMIT))
        batch = decoder.batch(body, ARROW, {"model_name": scenario.name})
        assert not batch.rejected
        assert all(ledger.commit(batch.events).accepted)


def said(store: Store, scenario: Scenario, rules: DriftRules) -> dict[str, DriftReport]:
    """The report of each of the oracle's windows."""
    return {
        window["window"]: check_drift(
            store,
            rules,
            DriftQuery(
                scenario.name,
                "production",
                window=covering(_microseconds(window["start"]), _microseconds(window["end"])),
            ),
            NOON,
        )
        for window in scenario.windows
    }


def alarms(reports: dict[str, DriftReport]) -> dict[str, list[str]]:
    """By window, the features that are not stable."""
    return {
        window: [
            result.feature_name
            for result in report.drift_results
            if result.kind == "feature" and result.severity in ("warning", "alert")
        ]
        for window, report in reports.items()
    }


def _microseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
