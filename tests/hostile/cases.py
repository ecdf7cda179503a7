"""Hostile media, as many as are asked for, the same ones for the same seed.

Kinds take turns, so that a few cases have something of each; when the written ones are used up, damage goes on for ever.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from tests.hostile import lures, names
from tests.hostile.bombs import BOMBS


@dataclass(frozen=True, slots=True)
class Case:
    """A file: its ``kind``, the bytes of its name, and its content."""

    kind: str
    name: bytes
    content: bytes


def write(folder: Path, samples: Mapping[str, bytes], canary: Path, port: int, *, count: int, seed: int) -> dict[str, str]:
    """Write ``count`` cases into ``folder``; gives the kind of each, by the hexadecimal digits of its name."""
    kinds: dict[str, str] = {}
    for number, case in enumerate(islice(_cases(samples, canary, port, seed), count)):
        name = case.name if case.kind == "name" else b"%05d " % number + case.name
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(case.content)
        kinds[name.hex()] = case.kind
    return kinds


def _cases(samples: Mapping[str, bytes], canary: Path, port: int, seed: int) -> Iterator[Case]:
    chance = random.Random(seed)
    written = [
        [*_bombs(samples)],
        [*_playlists(canary, port)],
        [*_disguised(canary, port)],
        [*_smuggled(samples, canary, port)],
        [*_names(samples)],
    ]
    for some in written:
        chance.shuffle(some)
    damage = _damage(samples, chance)
    for row in zip_longest(*written):
        yield from (case for case in row if case is not None)
        yield from islice(damage, 2)
    yield from damage


def _bombs(samples: Mapping[str, bytes]) -> Iterator[Case]:
    for name, (suffix, make) in BOMBS.items():
        yield Case("bomb", f"{name}.{suffix}".encode(), make(samples))


def _playlists(canary: Path, port: int) -> Iterator[Case]:
    for name, content in lures.playlists(canary, port).items():
        for suffix in lures.SUFFIXES:
            yield Case("playlist", f"{name}.{suffix}".encode(), content)


def _disguised(canary: Path, port: int) -> Iterator[Case]:
    for name, content in lures.disguised(canary, port).items():
        for suffix in ("jpg", "png", "gif", "tiff", "bmp", "webp", "mp4"):
            yield Case("disguised", f"{name}.{suffix}".encode(), content)


def _smuggled(samples: Mapping[str, bytes], canary: Path, port: int) -> Iterator[Case]:
    for name, suffix, content in lures.smuggled(samples, canary, port):
        yield Case("smuggled", f"{name}.{suffix}".encode(), content)


def _names(samples: Mapping[str, bytes]) -> Iterator[Case]:
    """Good files under bad names: these must be decoded."""
    for number, trap in enumerate(names.TRAPS):
        suffix = ("png", "mp4", "wav", "txt")[number % 4]
        yield Case("name", trap + suffix.encode(), samples[suffix])


def _damage(samples: Mapping[str, bytes], chance: random.Random) -> Iterator[Case]:
    harms = {
        "truncated": _truncated,
        "bits flipped": _flipped,
        "sizes changed": _resized,
        "pieces moved": _moved,
        "blanked": _blanked,
    }
    while True:
        for name in chance.sample(sorted(samples), len(samples)):
            harm = chance.choice(sorted(harms))
            yield Case(harm, f"{harm}.{name}".encode(), harms[harm](samples[name], chance))


def _truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(1, len(content))]


def _flipped(content: bytes, chance: random.Random) -> bytes:
    """From one bit to one in a hundred bytes, often near the beginning, where the structure is."""
    damaged = bytearray(content)
    until = len(damaged) if chance.random() < 0.5 else min(len(damaged), 512)
    for _ in range(chance.choice((1, 2, 8, 1 + until // 100))):
        damaged[chance.randrange(until)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _resized(content: bytes, chance: random.Random) -> bytes:
    """Numbers that are too big, or nothing, where some number may stand."""
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 5)):
        value = chance.choice(
            (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\1", b"\x80\0\0\0")
        )
        at = chance.randrange(max(1, min(len(damaged), chance.choice((256, 4096, 1 << 30))) - 4))
        damaged[at : at + 4] = value
    return bytes(damaged)


def _moved(content: bytes, chance: random.Random) -> bytes:
    """A piece of it somewhere else, or twice."""
    start, length = chance.randrange(len(content)), chance.randrange(1, 4096)
    piece, at = content[start : start + length], chance.randrange(len(content))
    rest = content if chance.random() < 0.5 else content[:start] + content[start + length :]
    return rest[:at] + piece + rest[at:]


def _blanked(content: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(len(content)), chance.randrange(1, 8192)
    return content[:start] + chance.randbytes(1) * len(content[start : start + length]) + content[start + length :]
