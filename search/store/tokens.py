"""Tokens: who may call the service, and what they may do. Only hashes are stored. A token is shown once, when it is made."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import delete, insert, select

from search.errors import InputError, UnknownName
from search.store import tables as t
from search.store.database import Database, now_ms
from search.types import Within

SECRET_BYTES = 32
"""Random bytes of a token."""

DAY_MS = 86_400_000

MAX_COLLECTIONS = 1_000
"""Collections that a token can be limited to, at most."""


class Role(IntEnum):
    """What a caller may do. Each role includes the ones before it."""

    READER = 1
    INGESTER = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token without its secret. ``expires_at``: milliseconds since 1970; None: never. ``within``: the collections that it is
    limited to."""

    id: int
    name: str
    role: Role
    created_at: int
    expires_at: int | None
    within: Within = None

    @property
    def expired(self) -> bool:
        """Whether it is of no use any more."""
        return self.expires_at is not None and self.expires_at <= now_ms()


class Tokens:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, name: str, role: Role, *, days: float | None, collections: Sequence[str] | None = None
    ) -> tuple[TokenEntry, str]:
        """Make a token that lasts ``days`` (None: for ever), limited to ``collections`` (None: the whole archive). Returns it
        with its secret, which is not stored.

        Raises:
            InputError: the name is taken or not allowed, or an admin's token is to be limited, or to too many collections.
            UnknownName: a collection is not there.
        """
        within = None if collections is None else checked(role, collections)
        if not 0 < len(name) <= 200 or not name.isprintable():
            raise InputError(f"A token cannot be named {name[:40]!r}.", remedy="Name it after who uses it, such as laptop.")
        secret, now = secrets.token_urlsafe(SECRET_BYTES), now_ms()
        values = {
            "name": name, "role": str(role), "digest": digest(secret), "created_at": now,
            "expires_at": None if days is None else now + round(days * DAY_MS),
            "collections": None if within is None else json.dumps(within),
        }  # fmt: skip
        with self._database.writing(quiet=True) as connection:
            known = set(connection.execute(select(t.collection.c.name)).scalars()) if within else set()
            if unknown := set(within or ()) - known:
                raise UnknownName("collection", min(unknown), known)
            if connection.execute(select(t.token.c.id).filter_by(name=name)).first():
                raise InputError(f"There is a token named {name!r} already.", remedy=f"Revoke it: sensorium tokens revoke {name}")
            return _entry(connection.execute(insert(t.token).values(values).returning(t.token)).one()), secret

    def find(self, secret: str) -> TokenEntry | None:
        """The token with this secret; None if there is none, or it has expired."""
        with self._database.reading() as connection:
            row = connection.execute(select(t.token).where(t.token.c.digest == digest(secret))).first()
        found = None if row is None else _entry(row)
        return None if found is None or found.expired else found

    def all(self) -> list[TokenEntry]:
        """Every token, in the order in which they were made, including expired ones."""
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(select(t.token).order_by(t.token.c.id))]

    def revoke(self, name: str) -> None:
        """Remove a token.

        Raises:
            UnknownName: there is none of that name.
        """
        with self._database.writing(quiet=True) as connection:
            if not connection.execute(delete(t.token).where(t.token.c.name == name)).rowcount:
                raise UnknownName("token", name, connection.execute(select(t.token.c.name)).scalars().all())


def checked(role: Role, collections: Sequence[str]) -> tuple[str, ...]:
    """The collections that somebody of this role is limited to, each once.

    Raises:
        InputError: the role is admin, who may do everything, or there are too many.
    """
    found = tuple(dict.fromkeys(collections))
    if role is Role.ADMIN:
        raise InputError("An admin cannot be limited to collections.", remedy="Make a reader or an ingester of it.")
    if len(found) > MAX_COLLECTIONS:
        raise InputError(
            f"A token cannot be limited to {len(found):,} collections.",
            remedy=f"Name at most {MAX_COLLECTIONS:,}, or gather folders in fewer collections.",
        )
    return found


def digest(secret: str) -> str:
    """The stored form of a secret: its SHA-256, which is enough for 32 random bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _entry(row: Any) -> TokenEntry:  # noqa: ANN401 - SQLAlchemy's rows are typed by position
    within = None if row.collections is None else tuple(json.loads(row.collections))
    return TokenEntry(row.id, row.name, Role[row.role.upper()], row.created_at, row.expires_at, within)
