"""Protected feature values: what a row says of its policy, hashed category names, which keys are in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ENCRYPTED = sa.text("key_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("model", sa.Column("privacy", sa.Text))
    op.add_column("prediction", sa.Column("protected", sa.LargeBinary))
    op.add_column("prediction", sa.Column("key_id", sa.Text))
    op.create_index("prediction_by_key", "prediction", ["key_id"], sqlite_where=ENCRYPTED, postgresql_where=ENCRYPTED)
    op.add_column("reference", sa.Column("hashed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "encryption_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("first_used_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "secret",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
