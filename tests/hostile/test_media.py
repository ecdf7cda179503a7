from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter

from search.errors import REASONS
from tests.bench.report import ROOT
from tests.hostile import cases
from tests.hostile.conftest import CASES, SECRET, SEED, was_read

STILL = ("jpg", "png", "webp", "avif", "gif", "tiff", "bmp", "txt", "md", "html", "srt", "vtt", "pdf", "csv")
LATE = re.compile(r"Operation not permitted: '/|ImportError|ModuleNotFoundError")
MOST_MB = 1_000
GROWTH_MB = 50


def test_every_hostile_file_comes_to_a_visible_end_and_does_no_harm(good, canary, listener, tmp_path):
    kinds = cases.write(tmp_path, good, canary, listener.port, count=CASES, seed=SEED)
    before = sorted(tmp_path.parent.iterdir())
    seconds = 30 if CASES > 500 else 4
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.parent", str(tmp_path), str(seconds), SECRET],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    told = json.loads(done.stdout)
    files = told["files"]
    print(table(kinds, told))
    assert set(files) == set(kinds)
    assert {file["outcome"] for file in files.values()} <= {"indexed", *REASONS}
    assert [bytes.fromhex(name) for name, kind in kinds.items() if kind == "name" and files[name]["outcome"] != "indexed"] == []
    assert [bytes.fromhex(name) for name, file in files.items() if file["leaked"]] == []
    assert [bytes.fromhex(name) for name, file in files.items() if is_still(name) and file["memory"] > MOST_MB] == []
    assert [file["detail"] for file in files.values() if LATE.search(file["detail"])] == [], (
        "a library opened or imported something late"
    )
    assert told["grown"] < GROWTH_MB
    assert listener.calls == 0
    assert not was_read(canary)
    assert sorted(tmp_path.parent.iterdir()) == before
    assert len(list(tmp_path.iterdir())) == len(kinds)


def is_still(name: str) -> bool:
    return bytes.fromhex(name).decode("utf-8", "replace").rpartition(".")[2] in STILL


def table(kinds: dict[str, str], told: dict[str, object]) -> str:
    """What came of each kind: for a report, with ``-s``."""
    files = told["files"]
    lines = []
    for kind in sorted(set(kinds.values())):
        ends = Counter(files[name]["outcome"] for name, its in kinds.items() if its == kind)
        lines.append(f"{kind:14} {sum(ends.values()):5}  " + ", ".join(f"{end} {count}" for end, count in ends.most_common()))
    gaps = Counter(gap for file in files.values() for gap in file["gaps"])
    lines.append(f"gaps: {', '.join(f'{gap} {count}' for gap, count in gaps.most_common())}")
    most = {still: max(file["memory"] for name, file in files.items() if is_still(name) == still) for still in (True, False)}
    lines.append(
        f"decoder: at most {most[True]:.0f} MB for pictures and texts, {most[False]:.0f} MB for sound and video; parent grew by {told['grown']:.0f} MB"
    )
    for name, file in sorted(files.items(), key=lambda one: -one[1]["seconds"])[:8]:
        lines.append(
            f"  {file['seconds']:5.1f} s {file['memory']:5.0f} MB  {file['outcome']:11} {bytes.fromhex(name)[:60]!r} {file['detail'][:60]}"
        )
    for name, file in files.items():
        if file["outcome"] == "killed":
            lines.append(f"  killed {bytes.fromhex(name)[:60]!r} {file['detail'][:120]}")
    return "\n" + "\n".join(lines)
