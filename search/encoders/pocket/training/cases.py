"""Questions whose answers are known, for fitting the pocket space's calibration and for reporting on it.

What a picture shows is told by its captions: it answers a phrase when one of its captions has every word of it, and a caption when one of its own
means nearly the same by MiniLM. What is between "the same" and "something like it" is neither right nor left over where an answer is taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sources import Vectors

from search.query.calibration import Calibration
from search.query.fitting import Archive, Case
from search.query.verdict import Profile
from search.types import Channel, Kind, Modality

IMAGE, AUDIO, TEXT = Modality.IMAGE, Modality.AUDIO, Modality.TEXT
KINDS = {IMAGE: Kind(IMAGE, Channel.VISUAL), AUDIO: Kind(AUDIO, Channel.SOUND), TEXT: Kind(TEXT, Channel.TEXT)}

SIZES = (1, 3, 10, 30, 100, 300, 500)
"""Segments of the archives that are asked."""

SHARES = (0.05, 0.05, 0.1, 0.15, 0.2, 0.2, 0.25)
"""How often each size is taken."""

SHARED = 20
"""Archives of a size that foreign questions share."""

RIGHT = (1, 1, 2, 3, 5, 8)
"""How many right answers are left in an archive that is thinned, at most."""

WHOLE = 0.5
"""The share of archives that hold as many right answers as one of their size does by nature."""

SEEN = 300
"""Phrases for what is seen that sounds are asked for. Sounds of something else must not stand above the picture of it."""

SAME, ALIKE = 0.8, 0.5
"""Cosines of the concept halves of captions that mean nearly the same, and that have something in common."""

SMALL_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "two",
        "three",
        "of",
        "in",
        "on",
        "with",
        "at",
        "and",
        "is",
        "are",
        "to",
        "by",
        "his",
        "her",
        "its",
        "their",
        "some",
    ]
)

TOGETHER = {"dog bark": ("dog", "dogs"), "baby cry": ("baby", "infant"), "sea waves": ("ocean", "beach", "waves", "sea")}
"""Words of captions of pictures that show what a class of sounds is the sound of."""


def telling(text: str) -> list[str]:
    """The words of a text that tell something."""
    return [word for word in re.findall("[a-z]+", text.lower()) if word not in SMALL_WORDS]


def holds(words: set[str], asked: Iterable[str]) -> bool:
    """Whether a text of some words has every word that is asked for, in the singular or the plural."""
    return all(word in words or word + "s" in words for word in asked)


def head(phrase: str) -> str:
    """The noun that a phrase is about: "a brown dog with a ball" -> "dog"."""
    before = telling(re.split(r"\b(?:in|on|with|of|at|and)\b", phrase)[0])
    return before[-1] if before else ""


def concept(vectors: Vectors) -> Vectors:
    """The concept halves (n, 384) of vectors (n, 768) at unit length."""
    half = vectors[:, vectors.shape[1] // 2 :]
    return half / np.linalg.norm(half, axis=1, keepdims=True).clip(1e-9)


@dataclass(slots=True)
class Captioned:
    """Pictures (n, dim), and their captions as texts, vectors (m, dim) and the picture (m,) of each."""

    vectors: Vectors
    texts: list[str]
    captions: Vectors
    picture: NDArray[np.intp]
    words: list[set[str]] = field(init=False)
    concepts: Vectors = field(init=False)

    def __post_init__(self) -> None:
        """Look at the words and the meaning of the captions once."""
        self.words = [set(telling(text)) for text in self.texts]
        self.concepts = concept(self.captions)

    def alike(self, vectors: Vectors) -> NDArray[np.float32]:
        """How near the nearest caption of each picture (n,) comes to texts (k, dim)."""
        nearness = (self.concepts @ concept(vectors).T).max(axis=1)
        best = np.full(len(self.vectors), -1, np.float32)
        np.maximum.at(best, self.picture, nearness)
        return best

    def answering(self, phrase: str) -> set[int]:
        """The pictures one of whose captions has every word of a phrase."""
        asked = telling(phrase)
        return {int(self.picture[at]) for at, words in enumerate(self.words) if asked and holds(words, asked)}

    def about(self, word: str) -> set[int]:
        """The pictures one of whose captions has a word."""
        return {int(self.picture[at]) for at, words in enumerate(self.words) if word and holds(words, [word])}


class Cases:
    """Collects cases: a question each to an archive that is drawn from a pool of vectors."""

    def __init__(self, calibration: Calibration, rng: np.random.Generator) -> None:
        """``calibration`` has the cohort."""
        self._calibration, self._rng, self.made = calibration, rng, list[Case]()

    def size(self, most: int = SIZES[-1]) -> int:
        """How large the next archive shall be."""
        return min(int(self._rng.choice(SIZES, p=SHARES)), most)

    def add(
        self, content: Modality, asked: Modality, pool: Vectors, vector: NDArray[np.float32], text: str, right: set[int], gone: set[int],
        size: int, *, present: bool,
    ) -> None:  # fmt: skip
        """Ask an archive of ``size`` of the pool (n, dim), in which some that are ``right`` are left, or nothing that is ``gone`` or right.
        ``text`` is the question, if it is one. Of the right ones there are as many as by nature, or fewer."""
        rng, usual = self._rng, max(round(len(right) * size / len(pool)), 1)
        most = usual if rng.random() < WHOLE else int(rng.choice(RIGHT))
        apart = sorted(right if present else right | gone)
        others = np.setdiff1d(np.arange(len(pool)), apart)
        left = np.array(sorted(right), np.intp)[rng.permutation(len(right))[:most]] if present else []
        drawn = others[rng.permutation(len(others))[: max(size - len(left), 0)]]
        rows = np.sort(np.concatenate([np.asarray(left[:size], np.intp), drawn]))
        if not len(rows) or (present and not len(left)):
            return
        answers = frozenset(int(at) for at in np.flatnonzero(np.isin(rows, left)))
        archive, thinned = self._archive(content, asked, pool[rows]), present and most < usual
        self.made.append(Case(archive, asked, vector, len(text.split()), answers, thinned=thinned))

    def foreign(
        self, content: Modality, pool: Vectors, asked: Sequence[tuple[str, NDArray[np.float32], set[int]]], sizes: Sequence[Sequence[int]]
    ) -> None:  # fmt: skip
        """Ask archives of the pool for what is nothing like it: each question, given with the rows that answer it after all, asks one archive of each
        choice of sizes that holds none of these. Questions share ``SHARED`` archives of a size."""
        rng, drawn = self._rng, dict[int, list[tuple[NDArray[np.intp], Archive]]]()
        for size in {min(size, len(pool)) for choice in sizes for size in choice}:
            every = [np.sort(rng.permutation(len(pool))[:size]) for _ in range(SHARED)]
            drawn[size] = [(rows, self._archive(content, TEXT, pool[rows])) for rows in every]
        for text, vector, answers in asked:
            for choice in sizes:
                some = [
                    archive
                    for rows, archive in drawn[min(int(rng.choice(choice)), len(pool))]
                    if not answers.intersection(rows.tolist())
                ]
                if some:
                    archive = some[int(rng.integers(len(some)))]
                    self.made.append(Case(archive, TEXT, vector, len(text.split()), frozenset(), foreign=True))

    def _archive(self, content: Modality, asked: Modality, vectors: Vectors) -> Archive:
        """The archive of some vectors, profiled for questions of one modality alone."""
        cohort, questions = self._calibration.contents[content], self._calibration.questions[asked]
        profile = Profile.of(np.arange(len(vectors), dtype=np.int64), vectors, cohort, questions)
        return Archive(KINDS[content], vectors, {asked: profile})


@dataclass(slots=True)
class Half:
    """What one half of the cases is made of: fitting takes one, the report the other. Nothing is in both but ten classes of sounds."""

    pictures: Captioned
    phrases: list[tuple[str, NDArray[np.float32]]]
    objects: list[str]
    stamps: Vectors
    named: Vectors
    sentences: Vectors
    foreign: list[tuple[str, NDArray[np.float32]]]
    clips: Vectors
    labels: list[str]
    other_sounds: Vectors
    asked_sounds: list[tuple[str, str, NDArray[np.float32]]]
    foreign_sounds: list[tuple[str, NDArray[np.float32]]]


def build(calibration: Calibration, half: Half, count: int = 300, seed: int = 0) -> list[Case]:
    """The cases of a half, of each kind about ``count``."""
    cases = Cases(calibration, np.random.default_rng(seed))
    pictures(cases, half, count, np.random.default_rng(seed + 1))
    objects(cases, half, np.random.default_rng(seed + 2))
    texts(cases, half, count, np.random.default_rng(seed + 3))
    sounds(cases, half, np.random.default_rng(seed + 4))
    examples(cases, half, count, np.random.default_rng(seed + 5))
    return cases.made


def pictures(cases: Cases, half: Half, count: int, rng: np.random.Generator) -> None:
    """Captions, phrases and foreign questions ask for pictures."""
    shown = half.pictures
    for number, at in enumerate(rng.permutation(len(shown.texts))[: 2 * count]):
        near = shown.alike(shown.captions[at : at + 1])
        right = set(np.flatnonzero(near > SAME).tolist()) | {int(shown.picture[at])}
        gone = set(np.flatnonzero(near > ALIKE).tolist())
        cases.add(
            IMAGE, TEXT, shown.vectors, shown.captions[at], shown.texts[at], right, gone, cases.size(), present=number % 2 == 0
        )
    for number, at in enumerate(rng.permutation(len(half.phrases))[: 2 * count]):
        phrase, vector = half.phrases[at]
        right = shown.answering(phrase)
        if right:
            gone = shown.about(head(phrase)) | set(np.flatnonzero(shown.alike(vector[None]) > ALIKE).tolist())
            cases.add(IMAGE, TEXT, shown.vectors, vector, phrase, right, gone, cases.size(), present=number % 3 != 0)
    asked = [(text, vector, shown.answering(text)) for text, vector in half.foreign]
    cases.foreign(IMAGE, shown.vectors, asked, ((1, 3, 5, 10), (20, 50, 100), (200, 300, 500), (480,)))


def objects(cases: Cases, half: Half, rng: np.random.Generator) -> None:
    """Names ask for isolated objects, and foreign questions too."""
    meant = concept(half.named)
    for number, at in enumerate(rng.permutation(len(half.objects))):
        near = meant @ meant[at]
        right, gone = ({*np.flatnonzero(near > bound).tolist(), int(at)} for bound in (0.85, ALIKE))
        size = int(rng.choice((1, 3, 10, 30, 100, 190)))
        cases.add(IMAGE, TEXT, half.stamps, half.named[at], half.objects[at], right, gone, size, present=number % 3 != 0)
    some = half.foreign[::3]
    gone = [set(np.flatnonzero(meant @ concept(vector[None])[0] > ALIKE).tolist()) for _, vector in some]
    cases.foreign(IMAGE, half.stamps, [(*one, rows) for one, rows in zip(some, gone, strict=True)], ((10, 50, 180),))


def texts(cases: Cases, half: Half, count: int, rng: np.random.Generator) -> None:
    """Captions, phrases and foreign questions ask for texts: captions, among which are sentences about anything."""
    shown = half.pictures
    pool = np.concatenate([shown.captions, half.sentences])
    meant, own = concept(pool), np.concatenate([shown.picture, np.full(len(half.sentences), -1)])
    sizes = (1, 3, 10, 30, 100, 300, 1000)
    for number, at in enumerate(rng.permutation(len(shown.texts))[: 2 * count]):
        near = meant @ meant[at]
        right = set(np.flatnonzero((own == own[at]) | (near > SAME)).tolist()) - ({int(at)} if rng.random() < 0.7 else set())
        gone = set(np.flatnonzero((near > ALIKE) | (own == own[at])).tolist())
        cases.add(TEXT, TEXT, pool, pool[at], shown.texts[at], right, gone, int(rng.choice(sizes)), present=number % 2 == 0)
    for number, at in enumerate(rng.permutation(len(half.phrases))[:count]):
        phrase, vector = half.phrases[at]
        asked, about = telling(phrase), [head(phrase)]
        right = {at for at, words in enumerate(shown.words) if holds(words, asked)}
        if right:
            near = meant @ concept(vector[None])[0]
            gone = set(np.flatnonzero(near > 0.45).tolist()) | {at for at, words in enumerate(shown.words) if holds(words, about)}
            cases.add(TEXT, TEXT, pool, vector, phrase, right, gone, int(rng.choice(sizes)), present=number % 3 != 0)
    asked_for = [
        (text, vector, set(np.flatnonzero(meant @ concept(vector[None])[0] > 0.55).tolist())) for text, vector in half.foreign
    ]
    cases.foreign(TEXT, pool, asked_for, ((3, 10), (30, 100), (500, 1000)))


def sounds(cases: Cases, half: Half, rng: np.random.Generator) -> None:
    """Names of classes, phrases for what is seen, and foreign questions ask for sounds."""
    pool = np.concatenate([half.clips, half.other_sounds])
    labels = np.array([*half.labels, *[""] * len(half.other_sounds)])
    for turn in range(6):
        for number, (label, text, vector) in enumerate(half.asked_sounds):
            right = set(np.flatnonzero(labels == label).tolist())
            size = int(rng.choice((1, 3, 10, 30, 100, 200)))
            cases.add(AUDIO, TEXT, pool, vector, text, right, right, size, present=(turn + number) % 2 == 0)
    meant = concept(np.stack([vector for _, _, vector in half.asked_sounds]))
    of = [label for label, _, _ in half.asked_sounds]
    for phrase, vector in [half.phrases[at] for at in rng.permutation(len(half.phrases))[:SEEN]]:
        sounding = {of[at] for at in np.flatnonzero(meant @ concept(vector[None])[0] > ALIKE)}
        sounding |= {label for label, words in TOGETHER.items() if set(telling(phrase)).intersection(words)}
        gone = set(np.flatnonzero(np.isin(labels, sorted(sounding))).tolist())
        cases.add(
            AUDIO, TEXT, pool[: len(half.clips)], vector, phrase, set(), gone, int(rng.choice((10, 30, 100, 300))), present=False
        )
    nothing = [(text, vector, set[int]()) for text, vector in half.foreign_sounds]
    cases.foreign(AUDIO, half.clips, nothing, ((3, 10), (30,), (60,), (90,)))


def examples(cases: Cases, half: Half, count: int, rng: np.random.Generator) -> None:
    """Pictures and sounds ask for what is like them, in their own medium and across."""
    shown = half.pictures
    caps = np.concatenate([shown.captions, half.sentences])
    meant, own = concept(caps), np.concatenate([shown.picture, np.full(len(half.sentences), -1)])
    for number, at in enumerate(rng.permutation(len(shown.vectors))[: 2 * count]):
        mine = shown.captions[shown.picture == at]
        near, sizes, present = shown.alike(mine), (3, 10, 30, 100, 300, 500), number % 2 == 0
        right = set(np.flatnonzero(near > 0.75).tolist()) - {int(at)} or {int(at)}
        gone = set(np.flatnonzero(near > ALIKE).tolist())
        cases.add(IMAGE, IMAGE, shown.vectors, shown.vectors[at], "", right, gone, int(rng.choice(sizes)), present=present)
        nearest = (meant @ concept(mine).T).max(axis=1)
        right = set(np.flatnonzero((own == at) | (nearest > SAME)).tolist())
        gone = set(np.flatnonzero(nearest > ALIKE).tolist()) | right
        cases.add(TEXT, IMAGE, caps, shown.vectors[at], "", right, gone, int(rng.choice(sizes)), present=present)
    labels, pool = np.array(half.labels), np.concatenate([half.clips, half.other_sounds])
    for number, at in enumerate(rng.permutation(len(labels))[:count]):
        same = set(np.flatnonzero(labels == labels[at]).tolist())
        size = int(rng.choice((3, 10, 30, 100, 200)))
        cases.add(AUDIO, AUDIO, pool, pool[at], "", same - {int(at)}, same, size, present=number % 2 == 0)
    across(cases, half, pool, rng)


def across(cases: Cases, half: Half, pool: Vectors, rng: np.random.Generator) -> None:
    """Sounds ask for pictures, and these for sounds, where a class of sounds is of something that captions name."""
    shown, labels = half.pictures, np.array(half.labels)
    for label, words in TOGETHER.items():
        named: Sequence[int] = [int(shown.picture[at]) for at, held in enumerate(shown.words) if held.intersection(words)]
        some, often = set(named), {at for at in set(named) if named.count(at) > 1}
        sounding = set(np.flatnonzero(labels == label).tolist())
        for number, at in enumerate(sorted(sounding)[:20]):
            for turn in range(3):
                size = int(rng.choice((10, 30, 100, 300, 500)))
                cases.add(IMAGE, AUDIO, shown.vectors, pool[at], "", often, some, size, present=(number + turn) % 2 == 0)
        for number, at in enumerate(sorted(often)[:20]):
            for turn in range(3):
                size = int(rng.choice((3, 10, 30, 100)))
                cases.add(AUDIO, IMAGE, pool, shown.vectors[at], "", sounding, sounding, size, present=(number + turn) % 2 == 0)
