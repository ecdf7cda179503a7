"""kill -9 at random times and at failpoints, amid reading, recovery, the making and dropping of a space, calibration and judging too: nothing
acknowledged is lost, nothing is there twice.

SENSORIUM_CRASH_TRIALS: how many (20). SENSORIUM_CRASH_SEED: where they begin (1); each trial has its own, told when it fails.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.crash.driver import POINTS, done
from tests.crash.lab import SECOND, PreloadedRuns, acknowledged, audit, lost, spaces, steps
from tests.crash.media import Files

TRIALS = int(os.environ.get("SENSORIUM_CRASH_TRIALS", "20"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
A_HOME = 5
"""Trials on one home; the first of them kills where nothing is there yet, and from the second on there are readers."""
OFTEN = {"commit": 14, "fsync": 9, "rename": 2, "write_index": 1, "rmtree": 2, "read": 5}
"""How often a run comes by a failpoint, about."""
READERS = ("fake", "written")


def dying(random: Random, *, reads: bool) -> dict[str, object]:
    """How a run shall die: at a failpoint, or at some time; one that ``reads`` takes longer."""
    if random.random() < 0.4:
        return {"kill_after": random.uniform(0.02, 1.8 if reads else 0.9), "pause": 0.03}
    name = random.choice([name for name in POINTS if reads or name != "read"])
    return {"point": f"{name}:{random.choice(('before', 'after'))}:{random.randint(1, OFTEN[name])}"}


class Archive:
    """A home, its files, and what was acknowledged to whom watches."""

    def __init__(self, preloaded: PreloadedRuns, folder: Path, random: Random) -> None:
        self.preloaded, self.random = preloaded, random
        self.home, self.acks = folder / "home", folder / "acks"
        self.begun = self.reads = False
        self.amid_reading = 0
        self.steps: Counter[str] = Counter()
        self.files = Files(folder / "archive", random)
        self.files.add(6)
        self.files.add_clip()

    def trial(self) -> int:
        """Change files, index and be killed once or twice, and get well; says how often it was killed."""
        self.files.add(self.random.randint(3, 10))
        self.files.disturb()
        self.files.subtitle()
        kills = 0
        if self.begun and not self.reads:
            for reader in READERS:
                kills += self.run("readers", "add", reader, "--json", **dying(self.random, reads=True))
                assert not self.run("readers", "add", reader, "--later", "--json"), "nothing was to kill it"
            self.reads = True
        self.begun = True
        for _ in range(self.random.choice((1, 1, 2))):
            kills += self.run("index", self.files.folder, "--json", **dying(self.random, reads=self.reads))
        if self.random.random() < 0.25 and (self.home / "sensorium.db").exists():
            again = self.random.choice(
                (("db", "rebuild"), ("db", "prune"), ("verify", "--repair"), ("index", self.files.folder, "--prune", "--json"))
            )
            kills += self.run(*again, **dying(self.random, reads=self.reads))
        if self.reads and self.random.random() < 0.6:
            kills += self.another()
        assert not self.run("index", self.files.folder, "--json"), "nothing was to kill it"
        audit(self.preloaded, self.home, self.files, reads=self.reads)
        return kills

    def another(self) -> int:
        """Do something else to the archive, be killed, and do it again to its end, as people would; says how often it was killed."""
        name, what = self.random.choice([*steps(self.home, self.random, reads=self.reads).items()])
        self.steps[name] += 1
        killed = self.run(*what, **dying(self.random, reads=self.reads))
        if name != "drop" or SECOND in spaces(self.home):  # else it was done when it was killed
            assert not self.run(*what), "nothing was to kill it"
        if name == "drop":
            left = [key for key in done(self.home / "sensorium.db") if key.endswith(f"@{SECOND}")]
            assert not left, "dropped, and there"
        return killed

    def run(self, *argv: object, **how: object) -> bool:
        """Run a command, and hold what it leaves against what was acknowledged; says whether it was killed."""
        dropped = SECOND if argv[:2] == ("spaces", "drop") else ""
        database = self.home / "sensorium.db"
        before = done(database).keys()
        ran = self.preloaded.run(*argv, home=self.home, acks=self.acks, **how)
        assert ran.orphans == 0, "a child outlived its parent by a minute"
        assert "Traceback" not in ran.err, ran.err
        refused = argv[:2] == ("spaces", "calibrate") and "nothing whose answer is known" in ran.err
        assert ran.killed or refused or ran.code in (0, 1), (ran.code, ran.err)
        assert how or refused or ran.code == 0, ran.err
        assert not lost(acknowledged(self.acks), self.home, self.files, dropped=dropped), "acknowledged, and lost"
        new = [key for key in done(database).keys() - before if not (" " in key and "@" in key)]
        assert len(new) >= ran.told, "told as indexed or read, and not there"
        self.amid_reading += ran.killed and reading(database)
        return ran.killed


def reading(database: Path) -> bool:
    """Whether a reading is begun and not ended."""
    if not database.exists():
        return False
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute("SELECT count(*) FROM reading WHERE state = 'leased'").fetchone()[0] > 0
    except sqlite3.OperationalError:  # there are no tables yet
        return False
    finally:
        connection.close()


@pytest.mark.timeout(600 + 60 * TRIALS)
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(preloaded, tmp_path):
    kills, amid_reading, others, archive = 0, 0, Counter(), None
    for number in range(TRIALS):
        seed = SEED + number
        if archive is None or not number % A_HOME:
            archive = Archive(preloaded, tmp_path / str(number), Random(seed))
        archive.random.seed(f"trial {seed}")
        try:
            kills += archive.trial()
            amid_reading, archive.amid_reading = amid_reading + archive.amid_reading, 0
            others, archive.steps = others + archive.steps, Counter()
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed}, trial {number} (its home began at {number - number % A_HOME}): {error}"
            ) from error
        told = f"{kills} kills, {amid_reading} of them amid reading, 0 lost, 0 duplicated"
        print(f"{number + 1} trials from seed {SEED}: {told}; {dict(others)}", flush=True)
    assert kills >= TRIALS // 2, "hardly any run was killed: the failpoints are not on its way"
    assert amid_reading or TRIALS < 2 * A_HOME, "no run was killed amid reading"
