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


@pytest.fixture(scope="session")
def canary(tmp_path_factory):
    """A file outside every archive that nobody may read."""
    path = tmp_path_factory.mktemp("outside") / "canary.txt"
    path.write_text("the canary sings of thirteen violet umbrellas")
    return path


@pytest.fixture
def listener():
    with Listener() as listener:
        yield listener
