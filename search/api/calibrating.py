"""Automatic calibration, in the background, whenever the archive has many more labels than at its last calibration."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from search.errors import InputError, SensoriumError
from search.query import Engine
from search.query import calibration as c
from search.query.calibrate import GROWN, calibrate, due
from search.query.searcher import Searcher
from search.settings import Settings

CHECK_SECONDS = 300.0
"""How often the labels are counted."""

_NICENESS = 19
"""The niceness of the thread."""

_log = logging.getLogger(__name__)


class Calibrating:
    """One thread that counts labels and calibrates the open spaces. Searches use the new calibration automatically."""

    def __init__(self, settings: Settings, engine: Callable[[], Engine | None]) -> None:
        """``engine`` returns the engine, or None while there is none."""
        self._settings, self._engine = settings, engine
        self._closing, self._tried = threading.Event(), dict[int, int]()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        self._closing.clear()
        self._thread = threading.Thread(target=self._work, name="calibrate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; an unfinished calibration is discarded."""
        self._closing.set()
        if self._thread:
            self._thread.join()

    def look(self) -> list[str]:
        """Calibrate the spaces that are due; returns their names."""
        engine = self._engine()
        return [searcher.space.name for searcher in (engine.opened() if engine else ()) if self._calibrated(searcher)]

    def _calibrated(self, searcher: Searcher) -> bool:
        told = due(searcher)
        if not told or told < GROWN * self._tried.get(searcher.entry.key, 0):
            return False
        self._tried[searcher.entry.key] = told
        try:
            made = calibrate(searcher, self._go_on)
        except InputError as error:  # its labels are of files whose pictures and sounds are not here
            _log.info("The space %s could not be calibrated: %s", searcher.space.name, error)
            return False
        except _Ended:
            return False
        c.save(self._settings.home, searcher.space, made)
        _log.info("The space %s was calibrated by %d labels of the archive.", searcher.space.name, told)
        return True

    def _go_on(self, *_: int) -> None:
        if self._closing.is_set():
            raise _Ended

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # of this thread alone, where the system knows such a thing
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not self._closing.wait(CHECK_SECONDS):
            try:
                self.look()
            except SensoriumError as error:  # the database, for the moment
                _log.warning("The archive could not be calibrated: %s", error)


class _Ended(Exception):
    """The service is shutting down."""
