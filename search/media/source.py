"""What a decoder is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from search.errors import UnknownName
from search.types import Cut, Gap, Info, Needs

PICTURES = {
    "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF", "heic": "HEIF",
    "jpeg2000": "JPEG2000", "ppm": "PPM", "tga": "TGA", "psd": "PSD", "exr": "EXR", "raw": "RAW",
}  # fmt: skip
"""Formats of pictures that may be read -> what Pillow calls them. MPO, of phones, opens as JPEG; naming it raises KeyError."""

Found: TypeAlias = Info | Cut | Gap


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder may take out of one file.

    ``memory`` (bytes) is here for messages: the system enforces it, and ``seconds`` of processor time too, short of which a reader of many
    pages stops. ``formats``: those of pictures, as in ``PICTURES``.
    """

    max_pixels: int
    max_frames: int
    memory: int
    formats: Sequence[str]
    max_pages: int = 200
    seconds: float = 30


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file. ``suffix`` is lower-case, ``head`` its first bytes; its name is not told."""

    file: BinaryIO
    size: int
    head: bytes
    suffix: str


def picture_formats(listed: str) -> tuple[str, ...]:
    """The formats that a setting lists, separated by commas.

    Raises:
        UnknownName: one that is never read.
    """
    names = tuple(name.strip().lower() for name in listed.split(",") if name.strip())
    for name in names:
        if name not in PICTURES:
            raise UnknownName("picture format", name, PICTURES)
    return names


Read: TypeAlias = Callable[[Source, Needs, Limits], Iterator[Found]]
"""A decoder: first ``Info``, then cuts and gaps in order of time, and at last ``Info`` again if it lasts otherwise than was told. Raises MediaError, or whatever a library raises."""
