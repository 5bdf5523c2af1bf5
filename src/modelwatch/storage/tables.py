"""The tables, written once for SQLite and PostgreSQL. Times are integers in microseconds UTC, windows in seconds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

# `generation` grows by one whenever a reference of the model is set; a profile belongs to exactly one generation,
# which fixes the binnings its counts are laid out in (see layouts.py).
model = Table(
    "model",
    metadata,
    Column("name", Text, primary_key=True),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("created_at", BigInteger, nullable=False),
    Column("provisional_done", Boolean, nullable=False, server_default=text("false")),
)

writer = Table(
    "writer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
)

prediction = Table(
    "prediction",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("model", Text, primary_key=True),
    Column("prediction_id", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("arrived_at", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("latency_ms", Float),
    Column("prediction", Text, nullable=False),
    Column("probability", Text),
    Column("features", LargeBinary),
)

label = Table(
    "label",
    metadata,
    Column("model", Text, primary_key=True),
    Column("prediction_id", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("arrived_at", BigInteger, nullable=False),
    Column("applied_at", BigInteger),
)

profile = Table(
    "profile",
    metadata,
    Column("model", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("window_len", Integer, primary_key=True, autoincrement=False),
    Column("version", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("writer", Text, primary_key=True),
    Column("predictions", BigInteger, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Index("profile_by_writer", "writer"),
)

# Active in the generations [from_generation, to_generation); to_generation is null while it is in force.
reference = Table(
    "reference",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("binning_id", Text, nullable=False),
    Column("binning", LargeBinary, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Column("variation", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("from_generation", Integer, nullable=False),
    Column("to_generation", Integer),
    Index("reference_by_model", "model", "from_generation"),
)

# The latest evaluations, newest window last; `result` is the drift report as JSON.
verdict = Table(
    "verdict",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("window_end", BigInteger, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("evaluated_at", BigInteger, nullable=False),
    Column("result", LargeBinary, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
