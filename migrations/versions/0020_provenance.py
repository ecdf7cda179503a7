"""What files state of their making."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (("origin", sa.String(16)), ("credentials", sa.String(16)), ("provenance", sa.Text())):
        op.add_column("asset", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in ("provenance", "credentials", "origin"):
        op.drop_column("asset", name)
