"""Inverted lists of one-bit codes, by FAISS: RaBitQ (Gao and Long 2024, arXiv 2405.12497), whose blocks of 32 are scanned in registers.

A code takes a fifteenth of the exact copy, and the exact copies score what the codes find. FAISS leaves the rotation that RaBitQ rests on
to its caller: without one, the hundred best codes may hold less than half of the ten nearest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from search.index.flat import Bitmap, FlatIndex
from search.index.ivf import FILLING, LEARNING, MIN_RECALL, RECALL_DEPTH, VECTORS_AT_ONCE, VECTORS_PER_LIST, Tell, fill, measured
from search.settings import cores
from search.types import Ids, Vectors

LEAST_PROBES, LEAST_RESCORED = 8, 128
"""Lists that are looked at, and candidates that the exact copies score, at least."""

MARGIN = 0.01
"""By how much the recall that lists are tuned to is above ``MIN_RECALL``: it is measured on a sample."""

STEP = 1.4
"""By how much more lists are looked at each time until enough is found."""

AT_ONCE = 32
"""Questions that are answered exactly at once while lists are tuned."""

NARROW_CODED = 0.15
"""Below this share of allowed vectors, the exact scan of what is allowed takes less than lists, most of whose codes are not."""

WORN = 2
"""Lists are learned anew when they take so many times the probes that they took when they were learned."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard lists are looked at: ``probes`` of them, and ``rescored`` candidates at least.

    ``learned`` is the number of probes when the lists were learned; ``least`` a number that questions of people have shown to be needed. ``recall``
    is recall@10, 0..1, by the modality of the sample ``questions``, so many of each; ``asked`` that of people's questions, with their number, by
    the modality and what a filter let through.
    """

    probes: int
    rescored: int
    learned: int
    recall: Mapping[str, float] = field(default_factory=dict)
    questions: Mapping[str, int] = field(default_factory=dict)
    least: int = LEAST_PROBES
    asked: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether every direction that was measured reaches ``MIN_RECALL``."""
        return min(self.recall.values(), default=1.0) >= MIN_RECALL


class CodedLists:
    """The codes of the vectors of one kind, by lists. Row i has the vector of ``ids[i]``; ``ids`` (n,) are ascending."""

    def __init__(self, index: Any, ids: Ids) -> None:  # noqa: ANN401 - faiss has no types
        """``index`` is an ``IndexPreTransform``: a rotation, and an ``IndexIVFRaBitQFastScan`` whose numbers are rows.

        Raises:
            ValueError: it is something else, or has other rows.
        """
        self.index, self.ids = index, ids
        self._kept: tuple[object, ...] = ()
        chain: Any = getattr(index, "chain", None)
        if chain is None or chain.size() != 1:
            raise ValueError("these are no coded lists")
        self.rotation: Any = faiss.downcast_VectorTransform(chain.at(0))
        self.ivf: Any = faiss.downcast_index(index.index)
        if not isinstance(self.ivf, faiss.IndexIVFRaBitQFastScan) or self.ivf.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ValueError("these are no coded lists")
        rows = np.concatenate(self._numbers())
        if self.ivf.ntotal != len(ids) or len(rows) != len(ids) or not is_each_once(rows):
            raise ValueError(f"the lists do not hold {len(ids)} vectors")

    @classmethod
    def learned(cls, flat: FlatIndex, ids: Ids, tell: Tell = lambda *_: None) -> CodedLists:
        """Lists for ``ids`` (n,) of ``flat``, ascending: about 2 √n, by k-means on a sample."""
        tell(LEARNING, 0, 0)
        faiss.omp_set_num_threads(cores())
        lists = max(1, min(len(ids), round(2 * math.sqrt(len(ids)))))
        rotation, metric = faiss.RandomRotationMatrix(flat.dim, flat.dim), faiss.METRIC_INNER_PRODUCT
        rotation.init(1)
        coarse = faiss.IndexFlatIP(flat.dim)
        ivf = faiss.IndexIVFRaBitQFastScan(coarse, flat.dim, lists, metric, 32, True)
        ivf.cp.min_points_per_centroid, ivf.cp.max_points_per_centroid = 1, VECTORS_PER_LIST
        index = faiss.IndexPreTransform(rotation, ivf)
        chosen = np.random.default_rng(0).choice(ids, min(len(ids), VECTORS_PER_LIST * lists), replace=False)
        index.train(flat.reconstruct(np.sort(chosen)))
        fill(index, flat, ids, tell)
        made = cls(index, ids)
        made._kept = coarse, rotation, ivf  # FAISS keeps pointers alone
        return made

    def follow(self, flat: FlatIndex, ids: Ids, tell: Tell = lambda *_: None) -> None:
        """Hold ``ids`` (n,) of ``flat``, ascending, from now on, in the lists that were learned before. If some are gone, all are filled in
        again, so that nothing of them stays in FAISS's blocks."""
        faiss.omp_set_num_threads(cores())
        kept = np.isin(self.ids, ids)
        if not kept.all():
            self.ivf.reset()
        else:
            rows = np.searchsorted(ids, self.ids)
            for numbers in self._numbers():
                numbers[:] = rows[numbers]
        new = np.flatnonzero(~np.isin(ids, self.ids)) if kept.all() else np.arange(len(ids))
        for start in range(0, len(new), VECTORS_AT_ONCE):
            tell(FILLING, start, len(new))
            some = new[start : start + VECTORS_AT_ONCE]
            self.ivf.add_with_ids(self.rotation.apply(flat.reconstruct(ids[some])), some)
        self.ids, self.index.ntotal = ids, self.ivf.ntotal

    def _numbers(self) -> list[Ids]:
        """The numbers (m,) in each list: views of FAISS's own arrays, until the lists change."""
        lists = self.ivf.invlists
        sizes = ((one, lists.list_size(one)) for one in range(self.ivf.nlist))
        return [faiss.rev_swig_ptr(lists.get_ids(one), size) if size else np.empty(0, np.int64) for one, size in sizes]


class CodedScan:
    """The scan of coded lists, as ``PlacedIndex`` wants it. The exact copies of ``flat`` score what the codes find."""

    selects = True
    narrow = NARROW_CODED

    def __init__(self, flat: FlatIndex, lists: CodedLists, effort: Effort | None = None) -> None:
        """Without an ``effort``, the scan answers only after ``tune``."""
        self._flat, self._lists = flat, lists
        self.most, self.lists, self.effort = len(lists.ids), lists.ivf.nlist, effort
        self.directions: frozenset[str] = frozenset()
        """The modalities of questions for which recall has to be known before lists answer."""

    @classmethod
    def made(cls, flat: FlatIndex, ids: Ids, samples: Sequence[Vectors], recall: float = MIN_RECALL + MARGIN) -> CodedScan:
        """Over ``ids`` (n,) of ``flat``, learned and tuned on samples of questions (m, dim). With a ``recall`` of 1 it is exact."""
        scan = cls(flat, CodedLists.learned(flat, ids))
        if recall < 1:
            scan.tune({str(number): sample for number, sample in enumerate(samples)}, recall)
        else:
            scan.effort = Effort(scan.lists, scan.most, scan.lists)
        return scan

    @property
    def ready(self) -> bool:
        """Whether it is known how hard to look so that the wanted recall is reached."""
        return self.effort is not None and self.effort.enough and self.directions <= self.effort.recall.keys()

    @property
    def probes(self) -> int:
        """Lists that are looked at."""
        return self.effort.probes if self.effort else self.lists

    @property
    def recall(self) -> list[float]:
        """The recall for each sample of questions that it was tuned on."""
        return [*self.effort.recall.values()] if self.effort else []

    @property
    def ids(self) -> Ids:
        """What it holds, ascending (n,)."""
        return self._lists.ids

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:
        """See ``PlacedScan``. Under a filter, more lists are scanned, so that as many allowed rows are seen as without it."""
        effort = self.effort or Effort(self.lists, self.most, self.lists)
        return self._search(queries, k, min(self.lists, math.ceil(effort.probes / share)), effort.rescored, allowed)

    def _search(
        self, queries: Vectors, k: int, probes: int, rescored: int, allowed: Bitmap | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        faiss.omp_set_num_threads(1)  # for the calling thread alone, as in ``flat``
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=allowed.selector if allowed else None)
        count = min(max(rescored, k + k // 2), self.most)
        _, found = self._lists.ivf.search(self._lists.rotation.apply(queries), count, params=parameters)
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for at, query in enumerate(queries):
            own = found[at][found[at] >= 0]
            exact = np.einsum("nd,d->n", self._flat.reconstruct(self._lists.ids[own]), query)
            best = np.argsort(-exact, kind="stable")[:k]
            rows[at, : len(best)], scores[at, : len(best)] = own[best], exact[best]
        return scores, rows

    def tune(
        self, samples: Mapping[str, Vectors], wanted: float = MIN_RECALL + MARGIN, stop: Callable[[], bool] = lambda: False
    ) -> Effort | None:
        """Choose how many candidates are scored, and then how many lists are scanned, so that every sample of questions reaches the ``wanted``
        recall@10 against the exact scan. ``samples`` are vectors (m, dim) by the modality of the question. None: ``stop`` said so."""
        truth: dict[str, list[Ids]] = {name: [] for name in samples}
        for name, sample in samples.items():
            for start in range(0, len(sample), AT_ONCE):
                if stop():
                    return None
                truth[name].append(self._flat.search_apart(sample[start : start + AT_ONCE], RECALL_DEPTH, self.ids)[0])
        depth, before = min(RECALL_DEPTH, self.most), self.effort

        def reached(probes: int, rescored: int) -> dict[str, float]:
            found = {name: self._search(sample, depth, probes, rescored)[1] for name, sample in samples.items()}
            return {name: measured(self.ids, rows, np.concatenate(truth[name])[:, :depth]) for name, rows in found.items()}

        rescored = LEAST_RESCORED
        while rescored < self.most and min(reached(self.lists, rescored).values(), default=1.0) < wanted + MARGIN / 2:
            rescored *= 2
        rescored, least = min(rescored, self.most), before.least if before else LEAST_PROBES
        probes = min(least, self.lists)
        while min((recall := reached(probes, rescored)).values(), default=1.0) < wanted and probes < self.lists:
            probes = min(math.ceil(STEP * probes), self.lists)
        learned = before.learned if before else probes
        self.effort = Effort(probes, rescored, learned, recall, {name: len(one) for name, one in samples.items()}, least)
        return self.effort


def is_each_once(rows: Ids) -> bool:
    """Whether the n numbers of ``rows`` (n,) are those from 0 on, in any order."""
    seen = np.zeros(len(rows), np.bool_)
    if len(rows) and rows.min() >= 0 and rows.max() < len(rows):
        seen[rows] = True
    return bool(seen.all())


def written(lists: CodedLists) -> Any:  # noqa: ANN401
    """The bytes of lists, as a file of FAISS holds them, (n,) uint8."""
    return faiss.serialize_index(lists.index)


def opened(file: Path, ids: Ids, *, mapped: bool = True) -> CodedLists:
    """The lists in a file; ``mapped``: to be searched, not changed.

    Raises:
        ValueError, RuntimeError: it does not hold coded lists of these ids.
    """
    return CodedLists(faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC if mapped else 0), ids)
