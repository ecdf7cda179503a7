"""Words are counted once per transaction instead of once per text, and new words can be queried.

SQLite's triggers record the added and removed texts. The last statement of every changing transaction updates ``change.count``,
and then the words of all these texts are counted together. PostgreSQL's triggers work on whole statements anyway.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADD = "INSERT INTO words (rowid, text) VALUES (new.id, sensorium_spaced(new.text)); INSERT INTO words_due VALUES (1, new.text);"
_DROP = "INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, sensorium_spaced(old.text)); INSERT INTO words_due VALUES (-1, old.text);"

_COUNT = (  # how a word sounds takes longer to tell than to look up
    "INSERT INTO word (term, count, sound, added)"
    " SELECT value, sum(sign), coalesce((SELECT sound FROM word WHERE term = value), sensorium_sound(value)), new.count"
    " FROM words_due, json_each(sensorium_distinct(text)) WHERE true GROUP BY value"
    " ON CONFLICT (term) DO UPDATE SET count = count + excluded.count;"
    " DELETE FROM word WHERE count < 1"
    " AND term IN (SELECT value FROM words_due, json_each(sensorium_distinct(text)) WHERE sign < 0);"
    " DELETE FROM words_due;"
)

_FORMER_COUNT = "INSERT INTO word (term, count, sound) SELECT value, 1, sensorium_sound(value) FROM json_each(sensorium_distinct(new.text)) WHERE true ON CONFLICT (term) DO UPDATE SET count = count + 1;"
_FORMER_DISCOUNT = (
    "UPDATE word SET count = count - 1 WHERE term IN (SELECT value FROM json_each(sensorium_distinct(old.text)));"
    " DELETE FROM word WHERE count < 1 AND term IN (SELECT value FROM json_each(sensorium_distinct(old.text)));"
)
_FORMER_ADD, _FORMER_DROP = (f"{one.partition(';')[0]};" for one in (_ADD, _DROP))

_COLUMNS = "term VARCHAR(64) NOT NULL, count BIGINT NOT NULL, sound VARCHAR(64) NOT NULL"
_KEY = "CONSTRAINT pk_word PRIMARY KEY (term)"

_POSTGRESQL = """
    CREATE OR REPLACE FUNCTION sensorium_count() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP IN ('DELETE', 'UPDATE') THEN
            DELETE FROM words WHERE id IN (SELECT id FROM gone);
            UPDATE word SET count = word.count - lost.count FROM (
                SELECT term, count(DISTINCT id) AS count FROM gone, sensorium_terms(text) GROUP BY term) AS lost
                WHERE word.term = lost.term;
            DELETE FROM word WHERE count < 1 AND term IN (SELECT term FROM gone, sensorium_terms(text));
        END IF;
        IF TG_OP IN ('INSERT', 'UPDATE') THEN
            INSERT INTO words (id, words) SELECT id, sensorium_words(text) FROM come WHERE text IS NOT NULL;
            INSERT INTO word (term, count, sound{column})
                SELECT term, count, coalesce((SELECT sound FROM word AS known WHERE known.term = found.term), sensorium_sound(term)){value}
                FROM (SELECT term, count(DISTINCT id) AS count FROM come, sensorium_terms(text) GROUP BY term) AS found
                ON CONFLICT (term) DO UPDATE SET count = word.count + excluded.count;
        END IF;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE TABLE words_due (sign INTEGER NOT NULL, text TEXT NOT NULL)")
        # one tree to look a word up in, instead of two
        _count_by(_ADD, _DROP, f"({_COLUMNS}, added BIGINT DEFAULT '0' NOT NULL, {_KEY}) WITHOUT ROWID")
        op.execute(f"CREATE TRIGGER words_counted AFTER UPDATE ON change BEGIN {_COUNT} END")
    else:
        op.add_column("word", sa.Column("added", sa.BigInteger(), nullable=False, server_default="0"))
        op.execute(_POSTGRESQL.format(column=", added", value=", (SELECT change.count + 1 FROM change)"))
    op.create_index("ix_word_added", "word", ["added"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER words_counted")
        _count_by(_FORMER_ADD + _FORMER_COUNT, _FORMER_DROP + _FORMER_DISCOUNT, f"({_COLUMNS}, {_KEY})")
        op.execute("DROP TABLE words_due")
    else:
        op.execute(_POSTGRESQL.format(column="", value=""))
        op.drop_index("ix_word_added", "word")
        op.drop_column("word", "added")


def _count_by(add: str, drop: str, table: str) -> None:
    """Have triggers do something else with texts that come and go, and the counts lie in another table."""
    triggers = (
        ("added", "INSERT ON segment WHEN new", add),
        ("dropped", "DELETE ON segment WHEN old", drop),
        ("left", "UPDATE OF text ON segment WHEN old", drop),
        ("come", "UPDATE OF text ON segment WHEN new", add),
    )
    for name, _, _ in triggers:
        op.execute(f"DROP TRIGGER words_{name}")
    op.execute("ALTER TABLE word RENAME TO word_before")
    op.execute(f"CREATE TABLE word {table}")
    op.execute("INSERT INTO word (term, count, sound) SELECT term, count, sound FROM word_before ORDER BY term")
    op.execute("DROP TABLE word_before")
    op.execute("CREATE INDEX ix_word_sound ON word (sound)")
    for name, when, do in triggers:
        op.execute(f"CREATE TRIGGER words_{name} AFTER {when}.text IS NOT NULL BEGIN {do} END")
