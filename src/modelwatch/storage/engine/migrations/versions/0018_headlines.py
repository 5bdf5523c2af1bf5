"""Few numbers of each verdict beside its report. Verdicts that are there have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdict", sa.Column("value", sa.Float))
    op.add_column("verdict", sa.Column("rate", sa.Float))
    op.add_column("verdict", sa.Column("headline", sa.LargeBinary))
    op.create_index(
        "verdict_values",
        "verdict",
        ["model", "environment", "version", "check_name", "window_end", "severity", "value", "rate"],
    )
