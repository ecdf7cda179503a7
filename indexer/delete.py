"""Deleting: assets go with all that was made of them, vectors on disk and thumbnails included. The files themselves stay."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search import cache
from search.errors import InputError
from search.query.live import LiveIndex
from search.settings import Settings
from search.store import Database, Intake, SqlStore, words
from search.store.intake import Deleted


@dataclass(frozen=True, slots=True)
class What:
    """What is to be deleted: assets by id, files and folders, a collection. All that is named goes."""

    assets: Sequence[int] = ()
    paths: Sequence[Path] = ()
    collection: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What went, or would go. ``bytes`` is what thumbnails took on disk."""

    files: int
    assets: int
    segments: int
    vectors: int
    thumbnails: int
    bytes: int


def delete(settings: Settings, what: What, *, dry_run: bool = False) -> Gone:
    """Delete from the archive; with ``dry_run``, say what that would take away and change nothing.

    New generations of the index are written and the ones before removed, and the database's log is emptied, so that nothing stays
    on disk. What still lies under a folder that is indexed again comes back.

    Raises:
        InputError: nothing is named, or the archive does not hold it.
        UnknownName: a collection that is not there.
    """
    database = Database(settings.database)
    try:
        database.check()
        store, intake = SqlStore(database), Intake(database)
        paths = [os.fsencode(os.path.abspath(path)) for path in what.paths]
        key = None if what.collection is None else store.collection(what.collection)
        found = intake.delete(assets=what.assets, paths=paths, collection=key, dry=True)
        if not found.files and key is None:
            if unscrubbed(settings.home):  # a deletion was broken off after the rows were gone
                scrub(settings, database, store)
            raise InputError(
                "The archive holds nothing of that.",
                remedy="Name assets, paths or a collection that `sensorium status` or a search shows.",
            )
        if not dry_run:
            _marker(settings.home).touch()
            found = intake.delete(assets=what.assets, paths=paths, collection=key)
        gone = _pictures(settings, found, remove=not dry_run)
        if not dry_run:
            scrub(settings, database, store)
        return gone
    finally:
        database.close()


def _pictures(settings: Settings, found: Deleted, *, remove: bool) -> Gone:
    count = size = 0
    for digest in found.digests:
        for path in cache.pictures_of(settings.home, digest.hex()):
            with suppress(FileNotFoundError):  # a service that runs drops old ones by itself
                size += path.stat().st_size
                count += 1
            if remove:
                path.unlink(missing_ok=True)
    return Gone(found.files, len(found.digests), found.segments, found.vectors, count, size)


def scrub(settings: Settings, database: Database, store: SqlStore) -> None:
    """Write every index anew without what was deleted, and leave no older copy of it on disk."""
    for key, space in store.spaces():
        live = LiveIndex(store, settings.home, space, key)
        live.write()
        live.generations.drop_former()
    words.scrub(database)
    database.flush()
    _marker(settings.home).unlink(missing_ok=True)


def unscrubbed(home: Path) -> bool:
    """Whether a deletion was broken off before everything was off the disk; the next run of the indexer, or deletion, ends it."""
    return _marker(home).exists()


def _marker(home: Path) -> Path:
    return home / "deleting"
