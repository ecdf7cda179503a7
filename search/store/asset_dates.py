"""The dates of assets. Each is stored with its source, and looked for again when a file beside the asset or the setting has
changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select, update

from search.store import tables as t
from search.store.database import Database
from search.store.intake import note_altered
from search.types import Dated, DateSource, Filed, Stamp


@dataclass(frozen=True, slots=True)
class Placed:
    """An asset to date, with a file that holds it. ``zone`` and ``beside`` are those of its last dating."""

    asset: int
    path: bytes
    size: int
    mtime_ns: int
    zone: str | None
    beside: str | None
    digest: bytes


def filing(filed: Filed) -> dict[str, Any]:
    """The columns of ``asset`` that store how it is filed."""
    dated = filed.dated
    latitude, longitude = filed.position or (None, None)
    return {
        "day": dated.first, "last_day": dated.last, "dated_by": None if dated.source is None else str(dated.source),
        "camera": filed.camera or "", "rights": filed.rights, "latitude": latitude, "longitude": longitude, "taken_at": dated.text, "zone": filed.zone, "dates_beside": filed.beside,
        "stamps": json.dumps([[stamp.source, stamp.text] for stamp in filed.stamps], separators=(",", ":")) if filed.stamps else None,
    }  # fmt: skip


def dated_of(row: Any) -> Dated:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    """The date of an asset from a row with its columns day, last_day, dated_by and taken_at."""
    last = row.day if row.last_day is None else row.last_day
    return Dated(row.day, last, DateSource(row.dated_by) if row.dated_by else None, row.taken_at)


def stamps_of(stored: str | None) -> tuple[Stamp, ...]:
    """The column ``stamps``."""
    return tuple(Stamp(DateSource(source), text) for source, text in json.loads(stored or "[]"))


class Dates:
    """Reads and writes dates for the indexer. Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def undated(self, after: int, limit: int) -> list[Placed]:
        """Present, decoded assets with ids above ``after`` whose date or camera nobody has looked for."""
        return self._placed(or_(t.asset.c.dated_by.is_(None), t.asset.c.camera.is_(None)), t.asset.c.id > after, limit=limit)

    def zoned(self) -> list[Placed]:
        """Assets whose date depends on the setting ``timezone``."""
        return self._placed(t.asset.c.zone.is_not(None))

    def at(self, collection: int, paths: Sequence[bytes]) -> list[Placed]:
        """The assets at paths of a collection that have a date."""
        where = t.location.c
        return self._placed(where.collection_id == collection, where.path.in_(paths), t.asset.c.dated_by.is_not(None))

    def put(self, dated: Sequence[tuple[int, Filed]]) -> None:
        """Store the dates of assets."""
        with self._database.writing() as connection:
            for asset, filed in dated:
                connection.execute(update(t.asset).where(t.asset.c.id == asset).values(**filing(filed)))
            note_altered(connection, [asset for asset, _ in dated])

    def again(self, assets: Sequence[int]) -> None:
        """Mark the dates of assets to be looked for again."""
        with self._database.writing(quiet=True) as connection:
            connection.execute(update(t.asset).where(t.asset.c.id.in_(assets)).values(dated_by=None))

    def _placed(self, *conditions: Any, limit: int | None = None) -> list[Placed]:  # noqa: ANN401 - SQL conditions
        a, where = t.asset.c, t.location.c
        query = (
            select(a.id, where.path, where.size, where.mtime_ns, a.zone, a.dates_beside, a.digest)
            .join(t.location, where.asset_id == a.id)
            .where(where.state == "present", a.modality.is_not(None), *conditions)
            .order_by(a.id, where.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            first: dict[int, Placed] = {}
            for row in connection.execute(query):
                first.setdefault(row.id, Placed(*row))
            return list(first.values())
