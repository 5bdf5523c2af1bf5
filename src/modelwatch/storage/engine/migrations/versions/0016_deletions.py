"""Models, versions and environments that are being deleted, and those that were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deletion",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("environment", sa.Text),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=False, server_default=""),
        sa.Column("predictions", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("removed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("generation", sa.Integer),
    )
    op.create_index("deletion_by_model", "deletion", ["model", "finished_at"])
    op.add_column("model", sa.Column("deleting", sa.Text))
