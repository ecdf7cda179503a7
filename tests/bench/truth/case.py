"""What a generated file is, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

TOLERANCE_MS = 40
"""How far a moment may lie from what is shown."""
MOST_ERROR = 3.0
"""Mean difference that pictures may have, of 255."""
DURATION_MS = 50
"""How far a duration may be off."""
AUDIBLE_DB = -12.0
"""How much softer than the loudest channel another one may come out, in dB."""
RAISED_DB = -21.0
"""No softer than this may sound that is not mostly noise come out, in dB of full scale: an encoder hears quiet sound at -20 LUFS."""
FARTHEST = 0.05
"""How far (1 - cosine of the pocket space's vectors) a sound that was levelled may lie from the same sound at its full level."""


@dataclass(frozen=True, slots=True)
class Film:
    """Frames that tell their numbers, in scenes of different colours.

    ``times``: when each frame number is shown, in seconds from the file's start, ascending; ``scenes``: the numbers with which scenes
    begin; ``end``: when the last frame ends; ``played``: whether Chromium plays it; ``tone``: seconds between which a tone of 1 kHz is heard.
    """

    times: Sequence[float]
    scenes: Sequence[int]
    end: float
    played: bool = True
    tone: tuple[float, float] | None = None
    also: Sequence[int] = ()
    """Numbers of other tracks' frames: each must be embedded, or a gap be told."""
    still: bool = False
    """Whether it lies behind a still."""
    stamps: Literal["file", "shift", "made"] = "file"
    """Who knows when frames are shown: the file's own stamps, these for the first frame alone, or whoever made the file, since its stamps are known to be wrong."""
    track: int = 0
    """Which track of pictures it is."""
    grid: float = 0.0
    """How far the encoder's rate may move a frame, in seconds."""

    @property
    def first(self) -> int:
        """The number of the first frame."""
        return self.scenes[0]

    def at(self, seconds: float) -> int:
        """The number of the frame on screen at a time."""
        return max(
            (number for number, time in enumerate(self.times) if number >= self.first and time <= seconds + 1e-6),
            default=self.first,
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """A still, or a film of one still: ``pixels`` (H, W, 3) as it must look where Chromium does not draw it; None: as Chromium draws it.

    ``frames``: how many pages or slides there are, each of which tells its number.
    """

    pixels: Any = None
    moving: bool = False
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Pages:
    """A file of several pages or slides, each of which tells its number: all must be embedded, or a gap be told."""

    count: int


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone that must be heard: in hertz, from ``start`` to ``end`` in seconds, called ``name``."""

    name: str
    hertz: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Sound:
    """Tones in tracks and channels, and how long all of it lasts, in seconds. ``clear``: a tone must come in some window
    without the noise that fills another channel; ``level``: it must not come out soft; ``twin``: files of one twin are one sound at two levels.
    """

    tones: Sequence[Tone]
    seconds: float | None = None
    clear: bool = False
    level: bool = False
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Dated:
    """A file that was made on a day; of a partial date only its beginning counts."""

    day: str


@dataclass(frozen=True, slots=True)
class Case:
    """One generated file: its name, what kind it is, what makes it (given its path and a folder for scraps), and what must come of it."""

    name: str
    kind: str
    make: Callable[[Path, Path], object]
    expect: Film | Picture | Pages | Sound | Dated
    told: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One judgement: of which file, what was looked at, what was expected, what came, and whether that is right."""

    kind: str
    file: str
    what: str
    expected: str
    got: str
    ok: bool
    note: str = field(default="")

    def __str__(self) -> str:
        return f"  {'ok  ' if self.ok else 'FAIL'} {self.kind:<9} {self.file:<34} {self.what:<11} {self.expected:<34} {self.got}"


Judged = tuple[str, str, str, bool]
"""What was looked at, what was expected, what came, and whether that is right."""
