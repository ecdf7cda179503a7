"""Composite pictures whose truth is known by construction: an isolated object on a photograph, off its centre."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.bench.report import GIVEN, Skipped

STAMPS = Path("/usr/share/tuxpaint/stamps")
"""Isolated objects with their names: the Debian package tuxpaint-stamps-default."""

SMALLEST, LARGEST = 0.05, 0.15
"""The share of the picture that an object covers."""

MAX_SIDE = 0.8
"""The most of a side of the picture that an object may take."""

PLACES = 100

NOT_NAMES = re.compile(r"tux|friend|win|!|\(|singing|toy|cartoon|george|-")
"""What makes of a stamp's description something other than the name of a thing."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A picture RGB, what was put into it, its box (left, top, width, height in percent), and its mask (H, W)."""

    picture: Image.Image
    name: str
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_]


def objects() -> list[tuple[str, Image.Image]]:
    """Names of at most three words and cut-outs RGBA, each name once, by path.

    Raises:
        Skipped: they are not installed.
    """
    if not STAMPS.is_dir():
        raise Skipped(f"{STAMPS} is not there: install tuxpaint-stamps-default")
    found: dict[str, Image.Image] = {}
    for path in sorted(STAMPS.rglob("*.png")):
        inside = path.relative_to(STAMPS).parts
        if path.stem.endswith("_mirror") or inside[0] == "symbols" or not (told := path.with_suffix(".txt")).exists():
            continue
        name = told.read_text("utf-8", "replace").splitlines()[0].strip(" .").lower()
        if name in found or not 3 <= len(name) <= 40 or len(name.split()) > 3 or NOT_NAMES.search(name):
            continue
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
        solid = np.asarray(image.getchannel("A")) > 128
        if max(image.size) >= 100 and 0 < solid.mean() < 0.97:
            found[name] = image.crop(Image.fromarray(solid).getbbox())
    return list(found.items())


def compose(name: str, thing: Image.Image, scene: Image.Image, rng: np.random.Generator) -> Composite | None:
    """Put a thing somewhere into a scene where it does not cover the centre; None if it has no such place."""
    width, height = scene.size
    solid = np.asarray(thing.getchannel("A")) > 128
    scale = np.sqrt(rng.uniform(SMALLEST, LARGEST) * width * height / solid.sum())
    w, h = max(int(thing.width * scale), 8), max(int(thing.height * scale), 8)
    if w > MAX_SIDE * width or h > MAX_SIDE * height:
        return None
    small = thing.resize((w, h), Image.Resampling.LANCZOS)
    for _ in range(PLACES):
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        if not (x <= width / 2 < x + w and y <= height / 2 < y + h):
            picture, mask = scene.copy(), np.zeros((height, width), np.bool_)
            picture.paste(small, (x, y), small)
            mask[y : y + h, x : x + w] = np.asarray(small.getchannel("A")) > 128
            return Composite(picture, name, (100 * x / width, 100 * y / height, 100 * w / width, 100 * h / height), mask)
    return None


def composites(plain: int, seed: int = 0) -> tuple[list[Composite], list[Image.Image]]:
    """A composite for each object, and ``plain`` photographs without one.

    Raises:
        Skipped: objects or photographs are not here.
    """
    folder = GIVEN / "flickr8k" / "images"
    if not folder.is_dir():
        raise Skipped(f"the photographs are not in {folder}")
    rng = np.random.default_rng(seed)
    paths = sorted(folder.iterdir())
    scenes = (Image.open(paths[at]).convert("RGB") for at in rng.permutation(len(paths)))
    made = [composite for name, thing in objects() for _ in range(5) if (composite := compose(name, thing, next(scenes), rng))]
    first: dict[str, Composite] = {}
    for composite in made:
        first.setdefault(composite.name, composite)
    return list(first.values()), [next(scenes) for _ in range(plain)]
