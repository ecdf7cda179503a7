"""The promises of the database: every row belongs to something, every finished unit has its segments, counters are ahead."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DatabaseError

from indexer.verify.checks import BACKUP, MEND, Check, Harm
from search.store import Database
from search.types import KINDS, Channel, Kind, Modality

_QUESTIONS = {
    "every finished unit's segments have a vector": (
        "SELECT DISTINCT u.asset_id FROM unit u JOIN space p ON p.id = u.space_id JOIN asset a ON a.id = u.asset_id"
        " JOIN segment s ON s.asset_id = u.asset_id LEFT JOIN embedding e ON e.segment_id = s.id AND e.space_id = u.space_id"
        " WHERE u.state = 'done' AND e.id IS NULL AND s.reader_id IS NULL AND ',' || p.kinds || ',' LIKE '%,' || a.modality || '/' || s.channel || ',%'",
        "assets lack a vector",
    ),
    "every finished unit has segments": (  # but one of a space that takes in a part of such assets: perhaps they had nothing of it
        "SELECT u.asset_id FROM unit u JOIN space p ON p.id = u.space_id JOIN asset a ON a.id = u.asset_id WHERE u.state = 'done'"
        " AND ',' || p.kinds || ',' LIKE '%,' || a.modality || '/' || CASE a.modality WHEN 'audio' THEN 'sound' WHEN 'text' THEN 'text'"
        " WHEN 'imu' THEN 'motion' ELSE 'visual' END || ',%' AND (a.modality != 'video' OR ',' || p.kinds || ',' LIKE '%,video/sound,%')"
        " AND NOT EXISTS (SELECT 1 FROM segment s WHERE s.asset_id = u.asset_id AND coalesce(s.reader_id, 1) != 0)",  # 0: its name
        "finished assets without a segment",
    ),
    "no vector belongs to an unfinished unit": (
        "SELECT DISTINCT s.asset_id FROM embedding e JOIN segment s ON s.id = e.segment_id LEFT JOIN unit u"
        " ON u.asset_id = s.asset_id AND u.space_id = e.space_id WHERE s.reader_id IS NULL AND (u.state IS NULL OR u.state != 'done')",
        "assets have such vectors",
    ),
}
"""What must be true of every asset; each query finds the assets that violate it."""


def promises(connection: Connection, harm: Harm, *, sqlite: bool) -> Iterator[Check]:
    """Check SQLite's file, references between rows, and units and readings against what they wrote."""
    if sqlite:
        bad = connection.execute(text("SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check != 'ok'")).all()
        yield Check("the database file is whole", not bad, f"{len(bad)} damaged places", BACKUP)
        dangling = connection.execute(text('SELECT "table", rowid FROM pragma_foreign_key_check')).all()
        harm.dangling |= {(row[0], row[1]) for row in dangling}
        yield Check("no row points to one that is gone", not dangling, f"{len(dangling)} dangling rows", MEND)
    for name, (question, what) in _QUESTIONS.items():
        assets = set(connection.execute(text(question)).scalars())
        harm.assets |= assets
        yield Check(name, not assets, f"{len(assets)} {what}", MEND)
    question = (
        "SELECT u.id FROM unit u WHERE u.state IN ('failed', 'quarantined') AND NOT EXISTS"
        " (SELECT 1 FROM ledger l WHERE l.asset_id = u.asset_id)"
    )
    untold = set(connection.execute(text(question)).scalars())
    harm.untold |= untold
    yield Check("every file that failed is in the ledger", not untold, f"{len(untold)} failed units without a line", MEND)
    question = (
        "SELECT g.id FROM reading g WHERE g.state = 'done' AND g.passages IS NOT NULL AND g.passages !="
        " (SELECT count(*) FROM segment s WHERE s.asset_id = g.asset_id AND s.reader_id = g.reader_id)"
        " + (SELECT count(*) FROM region r WHERE r.asset_id = g.asset_id AND r.reader_id = g.reader_id)"
        " + (SELECT count(*) FROM thing o WHERE o.asset_id = g.asset_id AND o.reader_id = g.reader_id)"
    )
    unread = set(connection.execute(text(question)).scalars())
    harm.unread |= unread
    yield Check("every reading holds its passages", not unread, f"{len(unread)} readings have lost some", MEND)
    question = "SELECT count(*) FROM removal r JOIN segment s ON s.id = r.segment_id JOIN embedding e ON e.segment_id = s.id AND e.space_id = r.space_id"
    again = connection.execute(text(question)).scalar_one()
    yield Check(
        "segment numbers are unique",
        not again,
        f"{again} removed segments reappeared" if again else "no removed segment reappeared",
        BACKUP,
    )


_NAMED = sorted(str(modality) for modality in Modality if Kind(modality, Channel.TEXT) in KINDS)
"""Media whose names are words."""

_NAMES, _NAME = 20, 1_000
"""Files of an asset whose names are written, and characters of a name that are."""


def names(connection: Connection, harm: Harm) -> Check:
    """Check that each asset has one segment that says the names of its files, and none if it has no file. What a trigger has noted
    is written by the next run."""
    told: dict[int, list[str]] = {}
    for asset, said in connection.execute(text("SELECT asset_id, text FROM segment WHERE reader_id = 0 ORDER BY id")):
        told.setdefault(asset, []).append(said or "")
    named = text(
        "SELECT l.asset_id, l.path FROM location l JOIN asset a ON a.id = l.asset_id WHERE l.state != 'missing' AND a.modality IN :named ORDER BY l.id"
    ).bindparams(bindparam("named", expanding=True))
    files: dict[int, list[str]] = {}
    for asset, path in connection.execute(named, {"named": _NAMED}):
        if len(some := files.setdefault(asset, [])) < _NAMES:
            some.append(bytes(path).rsplit(b"/", 1)[-1].decode("utf-8", "replace").replace("\0", "\ufffd")[-_NAME:])
    wrong = {asset for asset in told if asset not in files}
    for asset, some in files.items():
        said = told.get(asset, [])
        if len(said) != 1 or not all(name in said[0] for name in some):
            wrong.add(asset)
    wrong -= set(connection.execute(text("SELECT asset_id FROM renamed")).scalars())
    harm.unnamed |= wrong
    return Check("the names of files are words", not wrong, f"{len(wrong)} assets lack theirs", MEND)


def counters(connection: Connection, harm: Harm, *, sqlite: bool) -> Check:
    """Check that the id counters are not behind the ids in use. Then no id is used twice."""
    behind = {}
    for table in ("asset", "segment", "embedding", "removal"):
        used = [f"SELECT coalesce(max(id), 0) FROM {table}"]  # noqa: S608 - names of our own tables
        if table == "segment":
            used.append("SELECT coalesce(max(segment_id), 0) FROM removal")
        least = max(connection.execute(text(question)).scalar_one() for question in used)
        given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name"
        if not sqlite:
            given = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass), 0)"
        if connection.execute(text(given), {"name": table}).scalar_one() < least:
            behind[table] = least
    harm.counters |= behind
    return Check(
        "new rows get new numbers", not behind, ", ".join(behind) + " would not" if behind else "all counters are ahead", MEND
    )


def matches_texts(database: Database) -> bool:
    """Whether FTS5's data of each text matches the text. SQLite treats this check as a write, so it has its own transaction."""
    with database.writing(quiet=True) as connection:
        try:
            connection.exec_driver_sql("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        except DatabaseError as error:
            if "malformed" not in str(error):
                raise
            return False
        return True


def words(connection: Connection, harm: Harm, whole: bool | None, *, sqlite: bool) -> Iterator[Check]:
    """Check that the word index matches the texts of segments, and that the word counts are right.

    ``whole``: SQLite's result for the former, if it was asked.
    """
    if sqlite:
        wrong = int(whole is False)
        counts = "SELECT value AS term, count(*) AS count FROM segment, json_each(sensorium_distinct(text)) WHERE text IS NOT NULL GROUP BY value"
    else:
        wrong = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT id, text FROM segment WHERE text IS NOT NULL) s FULL JOIN words w ON w.id = s.id"
                " WHERE w.words IS DISTINCT FROM sensorium_words(s.text)"
            )
        ).scalar_one()
        counts = "SELECT term, count(DISTINCT id) AS count FROM segment, sensorium_terms(text) GROUP BY term"
    seen = "not compared: SQLite writes for it, and the home may only be read" if sqlite and whole is None else "no difference"
    yield Check("the index of words holds what texts say", not wrong, f"{wrong} differences" if wrong else seen, MEND)
    one, other = "SELECT term, count FROM word", f"SELECT term, count FROM ({counts}) AS seen"  # noqa: S608 - no values
    question = (
        f"SELECT count(*) FROM (SELECT * FROM ({one} EXCEPT {other}) AS a UNION SELECT * FROM ({other} EXCEPT {one}) AS b) AS c"  # noqa: S608 - no values
    )
    off = connection.execute(text(question)).scalar_one()
    yield Check("every word is counted in the segments that hold it", not off, f"{off} counts are off", MEND)
    harm.words = bool(wrong or off)
