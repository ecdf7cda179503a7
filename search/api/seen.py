"""What a caller sees of the archive: all of it, or some collections. Routes reach the archive through this alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Request

from search.api.places import Places
from search.api.problems import not_found
from search.errors import Problem, UnknownName
from search.settings import Settings
from search.store import Catalogue, Database, Labels, Readers, SqlStore
from search.store.catalogue import Asset
from search.store.things import Things
from search.types import Within

_PAUSE_PER_COUNT = 10
"""The pause between two counts, from start to start, as a multiple of the time that counting took."""


class Seen:
    """The archive ``within`` some collections; None: all of it. What lies elsewhere is as if it did not exist. Thread-safe."""

    def __init__(self, settings: Settings, database: Database, within: Within = None, whole: Seen | None = None) -> None:
        """``whole``: all of the archive, where this is a part of it."""
        self.within = within
        self.store, self.catalogue = SqlStore(database, within), Catalogue(database, within)
        self.labels, self.judgements = Labels(database, within), self.store.judgements
        self.places: Places = Places(settings, self.store, None if whole is None else whole.places)
        self._readers, self.things = Readers(database), Things(database, within)
        self._counting = threading.Lock()
        self._counted: tuple[int, float, dict[str, Any]] = (-1, 0.0, {})

    def asset(self, id_: int) -> Asset:
        """An asset with its locations; raises Problem (404) where there is none."""
        if (found := self.catalogue.assets([id_]).get(id_)) is None:
            raise not_found("asset", id_)
        return found

    def check_whole(self, what: str) -> None:
        """Raise Problem (403) for who is limited to collections: ``what`` may tell of others."""
        if self.within is not None:
            raise Problem(
                403, "limited", "The token is limited to collections", f"{what} may tell of other collections.",
                remedy="Use a token for the whole archive.",
            )  # fmt: skip

    def know_collections(self, names: Sequence[str]) -> None:
        """Raise UnknownName where one of the collections does not exist."""
        known = list(self.places.collections())
        for name in names:
            if name not in known:
                raise UnknownName("collection", name, known)

    def counts(self) -> dict[str, Any]:
        """How much there is, and of what no reader has read. While the archive changes without pause, counting takes at most a
        tenth of the time."""
        with self._counting:
            if (version := self.store.version()) != self._counted[0] and time.monotonic() >= self._counted[1]:
                began = time.monotonic()
                unread = [asdict(one) for one in self._readers.unread(self.within)]
                found = self.store.counts() | {"unread": unread}
                self._counted = version, began + _PAUSE_PER_COUNT * (time.monotonic() - began), found
            return self._counted[2]

    @property
    def counted(self) -> dict[str, Any]:
        """The counts as they were last made."""
        return self._counted[2]


async def _seen(request: Request) -> Seen:
    found: Seen = request.app.state.seen(request.scope)
    return found


Sight = Annotated[Seen, Depends(_seen)]
"""A parameter of a route: what its caller sees."""
