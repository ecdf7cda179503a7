from __future__ import annotations

import sys

import pytest

from tests.crash.lab import Nursery

if sys.platform != "linux":
    pytest.skip("the harnesses of loss speak to Linux", allow_module_level=True)


@pytest.fixture(scope="session")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()
