"""Tokens that are limited to collections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("token", sa.Column("collections", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM token WHERE collections IS NOT NULL"))  # else they would open the whole archive
    op.drop_column("token", "collections")
