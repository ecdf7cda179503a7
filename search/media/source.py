"""Input and output of decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from search.errors import UnknownName
from search.types import Cut, Gap, Info, Needs

PICTURES = {
    "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF", "heic": "HEIF",
    "jpeg2000": "JPEG2000", "ppm": "PPM", "tga": "TGA", "psd": "PSD", "exr": "EXR", "raw": "RAW",
    "jxl": "JXL",
}  # fmt: skip
"""Formats of pictures that may be read -> what Pillow calls them. MPO, of phones, opens as JPEG; naming it raises KeyError."""

Found: TypeAlias = Info | Cut | Gap


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a decoder for one file.

    ``memory`` (bytes) is only for messages: the system enforces it. The system also enforces ``seconds`` of processor time; a
    reader of many pages stops before that. ``formats``: allowed picture formats, as in ``PICTURES``.
    """

    max_pixels: int
    max_frames: int
    memory: int
    formats: Sequence[str]
    max_pages: int = 200
    seconds: float = 30


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file. ``suffix`` is lower-case, ``head`` its first bytes. Its name is not known here."""

    file: BinaryIO
    size: int
    head: bytes
    suffix: str


def picture_formats(listed: str) -> tuple[str, ...]:
    """The formats in a setting, separated by commas.

    Raises:
        UnknownName: a format that is never read.
    """
    names = tuple(name.strip().lower() for name in listed.split(",") if name.strip())
    for name in names:
        if name not in PICTURES:
            raise UnknownName("picture format", name, PICTURES)
    return names


Read: TypeAlias = Callable[[Source, Needs, Limits], Iterator[Found]]
"""A decoder: first ``Info``, then cuts and gaps in order of time. At the end comes ``Info`` again if the duration is not as first
stated. Raises MediaError, or any error of a library."""
