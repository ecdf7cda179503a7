from __future__ import annotations

import sys

import pytest

from tests.crash.lab import PreloadedRuns

if sys.platform != "linux":
    pytest.skip("the harnesses of loss speak to Linux", allow_module_level=True)


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
    preloaded = PreloadedRuns(tmp_path_factory.mktemp("preloaded"))
    yield preloaded
    preloaded.close()
