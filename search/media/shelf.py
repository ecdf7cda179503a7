"""Where pictures made of assets are kept: ``cache/<two digits>/<digest>-<what>.<suffix>`` under the home.

The name says whose a picture is, so that it goes when its asset does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def place(home: Path, digest: str, what: str, suffix: str) -> Path:
    """Where a picture of the asset with this SHA-256, in hexadecimal, belongs."""
    return home / "cache" / digest[:2] / f"{digest}-{what}.{suffix}"


def of(home: Path, digest: str) -> list[Path]:
    """The pictures that are kept of an asset."""
    return sorted((home / "cache" / digest[:2]).glob(f"{digest}-*"))


def every(home: Path) -> Iterator[Path]:
    """All pictures that are kept, and what else lies among them."""
    return (home / "cache").glob("*/*")
