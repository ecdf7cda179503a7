"""FIT files, made by hand: a header, a definition of records, and the records."""

from __future__ import annotations

import struct
from collections.abc import Iterable

EPOCH = 631_065_600
"""Seconds from 1970 to where FIT's clock begins, 1989-12-31."""

_NIBBLES = (
    0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401, 0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
)  # fmt: skip


def crc(data: bytes) -> int:
    value = 0
    for byte in data:
        for nibble in (byte & 15, byte >> 4):
            value = (value >> 4) ^ _NIBBLES[value & 15] ^ _NIBBLES[nibble]
    return value


def fit(points: Iterable[tuple[float, float, float, float]]) -> bytes:
    """Points: seconds since 1970, latitude, longitude, height."""
    fields = ((253, 4, 0x86), (0, 4, 0x85), (1, 4, 0x85), (2, 2, 0x84))
    body = struct.pack("<BBBHB", 0x40, 0, 0, 20, len(fields)) + b"".join(struct.pack("<BBB", *field) for field in fields)
    for time, lat, lon, up in points:
        body += struct.pack(
            "<BIiiH", 0, int(time) - EPOCH, round(lat * 2**31 / 180), round(lon * 2**31 / 180), round((up + 500) * 5)
        )
    head = struct.pack("<BBHI4s", 14, 0x20, 2100, len(body), b".FIT")
    head += struct.pack("<H", crc(head))
    return head + body + struct.pack("<H", crc(head + body))
