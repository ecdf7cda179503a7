"""Cursors: opaque strings for the position where a page ended."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from search.errors import Problem

_NUMBER = re.compile(r"-?[0-9]{1,18}")

Cursor = Annotated[str | None, Query(max_length=60, description="What the page before answered.")]


class Keyed(Protocol):
    """An item of a list that is sorted by key."""

    @property
    def id(self) -> int:
        """The key."""
        ...


Item = TypeVar("Item", bound=Keyed)


def cut(found: list[Item], limit: int) -> tuple[list[Item], str | None]:
    """Cut a page of ``limit`` items from up to ``limit`` + 1. Also returns the cursor of the next page; None if there is none."""
    page = found[:limit]
    return page, cursor_of(page[-1].id) if len(found) > limit else None


def cursor_of(*keys: int) -> str:
    """A key of one number or several as an opaque cursor."""
    return base64.urlsafe_b64encode(",".join(map(str, keys)).encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> int | None:
    """The key of a cursor. Raises Problem (422) for an invalid cursor."""
    return None if cursor is None else keys_of(cursor, 1)[0]


def keys_of(cursor: str, count: int) -> list[int]:
    """The ``count`` numbers of a cursor. Raises Problem (422) for an invalid cursor."""
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        parts = text.split(",")
        if len(parts) == count and all(_NUMBER.fullmatch(part) for part in parts):
            return [int(part) for part in parts]
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise Problem(
        422,
        "cursor",
        "The cursor does not belong here",
        "No answer gave this cursor.",
        remedy="Leave it out to begin at the start.",
    )
