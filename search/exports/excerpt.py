"""An excerpt: a medium or a stretch of it, with what an export says of it."""

from __future__ import annotations

from dataclasses import dataclass

from search.exports.timecode import FrameClock
from search.types import Box, Modality, Thing


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a medium in milliseconds, or all of it where ``start_ms`` is None. ``source`` is its address or path.

    ``clock`` counts its frames; None: it has none, or nobody needs them. ``confidence`` lies between 0 and 1. ``width`` and ``height`` are
    pixels, as it is displayed. ``audible``: it is known to have sound. ``box`` is the part of the picture that is meant; ``things`` are in its
    pictures.
    """

    asset: int
    sha256: str
    name: str
    folder: str
    collection: str
    source: str
    modality: Modality
    format: str
    size: int
    duration_ms: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    channel: str = ""
    confidence: float | None = None
    text: str = ""
    note: str = ""
    clock: FrameClock | None = None
    width: int | None = None
    height: int | None = None
    audible: bool = False
    box: Box | None = None
    things: tuple[Thing, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether it is of a medium that lasts."""
        return self.modality in (Modality.AUDIO, Modality.VIDEO)

    @property
    def stretch(self) -> tuple[int, int]:
        """Where it begins and ends, in milliseconds; a medium as a whole begins at 0."""
        start = self.start_ms or 0
        end = self.end_ms if self.end_ms is not None else self.duration_ms or 0
        return start, max(end, start)

    @property
    def words(self) -> str:
        """What is said of it: a person's note, or else its text."""
        return self.note or self.text
