"""What is found is what is seen and heard: generated films, pictures and sounds, indexed by the real program and judged against Chromium."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.bench.report import Figure, Skipped
from tests.bench.truth import colours, dates, films, folders, pictures, sounds
from tests.bench.truth.archive import Archive
from tests.bench.truth.browser import browser
from tests.bench.truth.case import Case, Row
from tests.bench.truth.judge import Judge

KINDS = "SENSORIUM_TRUTH_KINDS"
"""The variable that names kinds of files to be judged, separated by commas; without it, all are."""


def run() -> Iterator[Figure]:
    """A line for each judgement, and then how many of each sort are right."""
    if shutil.which("ffmpeg") is None:
        raise Skipped("there is no ffmpeg here")
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = list(judged(Path(folder), chosen(cases())))
            if not kinds() or "folders" in kinds():
                rows += told(folders.rows(Path(folder) / "folders"))
        except LookupError as missing:
            raise Skipped(str(missing)) from None
    yield from figures(rows)


def cases() -> Iterator[Case]:
    """Every generated file."""
    for module in (films, colours, pictures, sounds, dates):
        yield from module.cases()


def chosen(all_of: Iterator[Case]) -> list[Case]:
    """The cases whose kinds are asked for."""
    wanted = kinds()
    return [case for case in all_of if not wanted or case.kind in wanted]


def kinds() -> list[str]:
    """The kinds that are asked for; none: all."""
    return [kind.strip() for kind in os.environ.get(KINDS, "").split(",") if kind.strip()]


def told(rows: Iterable[Row]) -> Iterator[Row]:
    """Print each line as it comes."""
    for row in rows:
        print(row, flush=True)
        yield row


def judged(folder: Path, some: Sequence[Case]) -> Iterator[Row]:
    """Make, index and judge files, printing each line as it comes.

    Raises:
        LookupError: there is no Chromium here.
    """
    if not some:
        return
    media, scraps = folder / "media", folder / "scraps"
    for made in (media, scraps):
        made.mkdir()
    paths = {}
    for case in some:
        paths[case.name] = path = media / case.kind.replace(" ", "-") / case.name
        path.parent.mkdir(exist_ok=True)
        case.make(path, scraps)
    archive = Archive(folder / "home")
    with browser(folder) as tab:
        archive.run("index", media)
        with archive.serving() as address:
            judge = Judge(archive, address, tab)
            for case in some:
                yield from told(judge.rows(case, paths[case.name]))
            yield from told(judge.levels())


def figures(rows: Sequence[Row]) -> Iterator[Figure]:
    """The sums of a run."""
    all_of, right = Counter(row.what for row in rows), Counter(row.what for row in rows if row.ok)
    for what, count in all_of.items():
        yield Figure(f"{what} right", right[what], f"of {count}", least=count)
    files = {row.file for row in rows}
    yield Figure(
        "files wholly right", len(files - {row.file for row in rows if not row.ok}), f"of {len(files)}", least=len(files)
    )
    yield Figure("judgements that fail", sum(not row.ok for row in rows), f"of {len(rows)}", most=0)
