"""Different ways to name a folder: relative, through ``..``, by a link or by its target. All of these name the same files."""

from __future__ import annotations

import os
from collections.abc import Iterable


def spellings(path: str, roots: Iterable[str]) -> tuple[str, ...]:
    """The absolute paths under which an archive with these ``roots`` may have stored ``path``."""
    plain, real = os.path.abspath(path), os.path.realpath(path)
    found = {plain: None, real: None}
    for root in roots:
        home = os.path.realpath(root)
        if _inside(real, home):
            found[os.path.normpath(os.path.join(root, os.path.relpath(real, home)))] = None
        elif _inside(home, real):
            found[root] = None
    return tuple(found)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
