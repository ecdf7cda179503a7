"""The writing side of the store: it records the files that the indexer meets. What happens to their content is up to the queue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType

from search.errors import InputError
from search.store import tables as t
from search.store.database import Database, now_ms
from search.store.names import READER
from search.types import Vectors

_SOME = 10_000
"""Assets in one statement."""

MAX_NAME_CHARACTERS = 200
"""Characters of the name of a collection, at most."""


class Sighting(NamedTuple):
    """A file as a scan met it. ``path`` is absolute, in the operating system's bytes.

    ``inode`` and ``device`` have 63 bits. None: the file system's numbers are not stable, or nobody looked.
    """

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int | None = None
    inode: int | None = None
    device: int | None = None


class KnownPath(NamedTuple):
    """What the store knows about a path. ``asset`` None: its bytes could not be read last time. ``dated``: the asset has a date;
    ``dates_beside`` is the fingerprint of the files beside it that may give a date."""

    location: int
    asset: int | None
    size: int
    mtime_ns: int
    state: str
    ctime_ns: int | None = None
    inode: int | None = None
    device: int | None = None
    digest: bytes | None = None
    dated: bool = False
    dates_beside: str | None = None

    def looks_like(self, sighting: Sighting) -> bool:
        """Whether a file has the same size and times as before, and is the same file as far as its file system tells.

        Exchanging two files, or restoring one with its time, changes ctime or inode. Values that an older version did not record
        count as equal.
        """
        return (
            self.size == sighting.size and self.mtime_ns == sighting.mtime_ns
            and (self.ctime_ns == sighting.ctime_ns or self.ctime_ns is None or sighting.ctime_ns is None)
            and (self.inode == sighting.inode or self.inode is None or sighting.inode is None)
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passing:
    """A file that no reader takes. ``known``: it is media or a document in a format without a reader."""

    path: bytes
    size: int
    mtime_ns: int
    suffix: str
    known: bool


@dataclass(frozen=True, slots=True)
class Again:
    """Which failures to retry: by reason, by paths, by collection. Values that are not given do not restrict."""

    reason: str | None = None
    paths: tuple[bytes, ...] = ()
    collection: str | None = None

    def at(self, path: Any) -> list[Any]:  # noqa: ANN401 - SQL conditions
        """The condition on the location, as SQL conditions on a column of paths and its collection."""
        conditions = [or_(*(under(path, one) for one in self.paths))] if self.paths else []
        return [*conditions, *([] if self.collection is None else [t.collection.c.name == self.collection])]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion removes: locations, the digests of assets without any other location, their segments and vectors."""

    files: int
    digests: tuple[bytes, ...]
    segments: int
    vectors: int


class Intake:
    """Everything that is written while files are taken in. Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collection(self, name: str, roots: Sequence[bytes]) -> int:
        """The collection's id. A new collection is created; ``roots`` are added to it.

        Raises:
            InputError: a new collection cannot have this name.
        """
        with self._database.reading() as connection:  # nothing changes where it is there
            known = select(t.root.c.collection_id, t.root.c.path).join(t.collection).where(t.collection.c.name == name)
            there = {path: key for key, path in connection.execute(known)}
        if there and all(path in there for path in roots):
            return int(next(iter(there.values())))
        with self._database.writing() as connection:
            found = connection.execute(select(t.collection.c.id).filter_by(name=name)).scalar()
            if found is None:
                if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
                    raise InputError(
                        f"A collection cannot be named {name[:40]!r}.",
                        remedy=f"Give it a name of 1 to {MAX_NAME_CHARACTERS} letters.",
                    )
                row = {"name": name, "created_at": now_ms()}
                found = connection.execute(insert(t.collection).values(row).returning(t.collection.c.id)).scalar_one()
            have = set(connection.execute(select(t.root.c.path).filter_by(collection_id=found)).scalars())
            if rows := [{"collection_id": found, "path": path} for path in roots if path not in have]:
                connection.execute(insert(t.root), rows)
            return int(found)

    def keys(self, collections: Sequence[str]) -> set[int]:
        """The ids of collections. Missing names are left out."""
        with self._database.reading() as connection:
            return set(connection.execute(select(t.collection.c.id).where(t.collection.c.name.in_(collections))).scalars())

    def begin_scan(self) -> int:
        """The number of a new scan. It is the time, so that what another scan meets in the meantime is not missing for this one."""
        with self._database.reading() as connection:
            return max(now_ms(), (connection.execute(select(func.max(t.location.c.seen))).scalar() or 0) + 1)

    def known(self, collection: int, paths: Sequence[bytes]) -> dict[bytes, KnownPath]:
        """What the store knows about these paths."""
        c, a = t.location.c, t.asset.c
        query = (
            select(
                _raw(c.path), c.id, c.asset_id, c.size, c.mtime_ns, c.state, c.ctime_ns, c.inode, c.device, _raw(a.digest),
                and_(a.modality.is_not(None), a.dated_by.is_not(None)), a.dates_beside,
            )
            .select_from(t.location.outerjoin(t.asset, a.id == c.asset_id))
            .where(c.collection_id == collection)
        )  # fmt: skip
        if not paths:
            return {}
        wanted, most = set(paths), 4 * len(paths)
        with self._database.reading() as connection:
            # Paths of one folder lie together, and a stretch takes fewer words than a list, unless too much else lies in it.
            rows = connection.execute(query.where(c.path.between(min(paths), max(paths))).limit(most + 1)).all()
            if len(rows) > most:
                rows = connection.execute(query.where(c.path.in_(paths))).all()
            return {row[0]: KnownPath(*row[1:]) for row in rows if row[0] in wanted}

    def seen(self, scan: int, known: Sequence[tuple[KnownPath, Sighting]]) -> None:
        """Mark these files as met and unchanged."""
        c, now = t.location.c, max(scan, now_ms())
        rows = update(t.location).where(c.id.in_([one.location for one, _ in known]))
        moved = [
            {"at": one.location, "ctime_ns": met.ctime_ns, "inode": met.inode, "device": met.device}
            for one, met in known
            if (one.ctime_ns, one.inode, one.device) != (met.ctime_ns, met.inode, met.device)
        ]
        with self._database.writing(quiet=all(one.state == "present" for one, _ in known)) as connection:
            if any(one.state != "present" for one, _ in known):
                note_altered(connection, [one.asset for one, _ in known if one.state == "missing"])
            connection.execute(rows.values(seen=now, state="present"))
            if moved:
                connection.execute(update(t.location).where(c.id == bindparam("at")), moved)

    def unended_bytes(self, space: int) -> tuple[int, bool]:
        """The bytes of the files that wait or are worked on for a space, and whether any is worked on."""
        u = t.unit.c
        some = select(func.sum(t.asset.c.size), func.max(u.leased_until)).join(t.unit, u.asset_id == t.asset.c.id)
        with self._database.reading() as connection:
            waiting, until = connection.execute(some.where(u.space_id == space, u.state.in_(("pending", "leased")))).one()
        return int(waiting or 0), (until or 0) > now_ms()

    def put_files(self, collection: int, scan: int, spaces: Sequence[int], files: Sequence[tuple[Sighting, bytes]]) -> int:
        """Record files with the SHA-256 digests of their bytes, and queue the assets that a space does not hold yet.

        Returns the number of queued units. Bytes that are already known only get a new location. Spaces that were dropped in the
        meantime are left out.

        Raises:
            InputError: the collection was deleted in the meantime.
        """
        with self._database.writing() as connection:
            there = set(connection.execute(select(t.space.c.id).where(t.space.c.id.in_(spaces))).scalars())
            spaces = [space for space in spaces if space in there]
            digests = {digest: sighting.size for sighting, digest in files}
            assets = self._assets(connection, digests)
            _locate(connection, collection, scan, {sighting: assets[digest] for sighting, digest in files})
            u = t.unit.c
            held = select(u.asset_id, u.space_id).where(u.space_id.in_(spaces), u.asset_id.in_(assets.values()))
            queued = {tuple(row) for row in connection.execute(held)}
            rows = [
                {"asset_id": asset, "space_id": space, "state": "pending", "attempts": 0, "updated_at": now_ms()}
                for space in spaces
                for asset in dict.fromkeys(assets[digest] for _, digest in files)  # in the order of the walk
                if (asset, space) not in queued
            ]
            if rows:
                connection.execute(insert(t.unit), rows)
            return len(rows)

    def reject_file(self, collection: int, scan: int, sighting: Sighting, reason: str, detail: str) -> None:
        """Record a file whose bytes cannot be read, with the reason. Raises InputError if the collection was deleted in the meantime."""
        with self._database.writing() as connection:
            _locate(connection, collection, scan, {sighting: None})
            write_ledger(connection, collection, None, sighting.path, [(reason, detail, None, None)])

    def end_scan(
        self, collection: int, scan: int, roots: Sequence[bytes], *, unread: Sequence[bytes] = (),
        is_away: Callable[[bytes, int | None], bool] = lambda _path, _device: False,
    ) -> tuple[int, int]:  # fmt: skip
        """Mark files at or under ``roots`` that the scan did not meet as missing, or as away. Returns how many became missing and
        how many away.

        ``is_away`` decides this from a path and the device on which it was last met. Files in ``unread`` folders keep their
        state, since nothing is known about them.
        """
        c = t.location.c
        missed = [and_(c.collection_id == collection, under(c.path, root), c.seen < scan, c.state != "missing") for root in roots]
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if not unread and not any(connection.execute(select(c.id).where(gone).limit(1)).first() for gone in missed):
                self._forget_passed(collection, scan, roots, unread)
                return 0, 0
        counts = {"missing": 0, "away": 0}
        with self._database.writing() as connection:
            for folder in unread:
                inside = and_(c.collection_id == collection, under(c.path, folder))
                connection.execute(update(t.location).where(inside).values(seen=scan))
            for gone in missed:
                rows = connection.execute(select(c.id, c.path, c.device, c.state, c.asset_id).where(gone)).all()
                states = {row.id: "away" if is_away(row.path, row.device) else "missing" for row in rows}
                changed = [{"at": row.id, "now": states[row.id]} for row in rows if states[row.id] != row.state]
                if changed:
                    connection.execute(update(t.location).where(c.id == bindparam("at")).values(state=bindparam("now")), changed)
                    note_altered(connection, [row.asset_id for row in rows if states[row.id] != row.state])
                for row in changed:
                    counts[str(row["now"])] += 1
        self._forget_passed(collection, scan, roots, unread)
        return counts["missing"], counts["away"]

    def holds(self, collection: int, root: bytes) -> bool:
        """Whether a collection has files, other than missing ones, at or under a root."""
        c = t.location.c
        query = select(c.id).where(c.collection_id == collection, under(c.path, root), c.state != "missing").limit(1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def away(self, collection: int | None = None) -> int:
        """How many files of a collection, or of all, are away."""
        c = t.location.c
        query = select(func.count()).where(c.state == "away", *([] if collection is None else [c.collection_id == collection]))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def passed(self, collection: int, paths: Sequence[bytes]) -> dict[bytes, Passing]:
        """Those of these paths that were passed over before."""
        c = t.passed.c
        query = select(c.path, c.size, c.mtime_ns, c.suffix, c.known).where(c.collection_id == collection, c.path.in_(paths))
        with self._database.reading() as connection:
            return {row.path: Passing(*row) for row in connection.execute(query)}

    def pass_over(self, collection: int, scan: int, files: Sequence[Passing]) -> None:
        """Record files that no reader takes. Raises InputError if the collection was deleted in the meantime."""
        c, now = t.passed.c, max(scan, now_ms())
        with self._database.writing(quiet=True) as connection:
            _check_collection(connection, collection)
            there = set(
                connection.execute(
                    select(c.path).where(c.collection_id == collection, c.path.in_([f.path for f in files]))
                ).scalars()
            )
            old = [
                {"of": collection, "at": f.path, "size": f.size, "mtime_ns": f.mtime_ns, "seen": now}
                for f in files
                if f.path in there
            ]
            new = [asdict(f) | {"collection_id": collection, "seen": now} for f in files if f.path not in there]
            if old:
                connection.execute(update(t.passed).where(c.collection_id == bindparam("of"), c.path == bindparam("at")), old)
            if new:
                connection.execute(insert(t.passed), new)

    def still_passed(self, collection: int, scan: int, paths: Sequence[bytes]) -> None:
        """Mark files that were passed over as met and unchanged."""
        c = t.passed.c
        with self._database.writing(quiet=True) as connection:
            these = update(t.passed).where(c.collection_id == collection, c.path.in_(paths))
            connection.execute(these.values(seen=max(scan, now_ms())))

    def _forget_passed(self, collection: int, scan: int, roots: Sequence[bytes], unread: Sequence[bytes]) -> None:
        c = t.passed.c
        gone = and_(
            c.collection_id == collection, c.seen < scan, or_(*(under(c.path, root) for root in roots)),
            *(not_(under(c.path, folder)) for folder in unread),
        )  # fmt: skip
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(select(c.id).where(gone).limit(1)).first() is None:
                return
        with self._database.writing(quiet=True) as connection:
            connection.execute(delete(t.passed).where(gone))

    def retry(self, spaces: Sequence[int], again: Again) -> tuple[int, dict[int, list[bytes]]]:
        """Queue failed and quarantined units of spaces again, and readings. Returns how many, and by collection the files whose
        bytes could not be read."""
        line = t.ledger.c
        unread = (
            select(line.collection_id, line.path)
            .join(t.collection)
            .where(line.asset_id.is_(None), *again.at(line.path))
            .distinct()
        )
        if again.reason is not None:
            unread = unread.where(line.reason == again.reason)
        with self._database.writing() as connection:
            values = {"state": "pending", "attempts": 0, "reason": None, "updated_at": now_ms()}
            queued = 0
            for work, ours in ((t.unit, [t.unit.c.space_id.in_(spaces)]), (t.reading, [])):
                queued += connection.execute(update(work).where(_failed(work, again), *ours).values(**values)).rowcount
            files: dict[int, list[bytes]] = {}
            for collection, path in connection.execute(unread):
                files.setdefault(collection, []).append(path)
            return queued, files

    def prune(self, collection: int | None = None, *, away: bool = False) -> int:
        """Forget missing files (with ``away`` also those that are away), and every asset without a location. Returns the number
        of dropped locations."""
        c = t.location.c
        gone: Any = c.state.in_(("missing", "away") if away else ("missing",))
        gone = gone if collection is None else and_(gone, c.collection_id == collection)
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(select(c.id).where(gone).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            connection.execute(
                delete(t.ledger).where(t.ledger.c.path.in_(select(c.path).where(gone)), t.ledger.c.asset_id.is_(None))
            )
            note_altered(connection, connection.execute(select(c.asset_id).where(gone)).scalars().all())
            return connection.execute(delete(t.location).where(gone)).rowcount

    def delete(
        self, *, assets: Sequence[int] = (), paths: Sequence[bytes] = (), collection: int | None = None, dry: bool = False
    ) -> Deleted:  # fmt: skip
        """Remove assets, everything at or under paths, or a whole collection. With ``dry``, only report what would be removed.

        An asset that also has a location elsewhere keeps that location and stays.
        """
        c, a = t.location.c, t.asset.c
        meant = or_(
            c.asset_id.in_(assets),
            *(under(c.path, path) for path in paths),
            *([] if collection is None else [c.collection_id == collection]),
        )
        here = exists().where(c.asset_id == a.id, meant)
        elsewhere = exists().where(c.asset_id == a.id, ~meant)
        doomed = and_(here, ~elsewhere)
        segments = select(t.segment.c.id).join(t.asset).where(doomed)
        with self._database.reading() if dry else self._database.writing() as connection:

            def count(query: Select[Any]) -> int:
                return connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()

            found = Deleted(
                files=count(select(c.id).where(meant)),
                digests=tuple(connection.execute(select(a.digest).where(doomed)).scalars()),
                segments=count(segments.where(t.segment.c.reader_id.is_distinct_from(READER))),
                vectors=count(select(t.embedding.c.id).where(t.embedding.c.segment_id.in_(segments))),
            )
            if not dry:
                lost = select(c.path).where(meant, c.asset_id.is_(None))
                connection.execute(delete(t.ledger).where(t.ledger.c.path.in_(lost), t.ledger.c.asset_id.is_(None)))
                _delete_assets(connection, doomed)
                note_altered(connection, connection.execute(select(c.asset_id).where(meant)).scalars().all())
                connection.execute(delete(t.location).where(meant))
                if collection is not None:
                    connection.execute(delete(t.collection).where(t.collection.c.id == collection))
            return found

    def drop_orphans(self) -> int:
        """Remove assets without any location, with everything that belongs to them. Returns how many."""
        orphan = ~exists().where(t.location.c.asset_id == t.asset.c.id)
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(select(t.asset.c.id).where(orphan).limit(1)).scalar() is None:
                return 0
        with self._database.writing() as connection:
            return _delete_assets(connection, orphan)

    def _assets(self, connection: Connection, digests: dict[bytes, int]) -> dict[bytes, int]:
        c = t.asset.c
        query = select(c.digest, c.id).where(c.digest.in_(digests))
        have = {row.digest: row.id for row in connection.execute(query)}
        rows = [
            {"digest": digest, "size": size, "created_at": now_ms()} for digest, size in digests.items() if digest not in have
        ]
        if rows:
            connection.execute(insert(t.asset), rows)
            have |= {row.digest: row.id for row in connection.execute(query)}
        return have


def _failed(work: Table, again: Again) -> Any:  # noqa: ANN401 - an SQL condition
    """SQL condition: a row of a work table has failed and is selected for a retry."""
    c, where = work.c, t.location.c
    place = select(where.asset_id).join(t.collection).where(where.state == "present", *again.at(where.path))
    failed = and_(c.state.in_(("failed", "quarantined")), c.asset_id.in_(place.where(where.asset_id.is_not(None))))
    return failed if again.reason is None else and_(failed, c.reason == again.reason)


def _locate(connection: Connection, collection: int, scan: int, assets: Mapping[Sighting, int | None]) -> None:
    """Record where assets were met; None: the bytes cannot be read. Ledger lines that were only about these paths are removed."""
    _check_collection(connection, collection)
    c, paths = t.location.c, [sighting.path for sighting in assets]
    query = select(c.path, c.asset_id).where(c.collection_id == collection, c.path.in_(paths))
    known, seen = {path: asset for path, asset in connection.execute(query)}, max(scan, now_ms())  # noqa: C416
    note_altered(connection, [*known.values(), *assets.values()])
    old, new = [], []
    for sighting, asset in assets.items():
        row = {"asset_id": asset, "size": sighting.size, "mtime_ns": sighting.mtime_ns, "state": "present", "seen": seen}
        row |= {"ctime_ns": sighting.ctime_ns, "inode": sighting.inode, "device": sighting.device}
        if sighting.path in known:
            old.append(row | {"of": collection, "at": sighting.path})
        else:
            new.append(row | {"collection_id": collection, "path": sighting.path})
    if old:
        connection.execute(update(t.location).where(c.collection_id == bindparam("of"), c.path == bindparam("at")), old)
    if new:
        connection.execute(insert(t.location), new)
    connection.execute(delete(t.ledger).where(t.ledger.c.path.in_(paths), t.ledger.c.asset_id.is_(None)))


def _check_collection(connection: Connection, collection: int) -> None:
    if _id_of_collection(connection, collection) is None:
        raise InputError(
            "The collection was deleted while its files were being indexed.", remedy="Run the command again to index them."
        )


def _id_of_collection(connection: Connection, collection: int) -> int | None:
    """The id of a collection; None if it was deleted in the meantime."""
    return connection.execute(select(t.collection.c.id).where(t.collection.c.id == collection)).scalar()


def _raw(column: Any) -> Any:  # noqa: ANN401 - a column of bytes
    """A column as the driver returns it, which is bytes already. Converting each value again takes longer than reading it."""
    return type_coerce(column, NullType()).label(column.name)


def under(column: Any, path: bytes) -> Any:  # noqa: ANN401 - an SQL condition
    """SQL condition: a path is ``path`` or lies below it. A range, so that an index on the column serves it."""
    folder = path.rstrip(b"/") + b"/"
    return or_(column == path, and_(column >= folder, column < folder[:-1] + b"0"))  # "0" follows "/"


def write_ledger(
    connection: Connection,
    collection: int,
    asset: int | None,
    path: bytes,
    entries: Sequence[tuple[str, str, int | None, int | None]],
    *,
    space_id: int | None = None,
    reader_id: int | None = None,
) -> None:
    """Replace the ledger lines of an asset for a space or a reader (or of a path that has no asset yet).

    A line that others have written with the same words is not written again: they read the same bytes. A collection that was
    deleted in the meantime is not named.
    """
    c = t.ledger.c
    mine = and_(c.asset_id == asset, c.space_id.is_not_distinct_from(space_id), c.reader_id.is_not_distinct_from(reader_id))
    connection.execute(delete(t.ledger).where(mine if asset else and_(c.path == path, c.asset_id.is_(None))))
    said = select(c.reason, c.start_ms, c.end_ms).where(c.asset_id == asset)
    known = {tuple(row) for row in connection.execute(said)} if asset and entries else set()
    place = _id_of_collection(connection, collection) if entries else None
    rows = [
        {
            "collection_id": place,
            "asset_id": asset,
            "space_id": space_id,
            "reader_id": reader_id,
            "path": path,
            "reason": reason,
            "detail": detail.encode("utf-8", "replace").decode(),
            "start_ms": start,
            "end_ms": end,
            "created_at": now_ms(),
        }
        for reason, detail, start, end in entries
        if (reason, start, end) not in known
    ]
    if rows:
        connection.execute(insert(t.ledger), rows)


def _delete_assets(connection: Connection, which: Any) -> int:  # noqa: ANN401 - an SQL condition
    """Delete assets. Indexes learn of it from ``removal``; dependent rows are deleted by cascade."""
    gone = (
        select(t.embedding.c.space_id, t.embedding.c.segment_id)
        .join(t.segment, t.segment.c.id == t.embedding.c.segment_id)
        .join(t.asset, t.asset.c.id == t.segment.c.asset_id)
        .where(which)
        .order_by(t.embedding.c.id)
    )
    connection.execute(insert(t.removal).from_select(["space_id", "segment_id"], gone))
    return connection.execute(delete(t.asset).where(which)).rowcount


def note_altered(connection: Connection, assets: Iterable[int | None]) -> None:
    """Record that filter data of assets has changed (date, length, kind or location), so that followers of the archive read it
    again.

    It is stored in ``removal``, as the negative asset id, for each space that holds any of the asset.
    """
    c, some = t.embedding.c, sorted({asset for asset in assets if asset is not None})
    for start in range(0, len(some), _SOME):
        of = t.segment.c.asset_id
        query = select(c.space_id, -of).join(t.segment, t.segment.c.id == c.segment_id).where(of.in_(some[start : start + _SOME]))
        connection.execute(insert(t.removal).from_select(["space_id", "segment_id"], query.distinct()))


def path_of(path: bytes) -> str:
    """A stored path as a Python string. Bytes that are not valid text become lone surrogates."""
    return os.fsdecode(path)


def unit_vectors(blobs: Sequence[bytes], dim: int) -> Vectors:
    """Stored float16 rows as float32 (n, dim)."""
    return np.frombuffer(b"".join(blobs), dtype="<f2").reshape(len(blobs), dim).astype(np.float32)
