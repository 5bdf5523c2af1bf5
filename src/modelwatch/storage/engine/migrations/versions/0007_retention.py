"""Roll-up, retention, sampling: the pace of rolled-up windows, which days of a model have expired, its sample rate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UNFOLDED = sa.text("writer <> '*'")


def upgrade() -> None:
    op.add_column("profile", sa.Column("pace", sa.LargeBinary))
    op.add_column("model", sa.Column("expired_before", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("model", sa.Column("expired_labels", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("model", sa.Column("sample_rate", sa.Float))
    for table in ("profile", "outcome"):
        op.drop_index(f"{table}_by_writer", table)
        op.create_index(
            f"{table}_by_writer", table, ["writer", "model"], sqlite_where=UNFOLDED, postgresql_where=UNFOLDED
        )
