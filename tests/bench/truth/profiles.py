"""Colour profiles (ICC, version 2.1), written by hand: of three primaries, of grey, and of a press."""

from __future__ import annotations

import struct

import numpy as np

PRIMARIES = {
    "srgb": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "p3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "adobe": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    "prophoto": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
}
"""XYZ of red, green and blue under D50."""
GAMMAS = {"srgb": 2.2, "p3": 2.2, "adobe": 2.2, "prophoto": 1.8}


def through(name: str, rgb: np.ndarray) -> np.ndarray:
    """Values as they are: the profile says what they mean."""
    return (rgb.astype(np.float64) * 0.6 + 50).round().astype(np.uint8)


def rgb_of_p3(rgb: np.ndarray) -> np.ndarray:
    """What those values are in sRGB, by arithmetic."""
    light = (through("p3", rgb) / 255.0) ** GAMMAS["p3"]
    xyz = light @ np.array(PRIMARIES["p3"])
    plain = (xyz @ np.linalg.inv(np.array(PRIMARIES["srgb"]))).clip(0, 1)
    return (np.where(plain <= 0.0031308, 12.92 * plain, 1.055 * plain ** (1 / 2.4) - 0.055) * 255).round().astype(np.uint8)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _profile(tags: dict[bytes, bytes], space: bytes, kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile, version 2.1, of these tags."""
    text = b"generated for tests"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * 78,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249),
        **tags,
    }
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = (
        struct.pack(">I4sI4s4s4s", place + len(body), b"none", 0x02100000, kind, space, pcs)
        + struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
        + b"acsp"
    )
    head = head.ljust(68, b"\0") + _fixed(0.9642) + _fixed(1.0) + _fixed(0.8249)
    return head.ljust(128, b"\0") + table + body


def icc(name: str) -> bytes:
    """A profile of three primaries and one gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMAS[name] * 256))
    tags = {b"rgbXYZ"[at : at + 1] + b"XYZ": b"XYZ \0\0\0\0" + b"".join(map(_fixed, PRIMARIES[name][at])) for at in range(3)}
    return _profile(tags | {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}, b"RGB ")


def grey_icc(gamma: float) -> bytes:
    return _profile({b"kTRC": b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))}, b"GRAY")


def cmyk_icc() -> bytes:
    """A profile of a press whose inks are duller than light: a table of 7 steps an ink into Lab."""
    steps = np.linspace(0, 1, 7)
    cyan, magenta, yellow, black = np.meshgrid(steps, steps, steps, steps, indexing="ij")
    inks = np.array([[0.0, 0.55, 0.75], [0.75, 0.08, 0.40], [0.95, 0.85, 0.10]])
    light = np.ones((*cyan.shape, 3))
    for amount, ink in zip((cyan, magenta, yellow), inks, strict=True):
        light *= 1 - amount[..., None] * (1 - ink)
    light = (light * (1 - 0.92 * black[..., None])) ** 2.2
    xyz = light @ np.array(PRIMARIES["srgb"]) / np.array([0.9642, 1.0, 0.8249])
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab = np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], -1)
    coded = np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128], -1).round().clip(0, 255).astype(np.uint8)
    plain = bytes(range(256))
    table = (
        b"mft1\0\0\0\0"
        + bytes([4, 3, 7, 0])
        + b"".join(_fixed(one) for one in (1, 0, 0, 0, 1, 0, 0, 0, 1))
        + plain * 4
        + coded.tobytes()
        + plain * 3
    )
    return _profile({b"A2B0": table}, b"CMYK", b"prtr", b"Lab ")
