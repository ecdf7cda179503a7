"""What a phone writes into a photograph and into the film that it takes with it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("asset", sa.Column("taken_with", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("asset", "taken_with")
