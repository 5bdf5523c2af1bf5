"""The number of commits of each writer, by which it knows a store that was set back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("writer", sa.Column("commits", sa.BigInteger, nullable=False, server_default="0"))
