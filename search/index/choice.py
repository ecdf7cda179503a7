"""Where and how an index is scanned, according to the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from search.errors import UnknownName
from search.index import gpu
from search.index.flat import FlatIndex
from search.index.ivf import IvfScan
from search.index.placed import PlacedIndex
from search.types import Ids

if TYPE_CHECKING:
    from search.index import VectorIndex

KINDS = ("exact", "ivf")

MAX_EXACT_VECTORS = 200_000
"""Vectors up to which an exact scan is fast enough for inverted lists not to be worth their training."""


def place(
    index: FlatIndex, groups: Callable[[], Sequence[Ids]] = tuple, *, device: str = "auto", kind: str = "exact"
) -> VectorIndex:
    """A replacement for ``index`` made from its vectors; ``index`` itself for an exact scan on the CPU.

    ``groups`` gives the ids of each modality. Each group gets its own scan, because its vectors are comparable and lie close
    together.

    Raises:
        InputError: there is no such device.
        UnknownName: there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownName("kind of index", kind, KINDS)
    number, lists = gpu.find(device), kind == "ivf" and len(index) > MAX_EXACT_VECTORS
    if number is None:
        return PlacedIndex(index, IvfScan, groups()) if lists else index
    card = gpu.Gpu(number)
    return PlacedIndex(index, card.ivf if lists else card.flat, groups())
