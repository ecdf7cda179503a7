"""What the harnesses of loss share: runs of the command line that may be killed, and the audit of what they leave.

An asset is acknowledged in a space once a reader of the database finds its unit done, and so are a reading and a judgement. From then on, as
long as a file with its bytes is there, and beside it what lay there, and the space was not dropped, the same segments with the same
vectors must be found, each of them once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from search.media.metadata import sidecars
from search.query import calibration
from tests.crash.driver import done
from tests.crash.media import Files
from tests.fakes.encoder import DIM

ROOT = Path(__file__).parents[2]
PATIENCE = 600
"""Seconds after which a command counts as hung: far more than it takes, since others may use the machine."""
SECOND = "second"
"""The space beside the first one, which is called ``fake``."""
NOWHERE = "qqqq"
"""A word that no file holds: every space is asked by meaning alone."""
MODALITIES = {".png": "image", ".mp4": "video", ".wav": "audio", ".txt": "text", ".srt": "text"}
Done = dict[str, list[list[Any]]]


@dataclass(frozen=True)
class Ran:
    """How a run ended: ``code`` is negative for a signal."""

    code: int
    out: str
    err: str
    orphans: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def told(self) -> int:
        """How many files the run said that it had indexed, or read, whichever is more."""
        events = (json.loads(line) for line in self.out.splitlines() if line.endswith("}"))
        works = [event.get("work") or event.get("progress") for event in events if "event" in event]
        return max((max(work["done"], work["read"]) for work in works if work), default=0)


class PreloadedRuns:
    """Runs of the command line that start in milliseconds; see ``driver``."""

    def __init__(self, scratch: Path) -> None:
        self._out, self._err = scratch / "out", scratch / "err"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.driver"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SENSORIUM_DECODERS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: Any, home: Path, kill_after: float | None = None, **env: Any) -> Ran:
        """Run to its end, or kill it ``kill_after`` seconds. ``point``, ``acks`` and ``pause`` are the driver's variables."""
        variables = {f"SENSORIUM_CRASH_{name.upper()}": str(value) for name, value in env.items() if value is not None}
        request = {"argv": [*map(str, argv)], "env": {"SENSORIUM_HOME": str(home)} | variables}
        self._process.stdin.write(json.dumps(request | {"out": str(self._out), "err": str(self._err)}) + "\n")
        self._process.stdin.flush()
        pid = json.loads(self._process.stdout.readline())["pid"]
        timer = threading.Timer(PATIENCE if kill_after is None else kill_after, _kill, [pid])
        timer.start()
        ended = json.loads(self._process.stdout.readline())
        timer.cancel()
        return Ran(ended["code"], self._out.read_text(), self._err.read_text(), ended["orphans"])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def acknowledged(acks: Path) -> Done:
    """The last whole line of acknowledgements."""
    lines = acks.read_bytes().split(b"\n")[:-1] if acks.exists() else []
    return json.loads(lines[-1]) if lines else {}


def digests(files: Files) -> dict[str, Path]:
    """What is in the archive, by SHA-256."""
    return {hashlib.sha256(path.read_bytes()).hexdigest().upper(): path for path in files.paths()}


def lost(before: Done, home: Path, files: Files, *, dropped: str = "", mode: str = "ro") -> list[str]:
    """What was acknowledged and is not so any more, though its file is there: segments, vectors, passages, judgements.

    Of the space ``dropped`` nothing need be left. ``mode``: of opening the database, as in ``done``.
    """
    now, there = done(home / "sensorium.db", mode), digests(files)
    return [key for key, held in before.items() if _due(key, there, dropped) and now.get(key) != held]


def _due(key: str, there: dict[str, Path], dropped: str) -> bool:
    """Whether the file of an acknowledgement is there, and beside it what lay there."""
    if "?" in key:
        return key.partition("?")[0] in there
    what, _, space = key.partition("@")
    digest, _, reading = what.partition(" ")
    beside = reading.partition(" ")[2]
    return digest in there and (not space or space != dropped) and (not beside or sidecars.fingerprint(there[digest]) == beside)


def duplicated(home: Path) -> list[str]:
    """Assets that hold a segment more than once: every small file but a clip makes one, a clip one a scene; no passage says the same."""
    return [
        key
        for key, segments in done(home / "sensorium.db").items()
        if len({id_ for id_, _ in segments}) != len(segments)
        or len(segments) > 2
        or (" " in key and "@" not in key and len({said for _, said in segments}) != len(segments))
    ]


def unread(home: Path, files: Files) -> list[str]:
    """What the readers ``fake`` and ``written`` should have read and the first space does not hold."""
    held, missing = done(home / "sensorium.db"), []
    for digest, path in digests(files).items():
        if path.suffix in (".png", ".wav", ".mp4"):
            subtitled = path.suffix != ".png" and path.with_suffix(".srt").exists()
            for key, least in {f"{digest} fake ": 1, f"{digest} written {sidecars.fingerprint(path)}": int(subtitled)}.items():
                if f"{key}@fake" not in held or len(held[key]) < least:
                    missing.append(f"{key} of {path.name}")
    return missing


def spaces(home: Path) -> dict[str, str]:
    """The spaces of an archive, with the kinds that each takes in."""
    with contextlib.closing(sqlite3.connect(f"file:{home / 'sensorium.db'}?mode=ro", uri=True, timeout=30)) as connection:
        return dict(connection.execute("SELECT name, kinds FROM space ORDER BY id"))


def calibrations(home: Path) -> dict[str, bytes]:
    """The files of calibrations, all of which can be read."""
    found = {path.name: path.read_bytes() for path in (home / "calibration").glob("*.npz")}
    for content in found.values():
        calibration.unpack(content, DIM)
    return found


def found_at_a_place(home: Path) -> set[int]:
    """The segments of assets with a file: a killed run may have forgotten the last place of one, and left its removal to the next run."""
    with contextlib.closing(sqlite3.connect(f"file:{home / 'sensorium.db'}?mode=ro", uri=True, timeout=30)) as connection:
        places = "SELECT s.id FROM segment s JOIN location l ON l.asset_id = s.asset_id WHERE l.state = 'present'"
        return {id_ for (id_,) in connection.execute(places)}


def steps(home: Path, random: Random, *, reads: bool) -> dict[str, tuple[str, ...]]:
    """What may be done to an archive besides indexing, by name: commands for its second space, its calibrations, its judgements; it ``reads``."""
    there = spaces(home)
    found: dict[str, tuple[str, ...]] = {}
    if SECOND in there:
        found |= {"fill": ("spaces", "fill", SECOND, "--json"), "drop": ("spaces", "drop", SECOND, "--yes", "--json")}
    else:
        found["add"] = ("spaces", "add", SECOND, "--encoder", "mirrored", *random.choice(((), ("--only", "image"))), "--json")
    present = found_at_a_place(home)
    embedded = sorted(held[0][0] for key, held in done(home / "sensorium.db").items() if "@fake" in key and " " not in key)
    embedded = [segment for segment in embedded if segment in present]
    if len(embedded) > 3:
        right, wrong = map(str, random.sample(embedded, 2))
        found["judge"] = ("judge", f"number {random.getrandbits(40)}", "--right", right, "--wrong", wrong, "--json")
    if reads and len(embedded) > 12:
        found["calibrate"] = ("spaces", "calibrate", random.choice([*there]), "--json")
    return found


def audit(preloaded: PreloadedRuns, home: Path, files: Files, *, reads: bool = False) -> None:
    """After a run that ended well: the archive is whole, and read if anything ``reads`` it, `verify --deep` agrees, and search in each space finds every file exactly once."""
    verified = preloaded.run("verify", "--deep", "--json", home=home)
    assert verified.code == 0, verified.out + verified.err
    there = digests(files)
    held = done(home / "sensorium.db")
    assert not duplicated(home)
    assert not reads or not unread(home, files)
    calibrations(home)
    assert not [*(home / "index").glob("2-*")] or SECOND in spaces(home), "an index of a space that is gone"
    for space, kinds in spaces(home).items():
        wanted = {digest: path for digest, path in there.items() if f"{MODALITIES[path.suffix]}/" in kinds}
        assert {f"{digest}@{space}" for digest in wanted} <= held.keys(), f"files that are not in the space {space}"
        found = preloaded.run(
            "search", NOWHERE, "--space", space, "-k", 1000, "--group", "asset", "--under", files.folder, "--json", home=home
        )
        assert found.code == 0, found.out + found.err
        paths = Counter(hit["asset"]["path"] for hit in json.loads(found.out)["hits"])
        expected = Counter(map(str, wanted.values()))
        assert paths == expected, f"search in {space} misses {[*(expected - paths)]}, and finds too much: {[*(paths - expected)]}"
