"""What a decoder is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from search.types import Cut, Gap, Info, Needs

Found: TypeAlias = Info | Cut | Gap


@dataclass(frozen=True, slots=True)
class Limits:
    """What a decoder may take out of one file.

    ``memory`` (bytes) is here for messages: the system enforces it. ``formats``: those of pictures, as Pillow names them.
    """

    max_pixels: int
    max_frames: int
    memory: int
    formats: Sequence[str]


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file. ``suffix`` is lower-case, ``head`` its first bytes; its name is not told."""

    file: BinaryIO
    size: int
    head: bytes
    suffix: str


Read: TypeAlias = Callable[[Source, Needs, Limits], Iterator[Found]]
"""A decoder: first ``Info``, then cuts and gaps in order of time. Raises MediaError, or whatever a library raises."""
