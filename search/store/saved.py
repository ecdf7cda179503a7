"""Saved questions: texts in the form that can be asked again under a name, and asked for what is new since they were last asked so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, update

from search.errors import UnknownName
from search.store import tables as t
from search.store.database import Database, now_ms
from search.store.passages import Passages
from search.store.spaces import Spaces

MAX_FORM_CHARACTERS = 2_000
"""Characters of a question in the text form."""


@dataclass(frozen=True, slots=True)
class SavedQuestion:
    """A question under a name. Segments up to the number ``seen_until`` are not new to it. ``asked_at`` is when it was last asked for
    what is new, in milliseconds since 1970; None: it never was.

    ``false_alarms``: it stands, and tells by itself what comes; this is the share of unrelated segments that it may tell by mistake. It tells a
    ``webhook``, an address, and a ``command``, a program with its arguments. Segments up to ``told_until`` have been looked at, and of later ones
    those in ``told`` have been told. ``failure`` says why it could not tell the last time; None: it could."""

    name: str
    form: str
    saved_at: int
    seen_until: int
    asked_at: int | None = None
    false_alarms: float | None = None
    webhook: str | None = None
    command: tuple[str, ...] = ()
    told_until: int = 0
    told: tuple[int, ...] = ()
    failure: str | None = None


class SavedQuestions:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[SavedQuestion]:
        """Every saved question, by name."""
        with self._database.reading() as connection:
            return [_saved(row) for row in connection.execute(select(t.saved).order_by(t.saved.c.name))]

    def get(self, name: str) -> SavedQuestion:
        """A saved question; raises UnknownName if there is none of that name."""
        with self._database.reading() as connection:
            row = connection.execute(select(t.saved).where(t.saved.c.name == name)).first()
        if row is None:
            raise UnknownName("saved question", name, [one.name for one in self.all()])
        return _saved(row)

    def save(
        self, name: str, form: str, *, false_alarms: float | None = None, webhook: str | None = None, command: Sequence[str] = ()
    ) -> SavedQuestion:  # fmt: skip
        """Save a question, in the place of one of the same name. What is in the archive already is not new to it."""
        last = self.last_segment()
        stands = {
            "false_alarms": false_alarms,
            "webhook": webhook,
            "command": json.dumps([*command]) if command else None,
            "told_until": last,
        }
        with self._database.writing(quiet=True) as connection:
            connection.execute(delete(t.saved).where(t.saved.c.name == name))
            connection.execute(insert(t.saved).values(name=name, form=form, saved_at=now_ms(), seen_until=last, **stands))
        return self.get(name)

    def last_segment(self) -> int:
        """The largest number of a segment; 0: there is none."""
        with self._database.reading() as connection:
            return int(connection.execute(select(func.coalesce(func.max(t.segment.c.id), 0))).scalar_one())

    def seen(self, name: str, until: int) -> None:
        """Note that what came up to a segment has been shown."""
        with self._database.writing(quiet=True) as connection:
            connection.execute(update(t.saved).where(t.saved.c.name == name).values(seen_until=until, asked_at=now_ms()))

    def settled(self, after: int) -> tuple[int, int]:
        """The number of committed writes, and the largest number of a segment up to which, from ``after`` on, none waits to be embedded
        into the default space: passages of readers are segments before they have vectors, and so is what another space took in first."""
        a, u, c = t.segment.c, t.unit.c, t.location.c
        last = self.last_segment()
        for entry in (one for one in Spaces(self._database).all() if one.default):
            waits = exists().where(
                u.asset_id == a.asset_id, u.state.in_(("pending", "leased")), u.space_id == entry.key,
                exists().where(c.asset_id == a.asset_id, c.state == "present"),
            )  # fmt: skip
            with self._database.reading() as connection:
                first = connection.execute(select(a.id).where(a.id > after, waits).order_by(a.id).limit(1)).scalar()
            unread = Passages(self._database).missing(entry.key, entry.kinds, 1, after=after)
            last = min([last, *([first - 1] if first else []), *(id_ - 1 for id_, _ in unread)])
        return self._database.version(), last

    def tell(self, name: str, until: int, told: Sequence[int], failure: str | None = None) -> None:
        """Note that a standing question has told what came up to a segment, and the later segments ``told``; or why it could not."""
        beyond = sorted(one for one in told if one > until)
        values = (
            {"failure": failure}
            if failure
            else {"failure": None, "told_until": until, "told": json.dumps(beyond) if beyond else None}
        )
        with self._database.writing(quiet=True) as connection:
            connection.execute(update(t.saved).where(t.saved.c.name == name).values(**values))

    def delete(self, name: str) -> None:
        """Forget a saved question; raises UnknownName if there is none of that name."""
        self.get(name)
        with self._database.writing(quiet=True) as connection:
            connection.execute(delete(t.saved).where(t.saved.c.name == name))


def _saved(row: Any) -> SavedQuestion:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    command = tuple(map(str, json.loads(row.command))) if row.command else ()
    return SavedQuestion(
        row.name, row.form, row.saved_at, row.seen_until, row.asked_at, row.false_alarms, row.webhook, command, row.told_until or 0,
        tuple(json.loads(row.told)) if row.told else (), row.failure,
    )  # fmt: skip
