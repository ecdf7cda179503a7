from __future__ import annotations

import os

import pytest

from tests.hostile import samples
from tests.hostile.listener import Listener

CASES = int(os.environ.get("SENSORIUM_HOSTILE_CASES", "150"))
"""How many files: 2,000 take some minutes."""
SEED = int(os.environ.get("SENSORIUM_HOSTILE_SEED", "7"))


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    return samples.write(tmp_path_factory.mktemp("good"))


SECRET = "the canary sings of thirteen violet umbrellas"


@pytest.fixture
def canary(tmp_path_factory):
    """A file outside every archive that nobody may read; ``was_read`` tells."""
    path = tmp_path_factory.mktemp("outside") / "canary.txt"
    path.write_text(SECRET)
    os.utime(path, (0, path.stat().st_mtime))
    return path


def was_read(path):
    """Whether a file was read since its time of access was set to nought: systems note at least the first time."""
    return path.stat().st_atime != 0


@pytest.fixture
def listener():
    with Listener() as listener:
        yield listener
