"""Where cached pictures of assets are stored: ``cache/<first two hex digits>/<digest>-<what>.<suffix>`` under the home.

A name begins with the digest of the asset's bytes. So the pictures of an asset can be found when it is deleted or when the home
is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DIGEST_DIGITS = 64
"""Hex digits of a digest."""


def picture(home: Path, digest: str, what: str, suffix: str) -> Path:
    """The path of an asset's picture, whether it exists or not. ``digest`` is in hex; ``what`` is such as ``image-320``,
    ``shown-320-1500`` or ``shown``."""
    return home / "cache" / digest[:2] / f"{digest}-{what}.{suffix}"


def fetched(home: Path, digest: str) -> Path:
    """Where the bytes with a digest are kept if they were fetched from object storage."""
    return home / "objects" / digest


def pictures_of(home: Path, digest: str) -> list[Path]:
    """All cached pictures of one asset, including half-written files."""
    return sorted((home / "cache" / digest[:2]).glob(f"{digest}-*"))


def pictures(home: Path) -> Iterator[Path]:
    """All cached pictures."""
    return (path for path in (home / "cache").glob("*/*") if path.is_file())


def digest_of(picture: Path) -> str:
    """The digest of the asset that a picture belongs to; empty if the file name has none."""
    named = re.match(rf"([0-9a-f]{{{DIGEST_DIGITS}}})-", picture.name)
    return named[1] if named else ""
