"""Readers: the passages that they read, with confidence; and the space or reader that wrote a ledger line."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "reader",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("revision", sa.String(length=64), nullable=False),
        sa.Column("modalities", sa.String(length=200), nullable=False),
        sa.Column("channels", sa.String(length=200), nullable=False),
        sa.Column("collections", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reader")),
        sa.UniqueConstraint("name", name=op.f("uq_reader_name")),
    )
    op.create_table(
        "reading",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("asset_id", _ID, nullable=False),
        sa.Column("reader_id", _ID, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("beside", sa.String(length=64), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_reading_asset_id_asset"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["reader_id"], ["reader.id"], name=op.f("fk_reading_reader_id_reader"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading")),
        sa.UniqueConstraint("asset_id", "reader_id", name=op.f("uq_reading_asset_id_reader_id")),
    )
    op.create_index("ix_reading_reader_id_state", "reading", ["reader_id", "state"])
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reader_id", _ID, nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_ledger_reader_id_reader"), "reader", ["reader_id"], ["id"], ondelete="CASCADE")
    # In place, without a key: making the table anew, which is how SQLite adds one, would take every vector along.
    op.add_column("segment", sa.Column("reader_id", _ID, nullable=True))
    op.create_index("ix_segment_reader_id", "segment", ["reader_id"])
    op.add_column("segment", sa.Column("source", sa.String(length=200), nullable=True))
    op.add_column("segment", sa.Column("language", sa.String(length=16), nullable=True))
    op.add_column("segment", sa.Column("confidence", sa.Float(), nullable=True))
    op.add_column("segment", sa.Column("detail", sa.Text(), nullable=True))
    # What older lines say, the first space said.
    op.execute("UPDATE ledger SET space_id = (SELECT min(id) FROM space) WHERE asset_id IS NOT NULL AND space_id IS NULL")


def downgrade() -> None:
    op.drop_index("ix_segment_reader_id", "segment")
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_ledger_reader_id_reader"), type_="foreignkey")
        batch_op.drop_column("reader_id")
    for column in ("detail", "confidence", "language", "source", "reader_id"):
        op.drop_column("segment", column)
    op.drop_table("reading")
    op.drop_table("reader")
