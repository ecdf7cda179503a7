"""A disk that fails or fills up: the run ends with an error that says so, acknowledges nothing falsely, and the next one goes on.

SENSORIUM_INJECT_TRIALS: how many faults are injected (6). SENSORIUM_CRASH_SEED: where the seeds begin (1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from search.index.generations import folder_name
from search.query.calibration import file_of
from tests.crash.driver import done
from tests.crash.lab import PATIENCE, ROOT, SECOND, acknowledged, audit, lost, steps
from tests.crash.media import Files
from tests.fakes.encoder import FakeEncoder
from tests.waiting import until

TRIALS = int(os.environ.get("SENSORIUM_INJECT_TRIALS", "6"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
FAULTS = (
    ("fdatasync", "EIO", "sensorium.db-wal", 6),
    ("fdatasync", "EIO", "sensorium.db", 2),
    ("pwrite64", "EIO", "sensorium.db-wal", 60),
    ("pwrite64", "ENOSPC", "sensorium.db-wal", 60),
    ("pwrite64", "ENOSPC", "sensorium.db", 5),
    ("fsync", "EIO", "{index}", 2),
    ("fsync", "EIO", "{index}/tmp-{next}/vectors.faiss", 1),
    ("fsync", "EIO", "{index}/tmp-{next}/manifest.json", 1),
    ("fsync", "EIO", "{index}/CURRENT.tmp", 1),
    ("write", "ENOSPC", "{index}/tmp-{next}/vectors.faiss", 1),
    ("write", "ENOSPC", "{index}/tmp-{next}/ids.npy", 2),
    ("write", "ENOSPC", "{index}/tmp-{next}/manifest.json", 1),
    ("rename", "EIO", "{index}/CURRENT.tmp", 1),
)
"""What fails, how, on which file of the home, and how often a run does it, about. ``{index}``: the folder of the first space's index.

The database's own file is written when the log is folded into it: a run may end well without that, since the log holds everything.
"""

EVERY = tuple(fault for fault in FAULTS if "sensorium.db-wal" in fault)
"""What can fail whatever is done."""
OTHERS = {
    "add": (
        ("fsync", "EIO", "{second}", 2),
        ("write", "ENOSPC", "{second}/tmp-00000001/vectors.faiss", 1),
        ("rename", "EIO", "{second}/CURRENT.tmp", 1),
    ),
    "drop": (("unlinkat", "EIO", "{second}", 2), ("rmdir", "EIO", "{second}", 1)),
    "calibrate": (
        ("fsync", "EIO", "{calibration}", 1),
        ("write", "ENOSPC", "{calibration}", 1),
        ("fsync", "EIO", "calibration", 1),
    ),
}
"""What else can fail, by what is done. ``{second}``: the folder of the second space's index."""
UNTOLD = ("unlinkat", "rmdir")
"""Calls that may fail without an error: what a drop leaves, the next run removes."""

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def told_well(err: str) -> bool:
    """Whether an error says what and what to do, and spares people the traceback."""
    lines = err[err.rfind("Error: ") :].splitlines() if "Error: " in err else []
    return "Traceback" not in err and len(lines) >= 2 and len(lines[1]) > 10


def places(home: Path, argv: tuple[str, ...]) -> dict[str, str]:
    """Where a command writes that is given for the first space or the second one."""
    kept = file_of(home, replace(FakeEncoder().space, name=argv[2]))
    return {
        "index": f"index/{folder_name(1, 'fake')}",
        "second": f"index/{folder_name(2, SECOND)}",
        "calibration": f"calibration/.{kept.name}.new",
    }


@needs_strace
@pytest.mark.timeout(600 + 60 * TRIALS)
def test_a_failing_disk_is_told_and_the_next_run_goes_on(preloaded, tmp_path):
    hits: Counter[str] = Counter()
    for number in range(TRIALS):
        seed = SEED + number
        random = Random(f"fault {seed}")
        folder = tmp_path / str(number)
        home, acks, files = folder / "home", folder / "acks", Files(folder / "archive", random)
        files.add(6)
        argv, old = ("index", str(files.folder), "--json"), bool(number % 2)
        name = "again" if old else "first"
        faults = FAULTS
        if old:
            assert preloaded.run(*argv, home=home).code == 0
            files.disturb()
            files.add(8)
        if reads := number % 4 == 3:  # something else is done to an archive with readers, and often a second space
            assert preloaded.run(*argv, home=home).code == 0
            for reader in ("fake", "written"):
                assert preloaded.run("readers", "add", reader, "--json", home=home).code == 0
            if number % 8 == 7:
                assert preloaded.run(*steps(home, random, reads=True)["add"], home=home).code == 0
            name, argv = random.choice([*steps(home, random, reads=True).items()])
            faults = OTHERS.get(name, ()) + EVERY
        chosen = number // 4 if reads else number
        call, error, file, often = faults[chosen % len(faults)] if len(FAULTS) <= TRIALS else random.choice(faults)
        path, nth = home / file.format(next=f"{1 + old:08}", **places(home, argv)), random.randint(1, often)
        fault = f"{call}:error={error}:when={nth}{random.choice(('', '+'))}"
        log = folder / "strace"
        command = ["strace", "-f", "-qq", "-P", str(path), "-e", f"trace={call}", "-e", f"inject={fault}", "-o", str(log)]
        env = os.environ | {"SENSORIUM_HOME": str(home), "SENSORIUM_CRASH_ACKS": str(acks)}
        ran = subprocess.run(
            [*command, sys.executable, "-m", "tests.crash.driver", *argv],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        failed = ["(INJECTED)" in line for line in log.read_text().splitlines() if f"{call}(" in line]
        injected = failed.count(True)
        hits[name] += injected > 0
        refused = name == "calibrate" and "nothing whose answer is known" in ran.stderr
        folding = (
            reads and (call, file) == ("fdatasync", "sensorium.db-wal") and not any(failed[:-1])
        )  # the log's last sync: all is in it
        stops = injected and not refused and not folding and file != "sensorium.db" and call not in UNTOLD
        dropped = SECOND if name == "drop" else ""
        try:
            assert not stops or ran.returncode == 1, ran.returncode
            assert refused or ran.returncode in (0, 1), ran.returncode
            assert ran.returncode == 0 or told_well(ran.stderr), "the error does not say what to do"
            assert not lost(acknowledged(acks), home, files, dropped=dropped), "acknowledged, and not there"
            assert preloaded.run("index", files.folder, "--json", home=home).code == 0
            assert not lost(acknowledged(acks), home, files, dropped=dropped), "acknowledged, and lost"
            audit(preloaded, home, files, reads=reads)
        except AssertionError as failure:
            raise AssertionError(
                f"seed {seed}, {name}, {fault} on {path} ({injected} times): {failure}\n{ran.stderr[-3000:]}"
            ) from failure
        print(f"{number + 1} commands from seed {SEED}, a fault in {hits.total()} of them: {dict(hits)}; 0 lost", flush=True)
    assert hits.total() > TRIALS // 3


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of ``size``, in memory."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a disk up, but for ``leave`` bytes."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        while (free := shutil.disk_usage(folder).free - leave) > 0:
            try:
                file.write(bytes(min(free, 1 << 20)))
            except OSError:
                break
    return ballast


def test_a_disk_that_is_small_from_the_start_is_told(preloaded, tmp_path):
    files = Files(tmp_path / "archive", Random(SEED))
    files.add(3)
    with small_disk(tmp_path / "disk", "16m") as disk:
        ran = preloaded.run("index", files.folder, home=disk / "home")
        assert ran.code == 1
        assert told_well(ran.err), ran.err
        assert "free" in ran.err
        subprocess.run(["mount", "-o", "remount,size=160m", disk], check=True)
        assert preloaded.run("index", files.folder, home=disk / "home").code == 0
        audit(preloaded, disk / "home", files)


@pytest.mark.parametrize("leave", [0, 40_000])
def test_a_disk_that_fills_up_stops_the_run_searches_go_on_and_room_lets_it_resume(preloaded, tmp_path, leave):
    files = Files(tmp_path / "archive", Random(SEED))
    acks = tmp_path / "acks"
    files.add(6)
    with small_disk(tmp_path / "disk", "96m") as disk:
        home = disk / "home"
        assert preloaded.run("index", files.folder, home=home).code == 0
        (current,) = (home / "index").glob("*/CURRENT")
        generation = current.read_text()
        before = len(done(home / "sensorium.db"))
        files.add(150)
        filling = threading.Thread(target=_fill_when_under_way, args=(acks, disk, leave))
        filling.start()
        ran = preloaded.run("index", files.folder, "--json", home=home, acks=acks, pause=0.2)
        filling.join()
        assert ran.code == 1, (ran.code, ran.out[-300:], ran.err)
        assert told_well(ran.err), ran.err
        assert re.search("room|free|full", ran.err), ran.err
        kept = acknowledged(acks)
        assert before < len(kept) < before + 150
        found = preloaded.run("search", "red", "-k", 5, "--json", home=home)
        assert found.code == 0, "it cannot be searched while the disk is full: " + found.err
        assert current.read_text() == generation
        again = preloaded.run("index", files.folder, "--json", home=home)
        assert again.code == 1
        assert told_well(again.err), again.err
        (disk / "ballast").unlink()
        assert preloaded.run("index", files.folder, "--json", home=home).code == 0
        assert not lost(kept, home, files)
        audit(preloaded, home, files)


def _fill_when_under_way(acks: Path, disk: Path, leave: int) -> None:
    until(lambda: acks.exists() and len(acks.read_bytes().splitlines()) >= 2)
    fill(disk, leave)
