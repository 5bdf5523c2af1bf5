"""Models that have a monitor and nothing else are registered, as those with a prediction or a reference are."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # One of a name that was deleted begins a later generation than that had.
    op.execute(
        "INSERT INTO model (name, generation, created_at)"
        " SELECT monitor.model,"
        " COALESCE((SELECT MAX(deletion.generation) + 1 FROM deletion WHERE deletion.model = monitor.model), 0),"
        " monitor.updated_at FROM monitor"
        " WHERE NOT EXISTS (SELECT 1 FROM model WHERE model.name = monitor.model)"
    )
