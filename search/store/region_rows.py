"""The stored codes of pictures' windows, for searches: ``reading_queue`` writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from search.store import tables as t
from search.store.database import Database
from search.types import Ids


@dataclass(frozen=True, slots=True)
class CodedPictures:
    """Pictures with the codes of their windows, ascending by ``ids``: arrays of one length, -1 where a picture has no time.

    ``starts`` begin the shots that they are of, ``at`` are the times of the frames, both in milliseconds.
    """

    ids: Ids
    assets: Ids
    starts: NDArray[np.int64]
    at: NDArray[np.int64]
    codes: list[bytes]


class RegionRows:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def size(self, reader: int) -> tuple[int, int]:
        """How many pictures a reader has coded, and the bytes of their codes."""
        c = t.region.c
        query = select(func.count(), func.coalesce(func.sum(func.length(c.codes)), 0)).where(c.reader_id == reader)
        with self._database.reading() as connection:
            count, size = connection.execute(query).one()
            return int(count), int(size)

    def ids(self, reader: int) -> Ids:
        """The ids of every picture that a reader has coded, ascending (n,)."""
        c = t.region.c
        with self._database.reading() as connection:
            found = connection.execute(select(c.id).where(c.reader_id == reader).order_by(c.id)).scalars()
            return np.fromiter(found, np.int64)

    def after(self, reader: int, last: int) -> tuple[int, CodedPictures]:
        """How many pictures a reader has coded in all, and those with ids above ``last``."""
        c = t.region.c
        mine = c.reader_id == reader
        query = select(c.id, c.asset_id, c.start, c.at_ms, c.codes).where(mine, c.id > last).order_by(c.id)
        with self._database.reading() as connection:
            total = connection.execute(select(func.count()).where(mine)).scalar_one()
            rows = connection.execute(query).all()
        starts, at = ([-1 if row[column] is None else row[column] for row in rows] for column in (2, 3))
        return total, CodedPictures(
            np.array([row.id for row in rows], np.int64), np.array([row.asset_id for row in rows], np.int64),
            np.array(starts, np.int64), np.array(at, np.int64), [bytes(row.codes) for row in rows],
        )  # fmt: skip
