"""Conversion of pictures to sRGB: ICC profiles by LittleCMS, and the code points, gammas and primaries in files."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from search.media.decode import png
from search.types import Gap

MAX_PROFILE = 16 << 20
"""The largest ICC profile that is used, in bytes."""
_KEPT = 4
"""The number of cached transforms. Photos of one camera have the same profile, and making its transform takes longer than using
it."""
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Colour space of a profile -> mode of the pictures that it is of."""
_BOXES = (b"meta", b"iprp", b"ipco", b"jp2h")
"""Boxes in which those with colours lie, in HEIF, AVIF and JPEG 2000."""
_MOST_BOXES = 1000

_D65, _D50, _C = (0.3127, 0.3290), (0.3457, 0.3585), (0.310, 0.316)
_Primaries = tuple[tuple[float, float], ...]
_PRIMARIES: dict[int, _Primaries] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Code points of primaries (ITU-T H.273, table 2) -> x and y of red, green, blue and white."""
_SRGB, _PQ, _HLG = 13, 16, 18
_BT709 = (1, 6, 14, 15)
"""Code points of the transfer of BT.709, which table 3 of H.273 has four times."""
_GAMMAS = {**dict.fromkeys(_BT709, 2.4), 4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
"""Code points -> exponents from value to displayed light; for BT.709 this is defined by BT.1886."""
_NEAR_SRGB = 0.05
"""A gamma this near to 1/2.2, as a share, counts as sRGB's curve if no primaries are given, as in browsers."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_WHITE, _BRIGHTEST = 203.0, 1000.0
"""Luminance of diffuse white (ITU-R BT.2408) and of the brightest light that a picture of high dynamic range is taken to have, in cd/m²."""
_STEPS = 4096

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coded:
    """The meaning of values without a profile. ``primaries`` are x and y of red, green, blue and white. ``transfer`` is a code
    point of H.273 or, below 0, minus the exponent of a power."""

    primaries: _Primaries
    transfer: float


class Colours:
    """Converts the pictures of one file to sRGB. Colour data in the file that cannot be used are reported once, as a gap, and
    ignored."""

    def __init__(self, image: Image.Image, file: BinaryIO, gaps: list[Gap]) -> None:
        """``image``: its head has been read from ``file``, whose position is not changed. ``gaps`` receives the gaps."""
        self._gaps = gaps
        self._profile: bytes | None = None
        self._coded: Coded | None = None
        at = file.tell()
        try:
            self._told(image, file)
        except Exception as error:  # noqa: BLE001  metadata are often broken, and never worth a picture
            self._tell(f"what it says of its colours cannot be read: {error}")
        finally:
            file.seek(at)

    def srgb(self, image: Image.Image) -> Image.Image:
        """A picture of mode L, RGB, CMYK, YCbCr or LAB in sRGB, as mode RGB."""
        if self._profile is not None:
            try:
                return _profiled(image, self._profile)
            except (ImageCms.PyCMSError, OSError, ValueError) as error:
                self._profile = None
                self._tell(f"its ICC profile is not used: {error}")
        if image.mode == "LAB":
            return _profiled(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
        image = image.convert("RGB")
        return image if self._coded is None else decoded(image, self._coded)

    def _told(self, image: Image.Image, file: BinaryIO) -> None:
        """Find the colour data of the file. A code takes precedence over a profile, and both over a gamma (PNG, third edition,
        4.3)."""
        profile = _bytes(image.info.get("icc_profile"))
        if image.format == "PNG":
            self._coded = _of_png(file)
            if self._coded is not None:
                return
        elif image.format in ("AVIF", "HEIF", "JPEG2000"):
            boxed = _of_boxes(file)
            profile = profile or (boxed if isinstance(boxed, bytes) else b"")
            self._coded = boxed if isinstance(boxed, Coded) else None
        elif image.format == "JXL":
            self._coded = image.info.get("coded")
        if profile and self._is_usable(profile):
            self._profile = profile
        elif "icc_profile" in image.info and not profile:
            self._tell("what it says of its colours is damaged")
        if image.format == "PNG" and self._profile is None:
            self._coded = _of_gamma(image)

    def _is_usable(self, profile: bytes) -> bool:
        if len(profile) > MAX_PROFILE:
            self._tell(f"its ICC profile is not used: it has {len(profile)} bytes, and {MAX_PROFILE} are at most")
            return False
        try:
            _space(profile)
        except OSError as error:
            self._tell(f"its ICC profile is not used: {error}")
            return False
        return True

    def _tell(self, why: str) -> None:
        self._gaps.append(Gap("colours", why))


def _bytes(profile: object) -> bytes:
    return profile if isinstance(profile, bytes) else b""


def _of_png(file: BinaryIO) -> Coded | None:
    """The code points of a PNG, in its chunk cICP."""
    for _, chunk in png.chunks(file, (b"cICP",), until=b"IDAT"):
        if len(chunk) == 4 and chunk[2] == 0:
            return coded(chunk[0], chunk[1])
    return None


def _of_gamma(image: Image.Image) -> Coded | None:
    """The gamma of a PNG, and its primaries. Primaries without a gamma are ignored."""
    gamma = float(image.info.get("gamma") or 0)
    if "srgb" in image.info or gamma <= 0:
        return None
    told = image.info.get("chromaticity")
    if told is None:
        return None if abs(gamma * 2.2 - 1) <= _NEAR_SRGB else Coded(_PRIMARIES[1], -1 / gamma)
    if not all(0 < number <= 1 for number in told):
        raise ValueError(f"primaries of {told}")
    white, *primaries = zip(told[::2], told[1::2], strict=True)
    return Coded((*primaries, white), -1 / gamma)


def _of_boxes(file: BinaryIO) -> bytes | Coded | None:
    """The profile or the code points of HEIF and AVIF (ISO/IEC 23008-12, ISO/IEC 14496-12, 12.1.5), or JPEG 2000 (ISO/IEC 15444-1, I.5.3.3)."""
    found: bytes | Coded | None = None
    size = file.seek(0, io.SEEK_END)
    for kind, start, end in _boxes(file, 0, size):
        if kind != b"colr":
            continue
        file.seek(start)
        box = file.read(min(end - start, MAX_PROFILE + 8))
        if box[:4] in (b"prof", b"rICC"):
            return box[4:]
        if box[:1] in (b"\2", b"\3") and box[3:4] != b"x":
            return box[3:]
        if box[:4] == b"nclx" and len(box) >= 8:
            primaries, transfer = struct.unpack(">HH", box[4:8])
            found = coded(primaries, _SRGB if transfer in _BT709 else transfer)  # as browsers take it, other than in PNG
    return found


def _boxes(file: BinaryIO, start: int, end: int, inside: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """The boxes with colour data between two offsets of a file: their type, and the start and end of their content."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind, begin = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), start + 16
        stop = end if size == 0 else min(start + size, end)
        if stop <= begin:
            return
        if kind in _BOXES and inside < len(_BOXES):
            yield from _boxes(file, begin + (4 if kind == b"meta" else 0), stop, inside + 1)
        elif kind == b"colr":
            yield kind, begin, stop
        start = stop


def coded(primaries: int, transfer: float) -> Coded | None:
    """The meaning of two code points of H.273, or of primaries and minus the exponent of a power; None: sRGB, or not specified."""
    known = transfer < 0 or transfer in (*_GAMMAS, 7, _SRGB, _PQ, _HLG)
    if (primaries, transfer) == (1, _SRGB) or not (known or primaries in _PRIMARIES):
        return None
    return Coded(_PRIMARIES.get(primaries, _PRIMARIES[1]), transfer if known else _SRGB)


def _profiled(image: Image.Image, profile: bytes) -> Image.Image:
    """A picture with an ICC profile, converted to sRGB.

    Raises:
        ValueError: the profile is for another kind of pictures.
        OSError, ImageCms.PyCMSError: it is damaged, or not for a display.
    """
    space = _space(profile)
    mode = _SPACES.get(space)
    if mode == "RGB" and image.mode in ("L", "YCbCr"):
        image = image.convert("RGB")
    if image.mode != mode:
        raise ValueError(f"it is of {space or 'unknown'} colours, the picture of {image.mode}")
    made = ImageCms.applyTransform(image, _transform(profile, mode))
    if made is None:
        raise ValueError("it cannot be applied")
    return made


@lru_cache(_KEPT)
def _space(profile: bytes) -> str:
    return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, mode, "RGB")


def decoded(image: Image.Image, coded: Coded) -> Image.Image:
    """A picture of mode RGB with coded colours, converted to sRGB. Values brighter than white are tone-mapped as browsers do."""
    if np.allclose(coded.primaries, _PRIMARIES[1], atol=1e-3) and coded.transfer not in (_PQ, _HLG):
        return image.point(encoded(_curve(coded.transfer)).tolist() * 3)
    light = _curve(coded.transfer)[np.asarray(image)]
    if coded.transfer in (_PQ, _HLG):
        light = _darkened(light, coded)
    light = light @ _between(coded.primaries, _PRIMARIES[1]).astype(np.float32)
    return Image.fromarray(encoded(light))


@lru_cache(_KEPT)
def _curve(transfer: float) -> NDArray[np.float32]:
    """Light of each of 256 values (H.273, table 3; of HLG with the system gamma of 1.2); 1 is white."""
    value = np.arange(256) / 255
    if transfer < 0:
        light = value**-transfer
    elif transfer in _GAMMAS:
        light = value ** _GAMMAS[int(transfer)] * (52.37 / 48 if transfer == 17 else 1)
    elif transfer == 7:
        light = np.where(value < 0.0913, value / 4, ((value + 0.1115) / 1.1115) ** (1 / 0.45))
    elif transfer == _PQ:
        root = value ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125) * 10_000 / _WHITE
    elif transfer == _HLG:
        scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        light = scene * _BRIGHTEST / _WHITE  # still without the system gamma, which depends on all three values
    else:
        light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def encoded(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light as values of sRGB."""
    return _back()[(light * (_STEPS - 1) + 0.5).clip(0, _STEPS - 1).astype(np.int16)]


@cache
def _back() -> NDArray[np.uint8]:
    """The sRGB value for each of ``_STEPS`` levels of light."""
    light = np.linspace(0, 1, _STEPS)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (value * 255).round().astype(np.uint8)


def _darkened(light: NDArray[np.float32], coded: Coded) -> NDArray[np.float32]:
    """Tone-map light (..., 3), with white at 1, for a screen without values above white.

    Uses the reference white tone mapping operator of SMPTE ST 2094-50, annex D. White becomes half. All three values of a pixel
    get the same gain, determined by the largest of them in the primaries of BT.2020.
    """
    wide = light @ _between(coded.primaries, _PRIMARIES[9]).astype(np.float32)
    if coded.transfer == _HLG:
        luminance = (wide @ np.array([0.2627, 0.6780, 0.0593], np.float32) * np.float32(_WHITE / _BRIGHTEST))[..., None]
        gamma = np.maximum(luminance, 1e-6) ** np.float32(0.2)
        light, wide = light * gamma, wide * gamma
    most = wide.max(axis=-1, keepdims=True)
    seen, shown = _knee()
    gain: NDArray[np.float32] = (np.interp(most, seen, shown) / np.maximum(most, 1e-6)).astype(np.float32)
    return light * gain


@cache
def _knee() -> tuple[Matrix, Matrix]:
    """Light and its tone-mapped value: half of it up to white, then a quadratic Bézier curve up to the brightest."""
    brightest, white, bend = _BRIGHTEST / _WHITE, 0.5, 0.65
    middle = (1 - bend) + bend / white, (1 - bend) * white + bend
    share = np.linspace(0, 1, 64)
    seen, shown = (
        (1 - share) ** 2 * begin + 2 * share * (1 - share) * turn + share**2 * stop
        for begin, turn, stop in ((1.0, middle[0], brightest), (white, middle[1], 1.0))
    )
    return np.concatenate([[0.0], seen]), np.concatenate([[0.0], shown])


@lru_cache(_KEPT)
def _between(first: _Primaries, second: _Primaries) -> Matrix:
    """The matrix (3, 3) that converts light (..., 3) from one set of primaries to another."""
    return np.asarray((np.linalg.inv(_to_xyz(second)) @ _to_xyz(first)).T)


def _to_xyz(primaries: _Primaries) -> Matrix:
    """Light in some primaries to XYZ under D50, by Bradford's adaptation (ICC.1, annex E)."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in (*primaries, _D50)]).T
    colours, white, wanted = columns[:, :3], columns[:, 3], columns[:, 4]
    scaled = colours * np.linalg.solve(colours, white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ wanted / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(adapted @ scaled)
