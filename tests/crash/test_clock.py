"""A clock that jumps by -1 h to +1 week, machines that sleep, and time zones, while two runs share a home: nothing is quarantined, nothing done twice.

The time of day is the driver's, and jumps; monotone time goes on, as it does. A sleep stops both runs, and the clock has jumped when they
go on.

SENSORIUM_CLOCK_TRIALS: how many (2). SENSORIUM_CRASH_SEED: where the seeds begin (1).
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.crash.lab import ROOT, audit
from tests.crash.media import Files

TRIALS = int(os.environ.get("SENSORIUM_CLOCK_TRIALS", "2"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
HOUR = 3_600
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago")


class Clock:
    """A clock that is ``offset`` seconds off, for the runs that ask its ``file``."""

    def __init__(self, file: Path) -> None:
        self.file, self.offset = file, 0
        self.jump(0)

    def jump(self, seconds: int) -> None:
        self.offset += seconds
        draft = self.file.with_suffix(".new")
        draft.write_text(str(self.offset))
        draft.rename(self.file)


def jump_of(random: Random) -> int:
    """How far a clock jumps, in seconds: mostly little, at most an hour back or a week on."""
    return random.choice((-HOUR, random.randint(-HOUR, 0), random.randint(0, HOUR), random.randint(0, 168 * HOUR), 168 * HOUR))


def attempts(home: Path) -> dict[tuple[str, int], int]:
    """How many units and readings there are, by state and by how often they were begun."""
    query = "SELECT state, attempts, count(*) FROM (SELECT state, attempts FROM unit UNION ALL SELECT state, attempts FROM reading) GROUP BY 1, 2"
    with closing(sqlite3.connect(f"file:{home / 'sensorium.db'}?mode=ro", uri=True, timeout=30)) as connection:
        return {(state, tried): count for state, tried, count in connection.execute(query)}


def start(home: Path, files: Files, clock: Clock, zone: str, pause: float = 0.1) -> subprocess.Popen[str]:
    env = {"SENSORIUM_HOME": str(home), "SENSORIUM_CRASH_CLOCK": str(clock.file), "SENSORIUM_CRASH_PAUSE": str(pause), "TZ": zone}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.driver", "index", str(files.folder), "--json"],
        cwd=ROOT, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.timeout(600 + 60 * TRIALS)
def test_clocks_that_jump_and_machines_that_sleep_take_nothing_from_runs(preloaded, tmp_path):
    jumps = sleeps = 0
    for number in range(TRIALS):
        random = Random(f"clock {SEED + number}")
        folder = tmp_path / str(number)
        folder.mkdir()
        home, files, clock = folder / "home", Files(folder / "archive", random), Clock(folder / "clock")
        files.add(4)
        assert preloaded.run("index", files.folder, home=home).code == 0
        assert preloaded.run("readers", "add", "fake", "--json", home=home).code == 0
        files.add(20)
        runs = [start(home, files, clock, random.choice(ZONES)) for _ in range(2)]
        while any(run.poll() is None for run in runs):
            if random.random() < 0.3:
                for run in runs:
                    if run.poll() is None:
                        run.send_signal(signal.SIGSTOP)
                clock.jump(abs(jump_of(random)))
                for run in runs:
                    run.send_signal(signal.SIGCONT)
                sleeps += 1
            else:
                clock.jump(jump_of(random))
            jumps += 1
            time.sleep(0.1)
        told = [run.communicate() for run in runs]
        context = f"seed {SEED + number}, {clock.offset} s off"
        assert [run.returncode for run in runs] == [0, 0], f"{context}: {[err for _, err in told]}"
        assert {*attempts(home)} == {("done", 1)}, f"{context}: {attempts(home)}"
        clock.jump(jump_of(random))
        again = start(home, files, clock, random.choice(ZONES), pause=0)
        out, err = again.communicate()
        assert again.returncode == 0, f"{context}: {err}"
        progress = json.loads(out.splitlines()[-1])["progress"]
        assert (progress["done"], progress["read"]) == (0, 0), f"{context}: embedded or read again"
        audit(preloaded, home, files)
        print(
            f"{number + 1} pairs of runs from seed {SEED}, {jumps} jumps, {sleeps} of them in a sleep: 0 quarantined, 0 repeated",
            flush=True,
        )
    assert jumps > TRIALS
