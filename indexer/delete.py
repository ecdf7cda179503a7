"""Deletion: removes assets with everything made from them, including vectors and thumbnails on disk. The files themselves stay."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search import cache
from search.encoders import text_tower
from search.errors import InputError
from search.folders import absolute
from search.index.generations import INDEX, folder_name
from search.live import LiveIndex
from search.mirror import mirrored
from search.query import calibration
from search.settings import Settings
from search.store import Database, Intake, SqlStore, words
from search.store.intake import Deleted

PATIENCE_SECONDS = 30.0
"""Seconds for which a deletion waits for a server that keeps vectors too. Until it has forgotten them, the deletion goes on in each run."""


@dataclass(frozen=True, slots=True)
class What:
    """What to delete: assets by id, files and folders, a collection. Everything named is deleted."""

    assets: Sequence[int] = ()
    paths: Sequence[Path] = ()
    collection: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """What was deleted, or would be. ``bytes`` is the size of the thumbnails on disk."""

    files: int
    assets: int
    segments: int
    vectors: int
    thumbnails: int
    bytes: int


def delete(settings: Settings, what: What, *, dry_run: bool = False) -> Gone:
    """Delete from the archive. With ``dry_run``, only report what would be deleted.

    New generations of the index are written, the old ones removed, and the database's log emptied, so that nothing stays on disk.
    Files that still exist in an indexed folder come back at its next index run.

    Raises:
        InputError: nothing is named, or the archive does not hold it.
        UnknownName: a collection that is not there.
    """
    database = Database(settings.database)
    try:
        database.check()
        store, intake = SqlStore(database), Intake(database)
        paths = [os.fsencode(absolute(path)) for path in what.paths]
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
        if remove:
            cache.fetched(settings.home, digest.hex()).unlink(missing_ok=True)
    return Gone(found.files, len(found.digests), found.segments, found.vectors, count, size)


def scrub(settings: Settings, database: Database, store: SqlStore) -> None:
    """Write every index again without the deleted content, and remove all older copies from disk."""
    for key, space in store.spaces():
        live = LiveIndex(store, settings.home, space, key, kind=settings.index_kind)
        live.write()
        live.generations.drop_former()
        calibration.forget(settings.home, space, live.index.ids())
        with mirrored(settings, store, key, space) as mirror:
            if mirror is not None:
                mirror.follow(scrub=True, patience=PATIENCE_SECONDS)
    drop_strangers(settings.home, store)
    words.scrub(database)
    database.flush()
    _marker(settings.home).unlink(missing_ok=True)


def drop_strangers(home: Path, store: SqlStore) -> None:
    """Delete the indexes, calibrations and text towers of spaces that are gone; the first two hold vectors of their content. A drop that was cut short
    leaves them, and one from another home on the same database."""
    indexes = [path for path in (home / "index").glob("*-*") if re.fullmatch(INDEX, path.name)]
    if found := {
        *indexes,
        *calibration.folder(home).glob("*.npz"),
        *(home / text_tower.FOLDER).glob("*.npz"),
    }:  # listed first: a new space is there before its files
        entries = store.spaces()
        kept = {home / "index" / folder_name(key, space.name) for key, space in entries}
        kept |= {file_of(home, space) for _, space in entries for file_of in (calibration.file_of, text_tower.file_of)}
        for path in found - kept:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def unscrubbed(home: Path) -> bool:
    """Whether a deletion was interrupted before everything was off the disk. The next run of the indexer, or the next deletion,
    finishes it."""
    return _marker(home).exists()


def _marker(home: Path) -> Path:
    return home / "deleting"
