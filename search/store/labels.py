"""Labels that a vocabulary gave to assets. ``sensorium tag`` writes them; filters read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, insert, select

from search.store import tables as t
from search.store.database import Database
from search.store.within import seen
from search.types import Within


class Labels:
    """Each method is one transaction."""

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self._within = database, within

    def put(self, space: int, labels: Mapping[int, Sequence[tuple[str, float]]]) -> None:
        """Replace a space's labels of assets, each with its probability. An empty list removes them. Assets that were deleted in the
        meantime are skipped, and all of them if the space was dropped."""
        c = t.label.c
        with self._database.writing() as connection:
            if connection.execute(select(t.space.c.id).where(t.space.c.id == space)).first() is None:
                return
            there = set(connection.execute(select(t.asset.c.id).where(t.asset.c.id.in_(list(labels)))).scalars())
            rows = [
                {"asset_id": asset, "space_id": space, "name": name, "score": score}
                for asset, some in labels.items()
                for name, score in some
                if asset in there
            ]
            connection.execute(delete(t.label).where(c.space_id == space, c.asset_id.in_(list(labels))))
            if rows:
                connection.execute(insert(t.label), rows)

    def of(self, asset: int) -> list[tuple[str, float]]:
        """An asset's labels, likeliest first."""
        c = t.label.c
        query = (
            select(c.name, func.max(c.score))
            .where(c.asset_id == asset)
            .group_by(c.name)
            .order_by(func.max(c.score).desc(), c.name)
        )
        with self._database.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def names(self, limit: int | None = None) -> dict[str, int]:
        """The labels in use, most frequent first, with the number of assets of each."""
        c = t.label.c
        assets = func.count(c.asset_id.distinct())
        query = select(c.name, assets).where(*seen(self._within, c.asset_id))
        query = query.group_by(c.name).order_by(assets.desc(), c.name).limit(limit)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}
