"""How alike the values of a reference are that have the same key. Of those that are there it is unknown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reference", sa.Column("clusters", sa.LargeBinary))
