"""Finding words among 1,000,000 passages: any two words, however common, a phrase, and a word that was misspelt.

The passages are made up: some 12 words each, drawn from a vocabulary of 200,000 as Zipf found them to be (the n-th most common word
comes 1/n as often), and written with the triggers that keep the index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import text

from search.query.words import parse
from search.store import Database
from search.store.words import scrub, text_index
from tests.bench.report import Figure, seconds

PASSAGES, VOCABULARY, ROUNDS = 1_000_000, 200_000, 300
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "is", "on", "um")]


def run() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder, 'words.db')}")
        words = vocabulary()
        filling = seconds(lambda: fill(database, words))
        yield Figure("writing a passage with its words", 1e6 * filling / PASSAGES, "µs")
        yield from ask(database, words)
        database.close()


def vocabulary() -> list[str]:
    """Different made-up words of two to five syllables, the most common first."""
    rng, found = np.random.default_rng(0), dict[str, None]()
    while len(found) < VOCABULARY:
        length = 1 + int(rng.integers(1, 5))
        found["".join(_SYLLABLES[at] for at in rng.integers(0, len(_SYLLABLES), length))] = None
    return sorted(found, key=len)


def fill(database: Database, words: list[str]) -> None:
    """Write the passages, a thousand an asset."""
    database.upgrade()
    rng = np.random.default_rng(1)
    shares = 1 / np.arange(1, VOCABULARY + 1)
    bounds = np.cumsum(shares / shares.sum())
    asset = text("INSERT INTO asset (digest, size, modality, created_at) VALUES (:digest, 1, 'text', 0) RETURNING id")
    segment = text("INSERT INTO segment (asset_id, channel, ordinal, text) VALUES (:asset, 'speech', :ordinal, :text)")
    for start in range(0, PASSAGES, 20_000):
        with database.writing() as connection:
            for first in range(start, start + 20_000, 1_000):
                key = connection.execute(asset, {"digest": first.to_bytes(32, "big")}).scalar_one()
                drawn = np.searchsorted(bounds, rng.random((1_000, 12)))
                rows = [
                    {"asset": key, "ordinal": ordinal, "text": " ".join(words[min(at, VOCABULARY - 1)] for at in row)}
                    for ordinal, row in enumerate(drawn)
                ]
                connection.execute(segment, rows)


def ask(database: Database, words: list[str]) -> Iterator[Figure]:
    """Time what people ask for; each question once, so that nothing is remembered."""
    index, rng = text_index(database), np.random.default_rng(2)

    def timed(name: str, question: Callable[[], str], *, most: float | None = None) -> Iterator[Figure]:
        questions = [parse(question()) for _ in range(ROUNDS)]
        spent = [1000 * seconds(lambda words=words: index.search(words, 300)) for words in questions]
        yield Figure(f"{name}, p50", float(np.median(spent)), "ms")
        yield Figure(f"{name}, p95", float(np.quantile(spent, 0.95)), "ms", most=most)

    def word(low: int, high: int) -> str:
        """A word from among the ``low``-th to the ``high``-th most common, each order of magnitude as often."""
        return words[int(np.exp(rng.uniform(np.log(low), np.log(high)))) - 1]

    loading = seconds(lambda: index.search(parse("zzyzxzzy"), 1))
    yield Figure("the first question, which reads the vocabulary", loading, "s")
    yield from timed("any two words", lambda: f"{word(1, VOCABULARY)} {word(1, VOCABULARY)}", most=30)
    yield from timed("two of the 100 most common words", lambda: f"{word(1, 100)} {word(1, 100)}", most=30)
    yield from timed("five words", lambda: " ".join(word(1, VOCABULARY) for _ in range(5)))
    yield from timed("a phrase of two of the 100 most common words", lambda: f'"{word(1, 100)} {word(1, 100)}"', most=30)
    yield from timed("a common word without another", lambda: f"{word(1, 100)} -{word(1, 100)}", most=30)
    yield from timed("a misspelt word", lambda: word(100, 10_000)[::-1])
    yield Figure("optimizing, as after a deletion", seconds(lambda: scrub(database)), "s")
