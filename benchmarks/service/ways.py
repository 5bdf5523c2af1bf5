"""Processor time of a prediction in a batch, by the way it came: from the body to the commit, without the network.

Batches of 1,000 predictions with 40 numbers and 10 categories, of a model with references, into SQLite with
synchronous=FULL. All of a batch are in one window, or they are spread over a day, as when a history is sent.
"""

from __future__ import annotations

import io
import itertools
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from benchmarks.report import Row, less
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.ledger.ledger import Ledger
from tests.support.events import NOON, Clock, numbered, open_ledger, open_store

ROWS, NUMBERS, CATEGORIES = 1_000, 40, 10
ROUNDS = 5
COLORS = ["red", "green", "blue", "violet"]
SPANS = {"one window": 200, "a day": 86_400}
WAYS = ("lists", "maps", "lines", "arrow", "parquet", "csv")
JSON, LINES = "application/json", "application/x-ndjson"
ARROW, PARQUET, CSV = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "text/csv"


def run(*, quick: bool = False) -> list[Row]:
    """Decoding and commit of each way, in alternating rounds; the baseline is JSON with lists of features."""
    rows = []
    for span, seconds in SPANS.items():
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder))
            clock, rng = Clock(NOON + 10_000_000), np.random.default_rng(1)
            columns = feature_columns(rng)
            samples = [
                ReferenceSample("feature", name, "continuous" if name[0] == "n" else "categorical", values)
                for name, values in columns.items()
            ]
            set_reference_frame(store, ReferenceFrame("m", None, samples), now=NOON, new_id=numbered("r"))
            decoder, ledger = Decoder(Limits(), clock, numbered("made")), open_ledger(store, clock)
            found: dict[str, list[tuple[float, float]]] = {}
            batches = itertools.count()
            for _ in range(2 if quick else ROUNDS):
                for way in WAYS:
                    body, kind = batch_body(way, rng, f"prediction-{next(batches)}", NOON // 1_000_000, seconds)
                    found.setdefault(way, []).append(_times(decoder, ledger, body, kind))
            store.close()
        totals = {way: list(map(sum, times)) for way, times in found.items()}
        for way, times in found.items():
            decoding = statistics.median(each for each, _ in times)
            note = f"decoding {decoding:.1f}; baseline: as lists"
            rows.append(less(f"batch over {span}: {way}", "us CPU", totals[way], totals["lists"], note))
    return rows


def _times(decoder: Decoder, ledger: Ledger, body: bytes, kind: str) -> tuple[float, float]:
    """Microseconds of processor time a prediction: to decode it, and to commit it."""
    start = time.process_time()
    batch = decoder.batch(body, kind)
    decoded = time.process_time()
    committed = ledger.commit(batch.events)
    end = time.process_time()
    if committed.accepted.count(True) != ROWS:
        raise RuntimeError(f"{committed.accepted.count(True)} of {ROWS} predictions were new")
    return (decoded - start) * 1e6 / ROWS, (end - decoded) * 1e6 / ROWS


def feature_columns(rng: np.random.Generator) -> dict[str, list[Scalar]]:
    """A thousand values of each feature."""
    numbers = {f"number_{place}": rng.normal(size=ROWS).tolist() for place in range(NUMBERS)}
    return numbers | {f"category_{place}": rng.choice(COLORS, ROWS).tolist() for place in range(CATEGORIES)}


def batch_body(way: str, rng: np.random.Generator, name: str, end: int, seconds: int) -> tuple[bytes, str]:
    """The body of a batch whose predictions are spread over so many seconds before `end`, and its content type.

    way: one of WAYS. name: what their ids begin with.
    """
    features = feature_columns(rng)
    moments = (end - rng.integers(1, seconds, ROWS)).tolist()
    known: dict[str, list[Scalar]] = {
        "model_name": ["m"] * ROWS,
        "model_version": ["2.1.0"] * ROWS,
        "prediction_id": [f"{name}-{place}" for place in range(ROWS)],
        "timestamp": [datetime.fromtimestamp(moment, UTC).isoformat() for moment in moments],
        "prediction": ["yes"] * ROWS,
        "prediction_probability": rng.random(ROWS).tolist(),
    }
    sink = io.BytesIO()
    match way:
        case "arrow" | "parquet" | "csv":
            table = pa.table({**known, **features})
            if way == "arrow":
                with pa.ipc.new_stream(sink, table.schema) as writer:
                    writer.write_table(table)
                return sink.getvalue(), ARROW
            if way == "parquet":
                pq.write_table(table, sink)
                return sink.getvalue(), PARQUET
            csv.write_csv(table, sink)
            return sink.getvalue(), CSV
        case _:
            maps = [dict(zip(features, values, strict=True)) for values in zip(*features.values(), strict=True)]
            lists = [[{"name": name, "value": value} for name, value in each.items()] for each in maps]
            rows = [
                {**dict(zip(known, values, strict=True)), "features": lists[place] if way == "lists" else maps[place]}
                for place, values in enumerate(zip(*known.values(), strict=True))
            ]
            if way == "lines":
                return b"\n".join(json.dumps(row).encode() for row in rows), LINES
            return json.dumps(rows).encode(), JSON
