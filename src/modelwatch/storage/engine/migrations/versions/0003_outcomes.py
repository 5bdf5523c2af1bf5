"""Labelled predictions: outcome slots, labels with the earliest time they came, repeats in the profiles.

Labels that were stored before are counted when the model's outcome layout changes next: the marks say where they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WAITING = sa.text("applied_at IS NULL")


def upgrade() -> None:
    zero = sa.text("0")
    op.create_index("prediction_by_id", "prediction", ["model", "prediction_id"])
    op.add_column("model", sa.Column("label_changes", sa.BigInteger, nullable=False, server_default=zero))
    op.add_column("model", sa.Column("orphaned_labels", sa.BigInteger, nullable=False, server_default=zero))
    op.add_column("profile", sa.Column("duplicates", sa.BigInteger, nullable=False, server_default=zero))
    op.add_column("label", sa.Column("first_ts", sa.BigInteger, nullable=False, server_default=zero))
    op.add_column("label", sa.Column("generation", sa.Integer, nullable=False, server_default=zero))
    op.execute("UPDATE label SET first_ts = ts, applied_at = arrived_at")
    op.create_index("label_waiting", "label", ["model", "arrived_at"], sqlite_where=WAITING, postgresql_where=WAITING)
    op.create_table(
        "outcome",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("window_len", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("segment", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("writer", sa.Text, primary_key=True),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("latest_ts", sa.BigInteger, nullable=False),
        sa.Column("arrived_at", sa.BigInteger, nullable=False),
    )
    op.create_index("outcome_by_writer", "outcome", ["writer"])
    op.create_index("outcome_by_stream", "outcome", ["model", "environment", "version", "segment", "window_start"])
    marks = sa.text(
        "INSERT INTO outcome (model, window_start, window_len, version, environment, segment, generation, writer,"
        " counts, latest_ts, arrived_at)"
        " SELECT DISTINCT model, window_start, window_len, version, environment, '', -1, '*', :nothing, 0, 0"
        " FROM profile WHERE model IN (SELECT DISTINCT model FROM label)"
    )
    op.get_bind().execute(marks, {"nothing": b""})
