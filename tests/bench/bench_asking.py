"""Facets of 100,000 segments, and ordered patterns over them: how long they take besides encoding the words.

The archive is made up: 1,000 films of a hundred seconds, whose pictures lie around the vectors of words.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from search import encoders
from search.query import Engine, Link, Step, Term, Then
from search.settings import Settings
from search.store import Database, Fields, Finished, Intake, Labels, Queue, Spaces
from search.store.intake import Sighting
from search.types import Channel, Cut, Dated, DateSource, Filed, Filter, Info, Modality, Span
from tests.bench.report import Figure, seconds

FILMS, SHOTS, ROUNDS = 1_000, 100, 21
_NOTHING = np.empty(0, np.uint8)
WORDS = (
    "a fire engine",
    "a crowd of people",
    "a police car",
    "a dog",
    "a beach",
    "a kitchen",
    "a violin",
    "snow on a mountain",
    "a market",
    "a train",
)


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        settings, encoder = Settings(home=Path(folder, "home")), encoders.load("pocket")
        make(settings, encoder)
        with Engine(settings, encoder=encoder) as engine:
            engine.write_generation()
            yield from _facets(engine)
            yield from _patterns(engine)


def make(settings: Settings, encoder: encoders.Encoder) -> None:
    """Fill an archive with films of many shots, each about one of the words, with tags, dates and own fields."""
    rng, database = np.random.default_rng(0), Database(settings.database)
    database.upgrade()
    about, dim = encoder.encode(Modality.TEXT, list(WORDS)), encoder.space.dim
    intake = Intake(database)
    space, collection = Spaces(database).add(encoder.space, encoder.space.name).key, intake.collection("made-up", [b"/made-up"])
    cuts = [Cut(Channel.VISUAL, Modality.VIDEO, Span(n * 1_000, n * 1_000 + 1_000), _NOTHING) for n in range(SHOTS)]
    files = [(Sighting(b"/made-up/%02d/%04d.mp4" % (n % 40, n), 1_000 * n, 0), n.to_bytes(32, "big")) for n in range(FILMS)]
    intake.put_files(collection, 1, [space], files)
    work = Queue(database, space, "bench")
    for unit in (one for _ in range(FILMS // 50) for one in work.lease(50)):
        vectors = about[rng.integers(0, len(WORDS), SHOTS)] + 0.7 * rng.standard_normal((SHOTS, dim)).astype(
            np.float32
        ) / np.sqrt(dim)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        day = int(rng.integers(10_000, 19_000))
        info, filed = Info(Modality.VIDEO, "mp4", 1_920, 1_080, SHOTS * 1_000), Filed(Dated(day, day, DateSource.EXIF))
        work.put([Finished(unit, info, cuts, vectors.astype(np.float32), filed=filed)])
    assets = range(1, FILMS + 1)
    Labels(database).put(space, {asset: [(WORDS[asset % 10], 0.9)] for asset in assets})
    Fields(database).put({asset: {"Model": f"camera {asset % 7}", "iso": str(100 * (asset % 9))} for asset in assets})
    database.close()


def _facets(engine: Engine) -> Iterator[Figure]:
    """Each round has another filter, so that no mask is remembered."""
    engine.facets()  # reads what the database knows of this state, once
    whole = median(seconds(engine.facets) for _ in range(ROUNDS))
    part = median(
        seconds(lambda n=n: engine.facets(Filter(since=f"{1998 + n // 12}-{n % 12 + 1:02d}-01"))) for n in range(ROUNDS)
    )
    yield Figure("all facets of 100,000 segments, p50", 1000 * whole, "ms", most=20)
    yield Figure("all facets of what a new filter leaves of them, p50", 1000 * part, "ms", most=20)


def _patterns(engine: Engine) -> Iterator[Figure]:
    def ask(number: int, *, absent: bool) -> None:
        one, two, three = (Term(WORDS[(number + n) % len(WORDS)], Modality.TEXT) for n in range(3))
        engine.search(Then((Step(one), Step(two, link=Link(most_ms=30_000), without=(three,) if absent else ()))), k=10)

    for number in range(len(WORDS)):  # the words' vectors are remembered, the answers are not
        ask(number, absent=True)
    yield Figure(
        "one thing and then another, p50",
        1000 * median(seconds(lambda n=n: ask(n, absent=False)) for n in range(ROUNDS)),
        "ms",
        most=50,
    )
    yield Figure(
        "with a third absent between, p50",
        1000 * median(seconds(lambda n=n: ask(n, absent=True)) for n in range(ROUNDS)),
        "ms",
        most=80,
    )
