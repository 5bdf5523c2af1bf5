"""Days before 1970 have numbers below zero: what has expired of a model begins with none of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# 1900-01-01.
FIRST_DAY = -25_567


def upgrade() -> None:
    with op.batch_alter_table("model") as table:
        table.alter_column("expired_before", server_default=str(FIRST_DAY), existing_type=sa.Integer)
    model = sa.table("model", sa.column("expired_before", sa.Integer))
    op.execute(sa.update(model).where(model.c.expired_before == 0).values(expired_before=FIRST_DAY))
