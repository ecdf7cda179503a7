"""The readers of an archive, and what each has to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import Select, case, delete, exists, func, insert, literal, select, update

from search.errors import UnknownName
from search.store import tables as t
from search.store.database import Database, now_ms
from search.store.intake import path_of
from search.store.reading_queue import drop_read
from search.store.within import WRITTEN, inside
from search.types import Channel, Modality, Within

READABLE = {Channel.SPEECH: (Modality.AUDIO, Modality.VIDEO), Channel.OCR: (Modality.IMAGE, Modality.VIDEO)}
"""What holds words that only a reader can tell."""


@dataclass(frozen=True, slots=True)
class ReaderEntry:
    """A reader of the archive. ``name`` loads it. It reads assets of ``modalities`` in ``collections`` (none: in all) and fills
    ``channels``, or looks for things with these ``labels``."""

    key: int
    name: str
    revision: str
    modalities: tuple[Modality, ...]
    channels: tuple[Channel, ...]
    collections: tuple[str, ...]
    labels: tuple[str, ...] = ()


Why: TypeAlias = Literal["waiting", "failed", "none", "subtitles"]
"""Why something was read by no reader: it waits for one, each that tried failed, there is none, or none for subtitle tracks."""


@dataclass(frozen=True, slots=True)
class Unread:
    """How many assets have no finished reading for a ``channel``, and their total length."""

    channel: Channel
    why: Why
    assets: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file of an asset without a finished reading for a ``channel``; ``duration_ms`` None: it has no length."""

    path: str
    channel: Channel
    why: Why
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class SidecarReading:
    """A reading of a file's asset, with the fingerprint of the files that lay beside it then. ``here``: this is the location that
    is read, the first of several."""

    reading: int
    path: bytes
    told: str
    here: bool


class Readers:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ReaderEntry]:
        """Every reader, in the order in which they were added."""
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(select(t.reader).order_by(t.reader.c.id))]

    def find(self, name: str) -> ReaderEntry:
        """A reader by its name.

        Raises:
            UnknownName: it was not added.
        """
        entries = self.all()
        found = next((entry for entry in entries if entry.name == name), None)
        if found is None:
            raise UnknownName("reader", name, [entry.name for entry in entries])
        return found

    def add(
        self, name: str, revision: str, modalities: Sequence[Modality], channels: Sequence[Channel], collections: Sequence[str] = (),
        labels: Sequence[str] = (),
    ) -> ReaderEntry:  # fmt: skip
        """Add a reader, or update it. With another revision, everything is read again."""
        values = {
            "revision": revision, "modalities": ",".join(sorted(modalities)), "channels": ",".join(sorted(channels)),
            "collections": json.dumps(list(collections)), "labels": json.dumps(list(labels)),
        }  # fmt: skip
        with self._database.writing() as connection:
            row = connection.execute(select(t.reader).filter_by(name=name)).first()
            if row is None:
                new = insert(t.reader).values(name=name, created_at=now_ms(), **values).returning(t.reader)
                return _entry(connection.execute(new).one())
            if row.revision != revision:
                again = {"state": "pending", "attempts": 0, "reason": None, "leased_until": None, "worker": None}
                connection.execute(update(t.reading).where(t.reading.c.reader_id == row.id).values(**again))
            changed = update(t.reader).where(t.reader.c.id == row.id).values(**values).returning(t.reader)
            return _entry(connection.execute(changed).one())

    def fill(self, entry: ReaderEntry) -> int:
        """Queue what the reader has to read and was never queued for it. Returns the number of assets; 0 if it was removed in the
        meantime."""
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(_wanted(entry).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            if connection.execute(select(t.reader.c.id).where(t.reader.c.id == entry.key)).first() is None:
                return 0
            now = now_ms()
            rows = [
                {"asset_id": asset, "reader_id": entry.key, "state": "pending", "attempts": 0, "updated_at": now}
                for asset in connection.execute(_wanted(entry).order_by(t.asset.c.id)).scalars()
            ]
            if rows:
                connection.execute(insert(t.reading), rows)
            return len(rows)

    def again(self, readings: Sequence[int]) -> None:
        """Requeue readings, because the files beside theirs have changed."""
        c = t.reading.c
        with self._database.writing() as connection:
            these = update(t.reading).where(c.id.in_(readings), c.state == "done")
            connection.execute(these.values(state="pending", attempts=0, reason=None))

    def beside(self, collection: int, paths: Sequence[bytes]) -> list[SidecarReading]:
        """The readings that used what lies beside these files."""
        c, where, other = t.reading.c, t.location.c, t.location.alias()
        sooner = exists().where(other.c.asset_id == where.asset_id, other.c.state == "present", other.c.id < where.id)
        query = (
            select(c.id, where.path, c.beside, ~sooner)
            .join(t.location, where.asset_id == c.asset_id)
            .where(where.collection_id == collection, where.path.in_(paths), c.state == "done", c.beside.is_not(None))
        )
        with self._database.reading() as connection:
            return [SidecarReading(reading, path, told, bool(here)) for reading, path, told, here in connection.execute(query)]

    def size(self, key: int) -> tuple[dict[str, int], int]:
        """The number of readings by state, and of passages, pictures with codes, and things."""
        c = t.reading.c
        states = select(c.state, func.count()).where(c.reader_id == key).group_by(c.state)
        found = [select(func.count()).where(table.c.reader_id == key) for table in (t.segment, t.region, t.thing)]
        with self._database.reading() as connection:
            counts = {state: count for state, count in connection.execute(states)}  # noqa: C416
            return counts, sum(connection.execute(query).scalar_one() for query in found)

    def unread(self, within: Within = None) -> list[Unread]:
        """Speech, on-screen text and subtitle tracks that no reader has read, of some collections. Subtitles also count as a reading
        of speech."""
        found = []
        with self._database.reading() as connection:
            for channel, query in _all_unread(within):
                some = query.subquery()
                counts = select(some.c.why, func.count(), func.coalesce(func.sum(some.c.duration_ms), 0)).group_by(some.c.why)
                rows = connection.execute(counts.order_by(some.c.why))
                found += [Unread(channel, why, count, int(length)) for why, count, length in rows]
        return found

    def unread_files(self, within: Within = None) -> list[UnreadFile]:
        """The files that ``unread`` counts, one for each asset, by channel and path."""
        with self._database.reading() as connection:
            return [
                UnreadFile(path_of(path), channel, why, duration)
                for channel, query in _all_unread(within)
                for path, why, duration in connection.execute(query.order_by(t.location.c.path))
            ]

    def remove(self, name: str) -> ReaderEntry:
        """Remove a reader and everything that it read.

        Raises:
            UnknownName: it was not added.
        """
        entry = self.find(name)
        with self._database.writing() as connection:
            drop_read(connection, t.segment.c.reader_id == entry.key)
            connection.execute(delete(t.reader).where(t.reader.c.id == entry.key))
        return entry

    def languages(self) -> dict[str, int]:
        """The languages of passages, most frequent first, with the number of passages."""
        c = t.segment.c
        query = select(c.language, func.count()).where(c.language.is_not(None)).group_by(c.language).order_by(func.count().desc())
        with self._database.reading() as connection:
            return {language: count for language, count in connection.execute(query)}  # noqa: C416


def _wanted(entry: ReaderEntry) -> Select[Any]:
    """Assets of a known medium that the reader reads and that were never queued for it."""
    a, where = t.asset.c, t.location.c
    inside = []
    if entry.collections:
        inside = [where.collection_id.in_(select(t.collection.c.id).where(t.collection.c.name.in_(entry.collections)))]
    here = exists().where(where.asset_id == a.id, where.state == "present", *inside)
    held = exists().where(t.reading.c.asset_id == a.id, t.reading.c.reader_id == entry.key)
    modalities = [str(modality) for modality in entry.modalities]
    return select(a.id).where(a.modality.in_(modalities), ~held, here)  # in this order: nearly all are held already


def _all_unread(within: Within) -> Iterator[tuple[Channel, Select[Any]]]:
    """What no reader has read, by channel."""
    for channel in READABLE:
        yield channel, _unread(channel, within)
    yield Channel.SPEECH, _unread_subtitles(within)


def _unread_subtitles(within: Within) -> Select[Any]:
    """Films with subtitle tracks that were never queued for the reader of what is written: a path, the reason, and the length."""
    a, where, c = t.asset.c, t.location.c, t.reading.c
    read = exists().where(c.asset_id == a.id, c.reader_id.in_(select(t.reader.c.id).where(t.reader.c.name == WRITTEN)))
    return (
        select(where.path, literal("subtitles").label("why"), a.duration_ms)
        .select_from(t.asset.join(t.location, where.id == _first(within)))
        .where(a.subtitles > 0, ~read)
    )


def _first(within: Within) -> Any:  # noqa: ANN401 - an SQL expression
    """The first location at which an asset is present."""
    where = t.location.c
    first = select(func.min(where.id)).where(where.asset_id == t.asset.c.id, where.state == "present", *inside(within))
    return first.correlate(t.asset).scalar_subquery()


def _unread(channel: Channel, within: Within) -> Select[Any]:
    """Assets without a finished reading of a channel: a path, the reason, and the length."""
    a, where, c = t.asset.c, t.location.c, t.reading.c
    channels = "," + t.reader.c.channels + ","
    reads = select(t.reader.c.id).where(channels.contains(f",{channel},"), t.reader.c.name != WRITTEN)  # which reads no media

    def some(*states: str) -> Any:  # noqa: ANN401 - an SQL condition
        return exists().where(c.asset_id == a.id, c.state.in_(states), c.reader_id.in_(reads))

    told = exists().where(t.segment.c.asset_id == a.id, t.segment.c.channel == str(channel))
    why = case((some("pending", "leased"), "waiting"), (some("failed", "quarantined"), "failed"), else_="none")
    return (
        select(where.path, why.label("why"), a.duration_ms)
        .select_from(t.asset.join(t.location, where.id == _first(within)))
        .where(a.modality.in_([str(one) for one in READABLE[channel]]), ~some("done"), ~told)
    )


def _entry(row: Any) -> ReaderEntry:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    modalities = tuple(Modality(name) for name in row.modalities.split(",") if name)
    channels = tuple(Channel(name) for name in row.channels.split(",") if name)
    return ReaderEntry(
        row.id, row.name, row.revision, modalities, channels, tuple(json.loads(row.collections)), tuple(json.loads(row.labels))
    )
