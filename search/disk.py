"""What is asked of the disk besides holding files: that it keeps them through a power cut, and whether it is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def full(error: OSError) -> bool:
    """Whether an operating system error means that there is no room."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
