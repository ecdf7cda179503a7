"""Further workers on the queue of a home, each a process with its own GPU. They process what this process finds, until it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from types import TracebackType

from indexer.pipeline import Progress
from indexer.run import Report
from search.media.sandbox.process import environment
from search.settings import Settings, pack


class Workers:
    """Processes beside this one. ``errors`` are the reasons why some ended early; other workers take over their units."""

    def __init__(self, settings: Settings, count: int) -> None:
        """Start ``count`` processes. This process uses the first GPU; they use the others, in turn. Use it as a context manager."""
        self._settings, self._count = settings, count
        self._cards = _cards() if count else []
        self._done: list[Progress] = [Progress() for _ in range(count)]
        self.errors: list[str] = []

    def __enter__(self) -> Workers:
        self._processes = [self._start(number) for number in range(1, self._count + 1)]
        self._threads = [threading.Thread(target=self._listen, args=pair, daemon=True) for pair in enumerate(self._processes)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()  # at which it gives back what it has begun, and ends
        for process, thread in zip(self._processes, self._threads, strict=True):
            process.wait()
            thread.join()
            if process.stdout:
                process.stdout.close()

    def together(self, own: Progress) -> Progress:
        """The progress of all processes, with this process's ``own``."""
        every = [own, *self._done]
        return replace(
            own, done=sum(one.done for one in every), failed=sum(one.failed for one in every),
            segments=sum(one.segments for one in every), media_ms=sum(one.media_ms for one in every),
            read=sum(one.read for one in every), passages=sum(one.passages for one in every),
            failures=dict(sum((Counter(one.failures) for one in every), Counter())),
        )  # fmt: skip

    def reporting(self, report: Report) -> Report:
        """A report function that reports the progress of all processes."""
        return lambda tally, own, scanning: report(tally, self.together(own), scanning)

    def _start(self, number: int) -> subprocess.Popen[str]:
        own = {"CUDA_VISIBLE_DEVICES": self._cards[number % len(self._cards)]} if self._cards else {}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "indexer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment() | own, process_group=0,
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - for the types: it is a pipe
        settings = pack(replace(self._settings, device="auto") if self._cards else self._settings)
        process.stdin.write(json.dumps({"settings": settings, "kind": "help", "paths": [], "collection": ""}) + "\n")
        process.stdin.flush()
        return process

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            event = json.loads(line)
            if event["event"] == "error":
                self.errors.append(f"{event['message']} {event['remedy']}")
            else:
                self._done[number] = Progress(**event["work"])


def _cards() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    try:
        import torch
    except ModuleNotFoundError:
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count()))))
    return named.split(",")[: torch.cuda.device_count()]
