"""The reading side of the store, for the engine, the command line and the service."""

from __future__ import annotations

import datetime
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, and_, case, exists, func, not_, or_, select, text

from search.errors import REASONS, InputError, UnknownName
from search.store import tables as t
from search.store.asset_dates import dated_of
from search.store.database import Database
from search.store.fields import Fields
from search.store.intake import path_of, under, unit_vectors
from search.store.judgements import Judgements
from search.store.labels import Labels
from search.store.names import READER
from search.store.spaces import Spaces, stored_revision, takes
from search.store.things import Things
from search.store.within import inside, legible, seen
from search.types import (
    HEARD,
    KINDS,
    Area,
    Channel,
    Coverage,
    DateSource,
    Detail,
    Filter,
    Ids,
    Modality,
    Origin,
    Segment,
    Shape,
    Space,
    Span,
    Vectors,
    Within,
    Word,
    track_of,
)

_BATCH = 20_000
_VARIABLES = 30_000  # SQLite takes 32,766 values in one statement
_FEW = 1_000  # assets of which it is asked where they lie, rather than of all
_PAIRS = 200  # SQLite takes 1,000 conditions in a row
_PRIME = 65_521  # sums of squares of what it leaves fit into 64 bits for two billion rows
_IDS = 10_000  # segments in a statement that has values of a filter besides

_WITHOUT = {"no_sound": "sound", "no_picture": "picture"}
"""Reasons of the ledger that stand for a channel which a file lacks."""

SOURCES = tuple(DateSource)
"""Every place that a date may come from."""
NO_DAY = -(2**31)
"""Stands for the day of what has no date."""
_SOURCE_CODE = {str(source): code for code, source in enumerate(SOURCES)}
UNITS = ("", "ms", "char")
"""What spans count, by the codes of ``Columns.units``."""

_UNIT_CODE: dict[str | None, int] = {None: 0} | {unit: code for code, unit in enumerate(UNITS)}

SHAPES = tuple(Shape)
"""How pictures lie, by the codes of ``shapes_of``."""

_KIND_CODE = {(str(kind.modality), str(kind.channel)): code for code, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Columns:
    """The data that filters use, one row for each segment in a space: arrays of one length, ascending by ``ids``.

    ``kinds`` are positions in ``KINDS``. ``durations`` are milliseconds, -1 for none. ``days`` to ``last_days`` (both included,
    from 1970) are the days on which the asset may have been taken, ``NO_DAY`` if unknown. ``sources`` are positions in
    ``SOURCES``, -1 for none. ``starts`` and ``ends`` are those of the segment's span, ``units`` positions in ``UNITS``, 0 for no
    span. ``sizes`` are bytes of the file; ``widths`` and ``heights`` pixels, 0 for none. ``languages`` are ``language_code``s, 0
    for none, and ``confidences`` a reader's, -1 for none. Segments whose locations are all missing are left out.
    """

    ids: Ids
    assets: Ids
    kinds: NDArray[np.int8]
    durations: NDArray[np.int64]
    days: NDArray[np.int32]
    last_days: NDArray[np.int32]
    sources: NDArray[np.int8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    units: NDArray[np.int8]
    sizes: NDArray[np.int64]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    languages: NDArray[np.int64]
    confidences: NDArray[np.float32]

    def only(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Columns:
        """The rows that a mask (n,) or positions (m,) select."""
        return Columns(*(array[rows] for array in self))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (getattr(self, name) for name in Columns.__slots__)

    def same(self, other: Columns) -> bool:
        """Whether both have the same rows."""
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self, other, strict=True))

    def __add__(self, other: Columns) -> Columns:
        """The rows of both, one after the other."""
        return Columns(*(np.concatenate(both) for both in zip(self, other, strict=True)))


_DTYPES: tuple[Any, ...] = (
    np.int64, np.int64, np.int8, np.int64, np.int32, np.int32, np.int8, np.int64, np.int64, np.int8, np.int64, np.int32, np.int32, np.int64,
    np.float32,
)  # fmt: skip
"""The types of the arrays of ``Columns``."""

Pairs = tuple[Ids, Ids, list[str]]
"""Assets (n,), codes of values (n,), and the values."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What facets need beside ``Columns``, of the collections that a caller sees.

    Files that are not missing, one row each: ``assets``, positions ``in_collection`` in ``collections`` and ``in_folder`` in
    ``folders``, all (n,). ``roots`` are those of each collection. ``labels`` are the tags of assets, ``fields`` their own fields by
    name, ``spoken`` the assets (m,) with speech that was read, and ``origins``, ``cameras`` and ``rights`` what assets state of how
    they came about, and ``things`` the labels of things in their pictures. ``positions`` are where assets were made: assets (p,), latitudes and longitudes in degrees (p,).
    """

    assets: Ids
    in_collection: Ids
    in_folder: Ids
    collections: list[str]
    folders: list[str]
    roots: dict[str, list[str]]
    labels: Pairs
    fields: dict[str, Pairs]
    spoken: Ids
    origins: Pairs
    cameras: Pairs
    rights: Pairs
    things: Pairs
    positions: tuple[Ids, NDArray[np.float64], NDArray[np.float64]]


def _coded_pairs(pairs: Sequence[tuple[int, str]]) -> Pairs:
    """Assets with a value each, as arrays."""
    codes: dict[str, int] = {}
    values = np.array([codes.setdefault(value, len(codes)) for _, value in pairs], np.int64)
    return np.array([asset for asset, _ in pairs], np.int64), values, list(codes)


def shapes_of(columns: Columns) -> NDArray[np.int8]:
    """How the picture of each row lies (n,): positions in ``SHAPES``, -1 for what has no size in pixels."""
    wide = np.sign(columns.widths - columns.heights)
    code = np.where(
        wide > 0, SHAPES.index(Shape.LANDSCAPE), np.where(wide < 0, SHAPES.index(Shape.PORTRAIT), SHAPES.index(Shape.SQUARE))
    )
    return np.where((columns.widths > 0) & (columns.heights > 0), code, -1).astype(np.int8)


def in_area(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64], area: Area) -> NDArray[np.bool_]:
    """Which places, in degrees (n,), lie in an area. Distances are along great circles of a sphere (haversine formula)."""
    if len(area) == 4:
        south, west, north, east = area
        beyond, before = longitudes >= west, longitudes <= east
        return (latitudes >= south) & (latitudes <= north) & (beyond & before if west <= east else beyond | before)
    latitude, longitude, radius_km = area
    there, here = np.radians(latitudes), np.radians(latitude)
    turned = np.sin(np.radians(longitudes - longitude) / 2) ** 2
    share = np.sin((there - here) / 2) ** 2 + np.cos(there) * np.cos(here) * turned
    near: NDArray[np.bool_] = 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(share, 0, 1))) <= radius_km
    return near


EARTH_KM = 6_371.009
"""The mean radius of the Earth."""


def language_code(language: str) -> int:
    """A language as a number, so that a column of them is an array: its first seven bytes in lower case."""
    return int.from_bytes(language.lower().encode()[:7], "big")


def language_of(code: int) -> str:
    """The language of a ``language_code``."""
    return code.to_bytes(7, "big").lstrip(b"\0").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Failure:
    """A line of the ledger, with the remedy."""

    path: str
    reason: str
    detail: str
    remedy: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Passed:
    """Files that no reader takes. ``known``: they are media or documents in a format that is not read; otherwise something else."""

    suffix: str
    known: bool
    count: int


class SqlStore:
    """Reads the archive. Every method is one transaction and sees one state of the archive.

    With ``within``, counts and names are those of these collections alone; searches are limited by their filter.
    """

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self.within = database, within
        self.judgements = Judgements(database, within)

    def version(self) -> int:
        """Grows with every committed write."""
        return self._database.version()

    def space_id(self, space: Space) -> int | None:
        """The key of a space; None: nothing was ever indexed into it."""
        with self._database.reading() as connection:
            c = t.space.c
            query = select(c.id).where(c.name == space.name, c.revision.in_((space.revision, stored_revision(space))))
            return connection.execute(query).scalar()

    def spaces(self) -> list[tuple[int, Space]]:
        """All spaces of the archive with their keys."""
        return [(entry.key, entry.space) for entry in Spaces(self._database).all()]

    def made_at(self, space: int) -> int:
        """When a space was made, in milliseconds since 1970: with its key, it tells it from those of other archives."""
        with self._database.reading() as connection:
            return int(connection.execute(select(t.space.c.created_at).where(t.space.c.id == space)).scalar_one())

    def embeddings(self, space: int, dim: int, *, after: int = 0) -> Iterator[tuple[int, Ids, Vectors]]:
        """Committed vectors with sequence numbers above ``after``, in order and in batches: last number, ids (n,), vectors."""
        c = t.embedding.c
        while True:
            # + 0 keeps the index on spaces unused: with it, all rows of the space would be read for a few new ones
            query = select(c.id, c.segment_id, c.vector).where(c.space_id + 0 == space, c.id > after).order_by(c.id)
            with self._database.reading() as connection:
                rows = connection.execute(query.limit(_BATCH)).all()
            if not rows:
                return
            after = rows[-1].id
            ids = np.fromiter((row.segment_id for row in rows), np.int64, len(rows))
            yield after, ids, unit_vectors([row.vector for row in rows], dim)

    def added(self, space: int, *, after: int = 0) -> tuple[Ids, int]:
        """Segments embedded with sequence numbers above ``after``: ids (n,), ascending, and the last number."""
        c = t.embedding.c
        query = select(c.id, c.segment_id).where(c.space_id + 0 == space, c.id > after).order_by(c.id)  # + 0: see above
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return np.sort(np.fromiter((row.segment_id for row in rows), np.int64, len(rows))), rows[-1].id if rows else after

    def removals(self, space: int, *, after: int = 0) -> tuple[int, Ids, Ids]:
        """The removals with sequence numbers above ``after``: the last number, removed segments (n,), and assets (m,) whose
        filter data has changed, both ascending."""
        c = t.removal.c
        query = select(c.id, c.segment_id).where(c.space_id == space, c.id > after).order_by(c.id)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        noted = np.fromiter((row.segment_id for row in rows), np.int64, len(rows))
        return (rows[-1].id if rows else after), np.unique(noted[noted > 0]), np.unique(-noted[noted < 0])

    def holds_any(self, space: int) -> bool:
        """Whether anything is indexed into a space."""
        with self._database.reading() as connection:
            query = select(t.embedding.c.id).where(t.embedding.c.space_id == space).limit(1)
            return connection.execute(query).first() is not None

    def sequences(self) -> tuple[int, int]:
        """The highest numbers ever given to embeddings and removals, including deleted ones."""
        with self._database.reading() as connection:
            if connection.dialect.name == "sqlite":
                given = text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name")
            else:
                given = text("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(:name, 'id')::regclass), 0)")
            embedding, removal = (connection.execute(given, {"name": name}).scalar_one() for name in ("embedding", "removal"))
            return int(embedding), int(removal)

    def ids(self, space: int) -> Ids:
        """Every segment that the space holds, ascending (n,)."""
        query = select(t.embedding.c.segment_id).where(t.embedding.c.space_id == space).order_by(t.embedding.c.segment_id)
        with self._database.reading() as connection:
            return np.array(connection.execute(query).scalars().all(), np.int64)

    def sums(self, space: int) -> tuple[int, int, int]:
        """``sums_of`` the segments that the space holds: in the database, since a million numbers take seconds to be read."""
        c = t.embedding.c
        rest = c.segment_id % _PRIME
        query = select(func.count(), func.coalesce(func.sum(c.segment_id), 0), func.coalesce(func.sum(rest * rest), 0))
        with self._database.reading() as connection:
            count, total, squares = connection.execute(query.where(c.space_id == space)).one()
        return int(count), int(total), int(squares)

    def vectors(self, space: int, dim: int, ids: Ids) -> dict[int, NDArray[np.float32]]:
        """Stored vectors by segment. Segments that the space does not hold are left out."""
        c = t.embedding.c
        found: dict[int, NDArray[np.float32]] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _VARIABLES):
                some = ids[start : start + _VARIABLES].tolist()
                query = select(c.segment_id, c.vector).where(c.space_id == space, c.segment_id.in_(some))
                found |= {row.segment_id: unit_vectors([row.vector], dim)[0] for row in connection.execute(query)}
        return found

    def frames(self, space: int, dim: int, ids: Ids) -> dict[int, Vectors]:
        """The vectors (frames, dim) of shots' frames, by segment. Shots without stored frames are left out."""
        c = t.embedding.c
        query = select(c.segment_id, c.frames).where(c.space_id == space, c.segment_id.in_(ids.tolist()), c.frames.is_not(None))
        with self._database.reading() as connection:
            return {
                row.segment_id: np.frombuffer(row.frames, "<f2").reshape(-1, dim).astype(np.float32)
                for row in connection.execute(query)
            }

    def columns(self, space: int, assets: Ids | None = None) -> Columns:
        """The filter columns of everything that can be found in a space; with ``assets`` (n,), of these assets only."""
        of_space = t.embedding.c.space_id == space
        query = _columns().join(t.embedding, t.embedding.c.segment_id == t.segment.c.id).where(of_space)
        if assets is not None:
            return self._read_some(query, t.segment.c.asset_id, assets)
        return self._read(query.where(_met()), t.embedding.c.segment_id)  # its index has them in this order

    def kinds(self, space: int, ids: Ids | None = None) -> tuple[Ids, NDArray[np.int8]]:
        """The segments that a space holds, ascending (n,), and the position of each one's kind in ``KINDS``; with ``ids``, of these
        only. Those whose files are missing are among them."""
        e, s, a = t.embedding.c, t.segment.c, t.asset.c
        query = select(s.id, a.modality, s.channel).join(t.embedding, e.segment_id == s.id).join(t.asset, a.id == s.asset_id)
        query = query.where(e.space_id == space).order_by(s.id)
        found: list[tuple[int, int]] = []
        with self._database.reading() as connection:
            for start in range(0, 1 if ids is None else len(ids), _VARIABLES):
                some = query if ids is None else query.where(s.id.in_(ids[start : start + _VARIABLES].tolist()))
                found += [(id_, _KIND_CODE.get((modality, channel), -1)) for id_, modality, channel in connection.execute(some)]
        found.sort()
        rows = np.array(found, np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1].astype(np.int8)

    def allowed(self, ids: Ids, wanted: Filter, without: Sequence[int] = ()) -> NDArray[np.bool_]:
        """A mask (n,) of the segments (n,), of any space or none, that pass a filter and are not of assets in ``without``.

        Raises:
            UnknownName, InputError: see ``select``.
        """
        columns = self.rows(ids)
        found = columns.ids[self.select(columns, wanted) & ~np.isin(columns.assets, without)]
        return np.isin(ids, found)

    def rows(self, ids: Ids) -> Columns:
        """The filter columns of some segments (n,), of any space or none. Segments that cannot be found are left out."""
        return self._read_some(_columns(), t.segment.c.id, ids)

    def _read_some(self, query: Select[Any], column: Any, values: Ids) -> Columns:  # noqa: ANN401 - a column of SQLAlchemy
        query = query.where(_met_each())
        parts = [
            self._read(query.where(column.in_(values[start : start + _VARIABLES].tolist())))
            for start in range(0, max(len(values), 1), _VARIABLES)
        ]
        every = parts[0]
        for part in parts[1:]:
            every = every + part
        return every if len(parts) == 1 else every.only(np.argsort(every.ids))

    def _read(self, query: Select[Any], by: Any = t.segment.c.id) -> Columns:  # noqa: ANN401 - a column of SQLAlchemy
        """The rows of a query that is made of ``_columns``, ordered ``by`` the number of the segment. They are turned into arrays part by part, a column at a time: of a million rows, the
        values one by one take five seconds and a gigabyte."""
        parts: list[list[NDArray[Any]]] = []
        with self._database.reading() as connection:
            driver: Any = connection.execute(query.order_by(by)).cursor  # rows of SQLAlchemy would double the time
            while rows := driver.fetchmany(_BATCH):
                found = list(zip(*rows, strict=True))
                spoken = {language: language_code(language) if language else 0 for language in set(found[14])}
                kinds = [_KIND_CODE.get(kind, -1) for kind in zip(found[2], found[3], strict=True)]
                sources = [_SOURCE_CODE.get(source, -1) for source in found[7]]
                units = [_UNIT_CODE[unit] if timed else 0 for unit, timed in zip(found[10], found[16], strict=True)]
                languages = [spoken[language] for language in found[14]]
                columns: tuple[Any, ...] = (
                    *found[:2],
                    kinds,
                    *found[4:7],
                    sources,
                    *found[8:10],
                    units,
                    *found[11:14],
                    languages,
                    found[15],
                )
                parts.append([np.array(column, dtype) for column, dtype in zip(columns, _DTYPES, strict=True)])
        parts = parts or [[np.empty(0, dtype) for dtype in _DTYPES]]
        return Columns(*map(np.concatenate, zip(*parts, strict=True)))

    def select(self, columns: Columns, wanted: Filter) -> NDArray[np.bool_]:
        """A mask (n,) of the rows of ``columns`` that pass a filter.

        Raises:
            UnknownName: a collection, a tag or a field that does not exist.
            InputError: an invalid date, or a range that ends before it begins.
        """
        mask = np.ones(len(columns.ids), np.bool_)
        if wanted.modalities or wanted.channels:
            mask &= np.isin(columns.kinds, [KINDS.index(kind) for kind in wanted.kinds])
        if wanted.collections or wanted.under or wanted.within is not None:
            mask &= np.isin(columns.assets, self._assets_at(wanted, columns.assets))
        if wanted.within is not None:
            mask &= ~np.isin(columns.ids, self._illegible(wanted.within, columns.ids))
        if wanted.tags:
            mask &= np.isin(columns.assets, self._tagged(wanted.tags, wanted.within))
        if wanted.after_segment is not None:
            mask &= columns.ids > wanted.after_segment
        if wanted.origins:
            mask &= np.isin(columns.assets, self._made(wanted.origins))
        for name, parts in (("camera", wanted.cameras), ("rights", wanted.rights)):
            if parts:
                mask &= np.isin(columns.assets, self._stating(name, parts, wanted.within))
        if wanted.areas:
            assets, latitudes, longitudes = self._positions(wanted.within, wanted.located)
            inside_any = np.logical_or.reduce([in_area(latitudes, longitudes, area) for area in wanted.areas])
            mask &= np.isin(columns.assets, assets[inside_any])
        for one in wanted.things:
            mask &= np.isin(columns.assets, Things(self._database, wanted.within).assets(one))
        if wanted.tracks:
            mask &= np.isin(columns.ids, self._heard(wanted.tracks, wanted.within))
        if wanted.since is not None:
            mask &= (columns.last_days >= _day(wanted.since)) & (columns.last_days != NO_DAY)
        if wanted.until is not None:
            mask &= (columns.days <= _day(wanted.until)) & (columns.days != NO_DAY)
        if wanted.dated_by:
            mask &= np.isin(columns.sources, [SOURCES.index(source) for source in wanted.dated_by])
        if wanted.shortest_ms is not None:
            mask &= columns.durations >= max(wanted.shortest_ms, 0)
        if wanted.longest_ms is not None:
            mask &= (columns.durations <= wanted.longest_ms) & (columns.durations >= 0)
        return mask & self._of_traits(columns, wanted)

    def _of_traits(self, columns: Columns, wanted: Filter) -> NDArray[np.bool_]:
        """A mask (n,) of the rows of ``columns`` that pass a filter's sizes, pixels, shapes, languages, confidence, speech and
        fields."""
        mask = np.ones(len(columns.ids), np.bool_)
        if wanted.smallest_bytes is not None:
            mask &= columns.sizes >= wanted.smallest_bytes
        if wanted.largest_bytes is not None:
            mask &= columns.sizes <= wanted.largest_bytes
        if wanted.fewest_pixels is not None or wanted.most_pixels is not None:
            pixels = columns.widths.astype(np.int64) * columns.heights
            most = np.iinfo(np.int64).max if wanted.most_pixels is None else wanted.most_pixels
            mask &= (pixels > 0) & (pixels >= (wanted.fewest_pixels or 0)) & (pixels <= most)
        if wanted.shapes:
            mask &= np.isin(shapes_of(columns), [SHAPES.index(shape) for shape in wanted.shapes])
        if wanted.languages:
            mask &= np.isin(columns.languages, [language_code(one) for one in wanted.languages])
        if wanted.least_confidence is not None:
            mask &= columns.confidences >= np.float32(max(wanted.least_confidence, 0))
        if wanted.most_confidence is not None:
            mask &= (columns.confidences >= 0) & (columns.confidences <= np.float32(wanted.most_confidence))
        if wanted.speech is not None:
            mask &= np.isin(columns.assets, self._spoken(wanted.within)) == wanted.speech
        for name in dict.fromkeys(name for name, _ in wanted.fields):
            values = [value for of, value in wanted.fields if of == name]
            mask &= np.isin(columns.assets, Fields(self._database, wanted.within).assets(name, values))
        return mask

    def segments(self, ids: Sequence[int], wanted: Filter | None = None) -> dict[int, Segment]:
        """Segments with one location each, in one joined read. Of several locations, one that the filter names is shown."""
        s, a, where = t.segment.c, t.asset.c, t.location.c
        prefer = [where.state == "present", where.state == "away", *(_places(wanted) if wanted else [])]
        within = self.within if wanted is None else wanted.within
        query = (
            select(*SEGMENT)
            .join(t.asset, a.id == s.asset_id)
            .join(t.location, where.asset_id == a.id)
            .join(t.collection, t.collection.c.id == where.collection_id)
            .where(*inside(within), *legible(within))
            .order_by(*[condition.desc() for condition in prefer], where.id)
        )
        found: dict[int, Segment] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _IDS):
                for row in connection.execute(query.where(s.id.in_(list(ids[start : start + _IDS])))):
                    found.setdefault(row.id, segment_of(row))
        return found

    def assets(self, ids: Ids) -> Ids:
        """The assets of segments (n,); 0 for a deleted segment."""
        c = t.segment.c
        found: dict[int, int] = {}
        with self._database.reading() as connection:
            for start in range(0, len(ids), _VARIABLES):
                query = select(c.id, c.asset_id).where(c.id.in_(ids[start : start + _VARIABLES].tolist()))
                found |= {row.id: row.asset_id for row in connection.execute(query)}
        return np.array([found.get(id_, 0) for id_ in ids.tolist()], np.int64)

    def assets_of(self, paths: Iterable[str]) -> dict[str, int]:
        """The assets of files, by path. Files that the archive does not hold are left out."""
        spelled = {os.fsencode(spelling): path for path in paths for spelling in _spellings(path)}
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            names = list(spelled)
            for start in range(0, len(names), _VARIABLES):
                some = names[start : start + _VARIABLES]
                query = select(t.location.c.path, t.location.c.asset_id).where(t.location.c.path.in_(some))
                rows = connection.execute(query.where(t.location.c.asset_id.is_not(None)))
                found |= {spelled[row.path]: row.asset_id for row in rows}
        return found

    def assets_at(self, path: str) -> list[int]:
        """The assets at a path or below it."""
        return [int(asset) for asset in self._assets_at(Filter(under=(path,)))]

    def collection(self, name: str) -> int:
        """The key of a collection.

        Raises:
            UnknownName: it is not there.
        """
        c = t.collection.c
        with self._database.reading() as connection:
            found = connection.execute(select(c.id).where(c.name == name, *inside(self.within, c.id))).scalar()
        if found is None:
            raise UnknownName("collection", name, self.collections())
        return int(found)

    def collections(self) -> dict[str, list[str]]:
        """The collections with their roots."""
        c = t.collection.c
        query = select(c.name, t.root.c.path).outerjoin(t.root).where(*inside(self.within, c.id)).order_by(c.name, t.root.c.path)
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            for name, path in connection.execute(query):
                found.setdefault(name, []).extend([path_of(path)] if path is not None else [])
        return found

    def counts(self) -> dict[str, Any]:
        """The size of the archive: files by state, assets and segments by kind, units by state, ledger lines by reason."""
        within = self.within
        tables: dict[str, Any] = {
            "files": select(t.location.c.state, func.count()).where(*inside(within)).group_by(t.location.c.state),
            "assets": select(t.asset.c.modality, func.count())
            .where(t.asset.c.modality.is_not(None), *seen(within, t.asset.c.id))
            .group_by(t.asset.c.modality),
            "segments": select(t.asset.c.modality + "/" + t.segment.c.channel, func.count())
            .join(t.asset)
            .where(
                t.segment.c.reader_id.is_distinct_from(READER), *seen(within, t.asset.c.id), *legible(within)
            )  # every file has a name
            .group_by(t.asset.c.modality, t.segment.c.channel),
            "units": select(t.unit.c.state, func.count()).where(*seen(within, t.unit.c.asset_id)).group_by(t.unit.c.state),
            "ledger": select(t.ledger.c.reason, func.count())
            .where(*inside(within, t.ledger.c.collection_id))
            .group_by(t.ledger.c.reason),
        }
        with self._database.reading() as connection:
            return {name: {k: v for k, v in connection.execute(query)} for name, query in tables.items()}  # noqa: C416

    def failures(self, *, collection: str | None = None) -> list[Failure]:
        """The ledger: what could not be searched and why, sorted by reason and path."""
        c = t.ledger.c
        query = select(c.path, c.reason, c.detail, c.start_ms, c.end_ms).order_by(c.reason, c.path)
        if collection is not None:
            query = query.join(t.collection).where(t.collection.c.name == collection)
        with self._database.reading() as connection:
            return [
                Failure(
                    path_of(row.path), row.reason, row.detail, REASONS.get(row.reason, ""),
                    None if row.start_ms is None else Span(row.start_ms, row.end_ms),
                )
                for row in connection.execute(query)
            ]  # fmt: skip

    def coverage(self, space: int) -> dict[str, Coverage]:
        """How much of each collection a search in this space can see, counting what the space takes in."""
        where, c, line = t.location.c, t.collection.c, t.ledger.c
        state = func.coalesce(t.unit.c.state, case((where.asset_id.is_(None), "failed"), else_="pending"))
        of_space = and_(t.unit.c.asset_id == where.asset_id, t.unit.c.space_id == space)
        entry = next((entry for entry in Spaces(self._database).all() if entry.key == space), None)
        if entry is None:  # dropped a moment ago
            return {}
        within = [*([c.name.in_(entry.collections)] if entry.collections else []), *inside(self.within, c.id)]
        files = (
            select(c.name, state, func.count())
            .select_from(
                t.location.join(t.collection).outerjoin(t.asset, t.asset.c.id == where.asset_id).outerjoin(t.unit, of_space)
            )
            .where(where.state != "missing", takes(entry), *within)
            .group_by(c.name, state)
        )
        away = select(c.name, func.count()).select_from(t.location.join(t.collection)).where(where.state == "away", *within)
        passed = (
            select(c.name, t.passed.c.suffix, func.count())
            .select_from(t.passed.join(t.collection))
            .where(t.passed.c.known, *within)
        )
        gaps = select(c.name, line.reason, func.count(line.asset_id.distinct()), func.sum(line.end_ms - line.start_ms))
        gaps = gaps.select_from(t.ledger.join(t.collection)).where(*within).group_by(c.name, line.reason)
        found: dict[str, Coverage] = {}

        def add(name: str, more: Coverage) -> None:
            found[name] = found.get(name, Coverage()) + more

        with self._database.reading() as connection:
            for name, is_, count in connection.execute(files):
                kind = {"done": "seen", "pending": "waiting", "leased": "waiting"}.get(is_, "failed")
                add(name, Coverage(files=count, **{kind: count}))
            for name, count in connection.execute(away.group_by(c.name)):
                add(name, Coverage(away=count))
            for name, suffix, count in connection.execute(passed.group_by(c.name, t.passed.c.suffix)):
                add(name, Coverage(unread={suffix: count}))
            for name, reason, count, length in connection.execute(gaps):
                add(
                    name, Coverage(unsampled_ms=int(length or 0), without={_WITHOUT[reason]: count} if reason in _WITHOUT else {})
                )
        return found

    def away(self) -> dict[str, int]:
        """The roots whose files are away, with the number of these files."""
        c = t.location.c
        roots = {root for some in self.collections().values() for root in some}
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            for path in connection.execute(select(c.path).where(c.state == "away")).scalars():
                name = path_of(path)
                root = max(
                    (root for root in roots if name.startswith(root.rstrip("/") + "/")), key=len, default=os.path.dirname(name)
                )
                found[root] = found.get(root, 0) + 1
        return found

    def passed(self, collection: str | None = None) -> list[Passed]:
        """The files that no reader takes, by suffix, most first."""
        c = t.passed.c
        query = select(c.suffix, c.known, func.count()).group_by(c.suffix, c.known).order_by(func.count().desc(), c.suffix)
        if collection is not None:
            query = query.join(t.collection).where(t.collection.c.name == collection)
        with self._database.reading() as connection:
            return [Passed(*row) for row in connection.execute(query)]

    def holds_under(self, paths: Sequence[str]) -> bool:
        """Whether any file of the archive, present or not, lies at or under one of the paths."""
        wanted = Filter(under=tuple(paths), within=self.within)
        query = select(t.location.c.id).join(t.collection).where(*_places(wanted)).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def missing(self) -> list[str]:
        """The files that the last scan did not find."""
        query = select(t.location.c.path).where(t.location.c.state == "missing").order_by(t.location.c.path)
        with self._database.reading() as connection:
            return [path_of(path) for path in connection.execute(query).scalars()]

    def tables(self, within: Within) -> Tables:
        """What facets need beside the columns, in the newest state of the database."""
        where, c, label = t.location.c, t.collection.c, t.label.c
        files = (
            select(where.asset_id, c.name, where.path)
            .select_from(t.location.join(t.collection))
            .where(where.state != "missing", where.asset_id.is_not(None), *inside(within))
        )
        labels = select(label.asset_id, label.name).where(*seen(within, label.asset_id)).distinct()
        a, thing = t.asset.c, t.thing.c
        things = select(thing.asset_id, thing.label).where(*seen(within, thing.asset_id)).distinct()
        stated = [select(a.id, one).where(one != "", *seen(within, a.id)) for one in (a.origin, a.camera, a.rights)]
        with self._database.reading() as connection:
            rows = connection.execute(files).all()
            places: dict[bytes, int] = {}
            in_folder = np.fromiter(
                (places.setdefault(os.path.dirname(row[2]), len(places)) for row in rows), np.int64, len(rows)
            )
            assets, in_collection, collections = _coded_pairs([(row[0], row[1]) for row in rows])
            own: dict[str, list[tuple[int, str]]] = {}
            for asset, name, value in Fields(self._database, within).rows():
                own.setdefault(name, []).append((asset, value))
            origins, cameras, rights = (_coded_pairs([(row[0], row[1]) for row in connection.execute(query)]) for query in stated)
            return Tables(
                assets, in_collection, in_folder, collections, [path_of(path) for path in places],
                SqlStore(self._database, within).collections(), _coded_pairs([(row[0], row[1]) for row in connection.execute(labels)]),
                {name: _coded_pairs(pairs) for name, pairs in sorted(own.items())}, self._spoken(within),
                origins, cameras, rights, _coded_pairs([(row[0], row[1]) for row in connection.execute(things)]), self._positions(within),
            )  # fmt: skip

    def texts(self, assets: Ids, limit: int, within: Within) -> list[tuple[int, str]]:
        """What was read or written in some assets: asset and text, newest first, at most ``limit``. Names of files are left out."""
        s, found = t.segment.c, list[tuple[int, str]]()
        query = select(s.asset_id, s.text).where(s.text.is_not(None), s.reader_id.is_distinct_from(READER), *legible(within))
        with self._database.reading() as connection:
            for start in range(0, len(assets), _VARIABLES):
                some = assets[::-1][start : start + _VARIABLES].tolist()
                rows = connection.execute(query.where(s.asset_id.in_(some)).order_by(s.id.desc()).limit(limit - len(found)))
                found += [(row[0], row[1]) for row in rows]
                if len(found) >= limit:
                    break
        return found

    def _illegible(self, within: Within, some: Ids) -> Ids:
        """Segments that were read from files which may lie in another collection, (n,): see ``legible``. Of a few ``some``, only
        these are looked up."""
        s = t.segment.c
        query = select(s.id).where(*(not_(one) for one in legible(within)))
        query = query.where(s.id.in_(some.tolist()) if len(some) <= _FEW else and_(*seen(within, s.asset_id)))
        with self._database.reading() as connection:
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def _spoken(self, within: Within) -> Ids:
        """Assets with speech that was read, (n,)."""
        s = t.segment.c
        query = select(s.asset_id).where(s.channel == str(Channel.SPEECH), *seen(within, s.asset_id), *legible(within)).distinct()
        with self._database.reading() as connection:
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def _tagged(self, tags: Sequence[str], within: Within) -> Ids:
        """Assets with one of the tags, (n,)."""
        c = t.label.c
        query = select(c.asset_id, c.name).where(c.name.in_(tags), *seen(within, c.asset_id))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if unknown := set(tags) - {row.name for row in rows}:
            raise UnknownName("tag", min(unknown), Labels(self._database, within).names())
        return np.fromiter((row.asset_id for row in rows), np.int64, len(rows))

    def _made(self, origins: Sequence[Origin]) -> Ids:
        """Assets that state one of the origins, (n,)."""
        with self._database.reading() as connection:
            query = select(t.asset.c.id).where(t.asset.c.origin.in_([str(origin) for origin in origins]))
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def _stating(self, name: str, parts: Sequence[str], within: Within) -> Ids:
        """Assets that state, as their camera or rights, something that contains one of the ``parts``, (n,)."""
        a, folded = t.asset.c, [part.casefold() for part in parts]
        stated = and_(a[name] != "", *seen(within, a.id))
        with self._database.reading() as connection:
            known = connection.execute(select(a[name]).where(stated).distinct()).scalars().all()
            for part, told in zip(folded, parts, strict=True):
                if not any(part in one.casefold() for one in known):
                    raise UnknownName(name, told, sorted(known))
            rows = connection.execute(select(a.id, a[name]).where(stated))
            return np.array([id_ for id_, one in rows if any(part in one.casefold() for part in folded)], np.int64)

    def _positions(self, within: Within, located: Within = None) -> tuple[Ids, NDArray[np.float64], NDArray[np.float64]]:
        """Where assets were made: assets, latitudes and longitudes in degrees, (n,)."""
        a = t.asset.c
        query = select(a.id, a.latitude, a.longitude).where(a.latitude.is_not(None), *seen(within, a.id), *seen(located, a.id))
        with self._database.reading() as connection:
            rows = np.array(connection.execute(query).all(), np.float64).reshape(-1, 3)
        return rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2]

    def _heard(self, tracks: Sequence[str], within: Within) -> Ids:
        """Segments that were heard in one of the tracks, (n,)."""
        s = t.segment.c
        heard = and_(s.channel.in_([str(channel) for channel in HEARD]), *seen(within, s.asset_id), *legible(within))
        with self._database.reading() as connection:
            kinds = connection.execute(select(s.source, s.language).where(heard).distinct()).all()
            found = [kind for kind in kinds if any(_is_track(word, track_of(kind.source), kind.language) for word in tracks)]
            if not found:
                known = {one for kind in kinds for one in (track_of(kind.source), kind.language) if one}
                raise UnknownName("sound track", tracks[0], sorted(known))
            ids: list[int] = []
            for start in range(0, len(found), _PAIRS):
                some = found[start : start + _PAIRS]
                named = (and_(s.source.is_not_distinct_from(source), s.language.is_not_distinct_from(of)) for source, of in some)
                ids += connection.execute(select(s.id).where(heard, or_(*named))).scalars()
        return np.array(ids, np.int64)

    def _assets_at(self, wanted: Filter, some: Ids | None = None) -> Ids:
        """Assets with a present location in the filter's collections and under its paths, (n,). With a few ``some``, only these
        are looked up."""
        known = SqlStore(self._database, wanted.within).collections() if wanted.collections else {}
        if unknown := set(wanted.collections) - known.keys():
            raise UnknownName("collection", min(unknown), known)
        query = select(t.location.c.asset_id).join(t.collection).where(t.location.c.state != "missing", *_places(wanted))
        if some is not None and len(some) <= _FEW:
            query = query.where(t.location.c.asset_id.in_(np.unique(some).tolist()))
        with self._database.reading() as connection:
            return np.fromiter(connection.execute(query.where(t.location.c.asset_id.is_not(None))).scalars(), np.int64)


def sums_of(ids: Ids) -> tuple[int, int, int]:
    """The number of ids (n,), their sum, and the sum of the squares of what a division by a prime leaves: two sets that agree in these are
    taken for the same."""
    rest = ids % _PRIME
    return len(ids), int(ids.sum()), int((rest * rest).sum())


def _is_track(word: str, track: str | None, language: str | None) -> bool:
    """Whether a word names a track: its language code, its number, or part of its name."""
    if word.isdecimal():
        return int(word) == (int(told[1]) if (told := re.match(r"sound track (\d+)", track or "")) else 1)
    if len(word) == 2 and word.islower():
        return word == language
    return re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", (track or "").casefold()) is not None


def _columns() -> Select[Any]:
    """The query for ``Columns``. It includes segments whose files are missing."""
    s, a = t.segment.c, t.asset.c
    last = func.coalesce(a.last_day, a.day)
    columns = (
        s.id, s.asset_id, a.modality, s.channel, func.coalesce(a.duration_ms, -1), func.coalesce(a.day, NO_DAY), func.coalesce(last, NO_DAY),
        a.dated_by, func.coalesce(s.start, 0), func.coalesce(s.end, 0), s.unit, a.size, func.coalesce(a.width, 0), func.coalesce(a.height, 0),
        s.language, func.coalesce(s.confidence, -1.0), s.start.is_not(None),
    )  # fmt: skip
    return select(*columns).join(t.asset, a.id == s.asset_id)


def _met() -> Any:  # noqa: ANN401 - an SQL condition
    """SQL condition on assets: they have a location that is not missing. All such assets are gathered first."""
    return t.asset.c.id.in_(select(t.location.c.asset_id).where(t.location.c.state != "missing"))


def _met_each() -> Any:  # noqa: ANN401 - an SQL condition
    """The same condition, evaluated for each asset; for few assets."""
    return exists().where(t.location.c.asset_id == t.asset.c.id, t.location.c.state != "missing")


def _places(wanted: Filter) -> list[Any]:
    conditions: list[Any] = inside(wanted.within)
    if wanted.collections:
        conditions.append(t.collection.c.name.in_(wanted.collections))
    if wanted.under:  # a name typed in one Unicode form finds files stored under the other
        spellings = set().union(*map(_spellings, wanted.under))
        conditions.append(or_(*(under(t.location.c.path, os.fsencode(path)) for path in sorted(spellings))))
    return conditions


def _spellings(path: str) -> set[str]:
    return {path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)}


SEGMENT = (
    *(t.segment.c[name] for name in ("id", "asset_id", "channel", "unit", "start", "end", "text", "source", "language", "confidence", "detail")),
    *(t.asset.c[name] for name in ("modality", "day", "last_day", "dated_by", "taken_at", "taken_with")), t.location.c.path, t.location.c.state,
)  # fmt: skip
"""What ``segment_of`` reads."""


def segment_of(row: Any) -> Segment:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    """A segment from a row of the columns ``SEGMENT``."""
    return Segment(
        id=row.id,
        asset=row.asset_id,
        modality=Modality(row.modality),
        channel=Channel(row.channel),
        path=path_of(row.path),
        span=None if row.start is None else Span(row.start, row.end, row.unit),
        text=row.text,
        missing=row.state == "missing",
        source=row.source,
        language=row.language,
        confidence=row.confidence,
        detail=None if row.detail is None else _detail(row.detail),
        dated=dated_of(row),
        taken_with=row.taken_with,
    )


def _detail(stored: str) -> Detail:
    """The column ``detail`` of a segment, in which everything may be absent."""
    said = json.loads(stored)
    words = tuple(Word(*word) for word in said.get("words") or ())
    return Detail(words, tuple(said["box"]) if said.get("box") else None, bool(said.get("translated")))


def _day(date: str) -> int:
    try:
        return (datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)).days
    except ValueError as error:
        raise InputError(f"{date!r} is not a day.", remedy="Write it like 2024-05-31.") from error
