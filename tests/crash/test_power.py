"""Power cuts at random instants of traced commands, which drop, tear or keep what was not synced: nothing acknowledged is lost.

SENSORIUM_POWER_TRIALS: how many cuts (10), eight in each traced command. SENSORIUM_CRASH_SEED: where the seeds begin (1).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.crash.disk import Disk, copy, trace
from tests.crash.lab import SECOND, PreloadedRuns, audit, calibrations, lost, steps
from tests.crash.media import Files

TRIALS = int(os.environ.get("SENSORIUM_POWER_TRIALS", "10"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
A_RUN = 8
"""Cuts in one traced command, the first of them after its end."""
COMMANDS = ("index", "add", "index again", "drop", "readers", "calibrate", "fill", "judge")
"""What is traced, in turn: a first run, one that finds an archive with readers and a second space, and what is done to such an archive."""

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


UNREAD = ("index", "readers")
"""Commands before which nothing reads; after a cut of the second, people would give it again."""


def prepared(preloaded: PreloadedRuns, home: Path, files: Files, command: str, random: Random) -> tuple[str, ...]:
    """Make the archive that a command finds; the command itself."""
    index = ("index", str(files.folder), "--json")
    if command == "index":
        return index
    files.add_clip()
    files.subtitle()
    assert preloaded.run(*index, home=home).code == 0
    if command == "readers":
        return ("readers", "add", "fake", "--json")
    for reader in ("fake", "written"):
        assert preloaded.run("readers", "add", reader, "--json", home=home).code == 0
    if command != "add":
        add = steps(home, random, reads=True)["add"]
        later = ("--later",) if command == "fill" else ()
        assert preloaded.run(*add, *later, home=home).code == 0
    if command == "calibrate":  # the second space may have nothing whose answer is known
        for _ in range(6):
            assert preloaded.run(*steps(home, random, reads=True)["judge"], home=home).code == 0
        return ("spaces", "calibrate", "fake", "--json")
    if command != "index again":
        return steps(home, random, reads=True)[command]
    files.disturb()
    files.add(8)
    return index


@pytest.mark.timeout(600 + 60 * TRIALS)
def test_nothing_acknowledged_is_lost_by_a_power_cut(preloaded, tmp_path):
    told = 0
    for number in range(0, TRIALS, A_RUN):
        random, command = Random(f"power {SEED + number}"), COMMANDS[number // A_RUN % len(COMMANDS)]
        folder = tmp_path / str(number)
        root, acks, files = folder / "disk", folder / "acks", Files(folder / "archive", random)
        root.mkdir()
        files.add(12)
        argv = prepared(preloaded, root / "home", files, command, random)
        dropped = SECOND if command == "drop" else ""
        start = copy(root, folder / "start")
        env = {"SENSORIUM_HOME": str(root / "home"), "SENSORIUM_CRASH_ACKS": str(acks)}
        calls = trace([*argv], folder / "trace", env)
        first = next(place for place, call in enumerate(calls) if call.name == "mkdir" or b"sensorium.db" in call.path)
        for cut in range(min(A_RUN, TRIALS - number)):
            seed = f"{SEED + number}.{cut}"
            random = Random(seed)
            at, keep = random.randint(first, len(calls)) if cut else len(calls), random.choice((0.0, 0.0, 0.5, 0.9))
            home = folder / str(cut) / "home"
            disk, acknowledged = Disk(root, start), {}
            for place, call in enumerate(calls[:at]):
                disk.apply(place, call)
                if call.path == os.fsencode(acks) and call.name == "write":
                    acknowledged = json.loads(call.arguments[1])
            disk.tree.survive(home.parent, random, keep)
            context = f"seed {seed}: {command} cut after call {at} of {len(calls)}, of which {calls[at - 1].name}; kept {keep}"
            told += len(acknowledged)
            try:
                look = copy(home.parent, folder / "look") / "home"
                gone = lost(acknowledged, look, files, dropped=dropped, mode="rw")
                assert not gone, f"of {len(acknowledged)} acknowledged there are lost: {gone}"
                assert cut or calibrations(look) == calibrations(root / "home"), "calibrated, and lost"
                shutil.rmtree(look.parent)
                recovered = preloaded.run("index", files.folder, "--json", home=home)
                assert recovered.code == 0, recovered.err
                assert not lost(acknowledged, home, files, dropped=dropped), "acknowledged, and made again"
                audit(preloaded, home, files, reads=command not in UNREAD)
            except Exception as error:
                raise AssertionError(f"{context}: {error}") from error
            shutil.rmtree(home.parent)
        print(f"{min(number + A_RUN, TRIALS)} power cuts from seed {SEED}, {told} acknowledged assets, 0 lost", flush=True)
    assert told, "no run had acknowledged anything yet"
