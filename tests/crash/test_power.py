"""Power cuts at random instants of traced runs, which drop, tear or keep what was not synced: nothing acknowledged is lost.

SENSORIUM_POWER_TRIALS: how many cuts (10), eight in each traced run. SENSORIUM_CRASH_SEED: where the seeds begin (1).
"""

from __future__ import annotations

import json
import os
import shutil
from random import Random

import pytest

from tests.crash.disk import Disk, copy, trace
from tests.crash.driver import done
from tests.crash.lab import audit, digests, lost
from tests.crash.media import Files

TRIALS = int(os.environ.get("SENSORIUM_POWER_TRIALS", "10"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
A_RUN = 8
"""Cuts in one traced run. Every second run finds an archive that is there already."""

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@pytest.mark.timeout(600 + 60 * TRIALS)
def test_nothing_acknowledged_is_lost_by_a_power_cut(nursery, tmp_path):
    told = 0
    for number in range(0, TRIALS, A_RUN):
        random = Random(f"power {SEED + number}")
        folder = tmp_path / str(number)
        root, acks, files = folder / "disk", folder / "acks", Files(folder / "archive", random)
        root.mkdir()
        files.add(12)
        if number % (2 * A_RUN):
            nursery.run("index", files.folder, home=root / "home")
            files.disturb()
            files.add(8)
        start = copy(root, folder / "start")
        env = {"SENSORIUM_HOME": str(root / "home"), "SENSORIUM_CRASH_ACKS": str(acks)}
        calls = trace(["index", str(files.folder), "--json"], folder / "trace", env)
        first = next(place for place, call in enumerate(calls) if call.name == "mkdir" or b"sensorium.db" in call.path)
        for cut in range(min(A_RUN, TRIALS - number)):
            seed = f"{SEED + number}.{cut}"
            random = Random(seed)
            at, keep = random.randint(first, len(calls)), random.choice((0.0, 0.0, 0.5, 0.9))
            home = folder / str(cut) / "home"
            disk, acknowledged = Disk(root, start), {}
            for place, call in enumerate(calls[:at]):
                disk.apply(place, call)
                if call.path == os.fsencode(acks) and call.name == "write":
                    acknowledged = json.loads(call.arguments[1])
            disk.tree.survive(home.parent, random, keep)
            context = f"seed {seed}: cut after call {at} of {len(calls)}, of which {calls[at - 1].name}; kept {keep}"
            told += len(acknowledged)
            try:
                survived = done(copy(home.parent, folder / "look") / "home" / "sensorium.db", "rw")
                shutil.rmtree(folder / "look")
                gone = [one for one, segments in acknowledged.items() if one in digests(files) and survived.get(one) != segments]
                assert not gone, f"{len(gone)} of {len(acknowledged)} acknowledged assets are lost"
                recovered = nursery.run("index", files.folder, "--json", home=home)
                assert recovered.code == 0, recovered.err
                assert not lost(acknowledged, home, files), "acknowledged, and made again"
                audit(nursery, home, files)
            except Exception as error:
                raise AssertionError(f"{context}: {error}") from error
            shutil.rmtree(home.parent)
        print(f"{min(number + A_RUN, TRIALS)} power cuts from seed {SEED}, {told} acknowledged assets, 0 lost", flush=True)
    assert told, "no run had acknowledged anything yet"
