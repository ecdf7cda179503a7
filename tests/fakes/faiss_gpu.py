"""The GPU functions of FAISS, on the CPU: the same classes and the same limits, so that what is ours runs where no GPU is."""

from __future__ import annotations

import faiss
import numpy as np

MOST = 2048


class Card:
    """A GPU with room for so many bytes. ``searches`` counts what it was asked; with ``gone`` it fails like one that fell off its bus."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room, self.searches, self.gone = room, 0, False

    def install(self, monkeypatch) -> None:
        card = self

        class Config:
            device, useFloat16 = 0, False  # noqa: N815 - FAISS's names

        def flat(resources, dim, config):
            assert isinstance(resources, Resources)
            assert config.useFloat16
            return GpuIndex(card, faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT))

        def to_gpu(resources, number, index):
            assert number == 0
            card.take(index.ntotal * index.d * 2)
            return GpuIndex(card, index)

        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
        monkeypatch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
        monkeypatch.setattr(faiss, "GpuIndexFlatConfig", Config, raising=False)
        monkeypatch.setattr(faiss, "GpuIndexFlatIP", flat, raising=False)
        monkeypatch.setattr(faiss, "index_cpu_to_gpu", to_gpu, raising=False)

    def take(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise RuntimeError("Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory: out of memory")


class Resources:
    """What FAISS holds of a GPU's memory."""


class GpuIndex:
    """Takes no selector, as FAISS's own drops it in silence, and sorts no more than 2048."""

    def __init__(self, card: Card, index) -> None:
        self._card, self._index = card, index

    def add(self, vectors) -> None:
        self._card.take(2 * vectors.size)
        self._index.add(vectors)

    def search(self, queries, k, params=None):
        if self._card.gone:
            raise RuntimeError("CUDA error 719 unspecified launch failure")
        assert queries.dtype == np.float32
        assert 1 <= k <= MOST
        self._card.searches += 1
        if params is None:
            return self._index.search(queries, k)
        assert params.nprobe <= MOST
        return self._index.search(queries, k, params=faiss.SearchParametersIVF(nprobe=params.nprobe))
