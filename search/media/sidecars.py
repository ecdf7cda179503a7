"""Files that belong to another: subtitles and XMP beside a medium of the same name.

To ``film.mp4`` belong ``film.srt``, ``film.de.vtt`` and ``film.mp4.en-US.sdh.srt``; to ``photo.jpg`` belong ``photo.xmp`` and
``photo.jpg.xmp``. What a name says between that of the medium and the suffix has to be a language, and may say more of the subtitles.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from search.errors import MediaError
from search.media import languages
from search.media.pool import DecodePool
from search.media.sniff import EXTENSIONS
from search.types import Cut, Gap, Info, Modality, Needs

MOST = 100
"""Sidecars of a file that are read."""
_SPOKEN, _DESCRIBED = (".srt", ".vtt"), ".xmp"
_KINDS = frozenset({"forced", "sdh", "cc", "hi", "default", "auto", "orig", "full"})
"""What else a name may say of subtitles."""
_SETTLED_NS = 2_000_000_000
"""A folder that changed within this time may have changed again without its time showing it, in nanoseconds."""
_LONGEST = 200
"""Characters of the name of a source."""


def decode(pool: DecodePool, path: Path, needs: Needs) -> Generator[Info | Cut | Gap]:
    """Decode a file as ``pool.decode`` does, and then what of its sidecars ``needs.metadata`` asks for; their cuts name them.

    Sidecars that cannot be read are gaps (``not_read``).

    Raises:
        MediaError, RuntimeError: as ``pool.decode`` does of the file itself.
    """
    yield from pool.decode(path, needs)
    if not needs.metadata:
        return
    for sidecar in sidecars(path):
        name, language = _shown(sidecar.name), _language(sidecar.name)
        try:
            with contextlib.closing(pool.decode(sidecar, needs)) as found:
                for one in found:
                    if isinstance(one, Cut):
                        yield replace(one, source=name, language=one.language or language)
                    elif isinstance(one, Gap):
                        yield Gap("not_read", f"{name}: {one.detail}")
        except MediaError as error:
            yield Gap("not_read", f"{name}: {error}")


def sidecars(path: Path) -> list[Path]:
    """The sidecars of a file, in the order of their names; none where its folder cannot be listed."""
    if not _may_have(path, _DESCRIBED):
        return []
    folder = os.fspath(path.parent)
    try:
        changed = os.stat(folder).st_mtime_ns
        listing = _listing if time.time_ns() - changed > _SETTLED_NS else _listing.__wrapped__
        beside = listing(folder, changed)
    except OSError:
        return []
    names = {name for key in (path.name, path.stem) for name in beside.get(key, ())}
    return [path.parent / name for name in sorted(names) if _may_have(path, name)][:MOST]


def fingerprint(path: Path) -> str:
    """Changes whenever the sidecars of a file do: their names, sizes or times. Empty, if there are none."""
    told = hashlib.sha256()
    found = sidecars(path)
    for sidecar in found:
        try:
            status = os.stat(sidecar)
        except OSError:
            continue
        told.update(f"{sidecar.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return told.hexdigest() if found else ""


def is_sidecar(path: str) -> bool:
    """Whether a file is named like one that may belong to another."""
    return os.path.splitext(path)[1].lower() in (_DESCRIBED, *_SPOKEN)


def owners(sidecar: Path) -> list[Path]:
    """The files of its folder that a sidecar belongs to, or belonged to while it was there; none where the folder cannot be listed."""
    keys = set(_keys(sidecar.name))
    try:
        beside = [sidecar.parent / name for name in sorted(os.listdir(sidecar.parent))]
    except OSError:
        return []
    return [path for path in beside if (path.name in keys or path.stem in keys) and _may_have(path, sidecar.name)]


@lru_cache(maxsize=64)
def _listing(folder: str, _changed: int) -> Mapping[str, list[str]]:
    """What may belong to others in a folder, by the names, whole or without a suffix, of what it may belong to.

    Kept until the folder changes: a folder of a hundred thousand photographs is listed once.
    """
    found: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        for key in _keys(name):
            found.setdefault(key, []).append(name)
    return found


def _keys(name: str) -> Iterator[str]:
    """The names, whole or without a suffix, of what a file may belong to."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in (_DESCRIBED, *_SPOKEN):
        yield stem
    if suffix.lower() in _SPOKEN:
        yield from (rest for rest, _ in _told(stem))


def _may_have(path: Path, name: str) -> bool:
    """Whether a sidecar of that name may belong to a file of this kind: nothing is said in pictures."""
    modality = EXTENSIONS.get(path.suffix.lower())
    return modality in (Modality.AUDIO, Modality.VIDEO) or (modality is Modality.IMAGE and name.lower().endswith(_DESCRIBED))


def _told(stem: str) -> Iterator[tuple[str, str]]:
    """What a name without its suffix says at its end, word by word, each with what stands before it."""
    rest, dot, word = stem.rpartition(".")
    while dot and (word.lower() in _KINDS or languages.code(word)):
        yield rest, word
        rest, dot, word = rest.rpartition(".")


def _language(name: str) -> str | None:
    """The language that a name such as ``film.de.forced.srt`` tells."""
    words = [word for _, word in _told(os.path.splitext(name)[0]) if word.lower() not in _KINDS]
    return languages.code(words[-1]) if words else None


def _shown(name: str) -> str:
    """A name as it can be shown: any bytes may stand in one."""
    told = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in told)[-_LONGEST:]
