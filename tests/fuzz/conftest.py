"""What the fuzzers share. SENSORIUM_FUZZ_EXAMPLES: how many examples Hypothesis tries of each; without it, the same 100 every time."""

from __future__ import annotations

import os

import hypothesis
import pytest

from indexer import run
from tests.fuzz.decoding import InProcess

EXAMPLES = os.environ.get("SENSORIUM_FUZZ_EXAMPLES")
FUZZ = hypothesis.settings(
    max_examples=int(EXAMPLES or 100), derandomize=not EXAMPLES, database=None, deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)  # fmt: skip


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """Decode in this process."""
    monkeypatch.setattr(run, "DecodePool", InProcess)
