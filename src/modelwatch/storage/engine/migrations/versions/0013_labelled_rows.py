"""The labelled rows of references, so that another task or positive class needs no new upload."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "labelled_rows",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
