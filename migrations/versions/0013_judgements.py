"""Relevance judgements: which files people say answer a question."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "judgement",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("question", sa.String(length=500), nullable=False),
        sa.Column("asset_id", _ID, nullable=False),
        sa.Column("is_right", sa.Boolean(), nullable=False),
        sa.Column("population", sa.BigInteger(), nullable=True),
        sa.Column("scope", sa.String(length=16), nullable=True),
        sa.Column("judged_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_judgement_asset_id_asset"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgement")),
        sa.UniqueConstraint("question", "asset_id", name=op.f("uq_judgement_question_asset_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_judgement_asset_id"), "judgement", ["asset_id"])


def downgrade() -> None:
    op.drop_table("judgement")
