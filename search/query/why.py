"""Why: what each term, space and channel gave a hit, in log-odds, and what it would take to rank higher.

The score of a segment in a space is linear in its cosines to the terms. What a term gives is its weighted cosine above the mean that
unrelated content has, in the space's scale; with ``start`` and ``kind`` these numbers add up to the space's exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.errors import QueryError
from search.query.algebra import Near, Term, parts
from search.query.ranking import Question, QuestionMomentData, scored
from search.query.terms import Vector, vector_for
from search.store.sql import UNITS, Columns
from search.types import KINDS, Channel, Ids, Span, Within

MAX_STRETCHES = 120
"""Stretches of a strip: of what is longer, neighbours are joined, and the best counts."""

LEAST_AHEAD = 0.05
"""A term that speaks less than this for a hit against the one above, in log-odds, does not lift it."""

By = Literal["meaning", "words", "both"]


@dataclass(frozen=True, slots=True)
class TermEvidence:
    """What a term of the question gave, in log-odds. ``term`` is its text, its file's name, or ``segment:`` and a number."""

    term: str
    weight: float
    evidence: float


@dataclass(frozen=True, slots=True)
class SpaceEvidence:
    """What a space gave: ``evidence`` is the sum of what its ``terms`` gave, of where any such segment starts, of what its ``kind``
    gave, by whether such segments hold the answer at all, and of what ``preferences`` gave; all in log-odds. ``step`` is the cosine that makes one of these."""

    space: str
    evidence: float
    cosine: float
    start: float
    kind: float
    step: float
    terms: tuple[TermEvidence, ...]
    preferences: float = 0.0


@dataclass(frozen=True, slots=True)
class StretchEvidence:
    """A stretch of a file, and its score in log-odds."""

    span: Span
    score: float


@dataclass(frozen=True, slots=True)
class ChannelEvidence:
    """The best segment of a hit's file in one channel, its score in log-odds, and the strip over the file's timeline, if it has any."""

    channel: Channel
    segment: int
    score: float
    strip: tuple[StretchEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Above:
    """What it would take to pass the ``segment`` that ranks above: ``lacks`` more log-odds. Of a hit that one space found that is a
    cosine of ``cosine``; None otherwise. ``heavier`` is the term that speaks most for this hit against the other: it is to weigh
    more. Empty: no term does."""

    segment: int
    lacks: float
    cosine: float | None = None
    heavier: str = ""


@dataclass(frozen=True, slots=True)
class Why:
    """Why a segment was found. ``score`` is the largest of ``meaning``, ``words``, and both together (``by`` says which), in log-odds;
    None: it was not found so. ``matched`` are the words of its text that the question has. ``meaning`` is the sum of what the spaces
    gave, over the square root of how many they are."""

    segment: int
    score: float
    by: By
    meaning: float | None
    words: float | None
    spaces: tuple[SpaceEvidence, ...]
    channels: tuple[ChannelEvidence, ...]
    matched: tuple[str, ...] = ()
    above: Above | None = None


def explain(question: Question, segments: Sequence[int], within: Within) -> list[Why]:
    """Why segments were found, in the order in which they rank. To be called inside ``Question.reading``.

    Raises:
        QueryError: one of them is not among what was searched.
    """
    ids, around = np.unique(np.array(segments, np.int64)), QuestionMomentData(question)
    known = scored(question, ids)
    if lost := sorted(set(segments) - set(known.ids.tolist())):
        raise QueryError(
            f"The segment {lost[0]} is not among what was searched.",
            remedy="Take segments from the hits of the same search, with the same filter.",
        )
    rows = around.rows(ids)
    words = dict(zip(question.found.tolist(), question.said_by_words.tolist(), strict=True))
    channels = _channels(question, around, np.unique(rows.assets))
    found: dict[int, Why] = {}
    for id_, asset, score, of in zip(
        ids.tolist(), rows.assets.tolist(), known.scores.tolist(), _by_space(question, rows, within), strict=True
    ):
        meaning, said = sum(one.evidence for one in of) / len(of) ** 0.5 if of else None, words.get(id_)
        found[id_] = Why(id_, score, _by(meaning, said), meaning, said, of, channels.get(asset, ()))
    every = [found[id_] for id_ in segments]
    return [*every[:1], *(replace(one, above=_above(one, before)) for before, one in pairwise(every))]


def _by(meaning: float | None, words: float | None) -> By:
    """Which of the three is largest, see ``fusion.by_words``."""
    if meaning is None or words is None:
        return "words" if meaning is None else "meaning"
    three: dict[By, float] = {"meaning": meaning, "words": words, "both": (meaning + words) / 2**0.5}
    return max(three, key=three.__getitem__)


def _by_space(question: Question, rows: Columns, within: Within) -> list[tuple[SpaceEvidence, ...]]:
    """For each of some segments what the spaces gave that hold it."""
    found: list[list[SpaceEvidence]] = [[] for _ in rows.ids]
    for number, scan in enumerate(question.scans):
        values, cosines = scan.score(rows.ids)
        preferred = question.choices.evidence(number, rows.ids) if question.choices else np.zeros(len(rows.ids), np.float32)
        held = np.flatnonzero(~np.isnan(values))
        if not len(held):
            continue
        vectors = scan.view.live.index.reconstruct(rows.ids[held])
        terms = [(weight, term, scan.searcher.aspects(term, within)) for weight, term in parts(question.query) if weight]
        for at, vector in zip(held.tolist(), vectors, strict=True):
            kind = KINDS[rows.kinds[at]]
            asked = [(weight, term, vector_for(aspects, kind)) for weight, term, aspects in terms]
            length = float(np.linalg.norm(np.sum([weight * one for weight, _, one in asked], axis=0, dtype=np.float64)))
            unrelated, width, here = scan.unrelated(kind), scan.scales[kind].width, scan.here(kind)
            given = tuple(
                TermEvidence(_named(term), weight, weight * (float(one @ vector) - _usual(unrelated, one)) / (length * width))
                for weight, term, one in asked
            )
            scored_by_terms, more = float(values[at]), float(preferred[at])
            start = scored_by_terms - here - sum(one.evidence for one in given)
            found[at].append(
                SpaceEvidence(scan.space.name, scored_by_terms + more, float(cosines[at]), start, here, width, given, more)
            )
    return [tuple(some) for some in found]


def _usual(unrelated: NDArray[np.float32], vector: Vector) -> float:
    """The mean cosine of unrelated content (n, dim) to a term's vector (dim,)."""
    return float(np.einsum("nd,d->n", unrelated, vector).mean()) if len(unrelated) else 0.0


def _named(term: Term | Near) -> str:
    if isinstance(term, Near):
        return f"segment:{term.segment}"
    return term.content if isinstance(term.content, str) else term.name or term.content.name


def _channels(question: Question, around: QuestionMomentData, assets: Ids) -> dict[int, tuple[ChannelEvidence, ...]]:
    """Of each asset the best segment of each channel, best first, and the strip over its timeline."""
    rows = around.of(assets)
    known = scored(question, rows.ids)
    rows = rows.only(np.searchsorted(rows.ids, known.ids))
    found: dict[int, list[ChannelEvidence]] = {}
    order = np.lexsort((rows.starts, rows.kinds, rows.assets))
    keys = np.stack([rows.assets[order], rows.kinds[order]])
    for some in np.split(order, np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1):
        if not len(some):
            continue
        best = some[int(np.argmax(known.scores[some]))]
        timed = some[rows.units[some] == UNITS.index("ms")]
        channel, asset = KINDS[rows.kinds[best]].channel, int(rows.assets[best])
        strip = _strip(rows.starts[timed], rows.ends[timed], known.scores[timed])
        one = ChannelEvidence(channel, int(rows.ids[best]), float(known.scores[best]), strip)
        found.setdefault(asset, []).append(one)
    return {asset: tuple(sorted(some, key=lambda one: -one.score)) for asset, some in found.items()}


def _strip(starts: Ids, ends: Ids, scores: NDArray[np.float32]) -> tuple[StretchEvidence, ...]:
    """Stretches (n,) in order, at most ``MAX_STRETCHES``."""
    return tuple(
        StretchEvidence(Span(int(starts[part[0]]), int(ends[part].max())), float(scores[part].max()))
        for part in np.array_split(np.arange(len(starts)), min(len(starts), MAX_STRETCHES) or 1)
        if len(part)
    )


def _above(one: Why, before: Why) -> Above:
    """What it would take to pass the hit before."""
    lacks = max(before.score - one.score, 0.0)
    mine, theirs = (_by_term(why) for why in (one, before))
    ahead = {term: mine[term] - theirs.get(term, 0.0) for term in mine} if len(mine) > 1 else {}
    best = max(ahead, key=ahead.__getitem__, default="")
    cosine = None
    if one.by == "meaning" and len(one.spaces) == 1:
        (space,) = one.spaces
        cosine = space.cosine + lacks * space.step
        cosine = cosine if cosine <= 1 else None  # nothing is nearer than itself
    return Above(before.segment, lacks, cosine, best if best and ahead[best] > LEAST_AHEAD else "")


def _by_term(why: Why) -> dict[str, float]:
    found: dict[str, float] = {}
    for term in (term for space in why.spaces for term in space.terms):
        found[term.term] = found.get(term.term, 0.0) + term.evidence
    return found
