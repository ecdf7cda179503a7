"""Codes of the windows of pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "region",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("asset_id", key, nullable=False),
        sa.Column("reader_id", key, nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=True),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=True),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name="fk_region_asset_id_asset", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name="fk_region_reader_id_reader", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_region"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_region_asset_id", "region", ["asset_id"])
    op.create_index("ix_region_reader_id", "region", ["reader_id"])


def downgrade() -> None:
    op.drop_table("region")
