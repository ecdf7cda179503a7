"""Scans on a GPU, by the GPU build of FAISS: the same results as the CPU's, from float16 vectors."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from search.errors import InputError
from search.index.flat import Bitmap, FlatIndex
from search.index.ivf import MIN_RECALL, IvfScan, fill
from search.index.placed import ScanLost
from search.types import Ids, Vectors

MAX_GPU_K = 2048
"""The largest k, and the most lists of an IVF index, that FAISS sorts on a GPU."""


def count() -> int:
    """How many GPUs FAISS can use; 0 in the CPU build, which has no class for their memory."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def find(device: str) -> int | None:
    """The number of the GPU that ``device`` names. ``auto`` is the first GPU if there is one; None means the CPU.

    Raises:
        InputError: there is no such device.
    """
    there = [f"cuda:{number}" for number in range(count())]
    if device == "cpu" or (device == "auto" and not there):
        return None
    name = "cuda:0" if device in {"auto", "cuda"} else device
    if name not in there:
        lacking = "" if there else " FAISS sees no GPU: that takes one, and the package faiss-gpu-cu12 in place of faiss-cpu."
        raise InputError(
            f"The index cannot lie on the device {device!r}.{lacking}",
            remedy=f"Set SENSORIUM_INDEX_DEVICE to one of: auto, {', '.join(['cpu', *there])}.",
        )
    return there.index(name)


class Gpu:
    """One GPU, with memory shared by all its scans. FAISS allows one thread at a time to use it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turn = threading.Lock()
        self.resources = faiss.StandardGpuResources()

    def flat(self, of: FlatIndex, ids: Ids, _: Sequence[Vectors]) -> FlatGpuScan:
        """The exact scan over some ids."""
        return FlatGpuScan(self, of, ids)

    def ivf(self, of: FlatIndex, ids: Ids, samples: Sequence[Vectors]) -> IvfGpuScan:
        """The scan of inverted lists over some ids."""
        return IvfGpuScan(self, of, ids, samples)


class _GpuScan:
    """A FAISS index on a GPU. It cannot be restricted to some rows: FAISS silently ignores a selector there (its issue 3924)."""

    selects = False

    def __init__(self, gpu: Gpu, index: Any, rows: int) -> None:  # noqa: ANN401 - faiss has no types
        self._gpu, self._index = gpu, index
        self.most = min(MAX_GPU_K, rows)

    def _ask(self, queries: Vectors, k: int, **options: Any) -> tuple[NDArray[np.float32], Ids]:  # noqa: ANN401
        try:
            with self._gpu.turn:
                scores, rows = self._index.search(queries, k, **options)
        except (RuntimeError, MemoryError) as error:  # FAISS's errors for full memory and for everything else
            raise ScanLost(_first_line(error)) from error
        return scores, rows


class FlatGpuScan(_GpuScan):
    """An exact scan over float16 vectors."""

    def __init__(self, gpu: Gpu, flat: FlatIndex, ids: Ids) -> None:
        try:
            config = faiss.GpuIndexFlatConfig()
            config.device, config.useFloat16 = gpu.number, True
            index = faiss.GpuIndexFlatIP(gpu.resources, flat.dim, config)
            fill(index, flat, ids)
        except (RuntimeError, MemoryError) as error:
            raise ScanLost(_first_line(error)) from error
        super().__init__(gpu, index, len(ids))

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:  # noqa: ARG002
        """See ``PlacedScan``."""
        return self._ask(queries, k)


class IvfGpuScan(_GpuScan):
    """Inverted lists of float16 vectors, trained and tuned on the CPU, then copied to the GPU (FAISS makes it a
    GpuIndexIVFScalarQuantizer)."""

    def __init__(self, gpu: Gpu, flat: FlatIndex, ids: Ids, samples: Sequence[Vectors]) -> None:
        tuned = IvfScan(flat, ids, samples)
        self.lists, self.probes, self.recall = tuned.lists, tuned.probes, tuned.recall
        if self.probes > MAX_GPU_K:
            raise ScanLost(f"a recall of {MIN_RECALL} takes {self.probes} lists, and a GPU looks at {MAX_GPU_K} at most")
        try:
            index = faiss.index_cpu_to_gpu(gpu.resources, gpu.number, tuned.ivf)
        except (RuntimeError, MemoryError) as error:
            raise ScanLost(_first_line(error)) from error
        super().__init__(gpu, index, len(ids))

    def search(self, queries: Vectors, k: int, share: float, allowed: Bitmap | None) -> tuple[NDArray[np.float32], Ids]:  # noqa: ARG002
        """See ``PlacedScan``."""
        probes = min(math.ceil(self.probes / share), self.lists, MAX_GPU_K)
        return self._ask(queries, k, params=faiss.SearchParametersIVF(nprobe=probes))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
