"""Own fields of assets: what people import beside what the files say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "field",
        sa.Column("id", KEY, primary_key=True, autoincrement=True),
        sa.Column("asset_id", KEY, sa.ForeignKey("asset.id", ondelete="CASCADE", name="fk_field_asset_id_asset"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.UniqueConstraint("asset_id", "name", name="uq_field_asset_id_name"),
    )
    op.create_index("ix_field_name", "field", ["name"])


def downgrade() -> None:
    op.drop_table("field")
