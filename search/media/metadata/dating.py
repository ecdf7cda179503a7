"""Dating: collect the dates inside a file, beside it and in its name, and choose the most trusted one."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from search import zones
from search.errors import MediaError
from search.media.metadata import dates
from search.media.metadata.sidecars import described_by
from search.media.sandbox.pool import DecodePool
from search.media.sniff import EXTENSIONS
from search.types import Filed, Info, Needs, Stamp
from search.zones import Zones

_T = TypeVar("_T")

MAX_BESIDE = 4
"""The maximum number of dating files beside another that are read."""
_SUFFIXES = (".xmp", ".json")
_SETTLED_NS = 2_000_000_000
"""A folder that changed this recently, in nanoseconds, may have changed again with the same time stamp."""
FRESH_SECONDS = 0.5
"""How long a listing of such a folder is kept."""
_TAKEOUT = ".supplemental-metadata"
"""Takeout's infix between a file name and ``.json``, which is cut if the name gets too long."""
_NUMBERED = re.compile(r"\(\d+\)$")
"""The number of a duplicate name, at the end of either name."""
_LONGEST_STEM = 46
"""The length at which Takeout cuts a name, before ``.json``."""
_EDITED = re.compile(r"-(?:edited|bearbeitet|modifié|editado|modificato|edytowane)$")


@dataclass(frozen=True, slots=True)
class SidecarDates:
    """What the files beside another say: dates, a position, the camera and the rights. ``fingerprint`` changes whenever these files do;
    empty: there are none."""

    stamps: tuple[Stamp, ...] = ()
    position: tuple[float, float] | None = None
    fingerprint: str = ""
    camera: str | None = None
    rights: str | None = None


def file_under(
    info: Info, path: Path, mtime_ns: int, beside: SidecarDates, setting: Zones, now: dt.datetime | None = None
) -> Filed:
    """Date an asset, and say where, with what and under which rights it was made. ``info`` is its decoder's info, ``mtime_ns`` the time of its last change."""
    now, name = now or dt.datetime.now(dt.UTC), os.fspath(path)
    found = dates.distinct([*beside.stamps, *info.stamps, *dates.in_name(name, now)])
    asked: list[str] = []

    def zone() -> dt.tzinfo | None:
        position = info.position or beside.position
        if position and (here := zones.zone(zones.at(position))):
            return here
        asked.append(setting.name(name) or "")
        return zones.zone(asked[-1] or None)

    dated = dates.resolve(found, now, zone) or dates.of_copy(mtime_ns, now, zones.zone(setting.name(name)))
    return Filed(
        dated, found, beside.fingerprint, asked[0] if asked else None, info.position or beside.position, info.camera or beside.camera,
        beside.rights or info.rights,
    )  # fmt: skip


def read_beside(pool: DecodePool, path: Path) -> SidecarDates:
    """Read the files beside a file that may give its date. Unreadable ones are ignored."""
    files = beside(path)
    if not files:
        return SidecarDates()
    stamps, position, camera, rights = list[Stamp](), None, None, None
    for file in files:
        with contextlib.suppress(MediaError), contextlib.closing(pool.decode(file, _NEEDS)) as found:
            info = next(found)
            if isinstance(info, Info):
                stamps += info.stamps
                position, camera, rights = position or info.position, camera or info.camera, rights or info.rights
    return SidecarDates(tuple(stamps), position, fingerprint(path), camera, rights)


def beside(path: Path) -> list[Path]:
    """The XMP and Takeout JSON files that belong to a file. Empty if its folder cannot be listed."""
    if not (names := _names(os.fspath(path.parent))):
        return []
    found = dict.fromkeys(
        name for key in _keys(path.name) for name in names.get(key.casefold(), ()) if _may_tell(name, key, path.name)
    )
    return [path.parent / name for name in found if name != path.name][:MAX_BESIDE]


def _names(folder: str) -> Mapping[str, Sequence[str]]:
    """``_listing`` of a folder in its current state; empty if it cannot be listed."""
    return _of_folder(_listing, folder, {})


def _of_folder(listing: Callable[[str, int, int], _T], folder: str, nothing: _T) -> _T:
    """A cached listing of a folder in its current state; ``nothing`` if it cannot be listed."""
    try:
        changed = os.stat(folder).st_mtime_ns
        settled = time.time_ns() - changed > _SETTLED_NS
        return listing(folder, changed, 0 if settled else int(time.monotonic() / FRESH_SECONDS))
    except OSError:
        return nothing


def _keys(name: str) -> list[str]:
    """The names under which files that date this file may be found."""
    stem, suffix = os.path.splitext(name)
    plain = _EDITED.sub("", stem)
    keys = [name, stem, f"{plain}{suffix}"]
    if namesake := _NUMBERED.search(plain):  # IMG(1).jpg <- IMG.jpg(1).json
        keys.append(f"{plain[: namesake.start()]}{suffix}{namesake[0]}")
    return keys + [key[:_LONGEST_STEM] for key in (name, f"{plain}{suffix}") if len(key) > _LONGEST_STEM]


def _may_tell(beside: str, key: str, name: str) -> bool:
    """Whether a file beside another may give its date. JSON counts only if it is named after the whole name."""
    return beside.lower().endswith(".xmp") or key != os.path.splitext(name)[0]


def owners(file: Path) -> list[Path]:
    """The media in the same folder whose date this file may give, even if the file no longer exists. Empty if the folder cannot
    be listed."""
    stem, suffix = os.path.splitext(file.name)
    if suffix.lower() not in _SUFFIXES:
        return []
    told = {key.casefold() for key in _dated_by(stem, suffix)}
    try:
        names = sorted(os.listdir(file.parent))
    except OSError:
        return []
    media = (name for name in names if os.path.splitext(name)[1].lower() in EXTENSIONS)
    return [
        file.parent / name
        for name in media
        if any(key.casefold() in told and _may_tell(file.name, key, name) for key in _keys(name))
    ]


def belongs(file: str) -> bool:
    """Whether there is a medium in the same folder whose date this file may give. As ``owners``, at no cost that grows with the folder."""
    folder, name = os.path.split(file)
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in _SUFFIXES:
        return False
    keys = _of_folder(_dated_keys, folder, frozenset[str]())
    return any(key.casefold() in keys for key in _dated_by(stem, suffix))


def fingerprint(path: Path) -> str:
    """A value that changes with the names, sizes or times of the files that may date a file. Empty if there are none."""
    told, found = hashlib.sha256(), beside(path)
    for file in found:
        with contextlib.suppress(OSError):
            status = os.stat(file)
            told.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return told.hexdigest() if found else ""


def fingerprints(paths: Sequence[str]) -> list[str]:
    """``fingerprint`` for many files. A folder without dating files is listed only once."""
    tells: dict[str, bool] = {}
    found = []
    for path in paths:
        folder = os.path.dirname(path)
        if folder not in tells:
            tells[folder] = bool(_names(folder))
        found.append(fingerprint(Path(path)) if tells[folder] else "")
    return found


@lru_cache(maxsize=64)
def _listing(folder: str, _changed: int, _while: int) -> Mapping[str, Sequence[str]]:
    """The files in a folder that may date others, keyed by the lower-case names of these, with or without suffix.

    Cached until the folder changes, or for a moment: a folder of a hundred thousand photographs that is being filled is not
    listed for each.
    """
    found: dict[str, list[str]] = {}
    for name in sorted(name for name in os.listdir(folder) if name[-5:].lower().endswith(_SUFFIXES)):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in _SUFFIXES:
            for key in _dated_by(stem, suffix):
                found.setdefault(key.casefold(), []).append(name)
    return found


@lru_cache(maxsize=8)
def _dated_keys(folder: str, _changed: int, _while: int) -> frozenset[str]:
    """The lower-case names under which the media of a folder find files that date them; cached as ``_listing`` is."""
    media = (name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in EXTENSIONS)
    return frozenset(key.casefold() for name in media for key in _keys(name))


def _dated_by(stem: str, suffix: str) -> list[str]:
    """The names, with or without suffix, of the files that an XMP or a Takeout JSON may date."""
    return _exported_of(stem) if suffix.lower() == ".json" else described_by(stem)


def _exported_of(stem: str) -> list[str]:
    """The names of the files that a Takeout JSON may belong to."""
    number = _NUMBERED.search(stem)
    plain = stem[: number.start()] if number else stem
    keys = {stem}
    for at in range(max(1, len(plain) - len(_TAKEOUT)), len(plain)):
        if plain[at] == "." and _TAKEOUT.startswith(plain[at:]):
            keys.add(plain[:at] + (number[0] if number else ""))
    return sorted(keys)


_NEEDS = Needs(size=0, fit="crop", rate=0, window_ms=0, characters=1_000, metadata=True)
