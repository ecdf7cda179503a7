"""Data about files: the columns that show that a file was replaced or its file system is away, the files that no reader takes,
and the source of each date."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_ASSET = (
    ("last_day", sa.Integer()), ("dated_by", sa.String(length=16)), ("taken_at", sa.String(length=32)), ("stamps", sa.Text()),
    ("zone", sa.String(length=64)), ("dates_beside", sa.String(length=64)),
)  # fmt: skip
_LOCATION = (("ctime_ns", sa.BigInteger()), ("inode", sa.BigInteger()), ("device", sa.BigInteger()))


def upgrade() -> None:
    for table, columns in (("asset", _ASSET), ("location", _LOCATION)):
        for name, kind in columns:  # in place: making the table anew would take every vector along
            op.add_column(table, sa.Column(name, kind, nullable=True))
    op.execute("UPDATE asset SET last_day = day")
    op.create_table(
        "passed",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("collection_id", _ID, nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("suffix", sa.String(length=32), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collection.id"], name=op.f("fk_passed_collection_id_collection"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passed")),
        sa.UniqueConstraint("collection_id", "path", name=op.f("uq_passed_collection_id_path")),
    )


def downgrade() -> None:
    op.drop_table("passed")
    for table, columns in (("location", _LOCATION), ("asset", _ASSET)):
        for name, _ in columns:
            op.drop_column(table, name)
