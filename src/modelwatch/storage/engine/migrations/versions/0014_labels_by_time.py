"""Labels by the time at which they became known: a verdict as of some time leaves out those that came later."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("label_by_time", "label", ["first_ts", "model"])
