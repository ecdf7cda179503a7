"""The spaces of an archive: their names, what each takes in, and which one is the default."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, func, insert, or_, select, update

from search.errors import InputError, StoreError, UnknownName
from search.store import tables as t
from search.store.database import Database, now_ms
from search.types import KINDS, Channel, Kind, Modality, Space

MAX_NAME_CHARACTERS = 200
"""The length of a space's name, at most."""

LEVELLED = "+levelled"
"""Ends the revision, as it is stored, of a space whose sound was levelled before it was embedded."""

EVERY = "all"
"""What means every space where spaces are named."""


@dataclass(frozen=True, slots=True)
class SpaceEntry:
    """A space of the archive. ``key`` is its id in SQL, ``encoder`` the name that loads its encoder.

    It takes in segments of ``kinds``, of assets in ``collections``; no collections means all.
    """

    key: int
    space: Space
    encoder: str
    default: bool
    kinds: tuple[Kind, ...]
    collections: tuple[str, ...]

    @property
    def name(self) -> str:
        """The space's name."""
        return self.space.name

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities of assets from which it takes anything other than what readers read."""
        return tuple(dict.fromkeys(kind.modality for kind in self.kinds if not kind.read))


@dataclass(frozen=True, slots=True)
class SpaceSize:
    """The size of a space: units by state, number of vectors, and the bytes of these in the database."""

    units: dict[str, int]
    vectors: int
    bytes: int

    @property
    def complete(self) -> bool:
        """Whether no unit is waiting. Failed units are in the ledger."""
        return not self.units.get("pending") and not self.units.get("leased")


class Spaces:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[SpaceEntry]:
        """Every space, in the order in which they were made."""
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(select(t.space).order_by(t.space.c.id))]

    def find(self, name: str = "") -> SpaceEntry:
        """A space by its name; without one, the default.

        Raises:
            UnknownName: there is no space of that name.
            StoreError: there is none at all.
        """
        entries = self.all()
        if not entries:
            raise StoreError("Nothing is indexed yet.", remedy="Run `sensorium index PATH` first.")
        found = next((entry for entry in entries if (entry.name == name if name else entry.default)), None)
        if found is None and not name:
            return entries[0]
        if found is None:
            raise UnknownName("space", name, [entry.name for entry in entries])
        return found

    def add(self, space: Space, encoder: str, kinds: Sequence[Kind] = (), collections: Sequence[str] = ()) -> SpaceEntry:
        """Add a space, or return the existing one. The first space of an archive becomes its default. Without ``kinds`` it takes
        in everything it can.

        Raises:
            InputError: a space of that name has vectors of another model or revision, which are not comparable with these; or the name is not allowed.
        """
        with self._database.writing() as connection:
            rows = connection.execute(select(t.space).order_by(t.space.c.id)).all()
            for row in rows:
                if row.name == space.name:
                    matches(entry := _entry(row), space)
                    return entry
            check_name(space.name)
            values = {
                "name": space.name, "family": space.family, "model": space.model, "revision": stored_revision(space), "dim": space.dim,
                "accepts": ",".join(sorted(space.accepts)), "encoder": encoder, "is_default": not rows,
                "kinds": ",".join(map(str, kinds or space.kinds())), "collections": json.dumps(list(collections)), "created_at": now_ms(),
            }  # fmt: skip
            return _entry(connection.execute(insert(t.space).values(values).returning(t.space)).one())

    def renew(self) -> int:
        """Requeue the assets whose sound was embedded before levelling was introduced, and delete their segments of sound.
        Returns how many."""
        if all(entry.space.levelled for entry in self.all()):
            return 0
        with self._database.writing() as connection:
            entries = [_entry(row) for row in connection.execute(select(t.space))]
            return _renew(connection, [entry for entry in entries if not entry.space.levelled])

    def fill(self, entry: SpaceEntry) -> int:
        """Queue the assets that the space wants and that have no unit. Returns the number of assets; 0 if it was dropped in the meantime.

        This covers everything that a space lacks; ``put_files`` covers newly scanned files. Runs, watches and new spaces all use
        these two.
        """
        with self._database.reading() as connection:  # no write lock for what is mostly nothing to do
            if connection.execute(_wanted(entry).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            if connection.execute(select(t.space.c.id).where(t.space.c.id == entry.key)).first() is None:
                return 0
            wanted = _wanted(entry).subquery()
            now = now_ms()
            rows = [
                {"asset_id": asset, "space_id": entry.key, "state": "pending", "attempts": 0, "updated_at": now}
                for asset in connection.execute(select(wanted.c.id).order_by(wanted.c.id)).scalars()
            ]
            if rows:
                connection.execute(insert(t.unit), rows)
            return len(rows)

    def missing(self, entry: SpaceEntry) -> int:
        """The number of assets that ``fill`` would queue."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(_wanted(entry).subquery())).scalar_one()

    def switch(self, name: str) -> SpaceEntry:
        """Make a space the default.

        Raises:
            UnknownName: it is not there.
        """
        entry = self.find(name)
        with self._database.writing() as connection:
            connection.execute(update(t.space).values(is_default=t.space.c.id == entry.key))
        return entry

    def size(self, key: int) -> SpaceSize:
        """The size of a space."""
        u, e = t.unit.c, t.embedding.c
        units = select(u.state, func.count()).where(u.space_id == key).group_by(u.state)
        held = select(func.count(), func.sum(func.length(e.vector) + func.coalesce(func.length(e.frames), 0))).where(
            e.space_id == key
        )
        with self._database.reading() as connection:
            vectors, size = connection.execute(held).one()
            return SpaceSize({state: count for state, count in connection.execute(units)}, vectors, int(size or 0))  # noqa: C416

    def drop(self, name: str) -> SpaceEntry:
        """Remove a space with its vectors, and the segments that were cut for it and that no other space holds.

        Raises:
            UnknownName: it is not there.
            InputError: it is the default, which answers searches.
        """
        entry = self.find(name)
        if entry.default:
            raise InputError(
                f"{name} is the default space, which answers searches.",
                remedy="Switch to another one first: sensorium spaces switch NAME",
            )
        with self._database.writing() as connection:
            mine = select(t.embedding.c.segment_id).where(t.embedding.c.space_id == entry.key)
            others = exists().where(t.embedding.c.segment_id == t.segment.c.id, t.embedding.c.space_id != entry.key)
            cut = t.segment.c.reader_id.is_(None)  # what readers read belongs to them
            connection.execute(delete(t.segment).where(cut, t.segment.c.id.in_(mine), ~others))
            connection.execute(delete(t.space).where(t.space.c.id == entry.key))
        return entry


def encoder_name(database: Database, named: str) -> str:
    """The encoder that a setting means: that of the space with this name, or of the default. If there is no such space, the name
    itself."""
    entries = Spaces(database).all() if database.exists() else []
    meant = (entry.encoder for entry in entries if (entry.name == named if named else entry.default))
    return next(meant, named or "pocket")


def check_name(name: str) -> None:
    """Check that a new space may have this name.

    Raises:
        InputError: it is empty, too long, not printable, or reserved.
    """
    why = (
        "is empty" if not name.strip()
        else f"has {len(name)} characters, more than {MAX_NAME_CHARACTERS}" if len(name) > MAX_NAME_CHARACTERS
        else "holds characters that cannot be printed" if not name.isprintable()
        else "begins or ends with a space" if name != name.strip()
        else "begins with a dash, like an option" if name.startswith("-")
        else "means a folder" if name in (".", "..")
        else "means every space" if name == EVERY
        else ""
    )  # fmt: skip
    if why:
        raise InputError(f"A space cannot be named {name[:40]!r}: the name {why}.", remedy="Choose another name, such as photos.")


def matches(entry: SpaceEntry, space: Space) -> None:
    """Check that an encoder's space is the one that the archive holds under its name.

    Raises:
        InputError: its vectors are not comparable with the stored ones.
    """
    have, now = entry.space, space
    if (have.revision, have.dim) != (now.revision, now.dim):
        raise InputError(
            f"The space {have.name!r} was made by {entry.encoder or have.model}, revision {have.revision}, {have.dim} dimensions;"
            f" the encoder here has revision {now.revision}, {now.dim} dimensions. Their vectors do not compare, and nothing was changed.",
            remedy="Put the former model back, or make a new space beside the old one:"
            f" sensorium spaces add NEW-NAME --encoder {entry.encoder or have.family}",
        )
    if not have.levelled:
        raise InputError(
            f"The sounds in the space {have.name!r} were embedded at the loudness that they had; now all are brought to one.",
            remedy="Run `sensorium index` on the archive's folders: it embeds its sounds again.",
        )


def stored_revision(space: Space) -> str:
    """The revision under which a space is stored: the model's, plus the way in which sound is prepared, if the space takes sound."""
    return space.revision + LEVELLED * (space.levelled and Modality.AUDIO in space.accepts)


def _renew(connection: Connection, old: Sequence[SpaceEntry]) -> int:
    """Cut and embed again the assets whose sound old spaces hold. This affects all spaces, since they share segments. Returns how
    many."""
    s, e, u = t.segment.c, t.embedding.c, t.unit.c
    heard = select(s.asset_id).join(t.embedding, e.segment_id == s.id)
    heard = heard.where(e.space_id.in_([entry.key for entry in old]), s.channel == str(Channel.SOUND))
    assets = connection.execute(heard.distinct()).scalars().all()
    cut = and_(s.reader_id.is_(None), s.asset_id == bindparam("asset"))
    gone = select(e.space_id, e.segment_id).join(t.segment, s.id == e.segment_id).where(cut).order_by(e.id)
    again = update(t.unit).where(u.state == "done", u.asset_id == bindparam("asset"))
    for asset in assets:
        connection.execute(insert(t.removal).from_select(["space_id", "segment_id"], gone), {"asset": asset})
        connection.execute(delete(t.segment).where(cut), {"asset": asset})
        connection.execute(again.values(state="pending", attempts=0, updated_at=now_ms()), {"asset": asset})
    for entry in old:
        now = stored_revision(replace(entry.space, levelled=True))
        connection.execute(update(t.space).where(t.space.c.id == entry.key).values(revision=now))
    return len(assets)


def _wanted(entry: SpaceEntry) -> Select[Any]:
    """Assets that the space wants and that have no unit."""
    a, where = t.asset.c, t.location.c
    here = exists().where(where.asset_id == a.id, where.state == "present", *_inside(entry))
    held = exists().where(t.unit.c.asset_id == a.id, t.unit.c.space_id == entry.key)
    return select(a.id).where(takes(entry), ~held, here)  # in this order: nearly all are held already


def takes(entry: SpaceEntry) -> Any:  # noqa: ANN401 - an SQL condition
    """SQL condition on ``asset``: the space takes in something of it, or its modality is not known yet."""
    modality = t.asset.c.modality
    return or_(modality.is_(None), modality.in_([str(one) for one in entry.modalities]))


def _inside(entry: SpaceEntry) -> list[Any]:
    """SQL conditions on ``location``: it is in a collection that the space takes in."""
    if not entry.collections:
        return []
    return [t.location.c.collection_id.in_(select(t.collection.c.id).where(t.collection.c.name.in_(entry.collections)))]


_KINDS = {str(kind): kind for kind in KINDS}


def _entry(row: Any) -> SpaceEntry:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    accepts = frozenset(Modality(name) for name in row.accepts.split(",") if name)
    kinds = tuple(_KINDS[name] for name in row.kinds.split(",") if name in _KINDS)
    levelled = row.revision.endswith(LEVELLED) or Modality.AUDIO not in accepts
    space = Space(row.name, row.family, row.model, row.revision.removesuffix(LEVELLED), row.dim, accepts, levelled)
    return SpaceEntry(row.id, space, row.encoder, bool(row.is_default), kinds, tuple(json.loads(row.collections)))
