"""The ids of profiles that were counted elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "received_profile",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("profile_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("arrived_at", sa.BigInteger, nullable=False),
    )
