"""The same predictions are stored as the same bytes and counted alike, whichever way they came."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.batches import DecodedBatch, joined
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import InvalidInput
from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample, Rejection
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from tests.api.bad_inputs import ARROW, JSON, NDJSON, PARQUET, arrow_stream, parquet_file
from tests.support.events import NOON, Clock, numbered, open_ledger, open_store

CSV = "text/csv"
NOW = NOON + 3_600_000_000
decoder = Decoder(Limits(), lambda: NOW, lambda: "made-here")

FEATURES = {
    "amount": st.none() | st.floats(-4.0, 4.0).filter(lambda number: number != int(number)),
    "color": st.none() | st.sampled_from(["red", "green", 'größe "q" 😀', "never seen"]),
    "count": st.none() | st.integers(-3, 2**40),
    "member": st.none() | st.booleans(),
}
ROW = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["with cells", "with none"]),
        "model_version": st.sampled_from(["v1", "version 2"]),
        "prediction_id": st.integers(0, 40).map(lambda number: f"id-{number}"),
        "second": st.integers(0, 3_000),
        "features": st.fixed_dictionaries(FEATURES),
        "prediction": st.sampled_from(["yes", "no", "maybe"]),
        "prediction_probability": st.none() | st.floats(0.001, 0.999),
        "latency_ms": st.none() | st.floats(0.5, 9.0),
        "ground_truth": st.none() | st.sampled_from(["yes", "no"]),
        # Of every eighth row or so the latency is negative, or it has none of the names that it needs.
        "bad": st.sampled_from([None] * 14 + ["latency", "id"]),
    }
)


def as_sent(row: dict[str, Any]) -> dict[str, Any]:
    sent = {name: value for name, value in row.items() if name not in ("second", "bad")}
    # In the order of the columns of a table.
    sent["features"] = {name: row["features"][name] for name in FEATURES}
    sent["timestamp"] = f"2025-06-15T14:{row['second'] // 60:02}:{row['second'] % 60:02}.250000Z"
    if row["bad"] == "latency":
        sent["latency_ms"] = -1.5
    if row["bad"] == "id":
        sent["prediction_id"] = "i" * 600
    return sent


def as_list(row: dict[str, Any]) -> dict[str, Any]:
    features = [{"name": name, "value": value} for name, value in row["features"].items()]
    return {**row, "features": features}


TYPES = {"amount": "continuous", "color": "categorical", "count": "continuous", "member": "categorical"}


def as_typed_list(row: dict[str, Any]) -> dict[str, Any]:
    features = [{"name": name, "value": value, "data_type": TYPES[name]} for name, value in row["features"].items()]
    return {**row, "features": features}


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    flat = [{**{name: value for name, value in row.items() if name != "features"}, **row["features"]} for row in rows]
    return pa.Table.from_pylist(flat)


def as_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    return sink.getvalue()


def with_dictionaries(table: pa.Table) -> pa.Table:
    if pa.types.is_string(table.schema.field("color").type):
        table = table.set_column(table.schema.get_field_index("color"), "color", table["color"].dictionary_encode())
    return table


def one_by_one(rows: list[dict[str, Any]]) -> DecodedBatch:
    events: list[Prediction] = []
    rejected: list[Rejection] = []
    for index, row in enumerate(rows):
        try:
            events.append(decoder.prediction(json.dumps(row).encode()))
        except InvalidInput as error:
            rejected.append(Rejection(index, error.errors[0].pointer, error.errors[0].message))
    return DecodedBatch(joined([events]), rejected)


def batch(make: Callable[[list[dict[str, Any]]], bytes], kind: str) -> Callable[[list[dict[str, Any]]], DecodedBatch]:
    return lambda rows: decoder.batch(make(rows), kind)


WAYS: dict[str, Callable[[list[dict[str, Any]]], DecodedBatch]] = {
    "one by one": one_by_one,
    "maps": batch(lambda rows: json.dumps(rows).encode(), JSON),
    "lists": batch(lambda rows: json.dumps({"predictions": list(map(as_list, rows))}).encode(), JSON),
    "typed lists": batch(lambda rows: json.dumps(list(map(as_typed_list, rows))).encode(), JSON),
    "lines": batch(lambda rows: b"\n".join(json.dumps(row).encode() for row in rows), NDJSON),
    "arrow": batch(lambda rows: arrow_stream(as_table(rows)), ARROW),
    "dictionaries": batch(lambda rows: arrow_stream(with_dictionaries(as_table(rows))), ARROW),
    "parquet": batch(lambda rows: parquet_file(as_table(rows)), PARQUET),
    "csv": batch(lambda rows: as_csv(as_table(rows)), CSV),
}


@pytest.fixture(scope="module")
def referenced(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with references and segments of one model; of the other a feature is not stored."""
    folder = tmp_path_factory.mktemp("referenced")
    store = open_store(folder)
    samples = [
        ReferenceSample("feature", "amount", "continuous", [place / 50 - 4 for place in range(400)]),
        ReferenceSample("feature", "color", "categorical", ["red", "green"] * 100),
        ReferenceSample("feature", "count", "categorical", [1, 2, 3] * 50),
        ReferenceSample("feature", "member", "categorical", ["true", "false"] * 50),
        ReferenceSample("feature", "absent", "continuous", [0.5, 1.5] * 50),
        ReferenceSample("prediction", "", "categorical", ["yes", "no"] * 50),
        ReferenceSample("score", "", "continuous", [place / 400 for place in range(400)]),
    ]
    for model, config in (
        ("with cells", {"segments": ["color", "amount"]}),
        ("with none", {"privacy": {"features": {"member": "drop"}}}),
    ):
        monitor = parse_monitor(config)
        put_monitor(store, model, monitor, source="test", actor="test", now=NOON, new_id=numbered(model))
    frame = ReferenceFrame("with cells", None, samples, truths=["yes", "no"] * 50)
    set_reference_frame(store, frame, now=NOON, new_id=numbered("r"))
    store.close()
    return (folder / "modelwatch.db").read_bytes()


def stored_content(store: Store) -> list[list[Any]]:
    with store.read() as connection:
        return [
            list(connection.execute(select(table).order_by(*table.primary_key.columns)).all())
            for table in (tables.prediction, tables.profile, tables.outcome, tables.label)
        ]


@settings(max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(ROW, min_size=1, max_size=60))
def test_every_way_stores_the_same_bytes_and_counts(
    rows: list[dict[str, Any]], referenced: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assume(not all(row["bad"] for row in rows))
    sent = list(map(as_sent, rows))
    found = {}
    for way, decode in WAYS.items():
        decoded = decode(sent)
        folder = tmp_path_factory.mktemp("way")
        (folder / "modelwatch.db").write_bytes(referenced)
        store = Store(f"sqlite:///{folder / 'modelwatch.db'}")
        committed = open_ledger(store, Clock(NOW)).commit(decoded.events)
        found[way] = [committed.accepted, decoded.rejected, *stored_content(store)]
        store.close()
    assert [each.index for each in decoded.rejected] == [index for index, row in enumerate(rows) if row["bad"]]
    for way, content in found.items():
        for got, expected in zip(content, found["one by one"], strict=True):
            assert (way, got) == (way, expected)
    # As each row would be written alone.
    good = [each for each, row in zip(sent, rows, strict=True) if not row["bad"]]
    first = {(row["model_name"], row["prediction_id"]): row for row in reversed(good)}
    kept = {(row.model, row.prediction_id): row.features for row in found["csv"][2]}
    for key, features in kept.items():
        assert json.loads(features) == stored_features(key[0], first[key]["features"])


def stored_features(model: str, features: dict[str, Any]) -> dict[str, Any]:
    """The features of a row as JSON: booleans are categories, and one feature of a model is dropped."""
    written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in features.items()}
    return {name: value for name, value in written.items() if model == "with cells" or name != "member"}
