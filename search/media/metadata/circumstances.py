"""With what, where and under which rights a file was made, as it states it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.types import Stamp

MAX_CHARACTERS = 300
"""Characters of a camera, and of a notice of rights."""
_XMP_DEGREES = re.compile(r"\s*(\d{1,3})(?:,(\d{1,2}(?:\.\d+)?))?(?:,(\d{1,2}(?:\.\d+)?))?\s*([NSEW])\s*", re.ASCII)
"""Degrees, minutes and seconds, or degrees and decimal minutes (XMP part 2, 2.3.2.5)."""
_SPACES = re.compile(r"[\s\0-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Told:
    """What a file tells of itself: dates, latitude and longitude in degrees, maker and model of what made it, and its copyright notice and licence."""

    stamps: tuple[Stamp, ...] = ()
    position: tuple[float, float] | None = None
    camera: str | None = None
    rights: str | None = None


def either(told: Iterable[Told]) -> Told:
    """All dates, and of everything else what comes first."""
    every = list(told)
    return Told(
        tuple(stamp for one in every for stamp in one.stamps),
        *(
            next((value for one in every if (value := getattr(one, name)) is not None), None)
            for name in ("position", "camera", "rights")
        ),
    )


def camera(maker: str, model: str) -> str | None:
    """Maker and model in one: ``Canon``, ``Canon EOS 5D`` is the model alone, ``NIKON CORPORATION``, ``NIKON D750`` too."""
    maker, model = line(maker), line(model)
    if model and maker and maker.split()[0].casefold() == model.split()[0].casefold():
        maker = ""
    return line(f"{maker} {model}") or None


def notice(*texts: str) -> str | None:
    """Several texts about rights in one, each once."""
    return line("; ".join(dict.fromkeys(text for text in map(line, texts) if text))) or None


def line(text: str) -> str:
    """A text on one line, of at most ``MAX_CHARACTERS``."""
    return _SPACES.sub(" ", text).strip()[:MAX_CHARACTERS].rstrip()


def position(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """A position in degrees, if there is such a place. Devices that know none write zeros."""
    if latitude is None or longitude is None or not (math.isfinite(latitude) and math.isfinite(longitude)):
        return None
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude == 0 and longitude == 0):
        return None
    return round(latitude, 7), round(longitude, 7)


def of_gps(tags: Mapping[int, object]) -> tuple[float, float] | None:
    """The position in EXIF's directory of GPS (Exif 3.0, 4.6.7)."""
    return position(_degrees(tags.get(2), tags.get(1), "S"), _degrees(tags.get(4), tags.get(3), "W"))


def _degrees(values: object, side: object, negative: str) -> float | None:
    if not isinstance(values, Sequence) or isinstance(values, str | bytes) or not 1 <= len(values) <= 3:
        return None
    try:
        parts = [float(value) for value in values]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    parts = [0.0 if at and math.isnan(part) else part for at, part in enumerate(parts)]  # seconds as 0/0
    degrees = sum(part / 60.0**at for at, part in enumerate(parts))
    letter = side.decode("latin-1") if isinstance(side, bytes) else str(side or "")
    return -degrees if letter.strip("\0 ").upper() == negative else degrees


def of_xmp(latitude: str, longitude: str) -> tuple[float, float] | None:
    """The position in XMP's ``exif:GPSLatitude`` and ``exif:GPSLongitude``: ``59,19.5N`` or ``59,19,30N``."""
    return position(_of_text(latitude), _of_text(longitude))


def _of_text(text: str) -> float | None:
    found = _XMP_DEGREES.fullmatch(text)
    if found is None:
        return None
    degrees = sum(float(part or 0) / 60.0**at for at, part in enumerate(found.groups()[:3]))
    return -degrees if found[4] in "SW" else degrees
