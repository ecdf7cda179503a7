"""Cases: moments that people collect, in an order of their own, with notes and the questions that led there.

An exhibit names its medium by content, so it outlives deletion and comes back with the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from search.errors import InputError, Problem
from search.store import tables as t
from search.store.database import Database, now_ms

MAX_EXHIBITS = 10_000
"""The number of exhibits in a case."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A collected moment: the medium's ``digest`` (SHA-256, hexadecimal), and a stretch of it in milliseconds, or all of it."""

    digest: str
    name: str
    start_ms: int | None = None
    end_ms: int | None = None
    note: str = ""
    question: str = ""
    added_at: int | None = None


@dataclass(frozen=True, slots=True)
class Casefile:
    """A case. ``version`` grows with every change; ``count`` is its number of exhibits. Times are in milliseconds since 1970."""

    id: int
    name: str
    note: str
    version: int
    created_at: int
    changed_at: int
    count: int


class Cases:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Casefile]:
        """Every case, the one that was changed last first."""
        c = t.casefile.c
        with self._database.reading() as connection:
            return [_case(row) for row in connection.execute(_cases().order_by(c.changed_at.desc(), c.id.desc()))]

    def get(self, id_: int) -> tuple[Casefile, list[Exhibit]]:
        """A case and its exhibits, in their order.

        Raises:
            Problem: there is none (404).
        """
        e = t.exhibit.c
        with self._database.reading() as connection:
            row = connection.execute(_cases().where(t.casefile.c.id == id_)).first()
            if row is None:
                raise _gone(id_)
            rows = connection.execute(select(t.exhibit).where(e.casefile_id == id_).order_by(e.position, e.id))
            return _case(row), [_exhibit(one) for one in rows]

    def make(self, name: str, note: str = "") -> int:
        """A new case, by its number.

        Raises:
            InputError: one of that name is there.
        """
        now = now_ms()
        with self._database.writing(quiet=True) as connection:
            _free(connection, name)
            values = {"name": name, "note": note, "version": 1, "created_at": now, "changed_at": now}
            return int(connection.execute(insert(t.casefile).values(values).returning(t.casefile.c.id)).scalar_one())

    def add(self, id_: int, exhibits: Sequence[Exhibit]) -> None:
        """Put exhibits at the end. Moments that are there already are left out.

        Raises:
            Problem: there is no such case (404).
            InputError: it would have too many.
        """
        with self._database.writing(quiet=True) as connection:
            _changed(connection, id_)
            e = t.exhibit.c
            rows = connection.execute(select(t.exhibit).where(e.casefile_id == id_).order_by(e.position, e.id)).all()
            there = {(one.digest, one.start_ms, one.end_ms) for one in rows}
            after = max((one.position for one in rows), default=-1) + 1
            fresh = {key: one for one in exhibits if (key := (bytes.fromhex(one.digest), one.start_ms, one.end_ms)) not in there}
            _put(connection, id_, list(fresh.values()), after)

    def change(self, id_: int, version: int, *, name: str, note: str, exhibits: Sequence[Exhibit]) -> None:
        """Make a case what is given: its exhibits are those, in that order. ``version`` is the one that was read before.

        Raises:
            Problem: there is no such case (404), or somebody has changed it since (409).
            InputError: another case has that name, or it would have too many exhibits.
        """
        c = t.casefile.c
        with self._database.writing(quiet=True) as connection:
            now = _changed(connection, id_)
            if now != version + 1:
                raise Problem(
                    409, "changed-meanwhile", "Somebody has changed the case", "It is no longer the version that was read.",
                    remedy="Read it again, and make the change once more.",
                )  # fmt: skip
            _free(connection, name, id_)
            connection.execute(update(t.casefile).where(c.id == id_).values(name=name, note=note))
            connection.execute(delete(t.exhibit).where(t.exhibit.c.casefile_id == id_))
            _put(connection, id_, exhibits, 0)

    def delete(self, id_: int) -> None:
        """Delete a case; raises Problem (404) if there is none."""
        with self._database.writing(quiet=True) as connection:
            if not connection.execute(delete(t.casefile).where(t.casefile.c.id == id_)).rowcount:
                raise _gone(id_)

    def assets(self, digests: Sequence[str]) -> dict[str, int]:
        """The assets with these contents that the archive holds."""
        c = t.asset.c
        wanted = [bytes.fromhex(one) for one in dict.fromkeys(digests)]
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            for part in range(0, len(wanted), 500):
                rows = connection.execute(
                    select(c.digest, c.id).where(c.digest.in_(wanted[part : part + 500]), c.modality.is_not(None))
                )
                found |= {digest.hex(): id_ for digest, id_ in rows}
        return found


def _cases() -> Any:  # noqa: ANN401 - a query of SQLAlchemy
    count = select(func.count()).where(t.exhibit.c.casefile_id == t.casefile.c.id).scalar_subquery()
    return select(t.casefile, count.label("count"))


def _changed(connection: Connection, id_: int) -> int:
    """Note that a case changes; its version from now on."""
    c = t.casefile.c
    values = {"version": c.version + 1, "changed_at": now_ms()}
    version = connection.execute(update(t.casefile).where(c.id == id_).values(values).returning(c.version)).scalar()
    if version is None:
        raise _gone(id_)
    return int(version)


def _put(connection: Connection, id_: int, exhibits: Sequence[Exhibit], after: int) -> None:
    if after + len(exhibits) > MAX_EXHIBITS:
        raise InputError(f"A case has at most {MAX_EXHIBITS:,} exhibits.", remedy="Begin another case.")
    now = now_ms()
    rows = [
        {
            "casefile_id": id_, "position": after + at, "digest": bytes.fromhex(one.digest), "name": one.name[:500], "start_ms": one.start_ms,
            "end_ms": one.end_ms, "note": one.note, "question": one.question, "added_at": now if one.added_at is None else one.added_at,
        }
        for at, one in enumerate(exhibits)
    ]  # fmt: skip
    if rows:
        connection.execute(insert(t.exhibit), rows)


def _free(connection: Connection, name: str, but: int = 0) -> None:
    c = t.casefile.c
    if connection.execute(select(c.id).where(c.name == name, c.id != but)).first():
        raise InputError(f"There is a case named {name!r} already.", remedy="Choose another name, or add to that one.")


def _gone(id_: int) -> Problem:
    return Problem(
        404,
        "no-case",
        "There is no such case",
        f"There is no case {id_}.",
        remedy="GET /v1/cases lists them; it may have been deleted.",
    )


def _case(row: Any) -> Casefile:  # noqa: ANN401
    return Casefile(row.id, row.name, row.note, row.version, row.created_at, row.changed_at, row.count)


def _exhibit(row: Any) -> Exhibit:  # noqa: ANN401
    return Exhibit(row.digest.hex(), row.name, row.start_ms, row.end_ms, row.note, row.question, row.added_at)
