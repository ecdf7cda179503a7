"""The stored fingerprints of pictures, frames and sounds, by which copies are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, exists, func, select

from search.store import tables as t
from search.store.database import Database, put_new
from search.types import Channel, Fingerprint, Ids


@dataclass(frozen=True, slots=True)
class FingerprintRow:
    """A fingerprint with its segment and asset, and when the segment begins, in milliseconds."""

    segment: int
    asset: int
    start_ms: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Unprinted:
    """An asset with segments that have no fingerprint: each with its channel, start and end of its span (None: it has none), and source, in
    order; and where its file lies, with its size and time as they were scanned."""

    asset: int
    path: bytes
    size: int
    mtime_ns: int
    digest: bytes
    segments: tuple[tuple[int, str, int | None, int | None, str | None], ...]


class FingerprintRows:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def after(self, channel: Channel, last: int) -> tuple[int, list[FingerprintRow]]:
        """How many fingerprints there are of a channel, and those of segments above ``last``, ascending."""
        f, s = t.fingerprint.c, t.segment.c
        joined = t.fingerprint.join(t.segment, s.id == f.segment_id)
        query = select(f.segment_id, s.asset_id, s.start, f.codes, f.times).select_from(joined).where(s.channel == str(channel))
        total = select(func.count()).select_from(joined).where(s.channel == str(channel))
        with self._database.reading() as connection:
            count = connection.execute(total).scalar_one()
            rows = connection.execute(query.where(f.segment_id > last).order_by(f.segment_id)).all()
        return count, [FingerprintRow(row.segment_id, row.asset_id, row.start or 0, _read(channel, row)) for row in rows]

    def held(self, channel: Channel) -> Ids:
        """The segments of a channel that have a fingerprint, ascending (n,)."""
        f, s = t.fingerprint.c, t.segment.c
        query = select(f.segment_id).join(t.segment, s.id == f.segment_id).where(s.channel == str(channel)).order_by(f.segment_id)
        with self._database.reading() as connection:
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def without(self, after: int, limit: int) -> list[Unprinted]:
        """Assets with ids above ``after`` whose file is present, and of which a picture, shot or window of sound has no fingerprint."""
        s, a, where = t.segment.c, t.asset.c, t.location.c
        lacks = (
            s.channel.in_((str(Channel.VISUAL), str(Channel.SOUND))), s.reader_id.is_(None), a.modality.in_(("image", "video", "audio")),
            ~exists().where(t.fingerprint.c.segment_id == s.id),
        )  # fmt: skip
        place = (
            select(func.min(where.id))
            .where(where.asset_id == a.id, where.state == "present")
            .correlate(t.asset)
            .scalar_subquery()
        )
        found = (
            select(a.id)
            .where(a.id > after, exists().where(s.asset_id == a.id, *lacks), place.is_not(None))
            .order_by(a.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            ids = list(connection.execute(found).scalars())
            files = connection.execute(
                select(a.id, where.path, where.size, where.mtime_ns, a.digest)
                .join(t.location, where.id == place)
                .where(a.id.in_(ids))
                .order_by(a.id)
            ).all()
            rows = connection.execute(
                select(s.asset_id, s.id, s.channel, s.start, s.end, s.source)
                .join(t.asset, a.id == s.asset_id)
                .where(s.asset_id.in_(ids), *lacks)
                .order_by(s.ordinal)
            ).all()
        segments: dict[int, list[tuple[int, str, int | None, int | None, str | None]]] = {}
        for asset, *one in rows:
            segments.setdefault(asset, []).append(tuple(one))
        return [Unprinted(row.id, row.path, row.size, row.mtime_ns, row.digest, tuple(segments.get(row.id, ()))) for row in files]

    def put(self, some: Sequence[tuple[int, Fingerprint | None]]) -> None:
        """Store the fingerprints of segments; of those that are gone by now, none."""
        with self._database.writing() as connection:
            here = set(connection.execute(select(t.segment.c.id).where(t.segment.c.id.in_([id_ for id_, _ in some]))).scalars())
            put_fingerprints(connection, (one for one in some if one[0] in here))


def put_fingerprints(connection: Connection, some: Iterable[tuple[int, Fingerprint | None]]) -> None:
    """Store the fingerprints of segments. Those that are there already, from another space, stay."""
    rows = [
        {"segment_id": segment, "codes": one.codes.astype(_TYPES[one.codes.dtype.itemsize]).tobytes(), "times": _times(one)}
        for segment, one in some
        if one is not None
    ]
    if rows:
        put_new(connection, t.fingerprint, rows)


_TYPES = {8: "<u8", 4: "<u4"}


def _times(one: Fingerprint) -> bytes | None:
    return None if one.times is None else np.array(one.times, "<u4").tobytes()


def _read(channel: Channel, row: Any) -> Fingerprint:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    kind = "<u4" if channel is Channel.SOUND else "<u8"
    codes: NDArray[Any] = np.frombuffer(row.codes, kind)
    return Fingerprint(codes, None if row.times is None else tuple(np.frombuffer(row.times, "<u4").tolist()))
