"""Verdicts with their evidence, monitor configurations, alerts, silences, the outbox and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OPEN = sa.text("state <> 'resolved'")


def upgrade() -> None:
    for column in ("latest_ts", "arrived_at"):
        op.add_column("profile", sa.Column(column, sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.create_index("profile_by_stream", "profile", ["model", "environment", "version", "segment", "window_start"])
    op.execute("UPDATE profile SET latest_ts = (window_start + window_len) * 1000000 - 1")
    op.create_table(
        "stream",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("first_seen_at", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO stream (model, version, environment, first_seen_at)"
        " SELECT model, version, environment, MIN(window_start) * 1000000 FROM profile"
        " GROUP BY model, version, environment"
    )
    # The old verdicts lack their evidence; the streams are evaluated again.
    op.drop_table("verdict")
    op.create_table(
        "verdict",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("check_name", sa.Text, nullable=False),
        sa.Column("window_end", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("evaluated_at", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("inputs_hash", sa.Text, nullable=False),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.Column("conditions", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "verdict_once",
        "verdict",
        ["model", "environment", "version", "check_name", "window_end", "generation"],
        unique=True,
    )
    op.create_index("verdict_by_time", "verdict", ["model", "check_name", "window_end"])
    op.create_table(
        "monitor",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("alert_open_once", "alert", ["fingerprint"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("alert_by_state", "alert", ["state", "updated_at"])
    op.create_index("alert_by_model", "alert", ["model", "environment", "kind", "opened_at"])
    op.create_table(
        "alert_event",
        sa.Column("alert_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "finding_tally",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("severity", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "silence",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("matchers", sa.Text, nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )
    op.create_index("silence_by_end", "silence", ["ends_at"])
    op.create_table(
        "outbox",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.Column("notice", sa.LargeBinary, nullable=False),
    )
    op.create_index("outbox_by_state", "outbox", ["state", "not_before"])
    op.create_index("outbox_by_alert", "outbox", ["alert_id", "sequence"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("audit_by_time", "audit", ["at"])


def downgrade() -> None:
    made = ("audit", "outbox", "silence", "finding_tally", "alert_event", "alert", "monitor", "verdict", "stream")
    for table in made:
        op.drop_table(table)
    op.create_table(
        "verdict",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("window_end", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("evaluated_at", sa.BigInteger, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
    )
    op.drop_index("profile_by_stream", "profile")
    for column in ("latest_ts", "arrived_at"):
        op.drop_column("profile", column)
