"""Colours of film for an sRGB screen: wide gamuts, and the HDR curves PQ and HLG (Rec. ITU-R BT.2100)."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from search.types import Picture

WHITE_NITS = 203
"""Brightness of white among what is brighter, in cd/m² (Rep. ITU-R BT.2408)."""
USUAL_NITS = 1000
"""The brightest light of a film that does not tell it, in cd/m²."""
PQ, HLG = 16, 18
"""Transfers of HDR, as ISO/IEC 23091-2 counts them."""
_GAMUTS = {
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Primaries as ISO/IEC 23091-2 counts them (EBU, BT.2020, P3) -> x and y of red, green and blue; white is D65."""
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65 = np.array([0.3127, 0.3290, 0.3583]) / 0.3290
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_CODES = 1 << 16
_KNEE = 0.65
"""The sharpness of the tone curve above white."""


def differs(primaries: int, transfer: int) -> bool:
    """Whether values with these primaries and this transfer need conversion for an sRGB screen."""
    return primaries in _GAMUTS or transfer in (PQ, HLG)


def srgb(pixels: NDArray[np.uint16], primaries: int, transfer: int, nits: float) -> Picture:
    """Convert values (H, W, 3) of 16 bits to (H, W, 3) uint8 sRGB. ``nits``: the brightest light of the film, in cd/m².

    HDR is tone-mapped as browsers do on a screen without HDR, by the reference white operator of SMPTE ST 2094-50. A film that
    reaches 1000 cd/m² has its white at half the light; a dimmer film is nearer to full light.
    """
    light = _curve(transfer)[pixels]
    if transfer == HLG:
        light *= (light @ _LUMINANCE)[..., None] ** np.float32(0.2)
        light *= USUAL_NITS / WHITE_NITS
    if transfer in (PQ, HLG):
        light *= _gain(light.max(axis=-1), USUAL_NITS if transfer == HLG else nits)[..., None]
    if primaries in _GAMUTS:
        light = light @ _to_srgb(primaries).T
    return np.asarray(_encoding()[(light.clip(0, 1) * (_CODES - 1) + 0.5).astype(np.uint16)])


def _gain(brightest: NDArray[np.float32], nits: float) -> NDArray[np.float32]:
    """The gain for light whose strongest component is ``brightest``, 1 being white."""
    top = max(nits / WHITE_NITS, 1.0)
    white = 1 - 0.5 * min(np.log2(top) / np.log2(USUAL_NITS / WHITE_NITS), 1)
    bend = np.linspace(0, 1, 256)
    middle = 1 - _KNEE + _KNEE / white, (1 - _KNEE) * white + _KNEE
    x, y = (
        (1 - bend) ** 2 * first + 2 * bend * (1 - bend) * between + bend**2 * last
        for first, between, last in ((1.0, middle[0], top), (white, middle[1], 1.0))
    )
    beyond = np.geomspace(1, 10_000 / WHITE_NITS / top, 64)[1:]
    gains = np.interp(brightest, [*x, *(top * beyond)], [*(y / x), *(1 / (top * beyond))])
    return np.asarray(gains, np.float32)


@functools.cache
def _curve(transfer: int) -> NDArray[np.float32]:
    """The light of each 16-bit code, 1 being white. For HLG it is the light of the scene, at most 1."""
    code = np.linspace(0, 1, _CODES)
    if transfer == PQ:
        power = code ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125) * 10_000 / WHITE_NITS
    elif transfer == HLG:
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@functools.cache
def _encoding() -> NDArray[np.uint8]:
    """The sRGB value of each of 65,536 steps of light."""
    light = np.linspace(0, 1, _CODES)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (value * 255).round().astype(np.uint8)


@functools.cache
def _to_srgb(primaries: int) -> NDArray[np.float32]:
    """The matrix that converts light from a gamut to sRGB."""
    return (np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(_GAMUTS[primaries])).astype(np.float32)


def _to_xyz(gamut: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in gamut]).T
    return np.asarray(columns * np.linalg.solve(columns, _D65))
