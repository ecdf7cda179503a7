"""Cases: moments that people collect, in an order, with notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "casefile",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_casefile")),
        sa.UniqueConstraint("name", name=op.f("uq_casefile_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "exhibit",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("casefile_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=True),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["casefile_id"], ["casefile.id"], name=op.f("fk_exhibit_casefile_id_casefile"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exhibit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_exhibit_casefile_id"), "exhibit", ["casefile_id"])


def downgrade() -> None:
    op.drop_table("exhibit")
    op.drop_table("casefile")
