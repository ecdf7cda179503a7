"""kill -9 at random times and at failpoints, during recovery too: nothing acknowledged is lost, nothing is there twice.

SENSORIUM_CRASH_TRIALS: how many (20). SENSORIUM_CRASH_SEED: where they begin (1); each trial has its own, told when it fails.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.crash.driver import POINTS, done
from tests.crash.lab import Nursery, acknowledged, audit, lost
from tests.crash.media import Files

TRIALS = int(os.environ.get("SENSORIUM_CRASH_TRIALS", "20"))
SEED = int(os.environ.get("SENSORIUM_CRASH_SEED", "1"))
A_HOME = 5
"""Trials on one home; the first of them kills where nothing is there yet."""
OFTEN = {"commit": 14, "fsync": 9, "rename": 2, "write_index": 1, "rmtree": 2}
"""How often a run comes by a failpoint, about."""


def dying(random: Random) -> dict[str, object]:
    """How a run shall die: at a failpoint, or at some time."""
    if random.random() < 0.4:
        return {"kill_after": random.uniform(0.02, 0.9), "pause": 0.03}
    name = random.choice([*POINTS])
    return {"point": f"{name}:{random.choice(('before', 'after'))}:{random.randint(1, OFTEN[name])}"}


class Archive:
    """A home, its files, and what was acknowledged to whom watches."""

    def __init__(self, nursery: Nursery, folder: Path, random: Random) -> None:
        self.nursery, self.random = nursery, random
        self.home, self.acks = folder / "home", folder / "acks"
        self.files = Files(folder / "archive", random)
        self.files.add(6)
        self.files.add_clip()

    def trial(self) -> int:
        """Change files, index and be killed once or twice, and get well; says how often it was killed."""
        self.files.add(self.random.randint(3, 10))
        self.files.disturb()
        kills = 0
        for _ in range(self.random.choice((1, 1, 2))):
            kills += self.run("index", self.files.folder, "--json", **dying(self.random))
        if self.random.random() < 0.25 and (self.home / "sensorium.db").exists():
            again = self.random.choice(
                (("db", "rebuild"), ("db", "prune"), ("verify", "--repair"), ("index", self.files.folder, "--prune", "--json"))
            )
            kills += self.run(*again, **dying(self.random))
        assert not self.run("index", self.files.folder, "--json"), "nothing was to kill it"
        audit(self.nursery, self.home, self.files)
        return kills

    def run(self, *argv: object, **how: object) -> bool:
        """Run a command, and hold what it leaves against what was acknowledged; says whether it was killed."""
        database = self.home / "sensorium.db"
        before = done(database).keys()
        ran = self.nursery.run(*argv, home=self.home, acks=self.acks, **how)
        assert ran.orphans == 0, "a child outlived its parent by ten seconds"
        assert "Traceback" not in ran.err, ran.err
        assert ran.killed or ran.code in (0, 1), (ran.code, ran.err)
        assert how or ran.code == 0, ran.err
        assert not lost(acknowledged(self.acks), self.home, self.files), "acknowledged, and lost"
        assert not ran.told or len(done(database).keys() - before) >= ran.told, "told as indexed, and not there"
        return ran.killed


@pytest.mark.timeout(120 + 10 * TRIALS)
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(nursery, tmp_path):
    kills, archive = 0, None
    for number in range(TRIALS):
        seed = SEED + number
        if archive is None or not number % A_HOME:
            archive = Archive(nursery, tmp_path / str(number), Random(seed))
        archive.random.seed(f"trial {seed}")
        try:
            kills += archive.trial()
        except AssertionError as error:
            raise AssertionError(
                f"seed {seed}, trial {number} (its home began at {number - number % A_HOME}): {error}"
            ) from error
        print(f"{number + 1} trials from seed {SEED}: {kills} kills, 0 lost, 0 duplicated", flush=True)
    assert kills >= TRIALS // 2, "hardly any run was killed: the failpoints are not on its way"
