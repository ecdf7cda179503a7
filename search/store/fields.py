"""Own fields of assets: what people import beside what the files say. Filters and facets read them.

An asset has one value for each field. A value belongs to the content of a file, so copies of it have the same. As with what lies
beside a file, a caller who is limited to collections does not see the values of an asset that also lies in another one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import delete, func, insert, select

from search.errors import InputError, UnknownName
from search.store import tables as t
from search.store.database import Database
from search.store.within import alone, seen
from search.types import Ids, Within

LONGEST_FIELD, LONGEST_VALUE = 100, 1_000
"""Characters of a field's name and of a value, at most."""

_NAME = re.compile(r"[^\W\d][\w.-]*")
_RANGE = re.compile(r"(.*)\.\.(.*)", re.DOTALL)
_AT_ONCE = 5_000


def checked_field(name: str) -> str:
    """A name that a field can have: letters, digits, ``_``, ``-`` and ``.``, and first a letter.

    Raises:
        InputError: it is no such name, or too long.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or len(name) > LONGEST_FIELD:
        raise InputError(
            f"A field cannot be named {name[:40]!r}.",
            remedy=f"Begin with a letter, and use letters, digits, '_', '-' and '.', {LONGEST_FIELD} characters at most.",
        )
    return name


def number_of(text: str) -> float | None:
    """The number that a value is; None: it is none, or not finite."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def bounds_of(wanted: str) -> tuple[float, float] | None:
    """The range of numbers that ``low..high`` means; None: it is no range.

    Raises:
        InputError: it ends before it begins.
    """
    found = _RANGE.fullmatch(wanted.strip())
    ends = (
        [number_of(part) if part.strip() else default for part, default in zip(found.groups(), _OPEN, strict=True)]
        if found
        else []
    )
    if not ends or None in ends or ends == [*_OPEN]:
        return None
    low, high = (float(end) for end in ends if end is not None)
    if low > high:
        raise InputError(f"The range {wanted!r} ends before it begins.", remedy=f"Write {high:g}..{low:g}.")
    return low, high


_OPEN = (-math.inf, math.inf)


class Fields:
    """Each method is one transaction."""

    def __init__(self, database: Database, within: Within = None) -> None:
        self._database, self._within = database, within

    def put(self, values: Mapping[int, Mapping[str, str]]) -> None:
        """Set fields of assets. An empty value removes the field from the asset; fields that are not named stay."""
        c = t.field.c
        with self._database.writing() as connection:
            for name in sorted({name for some in values.values() for name in some}):
                of = {asset: some[name].strip() for asset, some in values.items() if name in some}
                assets = sorted(of)
                for start in range(0, len(assets), _AT_ONCE):
                    some = assets[start : start + _AT_ONCE]
                    connection.execute(delete(t.field).where(c.name == name, c.asset_id.in_(some)))
                    there = set(connection.execute(select(t.asset.c.id).where(t.asset.c.id.in_(some))).scalars())
                    rows = [
                        {"asset_id": asset, "name": name, "text": of[asset], "number": number_of(of[asset])}
                        for asset in some
                        if of[asset] and asset in there
                    ]
                    if rows:
                        connection.execute(insert(t.field), rows)

    def of(self, asset: int) -> dict[str, str]:
        """An asset's fields, by name."""
        c = t.field.c
        query = select(c.name, c.text).where(c.asset_id == asset, *self._seen()).order_by(c.name)
        with self._database.reading() as connection:
            return {row.name: row.text for row in connection.execute(query)}

    def held(self, name: str, assets: Sequence[int]) -> dict[int, str]:
        """A field of those assets that have it."""
        c = t.field.c
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(assets), _AT_ONCE):
                some = list(assets[start : start + _AT_ONCE])
                query = select(c.asset_id, c.text).where(c.name == name, c.asset_id.in_(some), *self._seen())
                found.update({row.asset_id: row.text for row in connection.execute(query)})
        return found

    def names(self) -> dict[str, int]:
        """The fields, with the number of assets that have each."""
        c = t.field.c
        query = select(c.name, func.count()).where(*self._seen()).group_by(c.name).order_by(c.name)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def rows(self) -> list[tuple[int, str, str]]:
        """Every value: asset, field and text, by asset."""
        c = t.field.c
        query = select(c.asset_id, c.name, c.text).where(*self._seen()).order_by(c.asset_id)
        with self._database.reading() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def drop(self, name: str) -> int:
        """Remove a field from every asset. Returns how many had it.

        Raises:
            UnknownName: there is no such field.
        """
        with self._database.writing() as connection:
            gone = connection.execute(delete(t.field).where(t.field.c.name == name)).rowcount
        if not gone:
            raise UnknownName("field", name, self.names())
        return int(gone)

    def assets(self, name: str, values: Sequence[str]) -> Ids:
        """The assets (n,) whose field has one of the values, in any case, or lies in one of the ranges ``low..high``.

        Raises:
            UnknownName: there is no such field.
            InputError: a range ends before it begins.
        """
        c, ranges = t.field.c, [bounds_of(value) for value in values]
        texts = {value.strip().casefold() for value, bounds in zip(values, ranges, strict=True) if bounds is None}
        numbers = [bounds for bounds in ranges if bounds is not None]
        query = select(c.asset_id, c.text, c.number).where(c.name == name, *self._seen())
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            raise UnknownName("field", name, self.names())
        return np.array(
            [
                row.asset_id
                for row in rows
                if row.text.casefold() in texts
                or (row.number is not None and any(low <= row.number <= high for low, high in numbers))
            ],
            np.int64,
        )

    def _seen(self) -> list[Any]:
        return [*seen(self._within, t.field.c.asset_id), *alone(self._within, t.field.c.asset_id)]
