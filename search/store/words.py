"""The word index: which segments contain the words of a query, on SQLite and on PostgreSQL.

Both databases store terms (see ``folding``) with their positions. Triggers of migrations 0007 and 0008 keep them in step with the
segments. Both find the newest segments that contain given phrases. The ranking is common to both: each rare word of the query
adds its newest segments as candidates, and the texts of the best candidates are ranked by BM25. FTS5's own bm25 would read every
occurrence of every word, which takes 300 ms for a common word.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, func, select, text

from search.store import tables as t
from search.store import word_forms
from search.store.database import Database
from search.store.folding import asked, begins, places, terms
from search.store.names import READER
from search.store.sounds import sound
from search.store.vocabulary import Vocabulary
from search.types import WORDS as TEXTS
from search.types import Ids

Phrase: TypeAlias = tuple[str, ...]
"""Terms that follow each other."""

NEWEST = (1_000, 20_000)
"""The number of candidates for a word: the newest segments that contain it. More if a filter leaves too few."""

CANDIDATES_AT_ONCE = 300
"""Candidates whose texts are read at a time."""

MAX_OCCURRENCES = 200_000
"""The maximum number of occurrences of a word that are searched. Of a more common word, only the newest are."""

MAX_WORDS = 12
"""The maximum number of distinct words of a query that count, the rarest. With more, somebody has pasted a page of text."""

SAMPLED_SEGMENTS = 2_000
"""Segments that are looked at to tell how many are texts."""

MAX_TYPED_WORDS = 1_000
"""Words of a query that are looked at, the first."""

MAX_RARE_COUNT = 2
"""A word in at most this many segments may be another one that was misheard, misread or mistyped."""

WEIGHTS, NEAREST = (0.8, 0.7, 0.5), 8
"""The weight of a similar word by the number of differing letters (none: it only looks alike), and how many are tried."""

LOOKED_AT = 1_000
"""Segments that are looked at, the newest, for one that whoever asks may see."""

REMEMBERED = 256
"""Queries whose terms are remembered, at most."""

MIN_SOUNDING_LETTERS = 4
"""The least number of letters for matching by sound. The sound of shorter words says too little."""

SOUNDALIKE, ALIKE = 0.6, 4
"""The weight of a word that only sounds like the one in the query, and how many are tried."""

INFLECTED, APART = 0.8, 0.95
"""The weight of another form of a word, and of one written apart, with a hyphen or as one."""

FORMS, LOOKED_AT = 3, 60
"""How many other forms are tried, the most frequent ones, and how many words are examined for them."""

USUAL, USUAL_SHARE = 100, 0.05
"""For a word in more texts than this, and in a larger share of them, no other forms are tried."""

ALL_WORDS_BONUS = 8.0
"""The bonus, in nats, for a text that contains all words of a question."""

MAX_CROSSING_SEGMENTS = 2_000
"""Segments with the rarest word of a phrase that are looked at for whether the phrase begins or goes on in a neighbour, the newest."""

ACROSS, NEAR, PAUSE_MS = 200, 50, 5_000
"""Segments whose neighbours are read for that; how many of the segments before and behind them these are looked for among, since tracks may lie
interleaved; and how long is paused at most between neighbours, in milliseconds."""

_SATURATION, _LENGTH = 1.2, 0.5
"""BM25's k1 and b. Passages are short and of one kind, so that their length says little."""

_SLOPES = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])
"""The slopes at which the Chernoff bound is evaluated; the best one counts."""

_CERTAIN = 600.0
"""The largest score by words, in nats: about the limit of double precision."""


@dataclass(frozen=True, slots=True)
class WordQuery:
    """A query in words.

    ``plain`` is its text without operators. Found texts must contain the phrases of ``must`` and must not contain those of
    ``without``. They may contain the words of ``any``: the more of them, and the rarer, the better.
    """

    plain: str
    must: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    any: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One interpretation of a word of a query: the terms that it stands for, its weight, 0..1, and the maximum number of segments
    that contain it."""

    phrase: Phrase
    weight: float
    count: int


@dataclass(frozen=True, slots=True)
class Sought:
    """A query as the index understands it. Each of ``parts`` lists the interpretations of one word, the word itself first.

    ``newest`` is the highest id of a segment. ``texts`` is the number of segments that are texts; word statistics are relative to
    it.
    """

    parts: tuple[tuple[Reading, ...], ...]
    must: tuple[Reading, ...]
    without: tuple[Phrase, ...]
    newest: int
    texts: int

    def information(self, count: int) -> float:
        """The information, in nats, of a word that ``count`` of all texts contain: BM25's inverse document frequency."""
        return math.log(1 + (max(self.texts - count, 0) + 0.5) / (count + 0.5))

    def evidence(self, gathered: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of texts by their words, in nats (n,), from their BM25 sums (n,).

        A score says how unlikely a chance match this good is, plus up to ``ALL_WORDS_BONUS`` if the text contains all words of the query. A
        query of one common word means the texts that contain it, however many there are.
        """
        most = sum(  # unknown words, too; of a known word its own information, although a rarer form of it says more
            max(one.weight * self.information(one.count) for one in (part[:1] if part[0].count else part)) for part in self.parts
        )
        return np.asarray(self.nats(gathered) + ALL_WORDS_BONUS * np.minimum(gathered / max(most, 1e-9), 1.0) ** 8, np.float64)

    def nats(self, gathered: NDArray[np.float64]) -> NDArray[np.float64]:
        """How unlikely a chance match this good is, in nats (n,), from BM25 sums (n,).

        The sum alone would be the chance of containing exactly these words. But with many words, a text easily contains some of
        them. So this is the Chernoff bound on the sum, assuming independent words. For all of the words it equals the sum again;
        what repetitions add beyond that stays on top.
        """
        most, cost = 0.0, np.zeros(len(_SLOPES))
        for part in self.parts:
            gains = [
                (one.weight * self.information(one.count), min(one.count / max(self.texts, 1), 1.0)) for one in part if one.count
            ]
            if gains:
                most += max(gain for gain, _ in gains)
                cost += np.log1p(sum(share * np.expm1(_SLOPES * gain) for gain, share in gains))
        within = np.minimum(gathered, most)
        return np.asarray(np.max(_SLOPES[:, None] * within - cost[:, None], axis=0).clip(0) + gathered - within, np.float64)


class TextIndex(ABC):
    """Finds segments by their words. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reading = threading.Lock()
        self._vocabulary, self._version = Vocabulary(), -1
        self._count, self._counted = 0, -1
        self._understood: tuple[int, dict[WordQuery, Sought]] = (-1, {})

    def search(
        self, words: WordQuery, limit: int, *, allowed: Callable[[Ids], NDArray[np.bool_]] | None = None
    ) -> list[tuple[int, float]]:
        """The segments that match, best first, at most ``limit``: ids, and their scores by words, in nats.

        ``exp(-score)`` is approximately the probability of a chance match this good. The order is by BM25. ``allowed`` gives a
        mask (n,) of the ids (n,) that may be found. Of words that very many segments contain, only the newest segments are
        searched, see ``NEWEST`` and ``MAX_OCCURRENCES``.
        """
        with self._database.reading() as connection:
            sought = self._sought(connection, words)
            across = self._across(connection, sought)
            found: list[tuple[int, float]] = []
            for newest in NEWEST:
                candidates, cut = self._candidates(connection, sought, newest)
                candidates = np.concatenate([np.array([id_ for id_ in across if id_ not in candidates], np.int64), candidates])
                found = _ranked(connection, sought, candidates, across, limit, allowed)
                if not cut or allowed is None or len(found) >= limit:
                    break
            return found

    def marks(self, words: WordQuery, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """For each text the character ranges ``[start, end)`` that match the query, in order. Forgiven words (near misses) are
        included.

        Words that carry less than half of the information of the rarest one are left out: "the" beside a name.
        """
        with self._database.reading() as connection:
            sought = self._sought(connection, words)
        readings = [one for part in sought.parts for one in part if one.count]
        least = max((sought.information(one.count) for one in readings), default=0.0) / 2
        telling = [one.phrase for one in readings if one in sought.must or sought.information(one.count) >= least]
        must = [one.phrase for one in sought.must]
        return [_marked(telling, text, _begun(must, text)) for text in texts]

    def excluded(self, words: WordQuery, ids: Ids) -> NDArray[np.bool_]:
        """A mask (n,) of the segments (n,) that contain an excluded phrase."""
        phrases, held = _phrases(words.without), list[int]()
        with self._database.reading() as connection:
            for start in range(0, len(ids), NEWEST[-1]):
                for row in connection.execute(_TEXTS, {"ids": ids[start : start + NEWEST[-1]].tolist()}):
                    found = terms(row.text)
                    held += [row.id] if any(_occurrences(phrase, found) for phrase in phrases) else []
        return np.isin(ids, held)

    def spelt(self, text: str, known: Callable[[str], bool], seen: Callable[[Sequence[int]], bool] | None = None) -> str:
        """A text with its misspelt words replaced by the nearest words of the archive, if some text has all of its words then. With
        ``seen``, one of the newest such segments has to be among those that it accepts: who asks may see it.

        A word is misspelt if no text of the archive has it, it is not ``known`` otherwise, and a word of the archive is near. A word
        alone, which may be a rare one as well, stays as it is, and so do numbers and codes.
        """
        strange = [
            (term, start, end) for term, start, end in places(text)[:MAX_TYPED_WORDS] if term.isalpha() and not known(term)
        ][:MAX_WORDS]
        if not strange:
            return text
        with self._database.reading() as connection:
            counts, read = _counts(connection, {term for term, _, _ in strange}), text
            for term, start, end in reversed(strange):
                near = {} if term in counts else self._words(connection).near(term)
                often = _counts(connection, near)
                if nearest := min(((near[other], -count, other) for other, count in often.items()), default=None):
                    read = read[:start] + nearest[2] + read[end:]
            telling = [(term,) for term in dict.fromkeys(terms(read)) if len(term) >= MIN_SOUNDING_LETTERS]
            if read == text or len(telling) < 2:
                return text
            found = self._matching(connection, telling, (), above=0, limit=1 if seen is None else LOOKED_AT)
        return read if (bool(found) if seen is None else seen(found)) else text

    @abstractmethod
    def _matching(
        self, connection: Connection, every: Sequence[Phrase], none: Sequence[Phrase], *, above: int, limit: int
    ) -> list[int]:
        """The newest segments with ids above ``above`` that contain all of some phrases and none of others, newest first."""

    def _sought(self, connection: Connection, words: WordQuery) -> Sought:
        """The query as terms: its rarest words. For words that hardly any segment contains, also what else they may mean. It is
        remembered until the archive changes: the words of an answer are marked by it, and its next page asks again."""
        version = connection.execute(select(t.change.c.count)).scalar_one()
        with self._reading:
            if self._understood[0] != version or len(self._understood[1]) >= REMEMBERED:
                self._understood = version, {}
            known = self._understood[1]
        if words not in known:
            known[words] = self._understand(connection, words)
        return known[words]

    def _understand(self, connection: Connection, words: WordQuery) -> Sought:
        must = _phrases(words.must)
        may = [phrase for phrase in _phrases(words.any[:MAX_TYPED_WORDS]) if phrase not in must]
        counts = _counts(connection, {term for phrase in [*must, *may] for term in phrase})
        newest = connection.execute(select(func.max(t.segment.c.id))).scalar() or 0
        texts = self._texts(connection, newest)

        def reading(phrase: Phrase) -> Reading:
            return Reading(phrase, 1.0, min(texts if begins(term) else counts.get(term, 0) for term in phrase))

        needed = tuple(map(reading, must))
        rest = sorted(map(reading, may), key=lambda one: one.count)[:MAX_WORDS]
        parts = [(one,) for one in needed] + [(one, *self._meant(connection, one, texts)) for one in rest]
        return Sought(tuple(parts), needed, tuple(_phrases(words.without)[:MAX_WORDS]), newest, texts)

    def _meant(self, connection: Connection, one: Reading, texts: int) -> list[Reading]:
        """Other interpretations of a word: other forms and, if the word is rare, words that it may have been mistaken for."""
        found = {other.phrase: other for other in self._written(connection, one)}
        if len(one.phrase) > 1:
            return list(found.values())
        term = one.phrase[0]
        if one.count <= max(USUAL, USUAL_SHARE * texts):
            found |= {other.phrase: other for other in self._inflected(connection, one)}
        if one.count > MAX_RARE_COUNT:
            return list(found.values())
        others = self._words(connection).near(term)
        counts = _counts(connection, others)
        nearest = sorted((distance, -counts[other], other) for other, distance in others.items() if other in counts)[:NEAREST]
        for distance, count, other in nearest:
            found.setdefault((other,), Reading((other,), WEIGHTS[distance], -count))
        if len(term) >= MIN_SOUNDING_LETTERS and len(own := sound(term)) > 1:
            c = t.word.c
            alike = select(c.term, c.count).where(c.sound == own, c.term != term).order_by(c.count.desc(), c.term).limit(ALIKE)
            for other, count in connection.execute(alike):
                found.setdefault((other,), Reading((other,), SOUNDALIKE, count))
        return list(found.values())

    def _written(self, connection: Connection, one: Reading) -> list[Reading]:
        """Other spellings of a word: in parts, or its parts as one. No form counts as rarer than the word itself."""
        whole = "".join(one.phrase)
        ways = (
            word_forms.apart(whole)
            if len(one.phrase) == 1
            else [(whole,)]
            if len(whole) <= word_forms.MAX_LETTERS and not begins(whole[:1])
            else []
        )
        counts = _counts(connection, {term for way in ways for term in way})
        known = [(min(counts.get(term, 0) for term in way), way) for way in ways]
        return [Reading(way, APART, max(count, one.count)) for count, way in sorted(known, reverse=True) if count][:FORMS]

    def _inflected(self, connection: Connection, one: Reading) -> list[Reading]:
        term, c = one.phrase[0], t.word.c
        if (start := word_forms.beginning(term)) is None:
            return []
        size = func.length(c.term).between(len(term) - word_forms.BEHIND, len(term) + word_forms.BEYOND)
        near = select(c.term, c.count).where(c.term >= start, c.term < word_forms.after(start), c.term != term, size)
        rows = connection.execute(near.order_by(c.count.desc(), c.term).limit(LOOKED_AT)).all()
        found = [row for row in rows if row.term.startswith(start) and word_forms.is_form(term, row.term)]
        return [Reading((row.term,), INFLECTED, max(row[1], one.count)) for row in found[:FORMS]]

    def _words(self, connection: Connection) -> Vocabulary:
        """The archive's words. All are read once, later only new ones. It may contain words that no longer occur."""
        version = connection.execute(select(t.change.c.count)).scalar_one()
        with self._reading:
            if version > self._version:  # else another thread has seen a later state than this one's
                new = connection.execute(select(t.word.c.term).where(t.word.c.added > self._version)).scalars()
                self._vocabulary, self._version = self._vocabulary.grown(new.all()), version
            return self._vocabulary

    def _texts(self, connection: Connection, newest: int) -> int:
        """The approximate number of segments that are texts. A large archive is sampled, since counting takes a second per
        million segments."""
        version = connection.execute(select(t.change.c.count)).scalar_one()
        with self._reading:
            if version > self._counted:
                c, every = t.segment.c, np.linspace(1, newest, min(newest, SAMPLED_SEGMENTS)).astype(np.int64).tolist()
                is_name = c.reader_id.is_not_distinct_from(READER)  # every file has one: they would make all words look rare
                texts = select(func.count()).where(c.id.in_(every), c.channel.in_(sorted(TEXTS)), ~is_name)
                held = connection.execute(texts).scalar_one()
                self._count, self._counted = round(held * newest / max(len(every), 1)), version
            return self._count

    def _candidates(self, connection: Connection, sought: Sought, newest: int) -> tuple[Ids, bool]:
        """Segments (n,) that contain something of the query, those with more and rarer words first; and whether any word has
        further segments."""
        gains: dict[int, float] = defaultdict(float)
        must, cut = [one.phrase for one in sought.must], False
        said = [(one, one.weight * sought.information(one.count)) for part in sought.parts for one in part]

        def matching(readings: Sequence[Reading]) -> list[int]:
            scarce = min(one.count for one in [*readings, *sought.must])
            above = int(sought.newest * (1 - MAX_OCCURRENCES / scarce)) if scarce > MAX_OCCURRENCES else 0
            phrases = list(dict.fromkeys([*(one.phrase for one in readings), *must]))
            return self._matching(connection, phrases, sought.without, above=above, limit=newest)

        listed: dict[Phrase, set[int]] = {}
        for one, gain in said:
            if not one.count:
                continue
            ids = matching([one])
            cut = cut or len(ids) == newest
            listed[one.phrase] = set(ids)
            for id_ in ids:
                gains[id_] += gain
        # Common words bring their newest segments; those that hold several of them may be others.
        exact = sorted((part[0] for part in sought.parts if part[0].count), key=lambda one: one.count)
        for together in {tuple(exact[:2]), tuple(exact[:4]), tuple(exact)} if len(exact) > 1 else ():
            for id_ in matching(together):
                for one in together:
                    if id_ not in listed[one.phrase]:
                        listed[one.phrase].add(id_)
                        gains[id_] += sought.information(one.count)
        ids_ = np.fromiter(gains, np.int64, len(gains))
        return ids_[np.lexsort((-ids_, -np.fromiter(gains.values(), np.float64, len(gains))))], cut

    def _across(self, connection: Connection, sought: Sought) -> dict[int, str]:
        """Phrases that must occur may continue in the next segments of a track. Returns the segments in which they begin, with
        the joined texts."""
        found: dict[int, str] = {}
        for one in sought.must:
            counts = _counts(connection, one.phrase)
            known = [term for term in one.phrase if counts.get(term)]
            unknown = [
                term for term in one.phrase if term not in known and not begins(term[0])
            ]  # a pair may be parted between two cues
            if len(one.phrase) < 2 or unknown or not known:
                continue
            rarest = min(known, key=counts.__getitem__)
            ids = self._matching(connection, [(rarest,)], (), above=0, limit=MAX_CROSSING_SEGMENTS)
            rows = connection.execute(_TEXTS, {"ids": ids}).all() if ids else []
            likely = sorted((row.id for row in rows if _may_cross(one.phrase, rarest, terms(row.text))), reverse=True)[:ACROSS]
            for track in _tracks(connection, likely):
                found |= _crossings(one.phrase, track)
        others, none = [one.phrase for one in sought.must], sought.without
        told = {id_: (text, terms(text)) for id_, text in found.items()}
        return {
            id_: text
            for id_, (text, held) in told.items()
            if all(_occurrences(phrase, held) for phrase in others) and not any(_occurrences(phrase, held) for phrase in none)
        }


class SqliteWords(TextIndex):
    """The index in FTS5."""

    def _matching(
        self, connection: Connection, every: Sequence[Phrase], none: Sequence[Phrase], *, above: int, limit: int
    ) -> list[int]:
        match = " AND ".join(map(_fts5, every))
        if none:
            match = f"({match}) NOT ({' OR '.join(map(_fts5, none))})"
        values = {"match": match, "above": above, "limit": limit}
        return list(connection.execute(_NEWEST_SQLITE, values).scalars())


class PostgresWords(TextIndex):
    """The index in a PostgreSQL text search column, under a GIN index."""

    def _matching(
        self, connection: Connection, every: Sequence[Phrase], none: Sequence[Phrase], *, above: int, limit: int
    ) -> list[int]:
        match = " & ".join([*map(_tsquery, every), *(f"!{_tsquery(phrase)}" for phrase in none)])
        values = {"match": match, "above": above, "limit": limit}
        return list(connection.execute(_NEWEST_POSTGRESQL, values).scalars())


_NEWEST_SQLITE = text("SELECT rowid FROM words WHERE words MATCH :match AND rowid > :above ORDER BY rowid DESC LIMIT :limit")
_NEWEST_POSTGRESQL = text(
    "SELECT id FROM words WHERE words @@ CAST(:match AS tsquery) AND id > :above ORDER BY id DESC LIMIT :limit"
)


def text_index(database: Database) -> TextIndex:
    """The word index of a database."""
    return SqliteWords(database) if database.file else PostgresWords(database)


def scrub(database: Database) -> None:
    """Make SQLite's index remove its data of deleted texts. Until then they are only marked as deleted."""
    if database.file:
        with database.writing(quiet=True) as connection:
            connection.execute(text("INSERT INTO words (words) VALUES ('optimize')"))


def rebuild(connection: Connection) -> None:
    """Rebuild the index and the word counts from the segments."""
    if connection.dialect.name == "sqlite":
        statements: tuple[str, ...] = (
            "INSERT INTO words (words) VALUES ('rebuild')",
            "DELETE FROM words_due",
            "DELETE FROM word",
            "INSERT INTO word (term, count, sound, added) SELECT value, count(*), sensorium_sound(value), (SELECT change.count + 1 FROM change)"
            " FROM segment, json_each(sensorium_distinct(text)) WHERE text IS NOT NULL GROUP BY value",
        )
    else:
        statements = (
            "DELETE FROM words",
            "INSERT INTO words (id, words) SELECT id, sensorium_words(text) FROM segment WHERE text IS NOT NULL",
            "DELETE FROM word",
            "INSERT INTO word (term, count, sound, added) SELECT term, count(DISTINCT id), sensorium_sound(term),"
            " (SELECT change.count + 1 FROM change) FROM segment, sensorium_terms(text) GROUP BY term",
        )
    for statement in statements:
        connection.execute(text(statement))


def _ranked(
    connection: Connection, sought: Sought, candidates: Ids, across: Mapping[int, str], limit: int,
    allowed: Callable[[Ids], NDArray[np.bool_]] | None,
) -> list[tuple[int, float]]:  # fmt: skip
    """The best ``limit`` of candidates (n,), ranked by their texts. Candidates come in the order of expected score. ``across``
    gives longer texts for some of them."""
    chosen: list[int] = []
    most = more = max(limit, CANDIDATES_AT_ONCE)
    start = 0
    while start < len(candidates) and len(chosen) < most:
        some = candidates[start : start + more]
        chosen += some[allowed(some)].tolist() if allowed else some.tolist()
        start, more = start + more, min(4 * more, NEWEST[-1])
    rows = connection.execute(_TEXTS, {"ids": chosen[:most]}).all() if chosen else []
    texts = [(row, terms(across.get(row.id, row.text))) for row in rows]
    lengths = [len(found) for row, found in texts if row.reader_id != READER]  # names are short
    usual = max(sum(lengths) / max(len(lengths), 1), 1.0)
    scored = []
    for row, found in texts:
        length = len(found) / usual
        if row.reader_id == READER:
            length = min(length, 1.0)  # a long name is one whose folder lies deep
        scored.append((row.id, _score(sought, found, 1.0 if row.confidence is None else row.confidence, length)))
    best = sorted([one for one in scored if one[1] > 0], key=lambda one: (-one[1], -one[0]))[:limit]
    return list(zip([id_ for id_, _ in best], sought.evidence(np.array([score for _, score in best])).tolist(), strict=True))


_TEXTS = text("SELECT id, text, confidence, reader_id FROM segment WHERE id IN :ids AND text IS NOT NULL").bindparams(
    bindparam("ids", expanding=True)
)


def _marked(phrases: Sequence[Phrase], text: str, begun: Sequence[Phrase] = ()) -> list[tuple[int, int]]:
    """The character ranges ``[start, end)`` of a text that match any of the phrases, in order; overlapping ranges are merged.

    Phrases in ``begun`` match only at the end of the text.
    """
    stands = places(text)
    found = [term for term, _, _ in stands]
    hits = {at + offset for phrase in phrases for at in _occurrences(phrase, found) for offset in range(len(phrase))}
    hits |= {_occurrences(phrase, found)[-1] + offset for phrase in begun for offset in range(len(phrase))}
    merged: list[tuple[int, int]] = []
    for at in sorted(hits):
        _, start, end = stands[at]
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


_Track: TypeAlias = "list[tuple[int, str, int, int]]"
"""Segments that follow each other in time: id, text, start and end in milliseconds."""


def _tracks(connection: Connection, ids: Sequence[int]) -> Iterator[_Track]:
    """For each segment with a time: the neighbouring segments of the same asset, reader, source and language, itself included."""
    if not ids:
        return
    here, near = t.segment.alias(), t.segment.alias()
    same = [getattr(near.c, name).is_not_distinct_from(getattr(here.c, name)) for name in ("reader_id", "source", "language")]
    query = (
        select(here.c.id.label("of"), near.c.id, near.c.text, near.c.start, near.c.end)
        .join(near, and_(near.c.asset_id == here.c.asset_id, near.c.channel == here.c.channel))
        .where(
            here.c.id.in_(ids), here.c.unit == "ms", near.c.unit == "ms", near.c.text.is_not(None), *same,
            near.c.ordinal.between(here.c.ordinal - NEAR, here.c.ordinal + NEAR),
        )
        .order_by(here.c.id, near.c.start, near.c.ordinal)
    )  # fmt: skip
    for _, rows in groupby(connection.execute(query), key=lambda row: row.of):
        yield [(row.id, row.text, row.start, row.end) for row in rows]


def _crossings(phrase: Phrase, track: _Track) -> dict[int, str]:
    """The segments of a track in which a phrase begins that ends in a later one, with the texts that it spans."""
    found: dict[int, str] = {}
    for first, (id_, begun, _, end) in enumerate(track):
        text, until = begun, end
        for _, more, start, its_end in track[first + 1 :]:
            if start > until + PAUSE_MS or not _begun([phrase], text):
                break
            text, until = f"{text}{'' if begins(text[-1:]) and begins(more[:1]) else ' '}{more}", its_end
            if _occurrences(phrase, terms(text)):
                found[id_] = text
                break
    return found


def _may_cross(phrase: Phrase, term: str, found: Sequence[str]) -> bool:
    """Whether a text with these terms contains part of a phrase, with one of its terms, at the beginning or end of the text."""
    if any(begins(one[0]) for one in phrase):
        return True  # its pairs of characters are others where a text ends amid them
    for at, offset in product(
        (at for at, one in enumerate(found) if one == term), (at for at, one in enumerate(phrase) if one == term)
    ):
        start, end = max(at - offset, 0), min(at - offset + len(phrase), len(found))
        whole = end - start == len(phrase)
        if not whole and tuple(found[start:end]) == phrase[start - at + offset : end - at + offset]:
            return True
    return False


def _begun(phrases: Sequence[Phrase], text: str) -> list[Phrase]:
    """For phrases that a text does not contain as a whole: the longest beginning of each with which the text ends."""
    found, begun = asked(text), list[Phrase]()
    for phrase in phrases:
        if not _occurrences(phrase, found):
            sizes = range(min(len(phrase), len(found)), 0, -1)
            begun += [phrase[:size] for size in sizes if tuple(found[-size:]) == phrase[:size]][:1]
    return begun


def _score(sought: Sought, found: list[str], sure: float, length: float) -> float:
    """BM25 of a text's terms, in nats. A forgiven word counts in proportion to the reader's confidence in the text (``sure``,
    0..1)."""
    often, total = Counter(found), 0.0
    for part in sought.parts:
        best = 0.0
        for number, one in enumerate(part):
            times = (
                often[one.phrase[0]] if len(one.phrase) == 1 and not begins(one.phrase[0]) else _times(one.phrase, often, found)
            )
            if times:
                damped = times * (_SATURATION + 1) / (times + _SATURATION * (1 - _LENGTH + _LENGTH * length))
                best = max(best, damped * one.weight * (sure if number else 1.0) * sought.information(one.count))
        total += best
    return min(total, _CERTAIN)


def _times(phrase: Phrase, often: Counter[str], found: list[str]) -> int:
    return len(_occurrences(phrase, found)) if begins(phrase[0]) or phrase[0] in often else 0


def _occurrences(phrase: Phrase, found: Sequence[str]) -> list[int]:
    """The positions at which a phrase begins among the terms of a text."""
    if begins(phrase[0]) and len(phrase) == 1:
        return [at for at, term in enumerate(found) if term.startswith(phrase[0])]
    size = len(phrase)
    return [at for at, term in enumerate(found) if term == phrase[0] and tuple(found[at : at + size]) == phrase]


def _phrases(texts: Iterable[str]) -> list[Phrase]:
    """Texts as distinct phrases. Texts without terms are left out."""
    return [phrase for phrase in dict.fromkeys(tuple(asked(one)[:MAX_TYPED_WORDS]) for one in texts) if phrase]


def _counts(connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
    names = sorted(wanted)[: 10 * MAX_TYPED_WORDS]
    rows = connection.execute(select(t.word.c.term, t.word.c.count).where(t.word.c.term.in_(names)))
    return {row[0]: row[1] for row in rows}


def _fts5(phrase: Phrase) -> str:
    return f'"{" ".join(phrase)}"' + (" *" if len(phrase) == 1 and begins(phrase[0]) else "")


def _tsquery(phrase: Phrase) -> str:
    if len(phrase) == 1 and begins(phrase[0]):
        return f"'{phrase[0]}':*"
    return "(" + " <-> ".join(f"'{term}'" for term in phrase) + ")"
