from __future__ import annotations

import sys

import pytest

from tests.crash.lab import Nursery

if sys.platform != "linux":
    pytest.skip("the harnesses of loss speak to Linux", allow_module_level=True)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()
