"""Where pictures of assets are kept: ``cache/<first two hex digits>/<digest>-<what>.<suffix>`` under the home.

A name begins with the digest of the asset's bytes, so that whoever removes the asset, or checks the home, can tell whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DIGITS = 64
"""Hex digits of a digest."""


def picture(home: Path, digest: str, what: str, suffix: str) -> Path:
    """Where the picture of an asset lies, or will: ``digest`` in hex; ``what`` such as ``image-320``, ``shown-320-1500`` or ``shown``."""
    return home / "cache" / digest[:2] / f"{digest}-{what}.{suffix}"


def pictures_of(home: Path, digest: str) -> list[Path]:
    """Everything that is kept of one asset, half-written files too."""
    return sorted((home / "cache" / digest[:2]).glob(f"{digest}-*"))


def pictures(home: Path) -> Iterator[Path]:
    """Everything that is kept, whosesoever it is."""
    return (path for path in (home / "cache").glob("*/*") if path.is_file())


def digest_of(picture: Path) -> str:
    """Whose picture a file is; empty where its name tells nothing."""
    named = re.match(rf"([0-9a-f]{{{DIGITS}}})-", picture.name)
    return named[1] if named else ""
