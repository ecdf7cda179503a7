"""The catalogue: lists of assets, segments and ledger lines. Pages are cut by keys, so that new rows do not shift them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Text, and_, case, cast, collate, func, or_, select

from search.errors import REASONS
from search.store import tables as t
from search.store.asset_dates import dated_of, stamps_of
from search.store.database import Database
from search.store.intake import path_of
from search.store.names import READER
from search.store.sql import SEGMENT, segment_of
from search.store.within import inside, legible
from search.types import Channel, Credentials, Dated, Modality, Origin, Provenance, Segment, Span, Stamp, Within


@dataclass(frozen=True, slots=True)
class Location:
    """Where an asset is stored. ``size`` (bytes) and ``mtime_ns`` are as the last scan saw them."""

    collection: str
    path: str
    size: int
    mtime_ns: int
    state: str = "present"

    @property
    def present(self) -> bool:
        """Whether the last scan met the file, or could not meet it because its folder is away."""
        return self.state != "missing"


@dataclass(frozen=True, slots=True)
class Asset:
    """A stored asset. ``digest`` is the SHA-256 of its bytes, in hexadecimal; ``stamps`` are all dates that were found in it.
    ``provenance`` is what it states of its making, as it was indexed; None: it states nothing.
    ``first_stamp_ms`` is where its clock begins, if it is sound or a film. ``camera`` is the maker and model of what made it, ``rights``
    its copyright notice and licence, and ``position`` its latitude and longitude in degrees, as far as it states them."""

    id: int
    digest: str
    size: int
    modality: Modality
    format: str
    width: int | None
    height: int | None
    duration_ms: int | None
    title: str | None
    dated: Dated
    created_at: int
    locations: tuple[Location, ...]
    stamps: tuple[Stamp, ...] = ()
    provenance: Provenance | None = None
    first_stamp_ms: int | None = None
    camera: str | None = None
    rights: str | None = None
    position: tuple[float, float] | None = None

    @property
    def location(self) -> Location:
        """The location to show: a present one if there is any."""
        return self.locations[0]


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Conditions on a list of assets; None and () do not restrict. ``name`` is part of the file's name, ``digest`` its SHA-256;
    ``paths`` are where it may lie."""

    modalities: tuple[Modality, ...] = ()
    collections: tuple[str, ...] = ()
    name: str | None = None
    present: bool | None = None
    digest: str | None = None
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line of the ledger. ``asset`` None: the file's bytes could not be read."""

    id: int
    asset: int | None
    collection: str | None
    path: str
    reason: str
    detail: str
    remedy: str
    span: Span | None
    created_at: int


_IS_NO_NAME = t.segment.c.reader_id.is_distinct_from(READER)
"""Names of files are words that are found, and no segments that are shown."""


@dataclass(frozen=True, slots=True)
class CollectionFiles:
    """A collection and its files by modality, with extra counts for ``missing``, ``away`` and ``failed``."""

    id: int
    name: str
    files: dict[str, int]


MAX_FILMS = 1_000
"""Films of the days around a track that are looked at."""


def clock_of(text: str | None) -> tuple[dt.datetime, bool] | None:
    """A date as it is stored as a moment, and whether it has a zone: in UTC then; None if it tells no time of the day."""
    if text is None or "T" not in text:
        return None
    moment = dt.datetime.fromisoformat(text)
    return (moment.astimezone(dt.UTC), True) if moment.tzinfo else (moment.replace(tzinfo=dt.UTC), False)


class Catalogue:
    """Reads for lists and details, ``within`` some collections. Every method is one transaction."""

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self._within = database, within

    def page(self, wanted: AssetFilter, *, before: int | None, limit: int) -> list[Asset]:
        """The newest ``limit`` assets with ids below ``before``."""
        a, where = t.asset.c, t.location.c
        places: Select[Any] = select(where.asset_id).join(t.collection).where(where.asset_id.is_not(None), *inside(self._within))
        if wanted.collections:
            places = places.where(t.collection.c.name.in_(wanted.collections))
        if wanted.name:
            places = places.where(_named(wanted.name, postgresql=self._database.file is None))
        if wanted.paths is not None:
            places = places.where(where.path.in_([os.fsencode(path) for path in wanted.paths]))
        if wanted.present is not None:
            places = places.where((where.state != "missing") if wanted.present else (where.state == "missing"))
        query = select(a.id).where(a.modality.is_not(None), a.id.in_(places)).order_by(a.id.desc()).limit(limit)
        if wanted.digest is not None:
            query = query.where(a.digest == bytes.fromhex(wanted.digest))
        if wanted.modalities:
            query = query.where(a.modality.in_([str(one) for one in wanted.modalities]))
        if before is not None:
            query = query.where(a.id < before)
        with self._database.reading() as connection:
            ids = connection.execute(query).scalars().all()
        found = self.assets(ids)
        return [found[id_] for id_ in ids if id_ in found]

    def assets(self, ids: Sequence[int]) -> dict[int, Asset]:
        """Assets with their locations, in one joined read. Missing ids are left out."""
        a, where = t.asset.c, t.location.c
        query = (
            select(t.asset, t.collection.c.name, where.path, where.size.label("seen"), where.mtime_ns, where.state)
            .join(t.location, where.asset_id == a.id)
            .join(t.collection, t.collection.c.id == where.collection_id)
            .where(a.id.in_(list(ids)), a.modality.is_not(None), *inside(self._within))
            .order_by(a.id, *_shown_first(), where.id)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        by_asset: dict[int, list[Any]] = {}
        for row in rows:
            by_asset.setdefault(row.id, []).append(row)
        return {id_: _asset(some) for id_, some in by_asset.items()}

    def films_of(self, asset: Asset) -> list[tuple[Asset, int]]:
        """The films that were taken while a track was recorded, each with the milliseconds from the track's beginning to the film's.

        Their clocks have to overlap: times with a zone are compared with such, others with others. Telemetry that lies beside its film
        under the same name begins with it.
        """
        begins = clock_of(asset.dated.text)
        a = t.asset.c
        first, last = asset.dated.first, asset.dated.last
        paths = {os.path.splitext(place.path)[0] for place in asset.locations} if asset.format == "srt" else set[str]()
        near = a.day.between(first - 1, last + 1) if first is not None and last is not None else a.id < 0
        named = or_(
            *(t.location.c.path.between(os.fsencode(f"{path}."), os.fsencode(f"{path}/")) for path in paths), t.location.c.id < 0
        )
        beside = select(t.location.c.asset_id).where(named)
        query = select(a.id).where(a.modality == str(Modality.VIDEO), or_(near, a.id.in_(beside))).limit(MAX_FILMS)
        with self._database.reading() as connection:
            ids = connection.execute(query.order_by(a.day, a.id)).scalars().all()
        found = []
        for film in self.assets(ids).values():
            starts = clock_of(film.dated.text)
            if any(os.path.splitext(place.path)[0] in paths for place in film.locations):
                found.append((film, 0))
            elif begins and starts and begins[1] == starts[1]:
                offset = round((starts[0] - begins[0]).total_seconds() * 1000)
                if -(film.duration_ms or 0) < offset < (asset.duration_ms or 0):
                    found.append((film, offset))
        return sorted(found, key=lambda one: (one[1], one[0].id))

    def copied(self) -> list[int]:
        """Assets of which several files are present: copies of the same bytes."""
        where = t.location.c
        found = select(where.asset_id).where(where.asset_id.is_not(None), where.state == "present", *inside(self._within))
        with self._database.reading() as connection:
            return list(connection.execute(found.group_by(where.asset_id).having(func.count() > 1)).scalars())

    def first_segments(self, assets: Sequence[int]) -> dict[int, int]:
        """The first segment of each asset that has any."""
        s = t.segment.c
        query = select(s.asset_id, func.min(s.id)).where(s.asset_id.in_(list(assets)), _IS_NO_NAME, *legible(self._within))
        with self._database.reading() as connection:
            return {asset: first for asset, first in connection.execute(query.group_by(s.asset_id))}  # noqa: C416

    def segments(
        self, asset: int, *, after: int = 0, limit: int, channel: Channel | None = None, from_ms: int | None = None,
        until_ms: int | None = None,
    ) -> list[Segment]:  # fmt: skip
        """An asset's segments with ids above ``after``. Segments with times are included only if they overlap ``[from_ms,
        until_ms)``."""
        s = t.segment.c
        query = self._segments().where(s.asset_id == asset, s.id > after, _IS_NO_NAME).order_by(s.id).limit(limit)
        if channel is not None:
            query = query.where(s.channel == str(channel))
        timeless = s.unit.is_distinct_from("ms")
        if from_ms is not None:
            query = query.where(or_(timeless, s.end > from_ms))
        if until_ms is not None:
            query = query.where(or_(timeless, s.start < until_ms))
        with self._database.reading() as connection:
            return [segment_of(row) for row in connection.execute(query)]

    def segment(self, id_: int) -> Segment | None:
        """One segment."""
        with self._database.reading() as connection:
            row = connection.execute(self._segments().where(t.segment.c.id == id_)).first()
        return None if row is None else segment_of(row)

    def place_of(self, segment: Segment) -> int:
        """The position of a segment among those of its asset and channel, from 0."""
        s = t.segment.c
        mine = (s.asset_id == segment.asset, s.channel == str(segment.channel), s.id < segment.id, _IS_NO_NAME)
        with self._database.reading() as connection:
            return int(connection.execute(select(func.count()).where(*mine)).scalar_one())

    def language(self, segment: int) -> str | None:
        """The language of a segment's text (ISO 639-1), if its reader knew it."""
        with self._database.reading() as connection:
            found: str | None = connection.execute(select(t.segment.c.language).where(t.segment.c.id == segment)).scalar()
        return found

    def neighbours(self, segment: int, count: int) -> list[Segment]:
        """A segment with up to ``count`` before it and after it, of the same asset and channel, in order."""
        s = t.segment.c
        with self._database.reading() as connection:
            own = connection.execute(select(s.asset_id, s.channel, s.ordinal).where(s.id == segment)).first()
            if own is None:
                return []
            near = s.ordinal.between(own.ordinal - count, own.ordinal + count)
            query = (
                self._segments()
                .where(s.asset_id == own.asset_id, s.channel == own.channel, near, _IS_NO_NAME)
                .order_by(s.ordinal)
            )
            return [segment_of(row) for row in connection.execute(query)]

    def counts_of(self, asset: int) -> dict[str, int]:
        """An asset's segments by channel."""
        s = t.segment.c
        with self._database.reading() as connection:
            held = and_(s.asset_id == asset, _IS_NO_NAME, *legible(self._within))
            rows = connection.execute(select(s.channel, func.count()).where(held).group_by(s.channel))
            return {channel: count for channel, count in rows}  # noqa: C416 - rows are no pairs to mypy

    def collections(self, *, after: int = 0, limit: int = 1_000) -> list[CollectionFiles]:
        """Collections with ids above ``after``, in the order in which they were made."""
        where, c = t.location.c, t.collection.c
        kind = case((where.state != "present", where.state), (t.asset.c.modality.is_(None), "failed"), else_=t.asset.c.modality)
        some = select(c.id).where(c.id > after, *inside(self._within, c.id)).order_by(c.id).limit(limit)
        query = (
            select(c.id, c.name, kind, func.count(where.id))
            .select_from(t.collection.outerjoin(t.location).outerjoin(t.asset, t.asset.c.id == where.asset_id))
            .where(c.id.in_(some))
            .group_by(c.id, c.name, kind)
            .order_by(c.id)
        )
        found: dict[int, CollectionFiles] = {}
        with self._database.reading() as connection:
            for id_, name, of, count in connection.execute(query):
                files = found.setdefault(id_, CollectionFiles(id_, name, {})).files
                files.update({of: count} if count else {})
        return [*found.values()]

    def ledger(
        self, *, asset: int | None = None, reason: str | None = None, collection: str | None = None,
        spell: tuple[int, int | None] | None = None, after: int = 0, limit: int = 1_000,
    ) -> list[LedgerLine]:  # fmt: skip
        """Lines of the ledger with ids above ``after``. ``spell`` is the time in which they were written: from, until."""
        c = t.ledger.c
        query = select(t.ledger, t.collection.c.name).outerjoin(t.collection).where(c.id > after).order_by(c.id).limit(limit)
        for column, value in ((c.asset_id, asset), (c.reason, reason), (t.collection.c.name, collection)):
            if value is not None:
                query = query.where(column == value)
        query = query.where(*_written(spell), *inside(self._within, c.collection_id))
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def lines(self, ids: Sequence[int]) -> dict[int, LedgerLine]:
        """Lines of the ledger by id. Missing ids are left out."""
        c = t.ledger.c
        query = select(t.ledger, t.collection.c.name).outerjoin(t.collection)
        query = query.where(c.id.in_(list(ids)), *inside(self._within, c.collection_id))
        with self._database.reading() as connection:
            return {row.id: _entry(row) for row in connection.execute(query)}

    def reasons(self, collection: str | None = None, *, spell: tuple[int, int | None] | None = None) -> dict[str, int]:
        """Lines of the ledger by reason, most first."""
        c = t.ledger.c
        query = select(c.reason, func.count()).group_by(c.reason).order_by(func.count().desc(), c.reason)
        query = query.where(*_written(spell), *inside(self._within, c.collection_id))
        if collection is not None:
            query = query.join(t.collection).where(t.collection.c.name == collection)
        with self._database.reading() as connection:
            return {reason: count for reason, count in connection.execute(query)}  # noqa: C416

    def _segments(self) -> Select[Any]:
        """Segments joined with one of their locations: a present one if there is any."""
        s, a, where = t.segment.c, t.asset.c, t.location.c
        best = (
            select(where.id)
            .where(where.asset_id == a.id, *inside(self._within))
            .order_by(*_shown_first(), where.id)
            .limit(1)
            .correlate(t.asset)
            .scalar_subquery()
        )
        found = select(*SEGMENT).join(t.asset, a.id == s.asset_id).join(t.location, where.id == best)
        return found.where(*legible(self._within))


def _shown_first() -> tuple[Any, Any]:
    """The order of locations: present ones, then those whose folder is away, then missing ones."""
    state = t.location.c.state
    return (state == "present").desc(), (state == "away").desc()


def _written(spell: tuple[int, int | None] | None) -> list[Any]:
    """SQL conditions: a line of the ledger was written in a time range (milliseconds since 1970)."""
    if spell is None:
        return []
    since, until = spell
    return [t.ledger.c.created_at >= since, *([] if until is None else [t.ledger.c.created_at <= until])]


def _named(part: str, *, postgresql: bool) -> Any:  # noqa: ANN401 - an SQL condition
    """SQL condition: the file name in a location's path contains ``part``. Case is ignored for A to Z only.

    A path is bytes and need not be UTF-8, which PostgreSQL would not accept as text. There each byte is treated as a Latin-1
    character.
    """
    path = collate(func.convert_from(t.location.c.path, "LATIN1"), "C") if postgresql else cast(t.location.c.path, Text)
    # What remains after everything that is no slash has been trimmed from the end.
    name = func.substr(path, func.length(func.rtrim(path, func.replace(path, "/", ""))) + 1)
    if postgresql:
        return func.lower(name).contains(part.encode("utf-8", "surrogateescape").lower().decode("latin-1"), autoescape=True)
    return name.icontains(part, autoescape=True)


def _asset(rows: list[Any]) -> Asset:
    one = rows[0]
    locations = [Location(row.name, path_of(row.path), row.seen, row.mtime_ns, row.state) for row in rows]
    return Asset(
        id=one.id, digest=one.digest.hex(), size=one.size, modality=Modality(one.modality), format=one.format,
        width=one.width, height=one.height, duration_ms=one.duration_ms, title=one.title, dated=dated_of(one),
        created_at=one.created_at, locations=tuple(locations), stamps=stamps_of(one.stamps), provenance=_provenance(one),
        first_stamp_ms=one.first_stamp_ms, camera=one.camera or None, rights=one.rights,
        position=None if one.latitude is None else (one.latitude, one.longitude),
    )  # fmt: skip


def _provenance(one: Any) -> Provenance | None:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    if not one.provenance:
        return None
    return Provenance(
        Origin(one.origin) if one.origin else None, Credentials(one.credentials) if one.credentials else None, one.provenance
    )  # fmt: skip


def _entry(row: Any) -> LedgerLine:  # noqa: ANN401
    span = None if row.start_ms is None else Span(row.start_ms, row.end_ms)
    return LedgerLine(
        id=row.id, asset=row.asset_id, collection=row.name, path=path_of(row.path), reason=row.reason, detail=row.detail,
        remedy=REASONS.get(row.reason, ""), span=span, created_at=row.created_at,
    )  # fmt: skip
