"""Different ways to name a folder: relative, through ``..``, by a link or by its target. All of these name the same files.

What lies in object storage is named by its address, such as ``s3://bucket/folder/file.jpg``, which is stored like a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

SCHEMES = ("s3", "gs", "az", "https")
"""How addresses of object storage begin."""

_STARTS = tuple(f"{scheme}://" for scheme in SCHEMES)
_STARTS_IN_BYTES = tuple(map(os.fsencode, _STARTS))
_WRITTEN = re.compile(rf"({'|'.join(SCHEMES)}):/+(?=[^/])", re.IGNORECASE)


def is_address(path: str | bytes) -> bool:
    """Whether a stored path is an address of object storage."""
    return path.startswith(_STARTS_IN_BYTES) if isinstance(path, bytes) else path.startswith(_STARTS)


def absolute(path: str | os.PathLike[str]) -> str:
    """A path as an archive stores it: absolute; an address without a slash at its end. A ``Path`` leaves an address one of its
    two slashes."""
    given = os.fspath(path)
    if written := _WRITTEN.match(given):
        return f"{written[1].lower()}://{given[written.end() :].rstrip('/')}"
    return os.path.abspath(given)


def real(path: str) -> str:
    """The target of an absolute path. An address is its own."""
    return path if is_address(path) else os.path.realpath(path)


def listed(setting: str) -> list[str]:
    """The absolute paths in a setting that is written like PATH."""
    return [absolute(os.path.expanduser(path)) for path in re.split(rf"{os.pathsep}(?!//)", setting) if path]


def spellings(path: str, roots: Iterable[str]) -> tuple[str, ...]:
    """The absolute paths under which an archive with these ``roots`` may have stored ``path``."""
    plain = absolute(path)
    if is_address(plain):
        return (plain,)
    target = os.path.realpath(path)
    found = {plain: None, target: None}
    for root in roots:
        home = real(root)
        if _inside(target, home):
            found[os.path.normpath(os.path.join(root, os.path.relpath(target, home)))] = None
        elif _inside(home, target):
            found[root] = None
    return tuple(found)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
