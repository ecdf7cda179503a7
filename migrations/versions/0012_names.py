"""File names as searchable text, recorded by triggers. Text written in media is read again, since more of it is read now.

A name belongs to a location and is found as a segment of its asset. So any change of a location makes the asset's names be
written again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_NOTE = "INSERT OR IGNORE INTO renamed (asset_id) SELECT {row}.asset_id WHERE {row}.asset_id IS NOT NULL;"
_NEW, _OLD = _NOTE.format(row="new"), _NOTE.format(row="old")
_CHANGED = "old.asset_id IS NOT new.asset_id OR old.path IS NOT new.path OR old.state IS NOT new.state"

_SQLITE = (
    f"CREATE TRIGGER names_added AFTER INSERT ON location BEGIN {_NEW} END",
    f"CREATE TRIGGER names_changed AFTER UPDATE OF asset_id, path, state ON location WHEN {_CHANGED} BEGIN {_NEW} {_OLD} END",
    f"CREATE TRIGGER names_dropped AFTER DELETE ON location BEGIN {_OLD} END",
)

_POSTGRESQL = (
    """
    CREATE FUNCTION sensorium_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP IN ('INSERT', 'UPDATE') AND NEW.asset_id IS NOT NULL THEN
            INSERT INTO renamed (asset_id) VALUES (NEW.asset_id) ON CONFLICT DO NOTHING;
        END IF;
        IF TG_OP IN ('DELETE', 'UPDATE') AND OLD.asset_id IS NOT NULL THEN
            INSERT INTO renamed (asset_id) VALUES (OLD.asset_id) ON CONFLICT DO NOTHING;
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER names_added AFTER INSERT OR DELETE ON location FOR EACH ROW EXECUTE FUNCTION sensorium_renamed()",
    "CREATE TRIGGER names_changed AFTER UPDATE ON location FOR EACH ROW"
    " WHEN (OLD.asset_id IS DISTINCT FROM NEW.asset_id OR OLD.path IS DISTINCT FROM NEW.path OR OLD.state IS DISTINCT FROM NEW.state)"
    " EXECUTE FUNCTION sensorium_renamed()",
)


def upgrade() -> None:
    op.create_table(
        "renamed",
        sa.Column("asset_id", _ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_renamed")),
    )
    op.execute("INSERT INTO renamed (asset_id) SELECT DISTINCT asset_id FROM location WHERE asset_id IS NOT NULL")
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
    op.execute(
        "UPDATE reading SET state = 'pending', attempts = 0, reason = NULL, leased_until = NULL, worker = NULL"
        " WHERE reader_id IN (SELECT id FROM reader WHERE name = 'written' AND revision = '1')"
    )
    op.execute("UPDATE reader SET revision = '2' WHERE name = 'written' AND revision = '1'")


def downgrade() -> None:
    op.execute("UPDATE reader SET revision = '1' WHERE name = 'written' AND revision = '2'")
    op.execute("DELETE FROM segment WHERE reader_id = 0")
    if op.get_bind().dialect.name == "sqlite":
        for name in ("added", "changed", "dropped"):
            op.execute(f"DROP TRIGGER names_{name}")
    else:
        op.execute("DROP TRIGGER names_added ON location")
        op.execute("DROP TRIGGER names_changed ON location")
        op.execute("DROP FUNCTION sensorium_renamed()")
    op.drop_table("renamed")
