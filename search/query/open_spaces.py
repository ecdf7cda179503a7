"""The spaces of an archive that are open for search: opened on first use, let go when dropped, and which of them is the default."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial

from search import encoders
from search.encoders import Encoder, text_tower
from search.errors import ModelMissing, StillLoading, StoreError, UnknownName
from search.models import Models
from search.query.searcher import Searcher
from search.settings import Settings
from search.store import Database, Spaces, SqlStore
from search.store.spaces import SpaceEntry, matches
from search.types import Modality

ALL = "all"
"""In the place of a space's name: every space of the archive."""

RETRY_SECONDS = 30.0
"""Seconds after which a default space that could not be opened is tried again."""


class OpenSpaces:
    """The searchers of an archive's spaces. Threads may use them at the same time.

    The archive's default space is used if no space is named. When the default changes, the new space is opened in the background;
    the old one is used until then.
    """

    def __init__(
        self, settings: Settings, database: Database, store: SqlStore,
        encoder: Encoder | None, load: Callable[[str], Encoder] | None,
    ) -> None:  # fmt: skip
        """Opens nothing yet. ``load`` gives encoders by name. With an ``encoder``, its space is the default, for good."""
        self.entries = Spaces(database)
        self._settings, self._database, self._store, self._given = settings, database, store, encoder
        self._load = load or partial(encoders.load, models=Models.of(settings), device=settings.device)
        self._searchers: dict[str, Searcher] = {}
        self._coming: dict[str, Future[Searcher]] = {}
        self._opening, self._loader = threading.Lock(), ThreadPoolExecutor(1, "load")
        self._following = threading.Lock()
        self._fixed = bool(encoder or settings.space)
        self._default = self._wanted = ""
        self._seen, self._due = -1, 0.0

    def begin(self) -> None:
        """Check the archive and open its default space.

        Raises:
            StoreError: there is no archive yet, or its database needs an upgrade.
            UnknownName: the settings name a space that is not there.
            InputError: the encoder is not the one that made the space's vectors.
            ModelMissing: the encoder's weights are not here.
        """
        if not self._database.exists():
            raise StoreError(f"There is no archive in {self._settings.home}.", remedy="Run `sensorium index PATH` first.")
        self._database.check()
        given = self._given.space if self._given else None
        if given and self._store.space_id(given) is None:
            raise StoreError(f"Nothing is indexed into the space {given.name!r}.", remedy="Run `sensorium index PATH` first.")
        self._seen = self._store.version()
        self._default = self._wanted = self.entries.find(given.name if given else self._settings.space).name
        self.searcher()

    def searcher(self, name: str = "", *, patience: float | None = None) -> Searcher:
        """The searcher of a space, or of the default space if no name is given. It is opened on first use.

        Raises:
            StillLoading: it is not open after ``patience`` seconds, but will be.
            UnknownName, InputError, ModelMissing: see ``begin``.
        """
        name = name or self._default
        if found := self._searchers.get(name):
            return found
        coming = self._open(name)
        try:
            return coming.result(patience)
        except NotYet:
            raise StillLoading(
                f"The model of the space {name!r} is being loaded.", remedy="Ask again in a few seconds."
            ) from None

    def opened(self) -> list[Searcher]:
        """The searchers of the spaces that are open."""
        return list(self._searchers.values())

    def named(self, names: Sequence[str], modalities: Sequence[Modality] = ()) -> list[Searcher]:
        """The searchers of the named spaces; if none is named, of the default space, or of those that hold ``modalities`` if the default
        holds none of these.

        Raises:
            UnknownName, InputError, ModelMissing: see ``begin``.
        """
        if not names and modalities and not set(modalities) & set(self.searcher().entry.modalities):
            names = [entry.name for entry in self.entries.all() if set(modalities) & set(entry.modalities)]
        if ALL not in names:
            return [self.searcher(name) for name in dict.fromkeys(names or [""])]
        found = []
        for entry in self.entries.all():
            with suppress(UnknownName):  # dropped in the meantime
                found.append(self.searcher(entry.name))
        return found

    def follow(self) -> int:
        """Switch to the archive's default space once it is open, and let go of searchers of dropped spaces. Returns
        ``store.version()``."""
        version = self._store.version()
        with self._following:  # one thread at a time, because it changes what it reads
            if version != self._seen:
                self._seen = version
                self._let_go()
            if self._fixed or self._wanted == self._default:
                return version
            if self._wanted in self._searchers:
                self._default = self._wanted
            elif time.monotonic() >= self._due:
                self._due = time.monotonic() + RETRY_SECONDS
                self._open(self._wanted)  # the old one answers until then
        return version

    def close(self) -> None:
        """Stop everything that was started."""
        self._loader.shutdown(cancel_futures=True)
        for searcher in self._searchers.values():
            searcher.close()

    def _let_go(self) -> None:
        """Remove the searchers of dropped spaces, and look up the current default space. Running searches keep their reference."""
        entries = {entry.name: entry for entry in self.entries.all()}
        for name, searcher in list(self._searchers.items()):
            if name not in entries or entries[name].key != searcher.entry.key:
                self._searchers.pop(name, None)  # running searches keep their reference; its decoder goes with it
        before, self._wanted = self._wanted, next((entry.name for entry in entries.values() if entry.default), self._default)
        self._due = self._due if self._wanted == before else 0.0

    def _open(self, name: str) -> Future[Searcher]:
        """Start to open a space, unless this is already under way. A failure is forgotten once it was reported, so the next call
        tries again."""
        with self._opening:
            coming = self._coming.get(name)
            if coming is None or (coming.done() and name not in self._searchers):
                coming = self._coming[name] = self._loader.submit(self._make, name)
            return coming

    def _loaded(self, entry: SpaceEntry) -> Encoder:
        """The encoder of a space; where its model is not here, the text tower that was distilled from it."""
        try:
            return self._load(entry.encoder)
        except ModelMissing:
            if (tower := text_tower.find(self._settings.home, entry.space)) is None:
                raise
            return tower

    def _make(self, name: str) -> Searcher:
        entry = self.entries.find(name)
        encoder = self._given if self._given and self._given.space.name == name else self._loaded(entry)
        matches(entry, encoder.space)
        self._searchers[name] = searcher = Searcher(self._settings, self._store, entry, encoder)
        return searcher
