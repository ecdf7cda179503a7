"""Things in pictures: what detectors found and people labelled. Filters, facets and exports read them; ``reading_queue`` writes what is detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import delete, exists, func, insert, or_, select

from search.store import tables as t
from search.store.arrangement import Arrangement
from search.store.database import Database
from search.store.reading_queue import thing_row
from search.store.within import seen
from search.types import IMPORTED, Ids, Modality, Span, Thing, Within

_AT_ONCE = 5_000


class Things:
    """Each method is one transaction. ``within``: only what these collections hold."""

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self._within = database, within

    def put(self, things: Mapping[int, Sequence[Thing]]) -> None:
        """Replace what was imported of assets. Assets that were deleted in the meantime are skipped."""
        c, assets = t.thing.c, list(things)
        with self._database.writing() as connection:
            for start in range(0, len(assets), _AT_ONCE):
                some = assets[start : start + _AT_ONCE]
                here = set(connection.execute(select(t.asset.c.id).where(t.asset.c.id.in_(some))).scalars())
                connection.execute(delete(t.thing).where(c.reader_id.is_(None), c.asset_id.in_(some)))
                if rows := [thing_row(asset, None, one) for asset in some if asset in here for one in things[asset]]:
                    connection.execute(insert(t.thing), rows)

    def of(self, assets: Sequence[int]) -> dict[int, list[Thing]]:
        """The things of each asset, in order of time, what was imported and then the surest first."""
        found: dict[int, list[Thing]] = {asset: [] for asset in assets}
        c = t.thing.c
        query = (
            select(t.thing, t.reader.c.name)
            .outerjoin(t.reader)
            .order_by(func.coalesce(c.at_ms, -1), func.coalesce(c.confidence, 2).desc(), c.id)
        )
        with self._database.reading() as connection:
            for start in range(0, len(assets), _AT_ONCE):
                for row in connection.execute(query.where(c.asset_id.in_(list(assets[start : start + _AT_ONCE])))):
                    found[row.asset_id].append(_thing(row))
        return found

    def most(self, asset: int) -> dict[str, int]:
        """How many things of each label an asset's pictures show: the most in one of them, by one source; the most frequent label first."""
        c = t.thing.c
        each = (
            select(c.label, func.count().label("count"))
            .where(c.asset_id == asset)
            .group_by(c.label, c.reader_id, c.at_ms)
            .subquery()
        )
        most = func.max(each.c.count)
        with self._database.reading() as connection:
            rows = connection.execute(select(each.c.label, most).group_by(each.c.label).order_by(most.desc(), each.c.label))
            return {row[0]: row[1] for row in rows}

    def labels(self) -> dict[str, int]:
        """The labels of all things, most frequent first, with the number of assets that have each."""
        c = t.thing.c
        assets = func.count(c.asset_id.distinct())
        query = select(c.label, assets).where(*seen(self._within, c.asset_id)).group_by(c.label).order_by(assets.desc(), c.label)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def assets(self, wanted: str) -> Ids:
        """The assets that show things as asked, ascending (n,); see ``arrangement``.

        Raises:
            UnknownName: a label that nothing has.
            InputError: none are asked for.
        """
        asked = Arrangement.read(wanted, self.labels())
        c = t.thing.c
        order = (c.asset_id, func.coalesce(c.reader_id, 0), func.coalesce(c.at_ms, -1))
        query = select(*order, c.label, c.left, c.top, c.width, c.height).order_by(*order)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(c.label.in_(asked.labels), *seen(self._within, c.asset_id))).all()
        if not rows:
            return np.empty(0, np.int64)
        pictures = np.array([row[:3] for row in rows], np.int64)
        frames = np.concatenate([[0], np.cumsum((np.diff(pictures, axis=0) != 0).any(axis=1))])
        sides = np.array([row[4:] for row in rows], np.float32)
        found = asked.frames(frames, np.array([row[3] for row in rows]), sides)
        return np.unique(pictures[np.searchsorted(frames, found), 0])

    def looked(self) -> tuple[int, int]:
        """How many pictures and videos somebody or something looked at for things, and how many there are."""
        a, c = t.asset.c, t.reading.c
        detectors = select(t.reader.c.id).where(t.reader.c.labels != "[]")
        read = exists().where(c.asset_id == a.id, c.state == "done", c.reader_id.in_(detectors))
        labelled = exists().where(t.thing.c.asset_id == a.id, t.thing.c.reader_id.is_(None))
        pictured = select(func.count()).select_from(t.asset).where(
            a.modality.in_([str(Modality.IMAGE), str(Modality.VIDEO)]), *seen(self._within, a.id)
        )  # fmt: skip
        with self._database.reading() as connection:
            return connection.execute(pictured.where(or_(read, labelled))).scalar_one(), connection.execute(pictured).scalar_one()


def _thing(row: Any) -> Thing:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    span = None if row.start is None else Span(row.start, row.end)
    return Thing(row.label, (row.left, row.top, row.width, row.height), row.confidence, span, row.at_ms, row.name or IMPORTED)
