"""Running a torch model: choice of device and precision, and batches of the size that fits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from search.errors import ModelMissing
from search.types import Vectors

Inputs: TypeAlias = Sequence[NDArray[np.generic]]
"""Arrays whose first axis is the batch."""

S = TypeVar("S")
R = TypeVar("R")

GPU_BATCH = 256
"""The number of pictures that a GPU gets at once; the runner splits them as it finds best."""

FIRST_BATCH = 32
"""The first batch size tried on a GPU."""

MIN_GAIN, TIMED_RUNS = 1.05, 2
"""A batch is doubled while that raises the rate by this factor. The best of this many runs counts, since the first one at a size
is a warm-up."""


def choose(device: str) -> torch.device:
    """The device with this name; ``auto`` is the GPU if there is one.

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


@dataclass(slots=True)
class _Batch:
    """How many inputs a function gets at once. Rates are in inputs per second: ``before`` is the best at half the ``size``,
    ``best`` the best at this size."""

    size: int
    settled: bool
    before: float = 0.0
    best: float = 0.0
    runs: int = 0

    def ran(self, seconds: float) -> None:
        """Learn from a run of ``size`` inputs."""
        if self.settled:  # by another thread, whose run had no room
            return
        self.best, self.runs = max(self.best, self.size / seconds), self.runs + 1
        if self.runs < TIMED_RUNS:
            return
        if self.best > MIN_GAIN * self.before:
            self.size, self.before, self.best, self.runs = 2 * self.size, self.best, 0.0, 0
        else:
            self.size, self.settled = self.size // 2, True

    def shrink(self, size: int) -> None:
        """Note that ``size`` did not fit, so that it is not tried again."""
        self.size, self.settled = min(self.size, max(1, size // 2)), True


class DeviceRunner:
    """Runs a model's functions on one device. Threads may call ``run`` at the same time; the model itself runs for one at a time.

    On a GPU it uses bfloat16 and pinned memory, which is copied while the previous batch is computed. The batch size of each
    function is found once by doubling, and halved permanently when memory runs out. On the CPU it uses float32.
    """

    def __init__(self, device: str, batch: int = 8) -> None:
        """``batch``: the largest batch on a CPU."""
        self.device = choose(device)
        self.on_gpu = self.device.type == "cuda"
        self.dtype = torch.bfloat16 if self.on_gpu else torch.float32
        self.batch = GPU_BATCH if self.on_gpu else batch
        self._turn = threading.Lock()
        self._batches: dict[Callable[..., object], _Batch] = {}
        self._copies = torch.cuda.Stream(self.device) if self.on_gpu else None  # type: ignore[no-untyped-call]

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """Move a model to the device, ready for inference."""
        return model.eval().requires_grad_(False).to(self.device, self.dtype)

    def run(self, function: Callable[..., torch.Tensor], inputs: Inputs) -> Vectors:
        """``function`` of ``inputs``, batch by batch, as float32 (n, …). The best batch size is stored per function, so the
        function should live as long as this object.

        Raises:
            MemoryError: not even one input fits on the device.
            ModelMissing: the GPU is gone, or has failed so that this process cannot use it again.
        """
        batch = self._batches.setdefault(function, _Batch(FIRST_BATCH if self.on_gpu else self.batch, settled=not self.on_gpu))
        count, done, parts = len(inputs[0]), 0, []
        while done < count:
            size = batch.size
            try:
                parts.append(self._part(function, [array[done : done + size] for array in inputs], batch))
                done += size
            except RuntimeError as error:  # of which PyTorch's OutOfMemoryError is one
                self._make_room(error, batch, min(size, count - done))
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def each(self, function: Callable[[Sequence[S]], Sequence[R]], items: Sequence[S], most: int) -> list[R]:
        """``function`` of ``items``, at most ``most`` at once. For work with more than one pass, such as writing a text; the
        function itself moves its data to the device.

        Raises:
            MemoryError, ModelMissing: as ``run`` does.
        """
        batch = self._batches.setdefault(function, _Batch(most, settled=True))
        found: list[R] = []
        while len(found) < len(items):
            some = items[len(found) : len(found) + batch.size]
            try:
                with self._turn, torch.inference_mode():
                    found += function(some)
            except RuntimeError as error:
                self._make_room(error, batch, len(some))
        return found

    def _make_room(self, error: RuntimeError, batch: _Batch, size: int) -> None:
        """After ``error`` with ``size`` inputs: use smaller batches from now on, or raise if that does not help."""
        if not _full(error):
            if "CUDA error" in str(error):
                raise self._gone(error) from error
            raise error
        torch.cuda.empty_cache()
        if size == 1:
            raise MemoryError(f"The memory of {self.device} does not hold one input.") from error
        batch.shrink(size)

    def _part(self, function: Callable[..., torch.Tensor], arrays: Inputs, batch: _Batch) -> NDArray[np.float32]:
        tensors, ready = self._bring([torch.from_numpy(np.ascontiguousarray(array)) for array in arrays])
        size, began = len(arrays[0]), 0.0
        with self._turn, torch.inference_mode():
            measured = not batch.settled and size == batch.size
            if measured:
                torch.cuda.synchronize(self.device)
                began = time.perf_counter()
            if ready is not None:
                torch.cuda.current_stream(self.device).wait_event(ready)
            found = function(*tensors).float()
            if measured:
                torch.cuda.synchronize(self.device)
                batch.ran(time.perf_counter() - began)
        return cast("NDArray[np.float32]", found.cpu().numpy())

    def _bring(self, tensors: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.cuda.Event | None]:
        """Copy tensors to the device in parallel with its computation. The event tells when they have arrived."""
        if self._copies is None:
            return tensors, None
        with torch.cuda.stream(self._copies):
            tensors = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
        for tensor in tensors:
            tensor.record_stream(torch.cuda.current_stream(self.device))  # its memory is not free before that has used it
        return tensors, self._copies.record_event()

    def _gone(self, error: RuntimeError) -> ModelMissing:
        """The error for a lost GPU. The current files are not at fault."""
        return ModelMissing(
            f"The GPU {self.device} is gone: {str(error).splitlines()[0]}",
            remedy="What was acknowledged is safe. Look at nvidia-smi, then run the same command again, or set SENSORIUM_DEVICE to another.",
        )


def _full(error: RuntimeError) -> bool:
    """Whether a device's memory was full. CUDA's libraries have their own messages if PyTorch has not noticed it."""
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in ("out of memory", "ALLOC_FAILED"))


def matmul_rate(device: torch.device, side: int = 8192, seconds: float = 1.0) -> float:
    """FLOP per second for products of two square bfloat16 matrices, counting 2 side³ each: the real speed of a card's matrix
    units."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    wait: Callable[[], object] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    left @ right
    wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        left @ right
        wait()
        done += 1
    return 2 * side**3 * done / (time.perf_counter() - began)


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions that ``call`` runs in this thread, by PyTorch's own counter."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a fused layer, of which the counter sees nothing
    try:
        with FlopCounterMode(display=False) as counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())


def unit(vectors: NDArray[np.float32]) -> Vectors:
    """Rows at unit length."""
    return cast("Vectors", vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
