"""Running a torch model: on which device, in which precision, and in batches of the size that it can take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from search.errors import ModelMissing
from search.types import Vectors

Inputs: TypeAlias = Sequence[NDArray[np.generic]]
"""Arrays whose first axis is the batch."""

GPU_BATCH = 256
"""Pictures with which a GPU is asked first."""


def choose(device: str) -> torch.device:
    """The device of a name: ``auto`` is the GPU where there is one.

    Raises:
        ModelMissing: the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
        known = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        raise ModelMissing(
            f"The device {device!r} cannot be used: {str(error).splitlines()[0]}",
            remedy=f"Set SENSORIUM_DEVICE to one of: auto, {', '.join(['cpu', *known])}.",
        ) from error
    return chosen


class Runner:
    """Runs a model's functions on one device. Threads may call ``run`` at the same time; they take turns on the model itself.

    On a GPU in bfloat16, from pinned memory, and in batches that are halved, for good, when its memory runs out; on the CPU in float32.
    """

    def __init__(self, device: str, batch: int = 8) -> None:
        """``batch``: with how many a CPU is asked at once, at most."""
        self.device = choose(device)
        self.on_gpu = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.on_gpu else torch.float32
        self.batch = GPU_BATCH if self.on_gpu else batch
        self._turn = threading.Lock()

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """Bring a model onto the device, ready for inference."""
        return model.eval().requires_grad_(False).to(self.device, self.dtype)

    def run(self, function: Callable[..., torch.Tensor], inputs: Inputs) -> Vectors:
        """``function`` of ``inputs``, batch by batch, as float32 (n, …).

        Raises:
            MemoryError: not even one fits on the device.
        """
        count, done, parts = len(inputs[0]), 0, []
        while done < count:
            size = self.batch
            try:
                parts.append(self._part(function, [array[done : done + size] for array in inputs]))
                done += size
            except torch.cuda.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                if size == 1:
                    raise MemoryError(f"The memory of {self.device} does not hold one input.") from error
                self.batch = max(1, size // 2)
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def _part(self, function: Callable[..., torch.Tensor], arrays: Inputs) -> NDArray[np.float32]:
        tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        if self.on_gpu:
            tensors = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
        with self._turn, torch.inference_mode():
            found = function(*tensors).float()
        return cast("NDArray[np.float32]", found.cpu().numpy())


def unit(vectors: NDArray[np.float32]) -> Vectors:
    """Rows at unit length."""
    return cast("Vectors", vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
