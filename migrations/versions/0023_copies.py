"""Fingerprints of pictures, frames and sounds, by which copies are found; and saved questions that stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_STANDING = {
    "false_alarms": sa.Float(), "webhook": sa.Text(), "command": sa.Text(), "told_until": sa.BigInteger(), "failure": sa.Text(),
}  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "fingerprint",
        sa.Column("segment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.Column("times", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["segment_id"], ["segment.id"], name="fk_fingerprint_segment_id_segment", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("segment_id", name="pk_fingerprint"),
    )
    for name, kind in _STANDING.items():
        op.add_column("saved", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    op.drop_table("fingerprint")
    with op.batch_alter_table("saved") as saved:
        for name in _STANDING:
            saved.drop_column(name)
