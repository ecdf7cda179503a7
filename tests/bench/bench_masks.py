"""Masks of things that are pointed at, without a model: how well they fit from a box and from a click, how long a click takes, and what the
encoder finds by the cut-out.

The composites are those of ``bench_regions``. A click lies anywhere on the thing. Beside the masks stand the bare box, and a disc of the size that
fits best. The cut-out searches for the same thing in another photograph.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search import encoders
from search.media.cutouts import cut_out
from search.media.decode.grabcut import outlined
from search.types import MaskPrompt, Modality
from tests.bench.composites import Composite, composites
from tests.bench.report import Figure

PLAIN, BATCH = 400, 8
DISC = 0.16
"""The radius of the disc around a click, as a share of the picture's side: the best of .12, .16, .2, .24 and .28."""


def run() -> Iterator[Figure]:
    made, _ = composites(0)
    rng = np.random.default_rng(0)
    boxed, clicked, boxes, discs, took = [], [], [], [], []
    for one in made:
        picture, (height, width) = np.asarray(one.picture), one.mask.shape
        down, across = np.nonzero(one.mask)
        at = rng.integers(len(down))
        x, y = 100 * (across[at] + 0.5) / width, 100 * (down[at] + 0.5) / height
        began = time.thread_time()
        clicked.append(outlined(picture, MaskPrompt(on=((x, y),))))
        took.append(time.thread_time() - began)
        boxed.append(outlined(picture, MaskPrompt(box=one.box)))
        boxes.append(_box(one))
        discs.append(_disc(one, across[at], down[at]))
    for name, some, least in (
        ("from a box", boxed, 0.68),
        ("of the bare box", boxes, None),
        ("from a click", clicked, 0.55),
        ("of a disc", discs, None),
    ):
        fits = [_overlap(mask > 0, one.mask) for mask, one in zip(some, made, strict=True)]
        yield Figure(f"mean IoU {name}", float(np.mean(fits)), "", least=least)
        yield Figure(f"median IoU {name}", median(fits), "", least=0.78 if name == "from a box" else None)
    yield Figure("a click, processor time", 1e3 * median(took), "ms", most=100)
    yield from _found(made, boxed)


def _found(made: list[Composite], masks: list[NDArray[np.uint8]]) -> Iterator[Figure]:
    """How often the cut-out finds the same thing in another photograph, among the composites of another draw and plain photographs."""
    encoder = encoders.load("pocket")
    other, plain = composites(PLAIN, seed=1)
    places = {one.name: at for at, one in enumerate(other)}
    known = [(places[one.name], one, mask) for one, mask in zip(made, masks, strict=True) if one.name in places and mask.any()]
    own = np.array([at for at, _, _ in known])

    def encoded(pictures: list[Image.Image]) -> NDArray[np.float32]:
        pixels = [np.asarray(one.resize((encoder.needs.size, encoder.needs.size))) for one in pictures]
        return np.concatenate([encoder.encode(Modality.IMAGE, pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])

    archive = encoded([*(one.picture for one in other), *plain])
    ways = {
        "the whole picture": [one.picture for _, one, _ in known],
        "the box": [one.picture.crop(_pixels(one)) for _, one, _ in known],
        "the cut-out": [Image.fromarray(cut_out(np.asarray(one.picture), mask)) for _, one, mask in known],
        "the true cut-out": [Image.fromarray(cut_out(np.asarray(one.picture), one.mask.astype(np.uint8))) for _, one, _ in known],
    }  # fmt: skip
    for name, pictures in ways.items():
        scores = encoded(pictures) @ archive.T
        better = (scores > scores[np.arange(len(own)), own][:, None]).sum(axis=1)
        yield Figure(f"R@10 among {len(archive)} by {name}", float((better < 10).mean()), "")


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _pixels(one: Composite) -> tuple[int, int, int, int]:
    left, top, width, height = one.box
    wide, high = one.picture.size
    return (
        round(left * wide / 100),
        round(top * high / 100),
        round((left + width) * wide / 100),
        round((top + height) * high / 100),
    )


def _box(one: Composite) -> NDArray[np.uint8]:
    left, top, right, bottom = _pixels(one)
    mask = np.zeros(one.mask.shape, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def _disc(one: Composite, x: int, y: int) -> NDArray[np.uint8]:
    down, across = np.mgrid[: one.mask.shape[0], : one.mask.shape[1]]
    return ((across - x) ** 2 + (down - y) ** 2 <= (DISC * one.mask.size**0.5) ** 2).astype(np.uint8)
