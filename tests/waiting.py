"""Waiting for what happens in another thread or process: as soon as it has happened, and long enough for a machine that is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LONG = 120.0
"""Seconds after which what has not happened never will: a limit for failures, not for slow machines."""

T = TypeVar("T")


def until(look: Callable[[], T], why: Callable[[], object] | str = "nothing happened") -> T:
    """Look again and again until there is something true to see, and give it.

    Raises:
        AssertionError: it has not come after ``LONG`` seconds.
    """
    end = time.monotonic() + LONG
    while not (seen := look()):
        assert time.monotonic() < end, why() if callable(why) else why
        time.sleep(0.02)
    return seen
