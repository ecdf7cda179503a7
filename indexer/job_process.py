"""Index jobs of the service, each in its own process: the service process itself does not decode, encode or write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexer import run
from search import errors
from search.api.index_jobs import Report
from search.errors import SensoriumError
from search.media.sandbox.process import environment
from search.settings import Settings, pack
from search.store.intake import Again
from search.store.jobs import Job

STOP_SECONDS = 60.0
"""Seconds that a job which was told to stop may take for what it has begun."""


class SubprocessRunner:
    """Runs ``python -m indexer``. Its standard output, one JSON object a line, is the job's progress."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, job: Job, report: Report, stop: threading.Event) -> None:
        """Run the index job until it ends or ``stop`` is set.

        Raises:
            SensoriumError: the error that the indexer raised, of the same class if known.
        """
        request = {
            "settings": pack(self._settings), "paths": list(job.paths),
            "collection": job.collection, "kind": job.kind, "reason": job.reason, "retry": job.retry, "prune": job.prune,
        }  # fmt: skip
        with self._process() as process, _stopping(process, stop):
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - for the types: both are pipes
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()  # stays open: closing it would tell the child that this process is gone
            failure = _listen(process.stdout, report)
            code = process.wait()
        if failure is not None:
            raise failure
        if code and not stop.is_set():
            raise SensoriumError(
                f"The indexer ended with code {code}.", remedy="Look into the service's log, and start it again."
            )

    @contextmanager
    def _process(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-P", "-m", "indexer"]
        with subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), process_group=0
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()


def job_of(asked: Mapping[str, Any], report: run.Report) -> run.RunRequest:
    """Convert a job of the service into a run: indexing folders, or retrying failures of files or of a collection."""
    paths, collection = asked["paths"], asked["collection"]
    if asked["kind"] == "retry":
        again = Again(asked["reason"], tuple(os.fsencode(path) for path in paths), collection or None)
        return run.RunRequest((), retry=again, report=report, confined=True)
    retry = Again() if asked["retry"] else None
    return run.RunRequest([Path(path) for path in paths], collection, retry, asked["prune"], report=report, confined=True)


@contextmanager
def _stopping(process: subprocess.Popen[bytes], stop: threading.Event) -> Iterator[None]:
    """Interrupt the process when ``stop`` is set; kill it if it does not end in time."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if stop.wait(0.2):
                process.send_signal(signal.SIGINT)
                if not over.wait(STOP_SECONDS):
                    process.kill()
                return

    thread = threading.Thread(target=watch, name="stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _listen(lines: Any, report: Report) -> SensoriumError | None:  # noqa: ANN401 - a pipe
    """Pass progress on. Returns the error that ended the run, if there was one."""
    failure = None
    for line in lines:
        event = json.loads(line)
        if event["event"] == "error":
            failure = _error(event["kind"], event["message"], event["remedy"])
        else:
            report({name: value for name, value in event.items() if name != "event"})
    return failure


def _error(kind: str, message: str, remedy: str) -> SensoriumError:
    known = {one.__name__: one for one in (errors.DatabaseAway, errors.DiskFull, errors.InputError, errors.ModelMissing)}
    return known.get(kind, SensoriumError)(message, remedy=remedy)
