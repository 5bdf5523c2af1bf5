"""The split of categorical references for their tests. Those that are there are tested as a whole, as before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reference", sa.Column("split", sa.LargeBinary))
