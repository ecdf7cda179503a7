"""What becomes of a mask: the cut-out to search with, its box, and the forms in which it is sent."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from search.types import Box, Picture

SIDE = 640
"""The longer side of the picture that is cut, in pixels."""

GREY = 128
"""What the background is mixed with, half and half. By true masks the pocket space finds a thing in another photograph more often than by its box (R@10 .46
and .43 of 680); by masks that may be wrong as often (.43), and before grey alone less often (.40). See ``tests/bench/bench_masks.py``."""


def bounds(mask: NDArray[np.uint8]) -> Box:
    """The box around a mask (H, W) of which some pixels are 1."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    left, top = 100 * columns[0] / width, 100 * rows[0] / height
    return float(left), float(top), float(100 * (columns[-1] + 1) / width - left), float(100 * (rows[-1] + 1) / height - top)


def cut_out(picture: Picture, mask: NDArray[np.uint8]) -> Picture:
    """A thing in a picture (H, W, 3), and what else is in its box, greyed."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    greyed = picture[part] // 2 + np.uint8(GREY // 2)
    return np.ascontiguousarray(np.where(mask[part][..., None] > 0, picture[part], greyed))


def run_lengths(mask: NDArray[np.uint8]) -> list[int]:
    """The lengths of the runs of 0 and 1 down the columns of a mask (H, W), beginning with 0: COCO's uncompressed form."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0)) if flat.size else np.empty(0, np.intp)
    return [int(length) for length in np.diff(np.concatenate([[0], edges, [flat.size]]))]


def png(mask: NDArray[np.uint8]) -> bytes:
    """A mask (H, W) as a PNG of one bit a pixel."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(mask * 255).convert("1").save(file, "PNG")
    return file.getvalue()
