"""Inverted lists over float16 vectors, by FAISS: only the lists whose centroids are nearest to a query are scanned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from search.index.flat import Bitmap, FlatIndex
from search.settings import cores
from search.types import Ids, Vectors

MIN_RECALL = 0.95
"""The share of the ten best that must be found, on average over the sample queries of every modality."""

RECALL_DEPTH = 10
"""Down to which rank recall is measured."""

VECTORS_PER_LIST = 64
"""Vectors for each list from which the centroids are learned; FAISS wants 39 at least."""

VECTORS_AT_ONCE = 50_000
"""Vectors that are float32 at once while an index is filled."""


Tell = Callable[[str, int, int], None]
"""Takes what is being done to an index, and how many vectors of how many are behind it; 0 of 0 where nobody knows."""

LEARNING, FILLING, TUNING = "learning the lists of the index", "filling the lists of the index", "tuning the lists of the index"


class IvfScan:
    """The scan of an ``IndexIVFScalarQuantizer`` over some rows of a ``FlatIndex``. ``probes`` lists are scanned, more under a
    filter.

    ``recall`` (samples,) is the recall for each sample of queries at this number of lists: text queries for images need more
    lists than image queries.
    """

    selects = True

    def __init__(self, flat: FlatIndex, ids: Ids, samples: Sequence[Vectors], recall: float = MIN_RECALL) -> None:
        """Over ``ids`` (n,) of ``flat``, ascending, in about 4 √n lists. With a ``recall`` of 1 all lists are scanned."""
        self.most = len(ids)
        self.lists = max(1, min(len(ids), round(4 * math.sqrt(len(ids)))))
        self.probes, self.recall = self.lists, [1.0] * len(samples)
        faiss.omp_set_num_threads(cores())
        self.ivf = self._train(flat, ids)
        fill(self.ivf, flat, ids)
        if recall < 1:
            self._tune(flat, ids, samples, recall)

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:
        """See ``PlacedScan``. Under a filter, more lists are scanned, so that as many allowed rows are seen as without it."""
        faiss.omp_set_num_threads(1)  # for the calling thread alone, as in ``flat``
        probes = min(self.lists, math.ceil(self.probes / share))
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=allowed.selector if allowed else None)
        scores, rows = self.ivf.search(queries, k, params=parameters)
        return scores, rows

    def _train(self, flat: FlatIndex, ids: Ids) -> Any:  # noqa: ANN401 - faiss has no types
        quantizer = faiss.IndexFlatIP(flat.dim)
        kind = faiss.ScalarQuantizer.QT_fp16
        ivf = faiss.IndexIVFScalarQuantizer(quantizer, flat.dim, self.lists, kind, faiss.METRIC_INNER_PRODUCT, False)
        ivf.cp.min_points_per_centroid, ivf.cp.max_points_per_centroid = 1, VECTORS_PER_LIST
        chosen = np.random.default_rng(0).choice(ids, min(len(ids), VECTORS_PER_LIST * self.lists), replace=False)
        ivf.train(flat.reconstruct(np.sort(chosen)))
        return ivf

    def _tune(self, flat: FlatIndex, ids: Ids, samples: Sequence[Vectors], recall: float) -> None:
        """Double ``probes`` until every sample of queries reaches the wanted recall against the exact scan."""
        truth = [flat.search(sample, RECALL_DEPTH, within=ids)[0] for sample in samples]
        self.probes = 1
        while True:
            self.recall = [
                measured(ids, self.search(sample, min(RECALL_DEPTH, len(ids)), 1.0, None)[1], best)
                for sample, best in zip(samples, truth, strict=True)
            ]
            if self.probes == self.lists or min(self.recall, default=1.0) >= recall:
                return
            self.probes = min(2 * self.probes, self.lists)


def fill(index: Any, flat: FlatIndex, ids: Ids, tell: Tell = lambda *_: None) -> None:  # noqa: ANN401
    """Add the vectors of ``ids`` to a FAISS index, in their order."""
    for start in range(0, len(ids), VECTORS_AT_ONCE):
        tell(FILLING, start, len(ids))
        index.add(flat.reconstruct(ids[start : start + VECTORS_AT_ONCE]))


def measured(ids: Ids, rows: Ids, best: Ids) -> float:
    """Recall: the share of the ids ``best`` (n, k) that are among the ``rows`` (n, k) of ``ids``; -1 means none."""
    found = np.where(rows >= 0, ids[np.maximum(rows, 0)], -1)
    pairs = zip(found, best, strict=True)
    return float(sum(np.isin(one[one >= 0], some).sum() for some, one in pairs) / max(1, (best >= 0).sum()))
