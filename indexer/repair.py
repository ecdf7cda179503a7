"""Repair: fixes what verification found, as far as the archive holds the data for it. If it is killed at any point, the rest can
be repaired later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from sqlalchemy import Connection, bindparam, text

from indexer.delete import drop_strangers
from indexer.verify import Check, Harm, examine
from search.live import LiveIndex
from search.mirror import mirrored
from search.settings import Settings
from search.store import Database, SqlStore
from search.store.database import now_ms
from search.store.names import Names
from search.store.words import rebuild

_UNNAMED = (
    "DELETE FROM segment WHERE asset_id IN :assets AND reader_id = 0",
    "INSERT INTO renamed (asset_id) SELECT id FROM asset WHERE id IN :assets ON CONFLICT DO NOTHING",
)
"""Has the names of assets written again: ``renamed`` lists those that are due."""

_SOME = 500
"""Rows that are named in one statement."""


def repair(settings: Settings, *, deep: bool = False) -> tuple[list[str], list[Check]]:
    """Repair what can be repaired. Returns the actions in sentences, and the result of a new verification.

    Nothing is embedded here. Assets without a vector are queued for the next `sensorium index`. Damaged database pages cannot be
    repaired; the check that finds them says what to do.
    """
    _, harm = examine(settings, deep=deep)
    with closing(Database(settings.database)) as database:
        done = [*_mend(settings, database, harm)]
    return done, examine(settings, deep=deep)[0]


def _mend(settings: Settings, database: Database, harm: Harm) -> Iterator[str]:
    """Repair the database rows first, since the indexes are made from them."""
    if harm.dangling:
        with database.writing() as connection:
            for table, row in sorted(harm.dangling):
                connection.execute(text(f'DELETE FROM "{table}" WHERE rowid = :row'), {"row": row})  # noqa: S608 - SQLite named it
        yield f"{len(harm.dangling)} rows that pointed to none were removed."
    if harm.counters:
        with database.writing() as connection:
            for table, least in harm.counters.items():
                _advance(connection, table, least)
        yield f"The numbers of {', '.join(harm.counters)} go on from the highest that is used."
    if harm.assets:
        with database.writing() as connection:
            for some in _batches(sorted(harm.assets)):
                _requeue(connection, some)
        yield f"{len(harm.assets)} assets are queued to be embedded again: run `sensorium index`."
    if harm.unread:
        with database.writing() as connection:
            for some in _batches(sorted(harm.unread)):
                query = text(
                    "UPDATE reading SET state = 'pending', attempts = 0, reason = NULL, updated_at = :now WHERE id IN :ids"
                )
                connection.execute(query.bindparams(bindparam("ids", expanding=True)), {"ids": list(some), "now": now_ms()})
        yield f"{len(harm.unread)} readings are queued again: run `sensorium index`."
    if harm.untold:
        with database.writing() as connection:
            for some in _batches(sorted(harm.untold)):
                _tell(connection, some)
        yield f"{len(harm.untold)} failures were written into the ledger."
    if harm.unnamed:
        with database.writing() as connection:
            for some in _batches(sorted(harm.unnamed)):
                for statement in _UNNAMED:
                    connection.execute(text(statement).bindparams(bindparam("assets", expanding=True)), {"assets": list(some)})
        while Names(database).write(_SOME):
            pass
        yield f"The names of the files of {len(harm.unnamed)} assets were written again."
    if harm.words:
        with database.writing() as connection:
            rebuild(connection)
        yield "The index of words was filled again."
    for picture in harm.pictures:
        picture.unlink(missing_ok=True)
    if harm.pictures:
        yield f"{len(harm.pictures)} thumbnails of no asset were removed."
    store = SqlStore(database)
    if harm.strangers:
        drop_strangers(settings.home, store)
        yield "The indexes of spaces that are gone were removed."
    for key, space in store.spaces():
        if space.name in harm.spaces or harm.assets or harm.dangling:
            count = LiveIndex(store, settings.home, space, key, fresh=True, kind=settings.index_kind).write().count
            yield f"The index of {space.name} was written again: {count} segments."
        if space.name in harm.mirrors or harm.assets or harm.dangling:
            with mirrored(settings, store, key, space) as mirror:
                if mirror is not None:
                    mirror.follow(anew=True)
                    yield f"{mirror.address.name} was filled again with the vectors of {space.name}."


def _requeue(connection: Connection, assets: Sequence[int]) -> None:
    """Remove everything made from these assets, and queue them again. Indexes learn of it from ``removal``."""
    gone = (
        "INSERT INTO removal (space_id, segment_id) SELECT e.space_id, e.segment_id FROM embedding e JOIN segment s ON s.id = e.segment_id"
        " WHERE s.asset_id IN :assets ORDER BY e.id"
    )
    again = (
        "UPDATE unit SET state = 'pending', attempts = 0, reason = NULL, worker = NULL, leased_until = NULL, updated_at = :now"
        " WHERE asset_id IN :assets AND state = 'done'"
    )
    read = "UPDATE reading SET state = 'pending', attempts = 0, reason = NULL, updated_at = :now WHERE asset_id IN :assets AND state = 'done'"
    names = "INSERT INTO renamed (asset_id) SELECT id FROM asset WHERE id IN :assets ON CONFLICT DO NOTHING"
    for statement in (gone, "DELETE FROM segment WHERE asset_id IN :assets", again, read, names):
        query = text(statement).bindparams(bindparam("assets", expanding=True))
        connection.execute(query, {"assets": list(assets)} | ({"now": now_ms()} if ":now" in statement else {}))


def _tell(connection: Connection, units: Sequence[int]) -> None:
    """Write ledger lines for failed units that have none."""
    query = (
        "INSERT INTO ledger (collection_id, asset_id, path, reason, detail, created_at) SELECT l.collection_id, u.asset_id, l.path,"
        " coalesce(u.reason, 'undecodable'), 'It failed; what was said of it is lost.', :now FROM unit u JOIN location l ON l.id ="
        " (SELECT min(id) FROM location WHERE asset_id = u.asset_id) WHERE u.id IN :units"
    )
    connection.execute(text(query).bindparams(bindparam("units", expanding=True)), {"units": list(units), "now": now_ms()})


def _advance(connection: Connection, table: str, least: int) -> None:
    """Make sure that the next row of a table gets a number above ``least``."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :least)"), {"name": table, "least": least})
        return
    moved = connection.execute(
        text("UPDATE sqlite_sequence SET seq = :least WHERE name = :name"), {"name": table, "least": least}
    )
    if not moved.rowcount:
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :least)"), {"name": table, "least": least}
        )


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _SOME):
        yield ids[start : start + _SOME]
