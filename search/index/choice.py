"""Where and how an index is scanned, according to the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from search.errors import UnknownName
from search.index import gpu
from search.index.coded import CodedScan
from search.index.flat import FlatIndex
from search.index.placed import PlacedIndex
from search.types import Ids

if TYPE_CHECKING:
    from search.index import VectorIndex

EXACT = "exact"
KINDS = ("auto", EXACT, "ivf")

MAX_EXACT_VECTORS = 200_000
"""Vectors up to which an exact scan is fast enough for inverted lists not to be worth their training."""


def place(
    index: FlatIndex,
    groups: Callable[[], Sequence[Ids]] = tuple,
    coded: Callable[[], Sequence[CodedScan]] = tuple,
    *,
    device: str = "auto",
    kind: str = "auto",
) -> VectorIndex:
    """A replacement for ``index`` made from its vectors; ``index`` itself for an exact scan on the CPU.

    ``groups`` gives the ids of each modality. Each group gets its own scan, because its vectors are comparable and lie close
    together. ``coded`` gives the scans of the lists that were written with the index, if there are any. Without them, ``ivf`` learns lists now.

    Raises:
        InputError: there is no such device.
        UnknownName: there is no such kind.
    """
    if kind not in KINDS:
        raise UnknownName("kind of index", kind, KINDS)
    number, large = gpu.find(device), len(index) > MAX_EXACT_VECTORS
    if number is not None:
        card = gpu.Gpu(number)
        return PlacedIndex(index, card.ivf if large and kind == "ivf" else card.flat, groups())
    if kind == EXACT:
        return index
    if scans := coded():
        return PlacedIndex(index, CodedScan.made, made=[(scan, scan.ids) for scan in scans])
    return PlacedIndex(index, CodedScan.made, groups()) if large and kind == "ivf" else index
