"""The floor of a store: plain tables with a row for each prediction, its features as JSON, and nothing else.

The columns, the key and the index are those that a first version has: a prediction is found by its day and by its id.
Rows are written by the fastest plain way of each engine, and are as durable as those of the service.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg

from modelwatch.batches import PredictionBatch
from modelwatch.events import Prediction, Scalar
from modelwatch.times import MICROS_PER_DAY

TYPES = {
    "day": "integer",
    "model": "text",
    "prediction_id": "text",
    "version": "text",
    "environment": "text",
    "ts": "bigint",
    "arrived_at": "bigint",
    "generation": "integer",
    "latency_ms": "double precision",
    "prediction": "text",
    "probability": "double precision",
    "features": "bytea",
}
KEY = ("day", "model", "prediction_id")
TABLE = "plain_prediction"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Scalar]).decode


@dataclass(frozen=True)
class Given:
    """A batch as decoders give it: its columns, and the features of each row as the body has them."""

    batch: PredictionBatch
    maps: list[dict[str, Scalar]]

    @classmethod
    def of(cls, events: Sequence[Prediction]) -> Given:
        return cls(PredictionBatch.of(events), [event.features for event in events])

    def again(self, ids: list[str], moved: int = 0) -> Given:
        """The same predictions under other ids, so many microseconds later."""
        return replace(self, batch=replace(self.batch, ids=ids, times=self.batch.times + moved))


def definition(binary: str) -> str:
    """The statements that make table and index. binary: the engine's type of bytes."""
    columns = ", ".join(f"{name} {kind.replace('bytea', binary)}" for name, kind in TYPES.items())
    return (
        f"CREATE TABLE {TABLE} ({columns}, PRIMARY KEY ({', '.join(KEY)}));"
        f" CREATE INDEX {TABLE}_by_id ON {TABLE} (model, prediction_id)"
    )


def columns_of(given: Given) -> list[Sequence[Any]]:
    """The values of the rows, by column."""
    batch = given.batch
    streams = [batch.streams[place] for place in batch.stream_of.tolist()]
    times = batch.times.tolist()
    return [
        (batch.times // MICROS_PER_DAY).tolist(),
        [stream.model for stream in streams],
        batch.ids,
        [stream.version for stream in streams],
        [stream.environment for stream in streams],
        times,
        times,
        [1] * len(batch),
        batch.latencies,
        list(map(str, batch.predictions)),
        batch.probabilities,
        list(map(_encode, given.maps)),
    ]


class PlainSqlite:
    """A file in WAL mode with synchronous=FULL."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path)
        self.connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {definition('blob')}")
        self._insert = f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(TYPES))}) ON CONFLICT DO NOTHING"

    def insert(self, given: Given) -> None:
        """Commits the rows."""
        self.connection.executemany(self._insert, zip(*columns_of(given), strict=True))
        self.connection.commit()

    def batches(self) -> Iterator[PredictionBatch]:
        """All rows in the order of their key, a thousand at a time: their JSON is decoded, and becomes columns."""
        names = "model, version, environment, prediction_id, ts, features, prediction, probability, latency_ms"
        rows = self.connection.execute(f"SELECT {names} FROM {TABLE} ORDER BY {', '.join(KEY)}")
        while some := rows.fetchmany(1_000):
            yield PredictionBatch.of(
                [
                    Prediction(*stream, identity, ts, _decode(raw), *rest)
                    for *stream, identity, ts, raw, rest in ((*row[:6], row[6:]) for row in some)
                ]
            )

    def close(self) -> None:
        self.connection.close()


class PlainPostgres:
    """Tables in a database of PostgreSQL, which is as durable as the server is."""

    def __init__(self, url: str, *, make: bool = True) -> None:
        """make: whether the table is not there yet."""
        self.connection = psycopg.connect(url)
        if make:
            self.connection.execute(definition("bytea").encode())
            self.connection.commit()
        arrays = ", ".join(f"%b::{kind}[]" for kind in TYPES.values())
        self._insert = f"INSERT INTO {TABLE} SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING".encode()

    def insert(self, given: Given, *, commit: bool = True) -> None:
        """Inserts the rows. commit: at once."""
        self.connection.execute(self._insert, columns_of(given))
        if commit:
            self.connection.commit()

    def close(self) -> None:
        self.connection.close()


def predictions(rng: np.random.Generator, rows: int, features: int, now: int, model: str) -> Given:
    """Predictions of numbers of full precision. now: time of the first; one comes each microsecond."""
    values = rng.normal(size=(rows, features)).tolist()
    return Given.of(
        [
            Prediction(
                model,
                "1",
                "production",
                f"prediction-{number}",
                now + number,
                {f"f{place}": value for place, value in enumerate(row)},
                "legitimate",
                0.9,
                latency_ms=45.2,
            )
            for number, row in enumerate(values)
        ]
    )
