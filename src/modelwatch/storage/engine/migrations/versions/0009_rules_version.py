"""The version of the rules that made a verdict: the first for all that are there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdict", sa.Column("rules_version", sa.Integer, nullable=False, server_default=sa.text("1")))
