"""Where things lie, told without the server's paths: by collection and folder. Paths show only where settings say so."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import search
from search.errors import Problem
from search.settings import Settings
from search.store import SqlStore

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
        roots = self._roots_of(collection)
        home = max((root for root in roots if _inside(path, root)), key=len, default=os.path.dirname(path))
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
        configured = [os.path.abspath(os.path.expanduser(path)) for path in self._settings.roots.split(os.pathsep) if path]
        known = [root for roots in self.collections().values() for root in roots]
        every = dict.fromkeys([*configured, *known])
        named: dict[str, str] = {}
        for root in every:
            if any(_inside(root, other) for other in every if other != root):
                continue  # it goes by the name of the root around it
            base = name = printable(os.path.basename(root)) or "root"
            number = 1
            while name in named:
                number += 1
                name = f"{base}-{number}"
            named[name] = root
        return named

    def tell(self, path: str) -> str:
        """A file or folder below a root, as ``root/folder``."""
        for name, root in self.roots().items():
            if _inside(path, root):
                rest = os.path.relpath(path, root)
                return name if rest == "." else f"{name}/{printable(rest)}"
        return printable(os.path.basename(path))

    def resolve(self, given: str) -> str:
        """The real path of what a request wants indexed: absolute, or ``root/folder`` with a root's name.

        Raises:
            Problem: it does not lie under a root, also by ``..``, a link, or another spelling; or it is not there.
        """
        roots = self.roots()
        name, _, rest = given.partition("/")
        path = given if os.path.isabs(given) else os.path.join(roots[name], rest) if name in roots else None
        real = None if path is None else os.path.realpath(path)
        if path is None or real is None or not any(_inside(real, os.path.realpath(root)) for root in roots.values()):
            raise Problem(
                403, "outside-roots", "The folder lies outside the roots", "Only what lies under the configured roots is indexed.",
                remedy=f"Choose a folder under {', '.join(roots) or 'a root (none is set)'}, or start the service with --root PATH.",
            )  # fmt: skip
        if not os.path.exists(real):
            raise Problem(
                422, "not-there", "The folder is not there", f"{self.tell(os.path.abspath(path))} is not there.",
                remedy="Check its name; upper and lower case count.",
            )  # fmt: skip
        # The name under which it is known, not what its links lead to: so a second run meets the same locations.
        known = os.path.abspath(path)
        return known if any(_inside(known, root) for root in roots.values()) else real

    def holds(self, path: str) -> bool:
        """Whether a real path lies under a root."""
        return any(_inside(path, os.path.realpath(root)) for root in self.roots().values())

    def hide(self, text: str) -> str:
        """A text without the server's own paths: its home, its roots, where the program lies."""
        home = str(self._settings.home)
        text = text.replace(home + "/", "").replace(home, "the home").replace(_PROGRAM, "")
        for name, root in sorted(self._known_roots().items(), key=lambda item: -len(item[1])):
            if len(root) > 1:
                text = re.sub(rf"{re.escape(root)}(?![\w-]|\.\w)", lambda _, name=name: name, text)  # type: ignore[misc]
        return printable(text)

    def _known_roots(self) -> dict[str, str]:
        """The roots, or none where the database is what fails."""
        try:
            return self.roots()
        except Exception:  # noqa: BLE001 - hiding is done while a problem is told: it must not raise another one
            return {}


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
