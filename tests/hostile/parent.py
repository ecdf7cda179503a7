"""Decodes every file of a folder in a process of its own, and says what came of each and what it cost.

    python -m tests.hostile.parent FOLDER DECODE_SECONDS SECRET

The figures are this process's growth after its first file, and the most that a decoder held while it read a file, both
from the kernel's own high-water marks (VmHWM).
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from search.errors import MediaError
from search.media import DecodePool
from search.readers.written import WrittenReader
from search.settings import Settings
from search.types import Cut, Gap, Info, Needs

NEEDS = Needs(size=260, fit="squash", rate=16_000, window_ms=5_000, characters=1_000)


def decode(pool: DecodePool, path: Path, secret: str) -> dict[str, object]:
    """What came of a file: ``outcome`` is "indexed" or a word of the ledger; ``gaps`` are words of the ledger as well."""
    found, gaps, outcome, details = 0, set[str](), "", list[str]()
    leaked, began = False, time.monotonic()
    try:
        for item in chain(pool.decode(path, NEEDS), _written(pool, path)):
            assert isinstance(item, Info | Cut | Gap)
            found += isinstance(item, Cut)
            leaked |= isinstance(item, Cut) and isinstance(item.content, str) and secret in item.content
            if isinstance(item, Gap):
                gaps.add(item.reason)
                details.append(item.detail)
    except MediaError as error:
        outcome, details = error.reason, [str(error), *details]
    detail = "; ".join(details)
    leaked |= secret in detail
    took = time.monotonic() - began
    outcome = outcome or ("indexed" if found else "no_content")
    return {"outcome": outcome, "detail": detail, "gaps": sorted(gaps), "leaked": leaked, "seconds": took}


def _written(pool: DecodePool, path: Path) -> Iterator[Info | Cut | Gap]:
    """What is written in a file, or in what may lie beside one."""
    try:
        yield from pool.decode(path, WrittenReader.needs)
    except MediaError as error:
        yield Gap(error.reason, str(error))


def memory(pid: int | str, field: str = "VmHWM") -> float:
    """A figure of a process's memory, in megabytes; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith(field)), 0.0)


def forget(pid: int) -> None:
    """Set the high-water mark of a process back to what it holds now."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return


def main() -> None:
    folder, seconds, secret = os.fsencode(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    settings = Settings(home=Path("/nonexistent"), decode_seconds=seconds)
    names = sorted(os.listdir(folder), reverse=True)
    outcomes: dict[str, dict[str, object]] = {}

    def work() -> None:
        with DecodePool(settings, 1) as pool:
            while True:
                try:
                    name = names.pop()
                except IndexError:
                    return
                (process,) = pool._all
                forget(process._popen.pid)
                outcome = decode(pool, Path(os.fsdecode(os.path.join(folder, name))), secret)
                outcome["memory"] = memory(process._popen.pid)  # nought if it was killed
                outcomes[name.hex()] = outcome

    first = names.pop()
    with DecodePool(settings, 1) as pool:
        outcomes[first.hex()] = decode(pool, Path(os.fsdecode(os.path.join(folder, first))), secret) | {"memory": 0.0}
    gc.collect()
    before = memory("self", "VmRSS")
    forget(os.getpid())
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({"grown": memory("self") - before, "files": outcomes}, sys.stdout)


if __name__ == "__main__":
    main()
