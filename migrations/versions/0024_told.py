"""Saved questions that stand remember which segments they have told while earlier ones wait to be embedded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("saved", sa.Column("told", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("saved") as saved:
        saved.drop_column("told")
