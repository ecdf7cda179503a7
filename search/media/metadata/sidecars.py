"""Sidecars: subtitle and XMP files beside a medium of the same name.

``film.srt``, ``film_de.vtt``, ``FILM [en].ass``, ``film.mp4.en-US.sdh.srt`` and ``Subs/film.2.en.srt`` belong to ``film.mp4``;
``photo.xmp``, ``photo.jpg.xmp`` and ``photo.NEF.xmp`` belong to ``photo.jpg``. The part of a name between the medium's name and
the suffix must be a language, or another common subtitle word. Case is ignored. If a name fits several media, the sidecar belongs
to the one with the longest name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from search.errors import MediaError
from search.media import opening
from search.media.metadata import language_names
from search.media.opening import Held
from search.media.sandbox.pool import DecodePool
from search.media.sniff import EXTENSIONS, HEAD_BYTES, is_text
from search.types import Cut, Gap, Info, Modality, Needs, Span

MAX_SIDECARS = 100
"""Sidecars of a file that are read."""
_SPOKEN = frozenset({".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".lrc", ".stl", ".scc", ".sub", ".sup"})
_DRAWN = frozenset({".sub", ".sup"})
"""Suffixes of subtitles that may be pictures: VobSub and PGS."""
_DESCRIBED = ".xmp"
_RAW = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf",
    ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})  # fmt: skip
"""Suffixes of raw camera files. Their XMP also belongs to the picture that was made from them."""
_KINDS = frozenset({
    "forced", "sdh", "cc", "hi", "hoh", "default", "auto", "orig", "full", "signs", "songs", "commentary", "lyrics", "sub", "subs", "subtitle", "subtitles",
    "caption", "captions",
})  # fmt: skip
"""Further words in names of subtitles."""
_FOLDERS = frozenset({"subs", "sub", "subtitles", "captions"})
"""Names of folders beside films that hold their subtitles."""
_WORD = re.compile(r"[^\s._\-\[\]()]+")
_BETWEEN = " ._-[("
"""Separators between a medium's name and the words after it."""
_REGION = re.compile(r"[a-z]{2}|[a-z]{4}|\d{3}", re.IGNORECASE)
"""A region or a script behind a language: ``pt-BR``, ``zh-Hans``, ``es-419``."""
_SETTLED_NS = 2_000_000_000
"""A folder that changed within this time may have changed again without its time showing it, in nanoseconds."""
_HOUR_MS = 3_600_000
_LONGEST = 200
"""Characters of the name of a source."""


def decode(pool: DecodePool, file: Path | Held, needs: Needs) -> Generator[Info | Cut | Gap]:
    """Decode a file like ``pool.decode``, then those of its sidecars that ``needs.metadata`` asks for. Cuts of a sidecar name it
    as their source.

    Raises:
        MediaError, RuntimeError: as ``pool.decode`` does of the file itself.
    """
    duration, path = None, file.path if isinstance(file, Held) else file
    for item in pool.decode(file, needs):
        duration = item.duration_ms if isinstance(item, Info) else duration
        yield item
    if not needs.metadata:
        return
    for sidecar in sidecars(path):
        name = _shown(sidecar.name)
        try:
            if _is_drawn(sidecar):
                yield Gap("not_read", f"{name}: the subtitles are pictures")
            else:
                yield from _read(pool, sidecar, needs, _language(sidecar.name, _names(path)), duration)
        except MediaError as error:
            if sidecar.suffix.lower() != ".stl" or error.reason != "unsupported":  # models of solids are called so, too
                yield Gap("not_read", f"{name}: {error}")


def _read(pool: DecodePool, sidecar: Path, needs: Needs, language: str | None, duration: int | None) -> Generator[Cut | Gap]:
    """The content of a sidecar of a medium that lasts ``duration`` (milliseconds). ``language`` applies if the sidecar names
    none.

    If the first cue is after the medium's end, as in broadcasts whose time code begins at ten o'clock, times count from the full
    hour before it.
    """
    name, hours = _shown(sidecar.name), None
    with contextlib.closing(pool.decode(sidecar, needs)) as found:
        for one in found:
            if isinstance(one, Cut):
                span = one.span
                if span is not None and span.unit == "ms":
                    if hours is None:
                        hours = span.start // _HOUR_MS * _HOUR_MS if duration and span.start >= duration else 0
                    span = Span(max(span.start - hours, 0), max(span.end - hours, 1))
                yield replace(one, span=span, source=name, language=one.language or language)
            elif isinstance(one, Gap):
                yield Gap("not_read", f"{name}: {one.detail}")


def _is_drawn(sidecar: Path) -> bool:
    """Whether subtitles are pictures: VobSub has the same suffix as MicroDVD, which is text.

    Raises:
        MediaError: it cannot be opened.
    """
    if sidecar.suffix.lower() not in _DRAWN:
        return False
    with opening.opened(sidecar) as file:
        return not is_text(opening.head(file, HEAD_BYTES))


def sidecars(path: Path) -> list[Path]:
    """The sidecars of a file, sorted by name. Empty if its folder cannot be listed."""
    if not _may_have(path, _DESCRIBED):
        return []
    beside = _listed(path.parent)
    found = [path.parent / name for key in _names(path) for name in beside.sidecars.get(key, ())]
    for name in beside.folders:
        below = _listed(path.parent / name)
        found += [path.parent / name / one for key in _names(path) for one in below.sidecars.get(key, ())]
        found += [path.parent / name / one for one in below.nameless if beside.films == 1]
        for deeper in below.others:
            if deeper.casefold() in _names(path):
                place = path.parent / name / deeper
                own = _listed(place)
                found += [
                    place / one for one in (*own.nameless, *(one for key in _names(path) for one in own.sidecars.get(key, ())))
                ]
    return [one for one in sorted(set(found)) if _may_have(path, one.name)][:MAX_SIDECARS]


def fingerprint(path: Path) -> str:
    """A value that changes with the names, sizes or times of a file's sidecars. Empty if there are none."""
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
    """Whether a file name could be that of a sidecar."""
    return os.path.splitext(path)[1].lower() in (_DESCRIBED, *_SPOKEN)


def described_by(stem: str) -> list[str]:
    """The names, with or without suffix, of the files to which an XMP file with this ``stem`` may belong."""
    twin, suffix = os.path.splitext(stem)
    return [stem, twin] if suffix.lower() in _RAW else [stem]


def owners(sidecar: Path) -> list[Path]:
    """The files to which a sidecar belongs, even if the sidecar no longer exists. Empty if the folder cannot be listed."""
    folder, keys, nameless = sidecar.parent, _keys(sidecar.name), _is_nameless(sidecar.name)
    if folder.name.casefold() not in _FOLDERS and folder.parent.name.casefold() in _FOLDERS:
        folder, keys = folder.parent, [*keys, folder.name.casefold()] if nameless else keys
    places = [folder, folder.parent] if folder.name.casefold() in _FOLDERS else [sidecar.parent]
    media: list[Path] = []
    for place in places:
        with contextlib.suppress(OSError):
            media += [path for name in sorted(os.listdir(place)) if _may_have(path := place / name, sidecar.name)]
    for key in keys:
        if found := [path for path in media if key in _names(path)]:
            return found
    films = [path for path in media if EXTENSIONS.get(path.suffix.lower()) is Modality.VIDEO]
    return films if nameless and len(places) > 1 and len(films) == 1 else []


@dataclass(frozen=True, slots=True)
class _Listing:
    """The contents of a folder that concern sidecars.

    ``sidecars`` are keyed by the lower-case names, with or without suffix, of the files to which they belong. ``nameless``
    sidecars name no medium. ``folders`` hold subtitles, ``others`` are all other folders, and ``films`` counts the videos.
    """

    sidecars: Mapping[str, Sequence[str]]
    nameless: Sequence[str]
    folders: Sequence[str]
    others: Sequence[str]
    films: int


_NOTHING = _Listing({}, (), (), (), 0)


def _listed(folder: Path) -> _Listing:
    """The listing of a folder; empty if it cannot be listed."""
    name = os.fspath(folder)
    try:
        changed = os.stat(name).st_mtime_ns
        return (_listing if time.time_ns() - changed > _SETTLED_NS else _listing.__wrapped__)(name, changed)
    except OSError:
        return _NOTHING


@lru_cache(maxsize=64)
def _listing(folder: str, _changed: int) -> _Listing:
    """Cached until the folder changes: a folder of a hundred thousand photographs is listed once."""
    found: dict[str, list[str]] = {}
    names = sorted(os.listdir(folder))
    media = {name: EXTENSIONS[suffix] for name in names if (suffix := os.path.splitext(name)[1].lower()) in EXTENSIONS}
    of_pictures = {key for name, modality in media.items() if modality is not Modality.TEXT for key in _names(Path(name))}
    of_sound = {
        key for name, modality in media.items() if modality in (Modality.AUDIO, Modality.VIDEO) for key in _names(Path(name))
    }
    nameless, folders = [], []
    for name in names:
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in (_DESCRIBED, *_SPOKEN):
            if not suffix and name.casefold() in _FOLDERS:
                folders.append(name)
            continue
        if suffix in _SPOKEN and _is_nameless(name):
            nameless.append(name)
        for key in _keys(name):
            found.setdefault(key, []).append(name)
            if key in (of_pictures if suffix == _DESCRIBED else of_sound):
                break
    others = (
        [name for name in names if name not in media and not is_sidecar(name)]
        if os.path.basename(folder).casefold() in _FOLDERS
        else ()
    )
    return _Listing(found, nameless, folders, others, sum(one is Modality.VIDEO for one in media.values()))


def _names(path: Path) -> tuple[str, str]:
    """The names by which a sidecar may refer to a medium."""
    return path.name.casefold(), path.stem.casefold()


def _keys(name: str) -> list[str]:
    """The lower-case names, with or without suffix, of the files to which a sidecar may belong, longest first."""
    stem, suffix = os.path.splitext(name)
    if suffix.lower() == _DESCRIBED:
        keys = described_by(stem)
    else:
        keys = [stem, *(rest for rest, words in _told(stem) if rest and not all(map(str.isdigit, words)))]
    return [key.casefold() for key in keys] if is_sidecar(name) else []


def _may_have(path: Path, name: str) -> bool:
    """Whether a file of this kind may have a sidecar of that name: pictures have no subtitles."""
    modality = EXTENSIONS.get(path.suffix.lower())
    return modality in (Modality.AUDIO, Modality.VIDEO) or (modality is Modality.IMAGE and name.lower().endswith(_DESCRIBED))


def _told(stem: str) -> Iterator[tuple[str, list[str]]]:
    """Ways to split a stem into a medium's name and the words behind it, each time with one more word."""
    found, words = list(_WORD.finditer(stem)), list[str]()
    while found:
        last = found.pop()
        word, before = last[0], found[-1] if found else None
        if (
            before
            and _REGION.fullmatch(word)
            and stem[before.end() : last.start()] in ("-", "_")
            and language_names.code(before[0])
        ):
            found.pop()
            word, last = f"{before[0]}-{word}", before
        elif not (word.lower() in _KINDS or language_names.code(word) or (word.isdigit() and len(word) < 3)):
            return
        words = [word, *words]
        yield stem[: last.start()].rstrip(_BETWEEN), words


def _is_nameless(name: str) -> bool:
    """Whether a name consists only of a language and subtitle words: ``2_English.srt``."""
    return any(not rest for rest, _ in _told(os.path.splitext(name)[0]))


def _language(name: str, names: Sequence[str] = ()) -> str | None:
    """The language in the name of a sidecar, after one of its medium's ``names``: ``film.de.forced.srt``.

    "hi" means subtitles for the hard of hearing, or Hindi if nothing else gives a language.
    """
    readings = [(rest.casefold() in names, bool(rest), words) for rest, words in _told(os.path.splitext(name)[0])]
    for _, _, words in sorted(readings, key=lambda reading: (*reading[:2], len(reading[2])), reverse=True):
        told = [word for word in words if word.lower() not in _KINDS] or [word for word in words if word.lower() == "hi"]
        if found := next(filter(None, map(language_names.code, told)), None):
            return found
    return None


def _shown(name: str) -> str:
    """A name in a form that can be displayed; it may contain any bytes."""
    told = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in told)[-_LONGEST:]
