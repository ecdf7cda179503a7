"""The demo: index the sample archive in a temporary home, and ask one question in each of the sixteen directions."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from indexer.run import Job, Summary, index
from search import wire
from search.errors import InputError
from search.query import Engine, Query, Term
from search.settings import Settings, load
from search.types import Answer, Filter, Hit, Modality
from ui import show

SAMPLE = Path(__file__).parent.parent / "data" / "sample"

TEXT, IMAGE, SOUND, VIDEO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO
QUESTIONS = (
    (TEXT, "boats on the shore at sunset", IMAGE),
    (TEXT, "a dog barking", SOUND),
    (TEXT, "a fire engine with its siren on", VIDEO),
    (TEXT, "how do I make a good espresso?", TEXT),
    (IMAGE, "images/marigolds-garden.jpg", IMAGE),
    (IMAGE, "images/husky.jpg", SOUND),
    (IMAGE, "images/red-motorcycle.jpg", VIDEO),
    (IMAGE, "images/espresso-cup.jpg", TEXT),
    (SOUND, "sounds/rooster-crowing.wav", IMAGE),
    (SOUND, "sounds/rain.m4a", SOUND),
    (SOUND, "sounds/dog-bark.ogg", VIDEO),
    (SOUND, "sounds/cat-meow.mp3", TEXT),
    (VIDEO, "videos/forest-walk.mov", IMAGE),
    (VIDEO, "videos/farm-morning.mp4", SOUND),
    (VIDEO, "videos/street.mp4", VIDEO),
    (VIDEO, "videos/concert.mkv", TEXT),
)
"""A question, words or a file of the sample archive, for each direction: asked in a medium, answered in another."""

BEST = 3


def run(keep: Path | None, *, as_json: bool) -> None:
    """Index and ask; with ``keep`` the home and the copy of the sample stay there.

    Raises:
        InputError: the sample archive is not here, as in an installed wheel.
    """
    if not SAMPLE.is_dir():
        raise InputError(f"The sample archive is not in {SAMPLE}.", remedy="Run the demo in a checkout of the sources.")
    with _place(keep) as place:
        archive = place / "archive"
        shutil.copytree(SAMPLE, archive, dirs_exist_ok=True)
        settings = load({"home": place / "home"})
        with show.indexing(as_json=as_json) as report:
            summary = index(settings, Job([archive], "sample", report=report))
        began = time.monotonic()
        answers = list(_ask(settings, archive))
        seconds = time.monotonic() - began
        if as_json:
            show.emit({"answers": [_json(*answer) for answer in answers]})
        else:
            _render(summary, answers, seconds)
        if keep:
            show.err.print(f"Kept. Ask more: sensorium search --home {place / 'home'} a cat looking up")


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="sensorium-demo-") as folder:
        yield Path(folder)


def _ask(settings: Settings, archive: Path) -> Iterator[tuple[Modality, str, Modality, Answer]]:
    with Engine(settings) as engine:
        for asked, content, target in QUESTIONS:
            query: Query = Term(content if asked is TEXT else archive / content, asked)
            own = [] if asked is TEXT else engine.store.assets_at(str(archive / content))  # the question is no answer
            yield (
                asked,
                content,
                target,
                engine.search(query, Filter(modalities=(target,)), k=BEST, group="asset", without=own),
            )


def _json(asked: Modality, content: str, target: Modality, answer: Answer) -> dict[str, Any]:
    return {"asked": str(asked), "query": content, "target": str(target)} | wire.answer(answer)


def _render(summary: Summary, answers: list[tuple[Modality, str, Modality, Answer]], seconds: float) -> None:
    work = summary.progress
    show.out.print(
        f"\n[bold]{work.done} files[/] of the sample archive indexed in [bold]{summary.seconds:.1f} s[/]: {work.segments} segments."
        f" Sixteen questions answered in {seconds:.1f} s.\n",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 1, 0))
    for title in ("asked with", "question", "answered in", "best answers"):
        table.add_column(title)
    before = None
    for asked, content, target, answer in answers:
        question = f'"{content}"' if asked is TEXT else Path(content).name
        found = "\n".join(_line(hit) for hit in answer.hits)
        first = show.ICONS[asked] if asked is not before else ""
        table.add_row(f"[cyan]{first}[/]", escape(question), f"[cyan]{show.ICONS[target]}[/]", found)
        before = asked
    show.out.print(table)


def _line(hit: Hit) -> str:
    where = f"  [dim]at {show.span(hit.span)}[/]" if show.span(hit.span) else ""
    name = escape(Path(hit.segment.path).name)
    return f"{show.band(hit.confidence)} {f'[bold]{name}[/]' if hit.rank == 1 else name}{where}"
