"""Several spaces side by side; the frames of shots; labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KINDS = "image/visual,audio/sound,video/visual,video/sound,text/text"
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # In place, never by SQLite's way of making a table anew: dropping the old one would take every vector along (ON DELETE CASCADE).
    op.add_column("space", sa.Column("encoder", sa.String(length=1000), nullable=False, server_default=""))
    op.add_column("space", sa.Column("is_default", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("space", sa.Column("kinds", sa.String(length=1000), nullable=False, server_default=""))
    op.add_column("space", sa.Column("collections", sa.Text(), nullable=False, server_default="[]"))
    space = sa.table(
        "space", sa.column("id"), sa.column("name"), sa.column("encoder"), sa.column("is_default"), sa.column("kinds")
    )
    op.execute(space.update().values(encoder=space.c.name, kinds=_KINDS))
    op.execute(
        space.update().where(space.c.id == sa.select(sa.func.min(space.c.id)).scalar_subquery()).values(is_default=sa.true())
    )
    op.add_column("embedding", sa.Column("frames", sa.LargeBinary(), nullable=True))
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.add_column(sa.Column("space_id", _ID, nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_ledger_space_id_space"), "space", ["space_id"], ["id"], ondelete="CASCADE")
    op.create_table(
        "label",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("asset_id", _ID, nullable=False),
        sa.Column("space_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], name=op.f("fk_label_asset_id_asset"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_label_space_id_space"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("asset_id", "space_id", "name", name=op.f("uq_label_asset_id_space_id_name")),
    )
    op.create_index("ix_label_name", "label", ["name"])


def downgrade() -> None:
    op.drop_table("label")
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_ledger_space_id_space"), type_="foreignkey")
        batch_op.drop_column("space_id")
    op.drop_column("embedding", "frames")
    for column in ("collections", "kinds", "is_default", "encoder"):
        op.drop_column("space", column)
