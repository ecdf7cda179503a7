"""The VectorIndex interface: nearest neighbours in one space. An index is a cache; it can always be rebuilt from SQL."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from search.index.choice import place
from search.index.flat import FlatIndex, capabilities
from search.index.generations import GenerationManifest, Generations
from search.index.nearest import nearest, similarities
from search.types import Ids, Vectors

__all__ = ["FlatIndex", "GenerationManifest", "Generations", "VectorIndex", "capabilities", "nearest", "place", "similarities"]


@runtime_checkable
class VectorIndex(Protocol):
    """Nearest neighbours by inner product, over vectors kept as float16."""

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add vectors (n, dim) under ids (n,) that the index has never held. Raises ValueError for an id that it holds."""
        ...

    def remove(self, ids: Ids) -> None:
        """Remove ids. Ids that are not there are ignored."""
        ...

    def search(self, queries: Vectors, k: int, *, within: Ids | None = None) -> tuple[Ids, NDArray[np.float32]]:
        """The k best for each query (n, dim), best first: ids (n, k) and scores (n, k), filled up with -1 and -inf.

        ``within`` (m,), ascending, restricts the search to these ids; ids that the index does not hold are ignored. The array
        must not be modified afterwards, because data prepared for it is reused.
        """
        ...

    def ids(self) -> Ids:
        """Every searchable id, ascending (n,)."""
        ...

    def holds(self, ids: Ids) -> NDArray[np.bool_]:
        """A mask (n,) of those ``ids`` (n,) that are searchable."""
        ...

    def reconstruct(self, ids: Ids) -> Vectors:
        """The index's own copy of vectors (n, dim), as float32; raises KeyError for an id that it does not hold."""
        ...

    def __len__(self) -> int: ...
