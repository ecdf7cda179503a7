"""The first time stamp of sound and films, from which players count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("asset", sa.Column("first_stamp_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("asset", "first_stamp_ms")
