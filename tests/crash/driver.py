"""The command line in a process that may die at a named point: `python -m tests.crash.driver ARGUMENT...` is `sensorium ARGUMENT...`.

With no argument it is a preloaded parent: it imports once, and forks a child for every line of JSON on standard input, so that a run starts in
milliseconds. A child's orphans become its own, so it knows whether any outlived their parent.

The product's code is left as it is. Around it, by environment variables:

SENSORIUM_CRASH_POINT   ``commit:after:3``: SIGKILL after the third commit. Names: ``POINTS``
SENSORIUM_CRASH_ACKS    file that gets a line after every commit: what a reader then finds done (see ``done``)
SENSORIUM_CRASH_WORD    word at which the reader dies as a native library does, by SIGSEGV
SENSORIUM_CRASH_CLOCK   file with the seconds by which the clock is off, read whenever the time of day is asked for
SENSORIUM_CRASH_PAUSE   seconds that the encoder takes for a batch, and the reader for an asset, so that there is time to die in

The encoders and the reader ``fake`` are the tests' own; transactions are small, so that there are many.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import typer.main
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

import indexer.pipeline
import search.encoders
import search.query.calibration
import search.readers
from tests import decoders
from tests.commands import built, orphans, say
from tests.fakes.encoder import FakeEncoder
from tests.fakes.reader import FakeReader
from ui import cli

UNITS = """
    SELECT hex(a.digest) || '@' || p.name, s.id, e.vector
    FROM unit u JOIN asset a ON a.id = u.asset_id JOIN space p ON p.id = u.space_id
    LEFT JOIN segment s ON s.asset_id = a.id AND s.reader_id IS NULL
    LEFT JOIN embedding e ON e.segment_id = s.id AND e.space_id = u.space_id
    WHERE u.state = 'done' ORDER BY s.id
"""
READINGS = """
    SELECT hex(a.digest) || ' ' || r.name || ' ' || coalesce(g.beside, ''), s.id,
        s.channel || ' ' || coalesce(s.start, '') || ' ' || s.text
    FROM reading g JOIN asset a ON a.id = g.asset_id JOIN reader r ON r.id = g.reader_id
    LEFT JOIN segment s ON s.asset_id = a.id AND s.reader_id = r.id
    WHERE g.state = 'done' ORDER BY s.id
"""
EMBEDDED = """
    SELECT hex(a.digest) || ' ' || r.name || ' ' || coalesce(g.beside, '') || '@' || p.name, s.id, e.vector
    FROM reading g JOIN asset a ON a.id = g.asset_id JOIN reader r ON r.id = g.reader_id CROSS JOIN space p
    LEFT JOIN segment s ON s.asset_id = a.id AND s.reader_id = r.id
    LEFT JOIN embedding e ON e.segment_id = s.id AND e.space_id = p.id
    WHERE g.state = 'done' ORDER BY s.id
"""
JUDGED = "SELECT hex(a.digest) || '?' || j.question, a.id, j.is_right FROM judgement j JOIN asset a ON a.id = j.asset_id"


def done(database: Path, mode: str = "ro") -> dict[str, list[list[Any]]]:
    """What a reader of the database finds finished, by the tables alone.

    ``DIGEST@SPACE`` -> [segment's id, hash of its vector] of an embedded asset; ``DIGEST READER FINGERPRINT``, the last of what lay beside
    it -> [passage's id, hash of what it says and where]; ``DIGEST READER FINGERPRINT@SPACE`` -> [passage's id, hash of its vector], once all
    have one; and ``DIGEST?QUESTION`` -> [asset's id, whether it answers it].
    """
    if not database.exists():
        return {}
    connection = sqlite3.connect(f"file:{database}?mode={mode}", uri=True, timeout=30)
    try:
        connection.execute("BEGIN")  # all four of one state
        units, read, embedded, judged = (connection.execute(query).fetchall() for query in (UNITS, READINGS, EMBEDDED, JUDGED))
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return {}
    finally:
        connection.close()
    found: dict[str, list[list[Any]]] = {}
    for key, segment, vector in units:
        found.setdefault(key, []).append([segment, _hash(vector)])
    for rows, all_of_them in ((read, False), (embedded, True)):
        for key, group in groupby(sorted(rows, key=itemgetter(0)), key=itemgetter(0)):
            passages = [row[1:] for row in group if row[1] is not None]
            if not all_of_them or all(value is not None for _, value in passages):
                found[key] = [[id_, _hash(value)] for id_, value in passages]
    return found | {key: [[asset, right]] for key, asset, right in judged}


def _hash(content: bytes | str | None) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content or b"").hexdigest()[:12]


class PausingEncoder(FakeEncoder):
    """The tests' encoder, slowed down."""

    def encode(self, modality, batch):
        time.sleep(float(os.environ.get("SENSORIUM_CRASH_PAUSE", "0")))
        return super().encode(modality, batch)


class MirroredEncoder(PausingEncoder):
    """Another encoder: the vectors of the first one from behind, so that a mixture of the two would be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.space = replace(self.space, name="mirrored", model="mirrored")

    def encode(self, modality, batch):
        return np.ascontiguousarray(super().encode(modality, batch)[:, ::-1])


class PausingReader(FakeReader):
    """The tests' reader, slowed down, and with a word that it dies of."""

    def read(self, info, cuts):
        time.sleep(float(os.environ.get("SENSORIUM_CRASH_PAUSE", "0")))
        found = list(super().read(info, cuts))
        if any(one.text == os.environ.get("SENSORIUM_CRASH_WORD") for one in found):
            os.kill(os.getpid(), signal.SIGSEGV)
        return found


POINTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "commit": ((SQLiteDialect_pysqlite, "do_commit"),),
    "fsync": ((os, "fsync"), (os, "fdatasync")),
    "rename": ((os, "rename"), (os, "replace")),  # Path.rename and Path.replace call these
    "write_index": ((faiss, "write_index"),),
    "rmtree": ((shutil, "rmtree"),),
    "read": ((PausingReader, "read"),),
}
"""The names of failpoints, and the functions around which they lie."""


def around(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Have a function call ``before`` and ``after``."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapped(*args, **options):
        before()
        result = function(*args, **options)
        after()
        return result

    setattr(owner, name, wrapped)


def prepare() -> None:
    """Set the failpoint, the acknowledgements, the encoder and the reader."""
    search.encoders.load = lambda name, *_, **__: MirroredEncoder() if name == "mirrored" else PausingEncoder()
    load = search.readers.load
    search.readers.load = lambda name, *rest: PausingReader() if name == "fake" else load(name, *rest)
    indexer.pipeline.COMMIT_UNITS, indexer.pipeline.COMMIT_SECONDS = 4, 0.05
    search.query.calibration.MIN_SAMPLE = 4  # a small archive calibrates itself, too
    if acks := os.environ.get("SENSORIUM_CRASH_ACKS"):
        database = Path(os.environ["SENSORIUM_HOME"]) / "sensorium.db"
        handle, last = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), [b""]

        def acknowledge() -> None:
            line = json.dumps(done(database)).encode() + b"\n"
            if line != last[0]:
                last[0] = line
                os.write(handle, line)

        around(SQLiteDialect_pysqlite, "do_commit", lambda: None, acknowledge)
    if clock := os.environ.get("SENSORIUM_CRASH_CLOCK"):
        right = time.time_ns
        time.time_ns = lambda: right() + int(Path(clock).read_text()) * 10**9
        time.time = lambda: time.time_ns() / 1e9
    if point := os.environ.get("SENSORIUM_CRASH_POINT"):
        name, side, number = point.split(":")
        left = [int(number)]

        def count() -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        for owner, function in POINTS[name]:
            around(owner, function, *((count, lambda: None) if side == "before" else (lambda: None, count)))


LAZY = (
    "alembic.command", "indexer.repair", "indexer.run", "numpy.random", "pydantic.json_schema", "pydantic.type_adapter",
    "search.query.calibrate", "secrets", "typer._adapters", "ui.commands.additions", "ui.commands.judging", "ui.show", "ui.status",
)  # fmt: skip
"""What commands import when they need it; the preloaded parent has it ready, since its runs are many."""


def preloaded() -> None:
    """Fork a run for every request ``{"argv", "env", "out", "err"}``; answers its pid, then its end and its orphans that live on."""
    for name in LAZY:
        importlib.import_module(name)
    decoders.fork()
    typer.main.get_command = built
    built(cli.app)
    gc.freeze()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become ours
    for line in sys.stdin:
        request = json.loads(line)
        if not (pid := os.fork()):
            _be(request)
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"code": os.waitstatus_to_exitcode(status), "orphans": orphans(deadline=time.monotonic() + 60)})


def _be(request: dict[str, Any]) -> None:
    code = 1
    try:
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ |= request["env"]
        sys.argv = ["sensorium", *request["argv"]]
        prepare()
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1:]:
        prepare()
        cli.main()
    else:
        preloaded()
