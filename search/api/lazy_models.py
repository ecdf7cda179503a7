"""Models that the service loads on first use: those that answer questions and those that translate."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from search.errors import ModelMissing, Problem, SensoriumError

T = TypeVar("T")


class LazyModel(Generic[T]):
    """One model, loaded in the background at the first ``get``. Thread-safe. A user must hold ``turn``; one at a time may."""

    def __init__(self, load: Callable[[], T], *, patience: float, again: float) -> None:
        """``get`` waits ``patience`` seconds. After a failure, loading is retried after ``again`` seconds at the earliest."""
        self._load, self._patience, self._again = load, patience, again
        self._change, self._loaded = threading.Lock(), threading.Event()
        self._loading, self._due = False, math.inf
        self._model: T | None = None
        self._failure: SensoriumError | None = None
        self.turn = threading.Lock()

    def get(self) -> T:
        """The model.

        Raises:
            Problem: it is still loading (503, with Retry-After).
            SensoriumError: it cannot be loaded.
        """
        self._begin()
        if not self._loaded.wait(self._patience):
            raise Problem(
                503, "loading", "The model is loading", "The model is being loaded.", remedy="Ask again in a few seconds.", retry_after="2"
            )  # fmt: skip
        if self._model is None:
            raise self._failure or ModelMissing("The model could not be loaded.", remedy="Run `sensorium doctor`.")
        return self._model

    def _begin(self) -> None:
        """Start to load the model, unless it is loaded or loading. After a failure, wait a while before the next try."""
        with self._change:
            if self._model is not None or (self._loading and time.monotonic() < self._due):
                return
            self._loading, self._due = True, math.inf
            self._loaded.clear()
        threading.Thread(target=self._run, name="load", daemon=True).start()

    def _run(self) -> None:
        try:
            self._model = self._load()
        except SensoriumError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the rest of the service stays up and says so
            self._failure = ModelMissing(f"The model could not be loaded: {error}", remedy="Run `sensorium doctor`.")
        finally:
            self._due = time.monotonic() + self._again
            self._loaded.set()
