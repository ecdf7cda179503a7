"""Saved questions that stand remember which segments they have told while earlier ones wait to be embedded; assets have a camera, rights
and a position."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_ASSET = {"camera": sa.String(300), "rights": sa.String(300), "latitude": sa.Float(), "longitude": sa.Float()}


def upgrade() -> None:
    op.add_column("saved", sa.Column("told", sa.Text(), nullable=True))
    for name, kind in _ASSET.items():
        op.add_column("asset", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("saved") as saved:
        saved.drop_column("told")
    for name in _ASSET:
        op.drop_column("asset", name)
