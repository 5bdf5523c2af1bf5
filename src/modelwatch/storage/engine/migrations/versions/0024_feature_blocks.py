"""Blocks of features: what came together is kept together. Rows of before keep their features in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feature_block",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("first_ts", sa.BigInteger, nullable=False),
        sa.Column("last_ts", sa.BigInteger, nullable=False),
        sa.Column("predictions", sa.Integer, nullable=False),
        sa.Column("names", sa.Integer, nullable=False),
        sa.Column("features", sa.LargeBinary, nullable=False),
    )
    op.create_index("feature_block_by_day", "feature_block", ["model", "day"])
    op.add_column("prediction", sa.Column("block", sa.BigInteger))
    op.add_column("prediction", sa.Column("place", sa.Integer))
    for name, columns, where in (
        ("prediction_by_block", ["block"], "block IS NOT NULL"),
        ("prediction_by_arrival", ["model", "day", "arrived_at"], "features IS NOT NULL"),
    ):
        op.create_index(name, "prediction", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
