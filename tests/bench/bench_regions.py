"""Parts of pictures: how well windows find and point at things of 5 to 15 % of a picture, off its centre; what they cost.

Things are pasted into photographs (``composites.py``). Beside the figures stand those of the whole picture's vector, of the centre, and of chance.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from search import encoders
from search.encoders.pocket import PocketEncoder
from search.index.window_codes import WindowCodes, pack
from search.query import Engine, Term
from search.query.region_search import Regions
from search.settings import Settings
from search.store import Database, Readers
from search.store.region_rows import RegionRows
from search.types import Modality
from tests.bench.bench_search import make
from tests.bench.composites import composites
from tests.bench.report import Figure

PLAIN, FEW, DRAWS, ROUNDS = 700, 100, 40, 15
"""Photographs without a thing; pictures in a small archive, and how many of these are drawn; calls of which the median counts."""

BATCH, ARCHIVE, BYTES = 8, 100_000, 1_500


def run() -> Iterator[Figure]:
    made, plain = composites(PLAIN)
    encoder = encoders.load("pocket")
    assert isinstance(encoder, PocketEncoder)
    size = encoder.needs.size
    pixels = [np.asarray(one.resize((size, size))) for one in [*(composite.picture for composite in made), *plain]]
    whole = np.concatenate([encoder.encode(Modality.IMAGE, pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])
    windows = np.concatenate([encoder.regions(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])
    codes = WindowCodes(len(encoder.windows), windows.shape[2])
    codes.add(pack(windows))
    asked = encoder.encode(Modality.TEXT, [one.name for one in made])
    each = np.stack([codes.scores(encoder.pointer(one, Modality.TEXT), np.arange(len(pixels))) for one in asked])
    yield from _recall(asked @ whole.T, each.max(axis=2))
    yield from _pointing(encoder, made, each)
    yield Figure("bytes of a picture's windows", len(pack(windows[:1])[0]), "bytes", most=BYTES)
    yield from _cost(encoder, pixels[:BATCH])
    yield from _large(encoder)


def _recall(whole: NDArray[np.float32], parts: NDArray[np.float32]) -> Iterator[Figure]:
    """Recall at 1 and 10 by the best window against the whole picture's vector; row i asks for picture i."""
    rng, count = np.random.default_rng(0), len(whole)
    draws = [rng.choice(count, FEW, replace=False) for _ in range(DRAWS)]

    def few(scores: NDArray[np.float32], k: int) -> float:
        return float(np.mean([_found(scores[np.ix_(some, some)], k) for some in draws]))

    for k, least, more in ((10, 1.6, 2.0), (1, None, 2.4)):
        yield Figure(f"R@{k} of the whole picture's vector among {FEW}", few(whole, k), "")
        yield Figure(f"R@{k} of windows among {FEW}", few(parts, k), "")
        yield Figure(f"R@{k} of windows over the whole's among {FEW}", few(parts, k) / few(whole, k), "times", least=least)
        yield Figure(f"R@{k} of the whole picture's vector among {whole.shape[1]}", _found(whole, k), "")
        yield Figure(f"R@{k} of windows among {whole.shape[1]}", _found(parts, k), "")
        yield Figure(
            f"R@{k} of windows over the whole's among {whole.shape[1]}",
            _found(parts, k) / max(_found(whole, k), 1e-9),
            "times",
            least=more,
        )


def _found(scores: NDArray[np.float32], k: int) -> float:
    own = scores[np.arange(len(scores)), np.arange(len(scores))]
    return float(((scores > own[:, None]).sum(axis=1) < k).mean())


def _pointing(encoder: PocketEncoder, made: list, each: NDArray[np.float32]) -> Iterator[Figure]:
    """The pointing game: whether the middle of the box lies in the thing's box, and on the thing itself."""
    regions = Regions(RegionRows(Database("sqlite://")), 0, encoder)
    boxes = [regions.box(each[at, at]) for at in range(len(made))]
    points = [(left + width / 2, top + height / 2) for left, top, width, height in boxes]
    rng = np.random.default_rng(0)
    for how, some in (
        ("", points),
        (" by the centre", [(50.0, 50.0)] * len(made)),
        (" by chance", list(rng.uniform(0, 100, (len(made), 2)))),
    ):
        by_box = [
            left <= x <= left + width and top <= y <= top + height
            for (x, y), (left, top, width, height) in zip(some, (one.box for one in made), strict=True)
        ]
        by_mask = [
            one.mask[
                min(int(y / 100 * one.mask.shape[0]), one.mask.shape[0] - 1),
                min(int(x / 100 * one.mask.shape[1]), one.mask.shape[1] - 1),
            ]
            for (x, y), one in zip(some, made, strict=True)
        ]
        yield Figure(f"pointing{how}, into the thing's box", float(np.mean(by_box)), "", least=None if how else 0.7)
        yield Figure(f"pointing{how}, onto the thing", float(np.mean(by_mask)), "", least=None if how else 0.5)


def _cost(encoder: PocketEncoder, batch: list) -> Iterator[Figure]:
    plain = _usually(lambda: encoder.encode(Modality.IMAGE, batch))
    tapped = _usually(lambda: encoder.regions(batch))
    yield Figure("windows over the plain picture graph", 100 * (tapped / plain - 1), "% more", most=8)


def _usually(work: Callable[[], object]) -> float:
    """The median of the seconds of processor time that a call takes, once it has been made."""
    work()
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return median(found)


def _large(encoder: PocketEncoder) -> Iterator[Figure]:
    """A search by region over 100,000 made-up pictures against the whole-picture search of the same archive."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        make(settings, encoder, ARCHIVE)
        database = Database(settings.database)
        reader = Readers(database).add("regions", encoder.region_revision, [Modality.IMAGE], [])
        rng, width = np.random.default_rng(0), encoder.pointer(np.zeros(encoder.space.dim, np.float32), Modality.TEXT).size
        with database.writing() as connection:
            assets = connection.execute(sa.text("SELECT id FROM asset ORDER BY id")).scalars().all()
            for start in range(0, len(assets), 2_000):
                some = assets[start : start + 2_000]
                packed = pack(rng.standard_normal((len(some), len(encoder.windows), width), np.float32))
                rows = [{"asset": asset, "reader": reader.key, "codes": code} for asset, code in zip(some, packed, strict=True)]
                connection.execute(
                    sa.text("INSERT INTO region (asset_id, reader_id, codes) VALUES (:asset, :reader, :codes)"), rows
                )
        database.close()
        texts = [f"a {word} in the garden" for word in ("dog", "kite", "bench", "tree", "cat", "boat", "drum", "fox")]
        with Engine(settings, encoder=encoder) as engine:
            turns = iter(texts * 100)
            plain = _usually(lambda: engine.search(Term(next(turns), Modality.TEXT)))
            parts = _usually(lambda: engine.regions(Term(next(turns), Modality.TEXT)))
        yield Figure("search of 100,000 whole pictures", plain * 1e3, "ms")
        yield Figure("search of the regions of 100,000 pictures", parts * 1e3, "ms")
        yield Figure("region search over the whole-picture search", parts / plain, "times", most=2)
