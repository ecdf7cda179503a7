"""Spaces of the pocket encoders' first revision name that revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_ENCODERS = ("pocket", "pocket:multilingual")


def _space() -> sa.TableClause:
    return sa.table("space", sa.column("encoder", sa.String), sa.column("revision", sa.String))


def upgrade() -> None:
    space = _space()
    first = sa.or_(space.c.revision == "1", space.c.revision.like("1+%"), space.c.revision.like("1-%"))
    for name in _ENCODERS:
        op.execute(space.update().where(space.c.encoder == name, first).values(encoder=f"{name}:1"))


def downgrade() -> None:
    space = _space()
    for name in _ENCODERS:
        op.execute(space.update().where(space.c.encoder == f"{name}:1").values(encoder=name))
