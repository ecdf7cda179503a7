"""One index job for the service, or for `sensorium index --workers`. The request is a line of JSON on standard input; events are
lines on standard output.

The job ends early on an interrupt, and when standard input closes, because then its parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from indexer.events import Events
from indexer.run import RunRequest, index
from search import log
from search.errors import SensoriumError
from search.settings import unpack

REPORT_SECONDS = 0.5
"""Seconds between two reports of progress."""

MAX_INTERRUPTS, STOP_SECONDS = 6, 10.0
"""How often this process is interrupted, and seconds that it has for what it has begun each time."""


def main() -> int:
    """Run the job; the exit code is 0 unless it failed."""
    request = json.loads(sys.stdin.readline())
    settings = unpack(request["settings"])
    log.set_up(settings.log_level, as_json=settings.log_json)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        if request["kind"] == "map":
            from search.query import Engine

            with Engine(settings) as engine:
                engine.chart(threads=os.cpu_count() or 1)
            return 0
        summary = index(settings, _job(request, Events(_say, REPORT_SECONDS)))
    except SensoriumError as error:
        _say({"event": "error", "kind": type(error).__name__, "message": str(error), "remedy": error.remedy})
        return 1
    except KeyboardInterrupt:  # before there was anything to stop
        return 0
    for name, reason in summary.absent.items():
        told = f"Everything else was done, but {name} waits. {reason}"
        _say({"event": "error", "kind": type(reason).__name__, "message": told, "remedy": reason.remedy})
        return 1
    _say({"event": "summary", "scanning": False, "scan": asdict(summary.scan), "work": asdict(summary.progress)})
    return 0


def _job(request: dict[str, Any], report: Events) -> RunRequest:
    if request["kind"] == "help":
        return RunRequest((), report=report, lingers=True)
    from indexer.job_process import job_of  # which needs the service's packages

    return job_of(request, report)


def _say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _stop_with_parent() -> None:
    """Interrupt this process when standard input closes. Repeat this until it reacts, since running code may swallow an
    interrupt.

    In the end the process exits without cleaning up; other workers take its leases back.
    """
    while sys.stdin.readline():
        pass
    for _ in range(MAX_INTERRUPTS):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(STOP_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
