"""Recovery: how soon an archive of 100,000 segments answers, with its index whole, damaged, and gone; and how long verifying takes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexer.repair import repair
from indexer.run import rebuild
from indexer.verify import verify
from search import encoders
from search.query import Engine, Term
from search.settings import Settings
from search.types import Modality
from tests.bench.bench_search import SEGMENTS, make
from tests.bench.report import Figure, seconds


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"))
        encoder = encoders.load("pocket")
        make(settings, encoder, SEGMENTS)
        yield Figure("the index written from the database, nothing embedded", seconds(lambda: rebuild(settings)), "s")

        def answer() -> None:
            with Engine(settings, encoder=encoder) as engine:
                assert engine.search(Term("a dog", Modality.TEXT)).hits

        yield Figure("opened and asked, the index whole", seconds(answer), "s", most=10)
        vectors = next((settings.home / "index").glob("*/gen-*/vectors.faiss"))
        with vectors.open("r+b") as file:
            file.seek(vectors.stat().st_size // 2)
            file.write(np.random.default_rng(0).bytes(64))
        yield Figure("opened and asked, the index damaged", seconds(answer), "s", most=10)
        yield Figure("verify --repair", seconds(lambda: repair(settings)), "s")
        yield Figure("verify", seconds(lambda: verify(settings)), "s")
        yield Figure("verify --deep", seconds(lambda: verify(settings, deep=True)), "s")
        shutil.rmtree(settings.home / "index")
        yield Figure("opened and asked, the index gone", seconds(answer), "s", most=10)
