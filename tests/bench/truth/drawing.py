"""What generated pictures show: a bar code that tells a number, on a ground that tells the scene; and a chart of colours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
"""Of frames, in pixels."""
BITS = 12
_COLUMNS = 16
_CONTRAST = 40
GROUNDS = ((200, 60, 50), (50, 90, 200), (60, 170, 80), (210, 180, 60), (130, 60, 160), (60, 170, 180), (120, 120, 120))
"""Colours of scenes, which take turns."""


def drawn(number: int, scene: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A frame (H, W, 3) uint8: two rows of blocks, the number in Gray code and its complement, over the colour of the scene.

    Each number changes one block of each row, so that all frames of a scene have the same colours and no cut is seen between them.
    """
    picture = _ground(scene % len(GROUNDS), size).copy()
    width, height = size
    code = number ^ number >> 1
    bits = [0, *(code >> bit & 1 for bit in reversed(range(BITS))), 1, 0, 1]
    edges = np.linspace(0, width, _COLUMNS + 1).round().astype(int)
    tall = height // 8
    for column, bit in enumerate(bits):
        left, right = edges[column], edges[column + 1]
        picture[tall // 2 : tall // 2 + tall, left:right] = 235 * bit + 10
        picture[tall // 2 + tall : tall // 2 + 2 * tall, left:right] = 235 * (1 - bit) + 10
    return picture


@cache
def _ground(scene: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    across, down = np.linspace(0, 1, width)[None, :, None], np.linspace(0, 1, height)[:, None, None]
    shade = 0.75 + 0.25 * (across if scene % 2 else 1 - across) * (0.5 + 0.5 * down)
    return (np.array(GROUNDS[scene]) * shade).round().astype(np.uint8)


def number(picture: np.ndarray) -> int | None:
    """The number that a picture (H, W, 3) tells, at whatever size; None: it cannot be read without doubt."""
    height, width = picture.shape[:2]
    grey = picture[..., :3].astype(np.float32).mean(2)
    tall, wide = height / 8, width / _COLUMNS

    def block(row: int, column: int) -> float:
        top, left = tall / 2 + row * tall, column * wide
        inner = grey[
            round(top + tall * 0.3) : round(top + tall * 0.7),
            round(left + wide * 0.3) : max(round(left + wide * 0.7), round(left + wide * 0.3) + 1),
        ]
        return float(inner.mean())

    bits = []
    for column in range(_COLUMNS):
        first, second = block(0, column), block(1, column)
        if abs(first - second) < _CONTRAST:
            return None
        bits.append(int(first > second))
    if [bits[0], *bits[BITS + 1 :]] != [0, 1, 0, 1]:
        return None
    code = int("".join(map(str, bits[1 : BITS + 1])), 2)
    told = 0
    while code:
        told ^= code
        code >>= 1
    return told


def chart(width: int, height: int, *, rich: float = 1.0) -> np.ndarray:
    """Colours (H, W, 3) uint8 that show every mistake: no two quarters are alike. ``rich``: how saturated, up to 1."""
    patches = np.array([
        [(235, 30, 25), (30, 200, 40), (25, 40, 225), (240, 220, 30)],
        [(20, 20, 20), (90, 90, 90), (170, 170, 170), (250, 250, 250)],
        [(210, 150, 120), (90, 60, 40), (40, 110, 100), (200, 30, 160)],
    ], np.float64)  # fmt: skip
    grey = patches.mean(2, keepdims=True)
    patches = grey + (patches - grey) * rich
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    picture = patches[rows][:, columns]
    shade = 1 - 0.15 * np.linspace(0, 1, width)[None, :, None] * np.linspace(0, 1, height)[:, None, None]
    return (picture * shade).round().clip(0, 255).astype(np.uint8)


def frames(count: int, scenes: Sequence[int], first: int = 0) -> Iterator[np.ndarray]:
    """Frames that tell the numbers from ``first`` on; a scene begins at each of ``scenes``."""
    for told in range(first, first + count):
        yield drawn(told, sum(begin <= told for begin in scenes))


def master(scraps: Path, count: int, scenes: Sequence[int], fps: str = "25", first: int = 0) -> Path:
    """A lossless film of these frames, made once."""
    path = scraps / f"master-{count}-{first}-{fps.replace('/', '_')}-{'-'.join(map(str, scenes))}.mkv"
    if not path.exists():
        pipe(path, frames(count, scenes, first), (WIDTH, HEIGHT), fps, "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    return path


def pipe(path: Path, pictures: Iterator[np.ndarray], size: tuple[int, int], fps: str, *arguments: str) -> None:
    """Hand pictures to ffmpeg, whose output options are ``arguments``."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{size[0]}x{size[1]}",
        "-r",
        fps,
        "-i",
        "-",
    ]
    data = b"".join(picture.tobytes() for picture in pictures)
    subprocess.run([*command, *arguments, str(path)], input=data, check=True)


def ffmpeg(*arguments: object) -> None:
    """Run the system's ffmpeg, which is not the one that Sensorium decodes with."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-nostdin", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def still(path: Path, picture: np.ndarray, **options: object) -> None:
    """Write a picture in the format of its name."""
    Image.fromarray(picture).save(path, **options)
