"""Segments: which ones each prediction was counted in, and the reference's counts in each of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("prediction", sa.Column("segments", sa.Text))
    op.create_table(
        "reference_segment",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("definition", sa.Text, primary_key=True),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )
