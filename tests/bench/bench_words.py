"""Finding words among 1,000,000 passages: any two words, however common, a phrase, an exclusion, a word that was misspelt or misheard, under a
filter.

The passages are made up: some 12 words each, drawn from a vocabulary of 200,000 as Zipf found them to be (the n-th most common word
comes 1/n as often), and written with the triggers that keep the index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from search.query.operators import parse
from search.store import Database
from search.store.words import scrub, text_index
from search.types import Ids
from tests.bench.report import Figure, seconds

PASSAGES, VOCABULARY, ROUNDS = 1_000_000, 200_000, 300
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "is", "on", "um")]
_VOWELS = str.maketrans("aeiou", "eioua")

Allowed = Callable[[Ids], NDArray[np.bool_]]


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
    with database.reading() as connection:
        few = np.array(connection.execute(text("SELECT id FROM segment WHERE asset_id % 100 = 0 ORDER BY id")).scalars().all())

    def among(ids: Ids) -> NDArray[np.bool_]:
        """A filter, as a searcher has it."""
        return few[np.minimum(np.searchsorted(few, ids), len(few) - 1)] == ids

    def timed(name: str, question: Callable[[], str], *, allowed: Allowed | None = None) -> Iterator[Figure]:
        questions = [parse(question()) for _ in range(ROUNDS)]
        spent = [1000 * seconds(lambda words=words: index.search(words, 300, allowed=allowed)) for words in questions]
        yield Figure(f"{name}, p50", float(np.median(spent)), "ms")
        yield Figure(f"{name}, p95", float(np.quantile(spent, 0.95)), "ms", most=None if allowed else 30)

    def word(low: int = 1, high: int = VOCABULARY) -> str:
        """A word from among the ``low``-th to the ``high``-th most common, each order of magnitude as often."""
        return words[int(np.exp(rng.uniform(np.log(low), np.log(high)))) - 1]

    def misspelt() -> str:
        """A word with another letter in the place of one."""
        right = next(found for found in iter(lambda: word(100), None) if len(found) > 4)
        at = int(rng.integers(1, len(right)))
        return right[:at] + "bcdefghijklmnopqrstuvwxyz"[rng.integers(0, 25)] + right[at + 1 :]

    def misheard() -> str:
        """A word with other vowels, which Metaphone leaves out."""
        return next(found for found in iter(lambda: word(100), None) if len(found) > 4).translate(_VOWELS)

    loading = seconds(lambda: index.search(parse("zzyzxzzy"), 1))
    yield Figure("the first question, which reads the vocabulary", loading, "s")
    yield from timed("any two words", lambda: f"{word()} {word()}")
    yield from timed("two of the 100 most common words", lambda: f"{word(1, 100)} {word(1, 100)}")
    yield from timed("five words", lambda: " ".join(word() for _ in range(5)))
    yield from timed("a phrase of two of the 100 most common words", lambda: f'"{word(1, 100)} {word(1, 100)}"')
    yield from timed("a common word without another", lambda: f"{word(1, 100)} -{word(1, 100)}")
    yield from timed("a misspelt word", misspelt)
    yield from timed("a word that sounds like another", misheard)
    yield from timed("any two words in a hundredth of the archive", lambda: f"{word()} {word()}", allowed=among)
    with database.writing() as connection:
        connection.execute(text("UPDATE segment SET text = 'a zzyzx' WHERE id = 1"))
    yield Figure(
        "the first misspelt word after a change", 1000 * seconds(lambda: index.search(parse("zzyzxzzy"), 1)), "ms", most=30
    )
    yield Figure("optimizing, as after a deletion", seconds(lambda: scrub(database)), "s")
