"""The demo: index the sample archive in a temporary home, and ask one question in each of the sixteen query-to-result combinations."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape

from indexer.run import RunRequest, Summary, index
from search import wire
from search.errors import InputError
from search.query import Engine, Query, Term
from search.settings import Settings, load
from search.types import Answer, Filter, Hit, Modality
from ui import phrasing, show

SAMPLE = Path(__file__).parent.parent / "data" / "sample"

TEXT, IMAGE, SOUND, VIDEO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO
QUESTIONS = (
    (TEXT, "boats on the shore at sunset", IMAGE),
    (TEXT, "a rooster crowing", SOUND),
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
    (VIDEO, "videos/pets.mp4", VIDEO),
    (VIDEO, "videos/concert.mkv", TEXT),
)
"""A question for each combination: the medium that it is asked with, its words or file, and the medium of the answers."""

BEST = 3

INDENT = 9
"""Columns before a question, which hold the medium that it is asked with."""


def run(keep: Path | None, *, as_json: bool) -> None:
    """Index and ask; with ``keep`` the home and the copy of the sample stay there.

    Raises:
        InputError: there is no sample archive, as in an installed wheel.
    """
    if not SAMPLE.is_dir():
        raise InputError(f"There is no sample archive in {SAMPLE}.", remedy="Run the demo in a checkout of the sources.")
    with _place(keep) as place:
        archive = place / "archive"
        shutil.copytree(SAMPLE, archive, dirs_exist_ok=True)
        settings = load({"home": place / "home"})
        with show.indexing(as_json=as_json) as report:
            summary = index(settings, RunRequest([archive], "sample", report=report))
        began = time.monotonic()
        answers = list(_ask(settings, archive))
        seconds = time.monotonic() - began
        if as_json:
            show.emit({"answers": [_json(*answer) for answer in answers]})
        else:
            _render(summary, answers, seconds)
        if keep:
            show.err.print(
                f"\nAsk more: sensorium search --home {shlex.quote(str(place / 'home'))} a cat looking up",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


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
    show.lines([
        f"\n[bold]{phrasing.count(work.done, 'file')}[/] of the sample archive indexed in [bold]{summary.seconds:.1f} s[/]: {phrasing.count(work.segments, 'segment')}.",
        f"{phrasing.count(len(answers), 'question')} answered in {seconds:.1f} s.",
    ])  # fmt: skip
    for asked, content, target, answer in answers:
        question = f'"{content}"' if asked is TEXT else Path(content).name
        show.lines([f"\n[cyan]{show.ICONS[asked]:<{INDENT}}[/]{escape(question)} → [cyan]{show.ICONS[target]}[/]"])
        rows = [(show.band(hit.confidence), _name(hit), f"[dim]{show.span(hit.span)}[/]") for hit in answer.hits]
        show.lines(f"{' ' * INDENT}{line}" for line in show.columns(rows))


def _name(hit: Hit) -> str:
    name = escape(Path(hit.segment.path).name)
    return f"[bold]{name}[/]" if hit.rank == 1 else name
