"""What each process tells of itself, and the size of the store by the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "process",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("figures", sa.Text, nullable=False),
    )
    op.create_table(
        "store_size",
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("by_table", sa.Text, nullable=False),
    )
