"""Predictions that came again with another content, beside all that came again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "profile", sa.Column("changed_duplicates", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
