"""Frames and timecode. Times are whole frames at a rational rate; nothing goes through seconds as floating-point numbers.

Drop frame (SMPTE ST 12-1) is a numbering: it leaves out numbers, never frames, so that the count keeps up with the clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

NTSC = 1001
"""The denominator of the rates of NTSC: 24000/1001, 30000/1001, 60000/1001."""

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d\d?)")
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class FrameClock:
    """How a medium counts its frames: ``rate`` a second, the number of its ``first`` frame, and whether numbers are dropped."""

    rate: Fraction
    first: int = 0
    drop: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.rate <= 1_000:
            raise ValueError(f"a rate lies between 1 and 1000 frames a second, not at {self.rate}")
        if self.drop and self.nominal % 30:
            raise ValueError(f"drop frame numbers 30 or 60 frames a second, not {self.rate}")

    @classmethod
    def told(cls, rate: Fraction, timecode: str | None) -> FrameClock:
        """The clock of a medium that begins at ``timecode``; a semicolon or full stop before the frames means drop frame.

        A timecode that is none, or that the rate does not have, counts as 0.
        """
        found = _TIMECODE.fullmatch(timecode or "")
        plain = cls(rate)
        if found is None:
            return plain
        hours, minutes, seconds, frames = (int(found[at]) for at in (1, 2, 3, 5))
        drop = found[4] in ";." and plain.nominal % 30 == 0 and rate.denominator == NTSC
        if hours > 23 or minutes > 59 or seconds > 59 or frames >= plain.nominal:
            return plain
        number = (hours * 3600 + minutes * 60 + seconds) * plain.nominal + frames
        if drop:
            total = hours * 60 + minutes
            number -= plain._dropped * (total - total // 10)
        return cls(rate, number, drop)

    @property
    def nominal(self) -> int:
        """The frames that timecode counts in a second: 30 for 30000/1001."""
        return -(-self.rate.numerator // self.rate.denominator)

    @property
    def _dropped(self) -> int:
        """The numbers that drop frame leaves out at the beginning of nine minutes of ten."""
        return self.nominal // 15

    @property
    def _day(self) -> int:
        """The frames after which timecode begins again."""
        minutes = _DAY_SECONDS // 60
        return _DAY_SECONDS * self.nominal - (self._dropped * (minutes - minutes // 10) if self.drop else 0)

    def frame(self, ms: int) -> int:
        """The frame nearest to a time in milliseconds, counted from the medium's beginning."""
        return round(Fraction(ms, 1000) * self.rate)

    def span(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The half-open frames of a stretch, counted from the medium's beginning; at least one."""
        first = self.frame(start_ms)
        return first, max(first + 1, self.frame(end_ms))

    def timecode(self, frame: int) -> str:
        """The timecode of a frame that is counted from the medium's beginning: ``01:00:00:00``, with ``;`` where numbers are dropped.
        After 23:59:59 follows 00:00:00."""
        number = (self.first + frame) % self._day
        if self.drop:
            ten, one = 600 * self.nominal - 9 * self._dropped, 60 * self.nominal - self._dropped
            tens, rest = divmod(number, ten)
            number += 9 * self._dropped * tens
            if rest >= self._dropped:
                number += self._dropped * ((rest - self._dropped) // one)
        seconds, frames = divmod(number, self.nominal)
        digits = len(str(self.nominal - 1))
        return (
            f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{';' if self.drop else ':'}{frames:0{max(2, digits)}}"
        )
