"""Cursors: where a page ended, in a form that nobody is tempted to build by hand."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from search.errors import Problem

Cursor = Annotated[str | None, Query(max_length=60, description="What the page before answered.")]


class Keyed(Protocol):
    """What a list holds: each has a key, and the list is in the order of these."""

    @property
    def id(self) -> int:
        """The key."""
        ...


Item = TypeVar("Item", bound=Keyed)


def cut(found: list[Item], limit: int) -> tuple[list[Item], str | None]:
    """A page of ``limit`` from up to one more that were found, and the cursor of the next page; None: there is none."""
    page = found[:limit]
    return page, cursor_of(page[-1].id) if len(found) > limit else None


def cursor_of(key: int) -> str:
    """A key as a cursor that nobody is tempted to build by hand."""
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> int | None:
    """The key of a cursor; raises Problem (422) for one that no answer gave."""
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
