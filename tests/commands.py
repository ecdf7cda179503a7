"""Runs of the command line that are forked from one process that has imported everything, and so start in milliseconds.

``python -m tests.commands`` is that process; ``Forks`` speaks to it. Each run has the arguments, environment, folder and output of a
process of its own, and its exit code. A few runs are real processes, so that the way there is tested too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer.main

ROOT = Path(__file__).parents[1]
WARM = (
    "alembic.command", "faiss", "indexer.run", "indexer.workers", "numpy.random", "onnxruntime", "pydantic.json_schema",
    "pydantic.type_adapter", "rich.table", "search.encoders.pocket", "search.query", "search.store", "secrets", "tokenizers",
    "typer._adapters", "ui.cli", "ui.doctor", "ui.model_list", "ui.show", "ui.status",
)  # fmt: skip
"""What runs import. None of these reads the environment as it is imported, or starts a thread."""
SECONDS = 240
"""How long a run may take by the clock."""


@dataclass(frozen=True)
class Ran:
    """How a run ended. ``returncode`` is negative for a signal; ``orphans`` counts the processes that outlived it for a minute."""

    returncode: int
    stdout: str
    stderr: str
    orphans: int


class Forks:
    """The process that runs are forked from, an own one by ``module``. One run at a time."""

    def __init__(self, module: str = "tests.commands") -> None:
        self._folder = TemporaryDirectory(prefix="runs-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *argv: object, env: Mapping[str, str] | None = None, cwd: Path | None = None, kill_after: float | None = None
    ) -> Ran:
        """Run to its end, or kill it ``kill_after`` seconds. ``env``: the whole environment, this process's if there is none."""
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        told = {"argv": [*map(str, argv)], "env": dict(os.environ if env is None else env), "cwd": str(cwd or Path.cwd())}
        self._process.stdin.write(json.dumps(told | {"out": str(out), "err": str(err)}) + "\n")
        self._process.stdin.flush()
        pid = json.loads(self._process.stdout.readline())["pid"]
        timer = threading.Timer(SECONDS if kill_after is None else kill_after, _kill, [pid])
        timer.start()
        ended = json.loads(self._process.stdout.readline())
        timer.cancel()
        return Ran(ended["code"], out.read_text(), err.read_text(), ended["orphans"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


built = cache(typer.main.get_command)
"""The command of a ``Typer``, built the first time."""

_forks: list[Forks] = []
"""The process that ``forked`` asks, once it is started."""


def forked(*argv: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """Run the command line to its end, as ``python -m ui.cli`` does."""
    if not _forks:
        _forks.append(Forks())
    return _forks[0].run(*argv, env=env, cwd=cwd)


def real(*argv: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "ui.cli", *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=SECONDS, check=False)
    return Ran(done.returncode, done.stdout, done.stderr, 0)


def end() -> None:
    """End the process that runs are forked from."""
    while _forks:
        _forks.pop().close()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def serve(main: Callable[[], None]) -> None:
    """Fork a run of ``main`` for every request ``{"argv", "env", "cwd", "out", "err"}``; answers its pid, then its end and its orphans that live on."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become ours
    for line in sys.stdin:
        request = json.loads(line)
        if not (pid := os.fork()):
            _be(request, main)
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"code": os.waitstatus_to_exitcode(status), "orphans": orphans(deadline=time.monotonic() + 60)})


def _be(request: dict[str, Any], main: Callable[[], None]) -> None:
    code = 1
    try:
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
        sys.argv = ["sensorium", *request["argv"]]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):  # main has closed what nobody reads
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def orphans(deadline: float) -> int:
    """Wait for what a run left behind to end by itself; says how many do not, and ends them."""
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.005)
        except ChildProcessError:
            return 0
    left = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(left)


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import gc
    import importlib

    for name in WARM:
        importlib.import_module(name)
    from tests import decoders, graphs, schema
    from ui import cli

    decoders.fork()
    graphs.preload()
    schema.copied()
    typer.main.get_command = built
    built(cli.app)
    gc.freeze()

    serve(cli.main)
