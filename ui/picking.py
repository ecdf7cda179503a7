"""Pictures imagined of words, in the terminal: they are made in a folder that is gone afterwards, and somebody picks among them."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.errors import InputError
from search.models import Models
from search.ondemand import imagine
from search.ondemand.imagine import Wish
from search.settings import Settings
from ui.terminal import echo


@contextmanager
def picked(
    settings: Settings, model: str, text: str, *, seeds: Sequence[int], steps: int | None, pick: Sequence[int] | None
) -> Iterator[list[Path]]:  # fmt: skip
    """The pictures that were picked of those that a model imagined of ``text``, while the context lasts. ``pick`` are their numbers, from 1;
    None: they are asked for in a terminal, and all count elsewhere.

    Raises:
        ModelMissing, UnknownName: as ``imagine.load``.
        InputError: the wish is out of bounds, a number is none of theirs, or the model held all back.
    """
    wish = Wish.of(text, seeds=seeds, steps=steps)
    imaginer = imagine.load(model, Models.of(settings), settings.device)
    checker = "its safety checker looks at each picture" if imaginer.checked else "it has no safety checker"
    echo(f"Imagined by {imaginer.name}; {checker}. Nothing of it is kept.", err=True)
    with tempfile.TemporaryDirectory(prefix="sensorium-imagined-") as folder:
        made: dict[int, Path] = {}
        for number, one in enumerate(imaginer.imagine(wish, _progress), 1):
            path = Path(folder, f"{number}-seed-{one.seed}.png")
            one.picture.save(path)
            if one.held_back:
                echo(f"{number}: held back by the safety checker (seed {one.seed})", err=True)
            else:
                made[number] = path
                echo(f"{number}: {path} (seed {one.seed})", err=True)
        if not made:
            raise InputError("The safety checker held back all of the pictures.", remedy="Ask in other words.")
        chosen = _asked(made) if pick is None and sys.stdin.isatty() else list(pick or made)
        if unknown := [number for number in chosen if number not in made]:
            raise InputError(f"There is no imagined picture {unknown[0]}.", remedy=f"Take of {', '.join(map(str, made))}.")
        yield [made[number] for number in dict.fromkeys(chosen)]


def _progress(number: int, done: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rpicture {number + 1}: {done:.0%}   \r")
        sys.stderr.flush()


def _asked(made: dict[int, Path]) -> list[int]:
    """The numbers that somebody types: none means the words alone."""
    echo(f"Search with which of them? ({', '.join(map(str, made))}; Enter for none)", err=True)
    try:
        return [int(part) for part in sys.stdin.readline().replace(",", " ").split()]
    except ValueError:
        raise InputError("That is no list of numbers.", remedy="Type such as 1,3.") from None
