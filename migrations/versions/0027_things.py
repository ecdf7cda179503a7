"""Things in pictures, with their boxes; and the labels that a reader looks for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "thing",
        sa.Column("id", key, autoincrement=True, nullable=False),
        sa.Column("asset_id", key, nullable=False),
        sa.Column("reader_id", key, nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=True),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=True),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("left", "top", "width", "height")),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name="fk_thing_asset_id_asset", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name="fk_thing_reader_id_reader", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_thing"),
        sqlite_autoincrement=True,
    )
    for column in ("asset_id", "reader_id", "label"):
        op.create_index(f"ix_thing_{column}", "thing", [column])
    op.add_column("reader", sa.Column("labels", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_table("thing")
    with op.batch_alter_table("reader") as reader:
        reader.drop_column("labels")
