"""Words: an index of the texts of segments, maintained by triggers, and the number of segments with each word.

SQLite's index is an FTS5 table whose content is a view over the segments, so that no text is stored twice. The view and the
triggers call functions that every connection of the program registers (search/store/folding.py). Other connections cannot write
texts, and so cannot leave the index out of date. PostgreSQL has the same rules as its own functions, without any extension.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COUNT = "INSERT INTO word (term, count, sound) SELECT value, 1, sensorium_sound(value) FROM json_each(sensorium_distinct(new.text)) WHERE true ON CONFLICT (term) DO UPDATE SET count = count + 1;"
_DISCOUNT = (
    "UPDATE word SET count = count - 1 WHERE term IN (SELECT value FROM json_each(sensorium_distinct(old.text)));"
    " DELETE FROM word WHERE count < 1 AND term IN (SELECT value FROM json_each(sensorium_distinct(old.text)));"
)
_ADD = "INSERT INTO words (rowid, text) VALUES (new.id, sensorium_spaced(new.text));"
_DROP = "INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, sensorium_spaced(old.text));"

_SQLITE = (
    "CREATE VIEW passage AS SELECT id, sensorium_spaced(text) AS text FROM segment WHERE text IS NOT NULL",
    # ascii: letters, digits and everything beyond ASCII are of a term, and terms come separated by spaces
    "CREATE VIRTUAL TABLE words USING fts5(text, content = 'passage', content_rowid = 'id', tokenize = 'ascii', columnsize = 0)",
    f"CREATE TRIGGER words_added AFTER INSERT ON segment WHEN new.text IS NOT NULL BEGIN {_ADD} {_COUNT} END",
    f"CREATE TRIGGER words_dropped AFTER DELETE ON segment WHEN old.text IS NOT NULL BEGIN {_DROP} {_DISCOUNT} END",
    f"CREATE TRIGGER words_left AFTER UPDATE OF text ON segment WHEN old.text IS NOT NULL BEGIN {_DROP} {_DISCOUNT} END",
    f"CREATE TRIGGER words_come AFTER UPDATE OF text ON segment WHEN new.text IS NOT NULL BEGIN {_ADD} {_COUNT} END",
    "INSERT INTO words (words) VALUES ('rebuild')",
    "INSERT INTO word (term, count, sound) SELECT value, count(*), sensorium_sound(value) FROM segment, json_each(sensorium_distinct(text)) WHERE text IS NOT NULL GROUP BY value",
)

_MARKS = (
    r"\u00ad\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    r"\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff"
)
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u309c\u309d-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_SIGNS = r"\u2600-\u27bf\U0001f000-\U0001faff"

_SOUNDS = (
    (r"([^c])\1", r"\1"),
    (r"^(?:kn|gn|pn)", r"n"),
    (r"^wr", r"r"),
    (r"^ae", r"e"),
    (r"^x", r"s"),
    (r"^wh", r"w"),
    (r"mb$", r"m"),
    (r"tch", r"ch"),
    (r"sch", r"sk"),
    (r"cia", r"xia"),
    (r"ch", r"x"),
    (r"s?c(?=[iey])", r"s"),
    (r"c", r"k"),
    (r"dg(?=[eyi])", r"j"),
    (r"d", r"t"),
    (r"gh(?=[^aeiou]|$)", r""),
    (r"g(?=n$|ned$)", r""),
    (r"g(?=[iey])", r"j"),
    (r"gh?", r"k"),
    (r"ck|q", r"k"),
    (r"ph|v", r"f"),
    (r"sh|s(?=io|ia)|t(?=ia|io)", r"x"),
    (r"th", r"0"),
    (r"(?<=[aeiou])h(?![aeiou])", r""),
    (r"[wy](?![aeiou])", r""),
    (r"z", r"s"),
    (r"(?<=.)[aeiou]", r""),
    (r"(.)\1", r"\1"),
)
"""The rules of Metaphone."""

_POSTGRESQL = (
    """
    CREATE FUNCTION sensorium_fold(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT normalize(replace(replace(replace(replace(translate(
            regexp_replace(normalize(lower(normalize(given, NFKD){collation}), NFKD), '[{marks}]', '', 'g'),
            'ıłøđðς', 'ilodd' || 'σ'), 'ß', 'ss'), 'þ', 'th'), 'æ', 'ae'), 'œ', 'oe'), NFC)
    $$
    """,
    """
    CREATE FUNCTION sensorium_terms(given text) RETURNS TABLE (term text, place bigint) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT left(coalesce(pair, run[1]), 64), row_number() OVER (ORDER BY number, at)
        FROM regexp_matches(sensorium_fold(given){collation},
            '[{unspaced}]+|[{signs}]|(?:(?![{unspaced}{signs}])[[:alnum:]]|[\\u0900-\\u0963\\u0966-\\u0dff])+', 'g')
            WITH ORDINALITY AS found (run, number)
        LEFT JOIN LATERAL (
            SELECT at, substr(run[1], at, 2) AS pair FROM generate_series(1, length(run[1])) AS at WHERE run[1] ~ '^[{unspaced}]'
        ) AS pairs ON true
    $$
    """,
    """
    CREATE FUNCTION sensorium_words(given text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT coalesce(string_agg('''' || term || ''':' || least(place, 16383), ' '), '')::tsvector FROM sensorium_terms(given)
    $$
    """,
    """
    CREATE FUNCTION sensorium_sound(term text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN term ~ '^[a-z]+$' THEN {sound} ELSE '' END
    $$
    """,
    """
    CREATE FUNCTION sensorium_count() RETURNS trigger LANGUAGE plpgsql AS $$
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
            INSERT INTO word (term, count, sound)
                SELECT term, count, coalesce((SELECT sound FROM word AS known WHERE known.term = found.term), sensorium_sound(term))
                FROM (SELECT term, count(DISTINCT id) AS count FROM come, sensorium_terms(text) GROUP BY term) AS found
                ON CONFLICT (term) DO UPDATE SET count = word.count + excluded.count;
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE TABLE words (id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "INSERT INTO words (id, words) SELECT id, sensorium_words(text) FROM segment WHERE text IS NOT NULL",
    "CREATE INDEX ix_words_words ON words USING gin (words)",
    "INSERT INTO word (term, count, sound) SELECT term, count(DISTINCT id), sensorium_sound(term) FROM segment, sensorium_terms(text) GROUP BY term",
    "CREATE TRIGGER words_added AFTER INSERT ON segment REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION sensorium_count()",
    "CREATE TRIGGER words_dropped AFTER DELETE ON segment REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION sensorium_count()",
    "CREATE TRIGGER words_changed AFTER UPDATE ON segment REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION sensorium_count()",
)


def upgrade() -> None:
    op.create_table(
        "word",
        sa.Column("term", sa.String(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sound", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("term", name=op.f("pk_word")),
    )
    op.create_index("ix_word_sound", "word", ["sound"])
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        statements: tuple[str, ...] = _SQLITE
    else:
        # A database whose locale is C knows the case of ASCII alone; ICU's root collation knows all of it.
        icu = connection.execute(sa.text("SELECT 1 FROM pg_collation WHERE collname = 'und-x-icu'")).scalar()
        sound = "term"
        for pattern, replacement in _SOUNDS:
            sound = f"regexp_replace({sound}, '{pattern}', '{replacement}', 'g')"
        marks = {
            "collation": ' COLLATE "und-x-icu"' if icu else "",
            "marks": _MARKS,
            "unspaced": _UNSPACED,
            "signs": _SIGNS,
            "sound": sound,
        }
        statements = tuple(_filled(one, marks) for one in _POSTGRESQL)
    for statement in statements:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        gone = [f"TRIGGER words_{name}" for name in ("added", "dropped", "left", "come")] + ["TABLE words", "VIEW passage"]
    else:
        gone = [f"TRIGGER words_{name} ON segment" for name in ("added", "dropped", "changed")]
        gone += ["TABLE words", "FUNCTION sensorium_count()", "FUNCTION sensorium_words(text)", "FUNCTION sensorium_terms(text)"]
        gone += ["FUNCTION sensorium_fold(text)", "FUNCTION sensorium_sound(text)"]
    for what in gone:
        connection.exec_driver_sql(f"DROP {what}")
    op.drop_table("word")


def _filled(statement: str, marks: dict[str, str]) -> str:
    for name, value in marks.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement
