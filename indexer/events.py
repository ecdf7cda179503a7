"""Progress as events for programs: one JSON object each, at a limited rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from indexer.pipeline import Progress
from indexer.scan import Tally


class Events:
    """A progress report of the indexer. It calls ``say`` at most once every ``every`` seconds."""

    def __init__(self, say: Callable[[dict[str, Any]], None], every: float) -> None:
        self._say, self._every = say, every
        self._last = 0.0

    def __call__(self, tally: Tally, done: Progress, scanning: bool) -> None:
        """Report the progress, unless the last report is too recent."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._say({"event": "progress", "scanning": scanning, "scan": asdict(tally), "work": asdict(done)})
