"""Where things lie, told without the server's paths: by collection and folder. Paths show only where settings say so."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import search
from search.errors import Problem
from search.settings import Settings
from search.store import SqlStore

TOLD = 20
"""Roots that an error names, at most."""

FRESH = 0.5
"""Seconds for which the roots of collections are not looked up again."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A file as the outside sees it. ``folder`` is relative to the collection's root, ``path`` None unless it may be shown."""

    collection: str
    folder: str
    name: str
    path: str | None


class Places:
    """Knows the roots of collections and those of the settings. Thread-safe."""

    def __init__(self, settings: Settings, store: SqlStore) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._version, self._checked = -1, 0.0
        self._collections: dict[str, list[str]] = {}
        self._known: tuple[object, _Roots] = (None, _Roots([]))
        shown = {name.strip() for name in settings.show_paths.split(",")}
        self._all_shown, self._shown = "*" in shown, shown

    def collections(self) -> dict[str, list[str]]:
        """Every collection with its roots, absolute; read again only when the database has changed."""
        version = self._store.version()
        with self._lock:
            if version != self._version:
                self._collections, self._version = self._store.collections(), version
            self._checked = time.monotonic()
            return self._collections

    def _roots_of(self, collection: str) -> list[str]:
        """A collection's roots, as they were a moment ago: an answer asks for each of its hits."""
        if time.monotonic() - self._checked > FRESH or collection not in self._collections:
            return self.collections().get(collection, [])
        return self._collections[collection]

    def spot(self, collection: str, path: str) -> Spot:
        """How a file of a collection is told to the outside."""
        self._roots_of(collection)
        home = self._all().nearest(path, collection) or os.path.dirname(path)
        base = os.path.dirname(home) if home == path else home
        folder = os.path.relpath(os.path.dirname(path), base) if _inside(path, base) else ""
        shown = printable(path) if self.shown(collection) else None
        return Spot(collection, "" if folder == "." else printable(folder), printable(os.path.basename(path)), shown)

    def shown(self, collection: str | None) -> bool:
        """Whether a collection's absolute paths may be shown."""
        return self._all_shown or collection in self._shown

    def under(self, folder: str, collections: Sequence[str]) -> tuple[str, ...]:
        """The absolute folders that a relative one stands for: one below each root of the collections, or of all.

        Raises:
            Problem: it is absolute, or climbs out of its root.
        """
        parts = folder.replace("\\", "/").split("/")
        if folder.startswith("/") or ".." in parts:
            raise Problem(
                422, "folder", "The folder cannot be", "The folder of a filter is relative to the root of its collection.",
                remedy="Write it like 2024/harbour, as hits show it.",
            )  # fmt: skip
        known = self.collections()
        roots = [root for name in collections or known for root in known.get(name, [])]
        found = {os.path.normpath(os.path.join(root, *parts)) for root in roots}
        return tuple(sorted(found)) or ("/\0",)  # below no root at all nothing lies

    def roots(self) -> dict[str, str]:
        """The folders that may be indexed, absolute, by names that can be told apart."""
        self.collections()
        return self._all().named

    def _all(self) -> _Roots:
        """All that is asked of the roots as they were read last: worked out once, since every file that was named to be indexed is one."""
        known, collections = self._known, self._collections
        if known[0] is not collections:
            configured = [os.path.abspath(os.path.expanduser(path)) for path in self._settings.roots.split(os.pathsep) if path]
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
        """The real path of what a request wants indexed: absolute, or ``root/folder`` with a root's name.

        Raises:
            Problem: it does not lie under a root, also by ``..``, a link, or another spelling; or it is not there.
        """
        roots = self.roots()
        name, _, rest = given.partition("/")
        path = given if os.path.isabs(given) else os.path.join(roots[name], rest) if name in roots else None
        real = None if path is None else os.path.realpath(path)
        if path is None or real is None or not self.holds(real):
            some = [*list(roots)[:TOLD], *(["…"] if len(roots) > TOLD else [])]
            raise Problem(
                403, "outside-roots", "The folder lies outside the roots", "Only what lies under the configured roots is indexed.",
                remedy=f"Choose a folder under {', '.join(some) or 'a root (none is set)'}, or start the service with --root PATH.",
            )  # fmt: skip
        if not os.path.exists(real):
            raise Problem(
                422, "not-there", "The folder is not there", f"{self.tell(os.path.abspath(path))} is not there.",
                remedy="Check its name; upper and lower case count.",
            )  # fmt: skip
        # The name under which it is known, not what its links lead to: so a second run meets the same locations.
        known = os.path.abspath(path)
        return known if self._all().outermost(known) else real

    def holds(self, path: str) -> bool:
        """Whether a real path lies under a root."""
        self.collections()
        return self._all().hold(path)

    def hide(self, text: str) -> str:
        """A text without the server's own paths: its home, its roots, where the program lies."""
        home = str(self._settings.home)
        text = text.replace(home + "/", "").replace(home, "the home").replace(_PROGRAM, "")
        try:
            self.collections()
        except Exception:  # noqa: BLE001 - hiding is done while a problem is told: it must not raise another one
            return printable(text)
        return printable(self._all().hide(text))


class _Roots:
    """Roots, asked by path. Each question looks at the folders around a path, not at every root."""

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
        self._really: dict[str, list[str]] | None = None

    def outermost(self, path: str) -> str | None:
        """The named root that a path lies in."""
        return next((around for around in _upwards(path) if around in self.names), None)

    def nearest(self, path: str, collection: str) -> str | None:
        """The root of a collection that a path lies in, of several the innermost."""
        return next((around for around in _upwards(path) if around in self._of.get(collection, ())), None)

    def hold(self, path: str) -> bool:
        """Whether a real path lies where a root leads to at this moment."""
        for look_again in (False, True):
            if self._really is None or look_again:  # a link may lead elsewhere by now
                self._really = defaultdict(list)
                for root in self.names:
                    self._really[os.path.realpath(root)].append(root)
            really = self._really
            if any(os.path.realpath(root) == around for around in _upwards(path) for root in really.get(around, ())):
                return True
        return False

    @cached_property
    def _spelled(self) -> re.Pattern[str] | None:
        roots = sorted((root for root in self.names if len(root) > 1), key=len, reverse=True)
        return re.compile(rf"({'|'.join(map(re.escape, roots))})(?![\w-]|\.\w)") if roots else None

    def hide(self, text: str) -> str:
        """A text with the names of roots in the place of their paths."""
        return self._spelled.sub(lambda found: self.names[found[1]], text) if self._spelled else text


def _upwards(path: str) -> Iterator[str]:
    """A path and the folders around it, from within."""
    while True:
        yield path
        around = os.path.dirname(path)
        if around == path:
            return
        path = around


_PROGRAM = str(Path(search.__file__).parents[1]) + "/"


def printable(text: str) -> str:
    """A text that can be written as JSON: bytes of file names that are no text become question marks."""
    return os.fsencode(text).decode("utf-8", "replace") if not text.isascii() else text


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def overlaps(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a path of one side lies in, or around, one of the other."""
    others = list(others)
    return any(_inside(a, b) or _inside(b, a) for a in some for b in others)
