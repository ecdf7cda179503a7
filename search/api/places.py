"""Locations without the server's paths: by collection and folder. Paths are shown only where the settings allow it."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import search
from search.errors import Problem
from search.folders import absolute, is_address, listed, real
from search.media.objects import Objects
from search.settings import Settings
from search.store import SqlStore
from search.types import Within

MAX_LISTED_ROOTS = 20
"""The maximum number of roots that an error lists."""

FRESH_SECONDS = 0.5
"""Seconds for which the roots of collections are cached."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A file as callers see it. ``folder`` is relative to the collection's root; ``path`` is None unless it may be shown."""

    collection: str
    folder: str
    name: str
    path: str | None


class Places:
    """Knows the roots of collections and those of the settings. Thread-safe."""

    def __init__(self, settings: Settings, store: SqlStore, whole: Places | None = None) -> None:
        """The roots of the store's collections and those of the settings. With ``whole``, which knows all of these, only those
        of the collections that the store is limited to."""
        self._settings, self._store, self._whole = settings, store, whole
        self.objects: Objects = whole.objects if whole else Objects(settings)
        """What lies in object storage."""
        self._lock = threading.Lock()
        self._version, self._checked = -1, 0.0
        self._collections: dict[str, list[str]] = {}
        self._known: tuple[object, _Roots] = (None, _Roots([]))
        self._shown, self._placed = _named(settings.show_paths), _named(settings.show_positions)

    def collections(self) -> dict[str, list[str]]:
        """Every collection with its absolute roots. Read again only after the database has changed."""
        version = self._store.version()
        with self._lock:
            if version != self._version:
                self._collections, self._version = self._store.collections(), version
            self._checked = time.monotonic()
            return self._collections

    def _roots_of(self, collection: str) -> list[str]:
        """A collection's roots, cached for a moment, because an answer asks for them once per hit."""
        if time.monotonic() - self._checked > FRESH_SECONDS or collection not in self._collections:
            return self.collections().get(collection, [])
        return self._collections[collection]

    def spot(self, collection: str, path: str) -> Spot:
        """A file of a collection as callers see it."""
        self._roots_of(collection)
        home = self._all().nearest(path, collection) or os.path.dirname(path)
        base = os.path.dirname(home) if home == path else home
        folder = os.path.relpath(os.path.dirname(path), base) if _inside(path, base) else ""
        shown = printable(path) if self.shown(collection) else None
        return Spot(collection, "" if folder == "." else printable(folder), printable(os.path.basename(path)), shown)

    def relative(self, folder: str) -> str:
        """A folder relative to the root that it lies in, as filters take it; empty for the root itself."""
        root = max(
            (root for some in self.collections().values() for root in some if _inside(folder, root)), key=len, default=folder
        )
        return "" if folder == root else printable(os.path.relpath(folder, root))

    def shown(self, collection: str | None) -> bool:
        """Whether a collection's absolute paths may be shown."""
        return "*" in self._shown or collection in self._shown

    def placed(self, collection: str) -> bool:
        """Whether a collection's files are served with the positions that they tell."""
        return "*" in self._placed or collection in self._placed

    def located(self) -> Within:
        """The collections whose positions may be told; None: all."""
        return None if "*" in self._placed else tuple(sorted(self._placed - {""}))

    def under(self, folder: str, collections: Sequence[str]) -> tuple[str, ...]:
        """The absolute folders for a relative one: one below each root of the collections, or of all.

        Raises:
            Problem: it is absolute, or leads out of its root.
        """
        parts = folder.replace("\\", "/").split("/")
        if folder.startswith("/") or ".." in parts:
            raise Problem(
                422, "folder", "The folder cannot be", "The folder of a filter is relative to the root of its collection.",
                remedy="Write it like 2024/harbour, as hits show it.",
            )  # fmt: skip
        known = self.collections()
        roots = [root for name in collections or known for root in known.get(name, [])]
        inner = "/".join(part for part in parts if part not in ("", "."))
        found = {f"{root.rstrip('/')}/{inner}".rstrip("/") or "/" for root in roots}
        return tuple(sorted(found)) or ("/\0",)  # below no root at all nothing lies

    def roots(self) -> dict[str, str]:
        """The folders that may be indexed, absolute, by distinct names."""
        self.collections()
        return self._all().named

    def _all(self) -> _Roots:
        """The roots as they were last read, prepared for lookups. Computed once, since a request may name many files."""
        known, collections = self._known, self._collections
        if known[0] is not collections:
            configured = [] if self._whole else listed(self._settings.roots)
            self._known = known = collections, _Roots(configured, collections)
        return known[1]

    def tell(self, path: str) -> str:
        """A file or folder below a root, as ``root/folder``."""
        self.collections()
        roots = self._all()
        if (root := roots.outermost(path)) is None:
            return printable(os.path.basename(path))
        rest = os.path.relpath(path, root)
        return roots.names[root] if rest == "." else f"{roots.names[root]}/{printable(rest)}"

    def resolve(self, given: str) -> str:
        """The real path that a request wants indexed. It is given as an absolute path, or as ``root/folder`` with a root's name.

        Raises:
            Problem: it is not under a root, perhaps because of ``..``, a link, or another spelling; or it does not exist.
        """
        roots = self.roots()
        name, _, rest = given.partition("/")
        whole = os.path.isabs(given) or is_address(given)
        path = absolute(given if whole else os.path.join(roots[name], rest)) if whole or name in roots else None
        target = None if path is None else real(path)
        if path is None or target is None or not self.holds(target):
            some = [*list(roots)[:MAX_LISTED_ROOTS], *(["…"] if len(roots) > MAX_LISTED_ROOTS else [])]
            raise Problem(
                403, "outside-roots", "The folder lies outside the roots", "Only what lies under the configured roots is indexed.",
                remedy=f"Choose a folder under {', '.join(some) or 'a root (none is set)'}, or start the service with --root PATH.",
            )  # fmt: skip
        if not is_address(target) and not os.path.exists(target):
            raise Problem(
                422, "not-there", "The folder is not there", f"{self.tell(path)} is not there.",
                remedy="Names are case-sensitive.",
            )  # fmt: skip
        # Keep the path as given, with its links unresolved, so that a second run meets the same locations.
        return path if self._all().outermost(path) else target

    def holds(self, path: str) -> bool:
        """Whether a real path lies under a root."""
        self.collections()
        return self._all().hold(path)

    def hide(self, text: str) -> str:
        """Remove the server's own paths from a text: its home, its roots, and where the program is installed."""
        if "/" not in text:
            return printable(text)
        if self._whole:
            return self._whole.hide(text)
        home = str(self._settings.home)
        text = text.replace(home + "/", "").replace(home, "the home").replace(_PROGRAM, "")
        try:
            self.collections()
        except Exception:  # noqa: BLE001 - hiding is done while a problem is told: it must not raise another one
            return printable(text)
        return printable(self._all().hide(text))


class _Roots:
    """Lookup of roots by path. Each lookup checks the folders above a path, not every root."""

    def __init__(self, configured: Sequence[str], collections: Mapping[str, Sequence[str]] | None = None) -> None:
        collections = collections or {}
        self._of = {name: set(roots) for name, roots in collections.items()}
        every = dict.fromkeys([*configured, *(root for roots in collections.values() for root in roots)])
        self.named: dict[str, str] = {}
        """The outermost roots, by names that can be told apart."""
        numbers: Counter[str] = Counter()
        for root in every:
            if any(around in every for around in _upwards(os.path.dirname(root)) if around != root):
                continue  # it goes by the name of the root around it
            base = name = printable(os.path.basename(root)) or "root"
            while name in self.named:
                numbers[base] += 1
                name = f"{base}-{numbers[base] + 1}"
            self.named[name] = root
        self.names = {root: name for name, root in self.named.items()}
        self._lengths = sorted({len(root) for root in self.names if len(root) > 1}, reverse=True)
        self._really: dict[str, list[str]] | None = None

    def outermost(self, path: str) -> str | None:
        """The outermost named root that contains a path."""
        return next((around for around in _upwards(path) if around in self.names), None)

    def nearest(self, path: str, collection: str) -> str | None:
        """The innermost root of a collection that contains a path."""
        return next((around for around in _upwards(path) if around in self._of.get(collection, ())), None)

    def hold(self, path: str) -> bool:
        """Whether a real path is inside the current target of a root."""
        for look_again in (False, True):
            if self._really is None or look_again:  # a link may lead elsewhere by now
                self._really = defaultdict(list)
                for root in self.names:
                    self._really[real(root)].append(root)
            really = self._really
            if any(real(root) == around for around in _upwards(path) for root in really.get(around, ())):
                return True
        return False

    def hide(self, text: str) -> str:
        """A text in which the paths of roots are replaced by their names. Wherever one may begin, each length of a root is looked up, the
        longest first: a pattern of a hundred thousand roots would take seconds to compile."""
        told, done, at = list[str](), 0, text.find("/")
        while at >= 0:
            ends = (at + length for length in self._lengths if at + length <= len(text) and not _GOES_ON.match(text, at + length))
            root = next((text[at:end] for end in ends if text[at:end] in self.names), None)
            if root is not None:
                told += [text[done:at], self.names[root]]
                done = at + len(root)
            at = text.find("/", at + 1 if root is None else done)
        return "".join([*told, text[done:]])


def _upwards(path: str) -> Iterator[str]:
    """A path and the folders above it, innermost first."""
    while True:
        yield path
        around = os.path.dirname(path)
        if around == path:
            return
        path = around


_GOES_ON = re.compile(r"[\w-]|\.\w")
"""What follows a path that is another one's beginning."""

_PROGRAM = str(Path(search.__file__).parents[1]) + "/"


def printable(text: str) -> str:
    """A text that can be written as JSON. Bytes of file names that are not valid text become question marks."""
    return os.fsencode(text).decode("utf-8", "replace") if not text.isascii() else text


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _named(setting: str) -> set[str]:
    return {name.strip() for name in setting.split(",")}


def overlaps(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a path of one side is inside or above one of the other."""
    others = list(others)
    return any(_inside(a, b) or _inside(b, a) for a in some for b in others)
