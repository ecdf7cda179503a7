"""Permissions: SQL conditions that leave of the archive what lies in some collections. To who asks, nothing else exists.

An asset is seen in every collection in which one of its files lies. What names say and what lies beside a file belongs to that
file alone. It is attached to the asset, though, so it is left out if the asset has files in other collections as well.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import exists, select

from search.store import tables as t
from search.store.names import READER
from search.types import Within

WRITTEN = "written"
"""The reader of what is written in files and beside them."""


def inside(within: Within, collection: Any = t.location.c.collection_id) -> list[Any]:  # noqa: ANN401 - a column of SQLAlchemy
    """Conditions on a location, or on another row with a key of a collection."""
    return [] if within is None else [collection.in_(_keys(within))]


def seen(within: Within, asset: Any) -> list[Any]:  # noqa: ANN401 - a column of SQLAlchemy
    """Conditions on the key of an asset: one of its files lies in these collections."""
    if within is None:
        return []
    where = t.location.alias()
    return [asset.in_(select(where.c.asset_id).where(where.c.asset_id.is_not(None), where.c.collection_id.in_(_keys(within))))]


def legible(within: Within) -> list[Any]:
    """Conditions on a segment of a seen asset: it was not read from the name of a file, or beside one, that may lie in another
    collection."""
    if within is None:
        return []
    s = t.segment.c
    of_files = select(t.reader.c.id).where(t.reader.c.name == WRITTEN)
    return [s.reader_id.is_(None) | ((s.reader_id != READER) & s.reader_id.not_in(of_files)) | alone(within, s.asset_id)[0]]


def alone(within: Within, asset: Any) -> list[Any]:  # noqa: ANN401 - a column of SQLAlchemy
    """Conditions on the key of an asset: none of its files lies in another collection."""
    if within is None:
        return []
    where = t.location.alias()
    return [~exists().where(where.c.asset_id == asset, where.c.collection_id.not_in(_keys(within)))]


def _keys(within: tuple[str, ...]) -> Any:  # noqa: ANN401 - a query of SQLAlchemy
    return select(t.collection.c.id).where(t.collection.c.name.in_(within))
