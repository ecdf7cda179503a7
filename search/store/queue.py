"""The queue of work: units, each one asset to be embedded into one space.

    pending -> leased -> done | failed | quarantined

Several workers, in several processes and on several machines, take units from it at the same time. A heartbeat extends a lease. A
lease ends when the worker's lock is free (same home on the same machine, whatever the clock says: a laptop sleeps), or when its
time has run out (elsewhere, by the database's clock).

The attempt is counted and committed before anything is decoded, so that a file that crashes its worker is noticed. Units with a
failed attempt are retried alone, so that no other file is blamed. A worker can end a unit only while it is leased to that worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from sqlalchemy import Connection, Select, Table, and_, func, insert, or_, select, update

from search.store import tables as t
from search.store.asset_dates import filing
from search.store.database import Database, clock_ms, now_ms
from search.store.fingerprint_rows import put_fingerprints
from search.store.intake import note_altered, write_ledger
from search.types import Cut, Filed, Fingerprint, Gap, Info, Modality, Vectors

MAX_ATTEMPTS = 3
"""A unit that was started this often and never ended is quarantined."""

LARGE_BYTES = 1 << 26
"""From this size on a file is large: it may keep a decoder for minutes, while hundreds of photographs wait."""

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
    device: int | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of a unit: row i of ``vectors`` (n, dim) belongs to ``cuts[i]``. The contents of the cuts may have been dropped.

    ``frames``: by i, the vectors (frames, dim) of a shot's frames, if the encoder gives them. ``filed``: the asset's date; None:
    a later pass over undated assets looks for it. ``fingerprints``: by i, what copies of a cut are found by.
    """

    unit: Unit
    info: Info
    cuts: Sequence[Cut]
    vectors: Vectors
    gaps: Sequence[Gap] = ()
    frames: Mapping[int, Vectors] = field(default_factory=dict)
    filed: Filed | None = None
    fingerprints: Mapping[int, Fingerprint] = field(default_factory=dict)


class Queue:
    """The units of one space, as ``worker`` works on them. Each method is one transaction. Thread-safe."""

    def __init__(self, database: Database, of: int, worker: str, place: str = "") -> None:
        """``of``: the key of the space. Leases of workers whose names begin with ``place`` (see ``Worker``) have no time limit:
        their locks tell whether they live."""
        self._database, self._of, self._worker, self._place = database, of, worker, place

    _work: ClassVar[Table] = t.unit
    _whose: ClassVar[str] = "space_id"

    def lease(self, count: int, *, large: int | None = None, suspect: bool = False) -> list[Unit]:
        """Lease up to ``count`` units that have no attempt yet, and count the attempt. With ``large``, these are units of smaller
        files while there are any, and so many of large files besides. With ``suspect``, if there are none, lease one unit that was
        started before.

        A suspect unit may crash its worker. Ask for one only when no other unit is being worked on.
        """
        if not self.waiting():  # no write lock for what is mostly nothing to do
            return []
        c = self._work.c
        with self._database.writing(quiet=True) as connection:
            now = clock_ms(connection)
            self._take_back(connection, self._ran_out(now))
            fresh, size = self._units().where(c.state == "pending", c.attempts == 0).order_by(c.id), t.location.c.size
            rows = [] if large is None else connection.execute(fresh.where(size < LARGE_BYTES).limit(count)).all()
            if not rows:
                rows = connection.execute(fresh.limit(count)).all()
            elif large:
                rows = [*rows, *connection.execute(fresh.where(size >= LARGE_BYTES).limit(large))]
            if not rows and suspect:
                begun = self._units().where(c.state == "pending").order_by(c.attempts, c.id).limit(1)
                rows = connection.execute(begun).all()
            units = [replace(Unit(*row), attempts=row.attempts + 1) for row in rows]
            if units:
                taken = update(self._work).where(c.id.in_([unit.id for unit in units]))
                values = {"state": "leased", "worker": self._worker, "leased_until": now + LEASE_MS, "updated_at": now_ms()}
                connection.execute(taken.values(attempts=c.attempts + 1, **values))
            return units

    def waiting(self) -> bool:
        """Whether any unit waits for a worker."""
        c = self._work.c
        with self._database.reading() as connection:
            waiting = or_(c.state == "pending", self._ran_out(clock_ms(connection)))
            query = select(c.id).where(
                self._ours, c.state.in_(("pending", "leased")), waiting
            )  # named first: so an index serves it
            return connection.execute(query.limit(1)).first() is not None

    def left(self) -> int:
        """How many units are waiting or leased, by any worker."""
        c = self._work.c
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).where(self._ours, c.state.in_(("pending", "leased")))).scalar_one()

    def skip(self, modalities: Collection[Modality]) -> None:
        """End the units of assets that are known to have none of ``modalities``: the space accepts nothing of them."""
        a, u = t.asset.c, self._work.c
        other = select(a.id).where(a.modality.not_in([str(modality) for modality in modalities]))
        these = and_(self._ours, u.state == "pending", u.asset_id.in_(other))
        with self._database.reading() as connection:
            if connection.execute(select(u.id).where(these).limit(1)).first() is None:
                return
        with self._database.writing() as connection:
            connection.execute(update(self._work).where(these).values(state="done", updated_at=now_ms()))

    def beat(self) -> None:
        """Extend every lease of this worker."""
        mine = update(self._work).where(self._mine())
        with self._database.writing(quiet=True) as connection:
            connection.execute(mine.values(leased_until=clock_ms(connection) + LEASE_MS))

    def take_back(self, workers: Sequence[str]) -> None:
        """Requeue units that were leased to dead workers."""
        if workers:
            with self._database.writing(quiet=True) as connection:
                self._take_back(connection, self._work.c.worker.in_(workers))

    def leasing(self, place: str) -> set[str]:
        """The names, beginning with ``place``, of workers that hold leases."""
        c = self._work.c
        query = select(c.worker).where(self._ours, c.state == "leased", c.worker.startswith(place)).distinct()
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def last(self) -> int:
        """The highest id of a unit that has not ended."""
        c = self._work.c
        query = select(func.max(c.id)).where(self._ours, c.state.in_(("pending", "leased")))
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0

    def unended(self, until: int) -> bool:
        """Whether any unit up to this id is waiting or leased by anybody."""
        c = self._work.c
        query = self._units().where(c.state.in_(("pending", "leased")), c.id <= until).limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def hand_back(self, units: Sequence[Unit]) -> None:
        """Return leases without counting the attempt: the run stopped before it had finished them."""
        if units:
            rows = update(self._work).where(self._mine(), self._work.c.id.in_([unit.id for unit in units]))
            with self._database.writing(quiet=True) as connection:
                connection.execute(
                    rows.values(state="pending", attempts=self._work.c.attempts - 1, leased_until=None, worker=None)
                )

    def hand_all_back(self) -> None:
        """Return all leases of this worker without counting the attempts. Used after an outage, when the worker no longer knows
        them."""
        again = {"state": "pending", "attempts": self._work.c.attempts - 1, "leased_until": None, "worker": None}
        with self._database.writing(quiet=True) as connection:
            connection.execute(update(self._work).where(self._mine()).values(**again))

    def put(self, finished: Sequence[Finished]) -> list[Finished]:
        """Commit finished units: assets, segments, vectors, gaps and the units' end, in one transaction.

        Returns the units that were still leased to this worker. The others belong to another worker now, and nothing is written
        for them.
        """
        with self._database.writing() as connection:
            held = self._held(connection, [item.unit for item in finished])
            ours = [item for item in finished if item.unit.id in held]
            note_altered(
                connection, [item.unit.asset for item in ours]
            )  # before there are vectors: those of other spaces know of them
            for item in ours:
                connection.execute(update(t.asset).where(t.asset.c.id == item.unit.asset).values(_describe(item)))
                gaps = [gap_row(gap) for gap in item.gaps]
                write_ledger(connection, item.unit.collection, item.unit.asset, item.unit.path, gaps, **{self._whose: self._of})
            ids = _segments(connection, ours)
            cells = [(v.tobytes(), item.frames.get(i)) for item in ours for i, v in enumerate(item.vectors.astype("<f2"))]
            rows = [
                {"space_id": self._of, "segment_id": id_, "vector": vector, "frames": _packed(frames)}
                for id_, (vector, frames) in zip(ids, cells, strict=True)
            ]
            if rows:
                connection.execute(insert(t.embedding), rows)
            found = (item.fingerprints.get(i) for item in ours for i in range(len(item.cuts)))
            put_fingerprints(connection, zip(ids, found, strict=True))
            self._end(connection, [item.unit.id for item in ours], state="done", reason=None)
            return ours

    def fail(self, unit: Unit, reason: str, detail: str) -> bool:
        """End a unit without a result. It is retried only on request, or when the file changes.

        A file that killed its decoder is retried, and quarantined after the last attempt. Returns whether the unit has ended.
        """
        again = reason == "killed" and unit.attempts < MAX_ATTEMPTS
        with self._database.writing(quiet=again) as connection:
            if not self._held(connection, [unit]):
                return False
            if again:
                self._end(connection, [unit.id], state="pending", reason=None)
                return False
            write_ledger(
                connection, unit.collection, unit.asset, unit.path, [(reason, detail, None, None)], **{self._whose: self._of}
            )
            self._end(connection, [unit.id], state="quarantined" if reason == "killed" else "failed", reason=reason)
            return True

    def forget(self, unit: Unit, *, gone: bool, away: bool = False) -> None:
        """Return a unit whose file is no longer what was scanned.

        ``gone``: the file is not there, perhaps with its file system (``away``). Otherwise it has changed, and the next scan sees
        it as new. The unit waits, its attempt not counted, since the same bytes may also be stored elsewhere.
        """
        c = t.location.c
        stale = update(t.location).where(c.asset_id == unit.asset, c.path == unit.path)
        with self._database.writing() as connection:
            if not self._held(connection, [unit]):
                return
            again = {"state": "pending", "attempts": self._work.c.attempts - 1, "leased_until": None, "worker": None}
            connection.execute(update(self._work).where(self._work.c.id == unit.id).values(**again))
            note_altered(connection, [unit.asset])
            if gone:
                connection.execute(stale.values(state="away" if away else "missing"))
                return
            connection.execute(stale.values(asset_id=None))
            changed = [("vanished", "It changed while it was read.", None, None)]
            write_ledger(connection, unit.collection, None, unit.path, changed)

    def _units(self) -> Select[Any]:
        """The space's units whose file is present, each with the path to read."""
        c, where = self._work.c, t.location.c
        place = select(where.id).where(where.asset_id == c.asset_id, where.state == "present").order_by(where.id).limit(1)
        return (
            select(
                c.id,
                c.asset_id,
                where.collection_id,
                where.path,
                where.size,
                where.mtime_ns,
                c.attempts,
                where.device,
                t.asset.c.digest,
            )
            .join(t.asset, t.asset.c.id == c.asset_id)
            .join(t.location, where.id == place.correlate(self._work).scalar_subquery())
            .where(self._ours)
        )

    def _ran_out(self, now: int) -> Any:  # noqa: ANN401 - an SQL condition
        """SQL condition: leases that have timed out, of workers whose locks cannot be checked from here."""
        c = self._work.c
        late = c.leased_until < now
        return and_(late, ~c.worker.startswith(self._place, autoescape=True)) if self._place else late

    def _mine(self) -> Any:  # noqa: ANN401 - an SQL condition
        c = self._work.c
        return and_(self._ours, c.state == "leased", c.worker == self._worker)

    @property
    def _ours(self) -> Any:  # noqa: ANN401 - an SQL condition
        return self._work.c[self._whose] == self._of

    def _end(self, connection: Connection, units: Sequence[int], *, state: str, reason: str | None) -> None:
        values = {"state": state, "reason": reason, "leased_until": None, "worker": None, "updated_at": now_ms()}
        connection.execute(update(self._work).where(self._work.c.id.in_(units)).values(**values))

    def _held(self, connection: Connection, units: Sequence[Unit]) -> set[int]:
        """Those of the units that are still leased to this worker."""
        query = select(self._work.c.id).where(self._mine(), self._work.c.id.in_([unit.id for unit in units]))
        return set(connection.execute(query).scalars())

    def _take_back(self, connection: Connection, which: Any) -> None:  # noqa: ANN401 - an SQL condition
        """Requeue leased units; quarantine those that have used all their attempts."""
        c, where = self._work.c, t.location.c
        leased = and_(self._ours, c.state == "leased", which)
        for id_, asset in connection.execute(select(c.id, c.asset_id).where(leased, c.attempts >= MAX_ATTEMPTS)).all():
            place = select(where.collection_id, where.path).where(where.asset_id == asset).limit(1)
            if found := connection.execute(place).first():
                detail = f"It was begun {MAX_ATTEMPTS} times and took the indexer down each time."
                write_ledger(
                    connection,
                    found.collection_id,
                    asset,
                    found.path,
                    [("killed", detail, None, None)],
                    **{self._whose: self._of},
                )
            self._end(connection, [id_], state="quarantined", reason="killed")
        again = {"state": "pending", "leased_until": None, "worker": None, "updated_at": now_ms()}
        connection.execute(update(self._work).where(leased).values(**again))


def _describe(item: Finished) -> dict[str, Any]:
    return described(item.info, item.unit) | (filing(item.filed) if item.filed else {})


def described(info: Info, unit: Unit) -> dict[str, Any]:
    """The columns of an asset, as its decoder described it."""
    changed = unit.mtime_ns // 86_400_000_000_000
    of = info.provenance
    stated = (
        {"origin": of.origin, "credentials": of.credentials, "provenance": of.evidence} if of else {}
    )  # another worker may not read it
    return stated | {
        "modality": str(info.modality),
        "format": info.format,
        "width": info.width,
        "height": info.height,
        "duration_ms": info.duration_ms,
        "first_stamp_ms": info.first_stamp_ms,
        "subtitles": info.subtitles,
        "taken_with": info.taken_with,
        "title": info.title,
        "day": changed,
        "last_day": changed,
        "dated_by": None,
    }


def _segments(connection: Connection, items: Sequence[Finished]) -> list[int]:
    """The ids of the segments of all cuts, in order. Segments that another space has cut in the same way are reused; others are
    new."""
    c = t.segment.c
    query = select(c.reader_id, c.ordinal, c.id, c.asset_id, c.channel, c.unit, c.start, c.end, c.source).where(
        c.asset_id.in_([item.unit.asset for item in items])
    )
    known: dict[tuple[Any, ...], list[int]] = {}
    counts: Counter[tuple[int, str]] = Counter()
    for read, ordinal, id_, asset, channel, *place in connection.execute(query.order_by(c.id.desc())):
        if read is None:
            known.setdefault((asset, channel, *place), []).append(id_)
        counts[asset, channel] = max(counts[asset, channel], ordinal + 1)
    places: list[int] = []
    rows: list[dict[str, Any]] = []
    for item in items:
        for cut in item.cuts:
            asset, channel = item.unit.asset, str(cut.channel)
            span = (cut.span.unit, cut.span.start, cut.span.end) if cut.span else (None, None, None)
            if same := known.get((asset, channel, *span, cut.source)):
                places.append(same.pop())
                continue
            places.append(-len(rows) - 1)
            text = cut.content if isinstance(cut.content, str) else None
            row = {"asset_id": asset, "channel": channel, "ordinal": counts[asset, channel], "text": text}
            row |= {"source": cut.source, "language": cut.language}
            rows.append(row | dict(zip(("unit", "start", "end"), span, strict=True)))
            counts[asset, channel] += 1
    fresh: Sequence[int] = ()
    if rows:
        returning = insert(t.segment).returning(t.segment.c.id, sort_by_parameter_order=True)
        fresh = connection.execute(returning, rows).scalars().all()
    return [place if place > 0 else fresh[-place - 1] for place in places]


def _packed(frames: Vectors | None) -> bytes | None:
    return None if frames is None else frames.astype("<f2").tobytes()


def gap_row(gap: Gap) -> tuple[str, str, int | None, int | None]:
    """A gap as the ledger keeps it: reason, detail, and its start and end in milliseconds, if it has these."""
    if gap.span is None or gap.span.unit != "ms":
        return gap.reason, gap.detail, None, None
    return gap.reason, gap.detail, gap.span.start, gap.span.end
