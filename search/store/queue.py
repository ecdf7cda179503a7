"""The queue of work: units, each one asset to be embedded into one space.

    pending -> leased -> done | failed | quarantined

Several workers, in several processes and on several machines, take from it at the same time. A lease is kept alive by a heartbeat;
it falls back when the worker's lock is free (same machine) or its time has run out (another machine). The attempt is counted, and
committed, before anything is decoded, so that a file that takes its worker down is noticed; who did so twice is tried alone, so that
no other file is blamed for it. Nobody ends a unit that is no longer leased to it.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from search.store import tables as t
from search.store.database import Database, now_ms
from search.store.intake import write_ledger
from search.types import Cut, Gap, Info, Modality, Vectors

ATTEMPTS = 3
"""A unit that was begun this often and never ended is quarantined."""

LEASE_MS = 60_000
"""How long a lease lasts without a heartbeat."""

BEAT_SECONDS = 15.0
"""How often workers give a sign of life."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A leased unit of work: embed ``asset``, to be read at ``path``."""

    id: int
    asset: int
    collection: int
    path: bytes
    size: int
    mtime_ns: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit's harvest: row i of ``vectors`` (n, dim) belongs to ``cuts[i]``; their contents may have been dropped.

    ``frames``: by i, the vectors (frames, dim) of a shot's frames, where the encoder gives them.
    """

    unit: Unit
    info: Info
    cuts: Sequence[Cut]
    vectors: Vectors
    gaps: Sequence[Gap] = ()
    frames: Mapping[int, Vectors] = field(default_factory=dict)


class Queue:
    """The units of one space, as ``worker`` works on them. Each method is one transaction. Thread-safe."""

    def __init__(self, database: Database, space: int, worker: str) -> None:
        self._database, self._space, self._worker = database, space, worker

    def lease(self, count: int, *, suspect: bool = False) -> list[Unit]:
        """Take up to ``count`` units that nobody has begun yet, counting the attempt; if ``suspect``, or else one that was begun before.

        A suspect may take its worker down: ask for one only when nothing else is in hand.
        """
        if not self.waiting():  # no write lock for what is mostly nothing to do
            return []
        now, c = now_ms(), t.unit.c
        with self._database.writing(quiet=True) as connection:
            self._take_back(connection, c.leased_until < now)
            fresh = self._units().where(c.state == "pending", c.attempts == 0).order_by(c.id).limit(count)
            rows = connection.execute(fresh).all()
            if not rows and suspect:
                begun = self._units().where(c.state == "pending").order_by(c.attempts, c.id).limit(1)
                rows = connection.execute(begun).all()
            units = [replace(Unit(*row), attempts=row.attempts + 1) for row in rows]
            if units:
                taken = update(t.unit).where(c.id.in_([unit.id for unit in units]))
                values = {"state": "leased", "worker": self._worker, "leased_until": now + LEASE_MS, "updated_at": now}
                connection.execute(taken.values(attempts=c.attempts + 1, **values))
            return units

    def waiting(self) -> bool:
        """Whether any unit waits for a worker."""
        with self._database.reading() as connection:
            return connection.execute(self._waiting().limit(1)).first() is not None

    def skip(self, modalities: Collection[Modality]) -> None:
        """End the units of assets that are known to be none of ``modalities``: the space takes nothing of them."""
        a, u = t.asset.c, t.unit.c
        other = select(a.id).where(a.modality.not_in([str(modality) for modality in modalities]))
        these = and_(u.space_id == self._space, u.state == "pending", u.asset_id.in_(other))
        with self._database.reading() as connection:
            if connection.execute(select(u.id).where(these).limit(1)).first() is None:
                return
        with self._database.writing() as connection:
            connection.execute(update(t.unit).where(these).values(state="done", updated_at=now_ms()))

    def beat(self) -> None:
        """Keep every lease of this worker for another while."""
        mine = update(t.unit).where(self._mine())
        with self._database.writing(quiet=True) as connection:
            connection.execute(mine.values(leased_until=now_ms() + LEASE_MS))

    def take_back(self, workers: Sequence[str]) -> None:
        """Queue again what dead workers had leased."""
        if workers:
            with self._database.writing(quiet=True) as connection:
                self._take_back(connection, t.unit.c.worker.in_(workers))

    def leasing(self, place: str) -> set[str]:
        """The names of workers that have leases, of those that begin with ``place``."""
        c = t.unit.c
        query = select(c.worker).where(c.space_id == self._space, c.state == "leased", c.worker.startswith(place)).distinct()
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def last(self) -> int:
        """The newest unit's number."""
        with self._database.reading() as connection:
            return connection.execute(select(func.max(t.unit.c.id)).where(t.unit.c.space_id == self._space)).scalar() or 0

    def unended(self, until: int) -> bool:
        """Whether any unit up to that number waits, or is being worked on by anybody."""
        c = t.unit.c
        query = self._units().where(c.state.in_(("pending", "leased")), c.id <= until).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def hand_back(self, units: Sequence[Unit]) -> None:
        """Give leases back untouched, their attempt not counted: the run was stopped before it was done with them."""
        if units:
            rows = update(t.unit).where(self._mine(), t.unit.c.id.in_([unit.id for unit in units]))
            with self._database.writing(quiet=True) as connection:
                connection.execute(rows.values(state="pending", attempts=t.unit.c.attempts - 1, leased_until=None, worker=None))

    def put(self, finished: Sequence[Finished]) -> list[Finished]:
        """Acknowledge units: assets, segments, vectors, gaps and the units' end, in one transaction.

        Returns those that were still leased to this worker; the others are somebody else's now, and nothing is written of them.
        """
        with self._database.writing() as connection:
            held = self._held(connection, [item.unit for item in finished])
            ours = [item for item in finished if item.unit.id in held]
            for item in ours:
                connection.execute(update(t.asset).where(t.asset.c.id == item.unit.asset).values(_describe(item)))
                gaps = [_gap_row(gap) for gap in item.gaps]
                write_ledger(connection, item.unit.collection, item.unit.asset, item.unit.path, gaps, self._space)
            ids = _segments(connection, ours)
            cells = [(v.tobytes(), item.frames.get(i)) for item in ours for i, v in enumerate(item.vectors.astype("<f2"))]
            rows = [
                {"space_id": self._space, "segment_id": id_, "vector": vector, "frames": _packed(frames)}
                for id_, (vector, frames) in zip(ids, cells, strict=True)
            ]
            if rows:
                connection.execute(insert(t.embedding), rows)
            _end(connection, [item.unit.id for item in ours], state="done", reason=None)
            return ours

    def fail(self, unit: Unit, reason: str, detail: str) -> bool:
        """End a unit without a harvest; it is tried again only when asked for, or when the file changes.

        A file that killed its decoder is tried again, and quarantined after the last attempt. Returns whether the unit has ended.
        """
        again = reason == "killed" and unit.attempts < ATTEMPTS
        with self._database.writing(quiet=again) as connection:
            if not self._held(connection, [unit]):
                return False
            if again:
                _end(connection, [unit.id], state="pending", reason=None)
                return False
            write_ledger(connection, unit.collection, unit.asset, unit.path, [(reason, detail, None, None)], self._space)
            _end(connection, [unit.id], state="quarantined" if reason == "killed" else "failed", reason=reason)
            return True

    def forget(self, unit: Unit, *, gone: bool) -> None:
        """Give back a unit whose file is not what was scanned: it has ``gone``, or changed, and then the next look at it meets it afresh.

        The same bytes may lie elsewhere: the unit waits for that, its attempt uncounted.
        """
        c = t.location.c
        stale = update(t.location).where(c.asset_id == unit.asset, c.path == unit.path)
        with self._database.writing() as connection:
            if not self._held(connection, [unit]):
                return
            again = {"state": "pending", "attempts": t.unit.c.attempts - 1, "leased_until": None, "worker": None}
            connection.execute(update(t.unit).where(t.unit.c.id == unit.id).values(**again))
            if gone:
                connection.execute(stale.values(state="missing"))
                return
            connection.execute(stale.values(asset_id=None))
            changed = [("vanished", "It changed while it was read.", None, None)]
            write_ledger(connection, unit.collection, None, unit.path, changed)

    def _units(self) -> Select[Any]:
        """The space's units whose file is there, each with where it is to be read."""
        c, where = t.unit.c, t.location.c
        place = select(where.id).where(where.asset_id == c.asset_id, where.state == "present").order_by(where.id).limit(1)
        return (
            select(c.id, c.asset_id, where.collection_id, where.path, where.size, where.mtime_ns, c.attempts)
            .join(t.location, where.id == place.correlate(t.unit).scalar_subquery())
            .where(c.space_id == self._space)
        )

    def _waiting(self) -> Select[Any]:
        c = t.unit.c
        ran_out = and_(c.state == "leased", c.leased_until < now_ms())
        return select(c.id).where(c.space_id == self._space, or_(c.state == "pending", ran_out))

    def _mine(self) -> Any:  # noqa: ANN401 - an SQL condition
        c = t.unit.c
        return and_(c.space_id == self._space, c.state == "leased", c.worker == self._worker)

    def _held(self, connection: Connection, units: Sequence[Unit]) -> set[int]:
        """Those of the units that are still leased to this worker."""
        query = select(t.unit.c.id).where(self._mine(), t.unit.c.id.in_([unit.id for unit in units]))
        return set(connection.execute(query).scalars())

    def _take_back(self, connection: Connection, which: Any) -> None:  # noqa: ANN401 - an SQL condition
        """Queue leased units again; quarantine those that have had all their attempts."""
        c, where = t.unit.c, t.location.c
        leased = and_(c.space_id == self._space, c.state == "leased", which)
        for id_, asset in connection.execute(select(c.id, c.asset_id).where(leased, c.attempts >= ATTEMPTS)).all():
            place = select(where.collection_id, where.path).where(where.asset_id == asset).limit(1)
            if found := connection.execute(place).first():
                detail = f"It was begun {ATTEMPTS} times and took the indexer down each time."
                write_ledger(connection, found.collection_id, asset, found.path, [("killed", detail, None, None)], self._space)
            _end(connection, [id_], state="quarantined", reason="killed")
        again = {"state": "pending", "leased_until": None, "worker": None, "updated_at": now_ms()}
        connection.execute(update(t.unit).where(leased).values(**again))


def _describe(item: Finished) -> dict[str, Any]:
    info = item.info
    day = _day(info.taken_at)
    return {
        "modality": str(info.modality),
        "format": info.format,
        "width": info.width,
        "height": info.height,
        "duration_ms": info.duration_ms,
        "title": info.title,
        "day": item.unit.mtime_ns // 86_400_000_000_000 if day is None else day,
    }


def _day(taken_at: str | None) -> int | None:
    try:
        return (datetime.date.fromisoformat((taken_at or "")[:10]) - datetime.date(1970, 1, 1)).days
    except ValueError:  # cameras write all sorts of things
        return None


def _segments(connection: Connection, items: Sequence[Finished]) -> list[int]:
    """The ids of the segments of all cuts, in their order: those of another space where it cut alike, else new ones."""
    c = t.segment.c
    query = select(c.id, c.asset_id, c.channel, c.unit, c.start, c.end).where(c.asset_id.in_([item.unit.asset for item in items]))
    known: dict[tuple[Any, ...], list[int]] = {}
    counts: Counter[tuple[int, str]] = Counter()
    for id_, asset, channel, *place in connection.execute(query.order_by(c.id.desc())):
        known.setdefault((asset, channel, *place), []).append(id_)
        counts[asset, channel] += 1
    places: list[int] = []
    rows: list[dict[str, Any]] = []
    for item in items:
        for cut in item.cuts:
            asset, channel = item.unit.asset, str(cut.channel)
            span = (cut.span.unit, cut.span.start, cut.span.end) if cut.span else (None, None, None)
            if same := known.get((asset, channel, *span)):
                places.append(same.pop())
                continue
            places.append(-len(rows) - 1)
            text = cut.content if isinstance(cut.content, str) else None
            row = {"asset_id": asset, "channel": channel, "ordinal": counts[asset, channel], "text": text}
            rows.append(row | dict(zip(("unit", "start", "end"), span, strict=True)))
            counts[asset, channel] += 1
    fresh: Sequence[int] = ()
    if rows:
        returning = insert(t.segment).returning(t.segment.c.id, sort_by_parameter_order=True)
        fresh = connection.execute(returning, rows).scalars().all()
    return [place if place > 0 else fresh[-place - 1] for place in places]


def _packed(frames: Vectors | None) -> bytes | None:
    return None if frames is None else frames.astype("<f2").tobytes()


def _gap_row(gap: Gap) -> tuple[str, str, int | None, int | None]:
    if gap.span is None or gap.span.unit != "ms":
        return gap.reason, gap.detail, None, None
    return gap.reason, gap.detail, gap.span.start, gap.span.end


def _end(connection: Connection, units: Sequence[int], *, state: str, reason: str | None) -> None:
    values = {"state": state, "reason": reason, "leased_until": None, "worker": None, "updated_at": now_ms()}
    connection.execute(update(t.unit).where(t.unit.c.id.in_(units)).values(**values))
