"""The tables, written once for SQLite and PostgreSQL. Times are integers in microseconds UTC, windows in seconds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from modelwatch.events import EARLIEST_DAY

metadata = MetaData()


class by_bytes(FunctionElement[str]):  # noqa: N801 - used as a function
    """A text to be sorted or compared by its bytes, as SQLite and Python do it, whatever the language of the database.

    PostgreSQL sorts by the language that a database was made with, in which "a" comes before "B".
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[str]) -> None:
        super().__init__(column)


@compiles(by_bytes)
def _as_it_is(element: by_bytes, compiler: Any, **options: Any) -> str:
    column: str = compiler.process(element.clauses, **options)
    return column


@compiles(by_bytes, "postgresql")
def _in_no_language(element: by_bytes, compiler: Any, **options: Any) -> str:
    return f'{_as_it_is(element, compiler, **options)} COLLATE "C"'


# An incident that is not over; there is at most one for a fingerprint.
OPEN = text("state <> 'resolved'")

# A prediction with encrypted features.
ENCRYPTED = text("key_id IS NOT NULL")

# A prediction whose features are in a block.
IN_BLOCK = text("block IS NOT NULL")

# A prediction that keeps features itself.
WITH_FEATURES = text("features IS NOT NULL")

# A label whose prediction has not come yet.
WAITING = text("applied_at IS NULL")

# A slot of a writer of its own. The common writer's, most of all, are never looked up by it.
UNFOLDED = text("writer <> '*'")

# `generation` grows by one whenever a reference of the model is set; a profile belongs to exactly one generation,
# which fixes the binnings its counts are laid out in (see layouts.py).
model = Table(
    "model",
    metadata,
    Column("name", Text, primary_key=True),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("created_at", BigInteger, nullable=False),
    Column("provisional_done", Boolean, nullable=False, server_default=text("false")),
    # Grows when a label changes that an older generation has counted (see recounting.py).
    Column("label_changes", BigInteger, nullable=False, server_default=text("0")),
    # Labels that were given up because their prediction never came.
    Column("orphaned_labels", BigInteger, nullable=False, server_default=text("0")),
    # What its monitor says about privacy, as JSON: the ledger reads it beside the generation.
    Column("privacy", Text),
    # The day, since 1970, before which its predictions have expired: none of those days takes any more.
    Column("expired_before", Integer, nullable=False, server_default=text(str(EARLIEST_DAY))),
    # Labels that came for a day that had expired.
    Column("expired_labels", BigInteger, nullable=False, server_default=text("0")),
    # Of what share of its predictions the features are kept, as its monitor says; null: as the settings say.
    Column("sample_rate", Float),
    # What of it is being deleted, as JSON (see deletion.py): nothing more of that is taken meanwhile.
    Column("deleting", Text),
)

# What is deleted, and what was: a model, or a version or an environment of it. step, position: where it goes on.
# predictions, removed: rows that are gone, of predictions and of everything else. generation: the last one of a model
# that is gone; one of the same name begins after it.
deletion = Table(
    "deletion",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text),
    Column("environment", Text),
    Column("requested_at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("position", Text, nullable=False, server_default=text("''")),
    Column("predictions", BigInteger, nullable=False, server_default=text("0")),
    Column("removed", BigInteger, nullable=False, server_default=text("0")),
    Column("finished_at", BigInteger),
    Column("generation", Integer),
    Index("deletion_by_model", "model", "finished_at"),
)

# `commits`: how many it has made, which its process knows too. A store that was set back has another number.
writer = Table(
    "writer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
    Column("commits", BigInteger, nullable=False, server_default=text("0")),
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
    # Null: no feature is stored here. `protected` is null where all are, as they came (see protection.py).
    Column("features", LargeBinary),
    Column("protected", LargeBinary),
    Column("key_id", Text),
    # The segments that it was counted in, as JSON: what takes it out again needs no features.
    Column("segments", Text),
    # The block that its features are in, all as they came, and its place there.
    Column("block", BigInteger),
    Column("place", Integer),
    Index("prediction_by_id", "model", "prediction_id"),
    Index("prediction_by_key", "key_id", sqlite_where=ENCRYPTED, postgresql_where=ENCRYPTED),
    Index("prediction_by_block", "block", sqlite_where=IN_BLOCK, postgresql_where=IN_BLOCK),
    Index(
        "prediction_by_arrival",
        "model",
        "day",
        "arrived_at",
        sqlite_where=WITH_FEATURES,
        postgresql_where=WITH_FEATURES,
    ),
)

# The features of predictions of a stream and a day that came in one commit, see ledger/predictions/feature_columns.py.
# first_ts, last_ts: their times, the first and the last. predictions: how many rows are left that name it. names: of
# how many features it has a column; each of its rows takes so much memory, whatever the block takes here.
feature_block = Table(
    "feature_block",
    metadata,
    # The alias of SQLite's own number of a row.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("first_ts", BigInteger, nullable=False),
    Column("last_ts", BigInteger, nullable=False),
    Column("predictions", Integer, nullable=False),
    Column("names", Integer, nullable=False),
    Column("features", LargeBinary, nullable=False),
    Index("feature_block_by_day", "model", "day"),
)

# The truth about every prediction of this id: the value with the latest `ts`; `first_ts` is when any value was known
# first. `generation`: the one in which it was counted last, see recounting.py.
label = Table(
    "label",
    metadata,
    Column("model", Text, primary_key=True),
    Column("prediction_id", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("arrived_at", BigInteger, nullable=False),
    Column("applied_at", BigInteger),
    Column("first_ts", BigInteger, nullable=False, server_default=text("0")),
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Index("label_waiting", "model", "arrived_at", sqlite_where=WAITING, postgresql_where=WAITING),
    # Time first: beside the key, an index that begins with the model would be taken for look-ups by ids.
    Index("label_by_time", "first_ts", "model"),
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
    # The newest event in the slot by its own time, and the newest by arrival: a stream's watermark and its freshness.
    Column("latest_ts", BigInteger, nullable=False, server_default=text("0")),
    Column("arrived_at", BigInteger, nullable=False, server_default=text("0")),
    # Predictions that came again, by their own time; they count in nothing else.
    Column("duplicates", BigInteger, nullable=False, server_default=text("0")),
    # Of a window that was rolled up: what each of its base windows had (see ledger/slots.py).
    Column("pace", LargeBinary),
    # Those of them that said something else than the first time.
    Column("changed_duplicates", BigInteger, nullable=False, server_default=text("0")),
    Index("profile_by_writer", "writer", "model", sqlite_where=UNFOLDED, postgresql_where=UNFOLDED),
    Index("profile_by_stream", "model", "environment", "version", "segment", "window_start"),
)

# Profiles that were counted elsewhere, so that each counts once. day: the newest that it has counts of, since 1970.
received_profile = Table(
    "received_profile",
    metadata,
    Column("model", Text, primary_key=True),
    Column("profile_id", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("arrived_at", BigInteger, nullable=False),
)

# The counts of labelled predictions, by the window of the prediction. A writer's counts may be negative: it may take
# back what another one has added; the sum over writers never is. latest_ts, arrived_at: of the newest label.
outcome = Table(
    "outcome",
    metadata,
    Column("model", Text, primary_key=True),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("window_len", Integer, primary_key=True, autoincrement=False),
    Column("version", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("writer", Text, primary_key=True),
    Column("counts", LargeBinary, nullable=False),
    Column("latest_ts", BigInteger, nullable=False),
    Column("arrived_at", BigInteger, nullable=False),
    Index("outcome_by_writer", "writer", "model", sqlite_where=UNFOLDED, postgresql_where=UNFOLDED),
    Index("outcome_by_stream", "model", "environment", "version", "segment", "window_start"),
)

# Every (model, version, environment) that was ever committed.
stream = Table(
    "stream",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("first_seen_at", BigInteger, nullable=False),
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
    # Whether the names of its categories are keyed hashes.
    Column("hashed", Boolean, nullable=False, server_default=text("false")),
    # Of a categorical one, how it was split for its tests; null for one of a release that did not.
    Column("split", LargeBinary),
    # How alike its values are that have the same key, where the monitor named one; else null.
    Column("clusters", LargeBinary),
    Index("reference_by_model", "model", "from_generation"),
)

# A reference's counts in each value of a segment feature, as it was defined then: one vector after the other.
reference_segment = Table(
    "reference_segment",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("definition", Text, primary_key=True),
    Column("counts", LargeBinary, nullable=False),
)

# The labelled rows of an outcome reference in force, and what was said about them: so that another task or positive
# class can be counted without the reference being sent again.
labelled_rows = Table(
    "labelled_rows",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)

# What was concluded, and from what: one row for each check of a stream, never replaced. `evidence` is all that the
# report was computed from, `result` the report as JSON, `conditions` what persists from one evaluation to the next.
verdict = Table(
    "verdict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("window_end", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("evaluated_at", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("severity", Text, nullable=False),
    Column("inputs_hash", Text, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("conditions", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=False),
    # Those that a verdict was made by. Verdicts of releases that did not say so are of the first.
    Column("rules_version", Integer, nullable=False, server_default=text("1")),
    # Few numbers of the report, for lists and what they show over time; null in verdicts of releases that kept none.
    Column("value", Float),
    Column("rate", Float),
    Column("headline", LargeBinary),
    Index(
        "verdict_once",
        "model",
        "environment",
        "version",
        "check_name",
        "window_end",
        "generation",
        unique=True,
    ),
    Index("verdict_by_time", "model", "check_name", "window_end"),
    # Has all that is shown over time: the rows hold long reports.
    Index(
        "verdict_values",
        "model",
        "environment",
        "version",
        "check_name",
        "window_end",
        "severity",
        "value",
        "rate",
    ),
)

# Checks of streams that end with an error, for as long as they do. since, tried_at: the first and the newest attempt.
evaluation_failure = Table(
    "evaluation_failure",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("tried_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
)

# One row: when streams were last looked at, how many are due to be evaluated, and since when the first of them waits.
evaluation_progress = Table(
    "evaluation_progress",
    metadata,
    Column("name", Text, primary_key=True),
    Column("looked_at", BigInteger, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("waiting_since", BigInteger),
)

# The monitor configuration of a model, as canonical JSON.
monitor = Table(
    "monitor",
    metadata,
    Column("model", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("config", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
)

# One row for each incident. `body` is the whole alert as JSON; the columns are what it is looked up by.
alert = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("body", LargeBinary, nullable=False),
    Index("alert_open_once", "fingerprint", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
    Index("alert_by_state", "state", "updated_at"),
    Index("alert_by_model", "model", "environment", "kind", "opened_at"),
)

# The life of each alert, step by step; never changed.
alert_event = Table(
    "alert_event",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("note", Text),
    Column("body", LargeBinary, nullable=False),
)

# How many findings have begun since the store was made; never falls.
finding_tally = Table(
    "finding_tally",
    metadata,
    Column("model", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("severity", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

silence = Table(
    "silence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("matchers", Text, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Index("silence_by_end", "ends_at"),
)

# What is to be delivered: written in the transaction of the change that it reports. `key` is the receiver's means to
# recognise a repeat; `notice` is what is told, as JSON, the same for every channel.
outbox = Table(
    "outbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("event", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("last_error", Text),
    Column("notice", LargeBinary, nullable=False),
    Index("outbox_by_state", "state", "not_before"),
    Index("outbox_by_alert", "alert_id", "sequence"),
)

# Who changed what, when; never changed.
audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("audit_by_time", "at"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# What each process reports of itself, as JSON, every few seconds.
process = Table(
    "process",
    metadata,
    Column("name", Text, primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("told_at", BigInteger, nullable=False),
    Column("stopped", Boolean, nullable=False, server_default=text("false")),
    Column("figures", Text, nullable=False),
)

# Bytes of the store by the hour, and by table as JSON.
store_size = Table(
    "store_size",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),
    Column("by_table", Text, nullable=False),
)

# The keys that values in the store may be encrypted with, by their names.
encryption_key = Table(
    "encryption_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("first_used_at", BigInteger, nullable=False),
)

# Secrets that belong to the store, encrypted with one of these keys.
secret = Table(
    "secret",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

# Who may do what. `hashed`: of the key's secret, which is nowhere else. scopes: separated by spaces; models: as JSON,
# null for all. Keys are revoked, never removed: the audit trail names them.
api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hashed", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("models", Text),
    Column("requests_per_second", Float),
    Column("body_bytes", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

# People who are signed in to the pages. hashed: of the cookie, which is nowhere else.
session = Table(
    "session",
    metadata,
    Column("hashed", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
