"""Cursors: opaque strings for the position where a page ended."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from search.errors import Problem

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


def cursor_of(key: int) -> str:
    """A key as an opaque cursor."""
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> int | None:
    """The key of a cursor. Raises Problem (422) for an invalid cursor."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        if text.isdigit() and len(text) < 19:
            return int(text)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise Problem(
        422,
        "cursor",
        "The cursor does not belong here",
        "No answer gave this cursor.",
        remedy="Leave it out to begin at the start.",
    )
