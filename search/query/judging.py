"""Judging: people say which files answer a question, and draw random samples of files that nobody has judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from search.errors import InputError
from search.query.searcher import Searcher
from search.query.stopping import drawn, order
from search.store.judgements import JudgedAsset, Judgements
from search.types import Filter, Ids, Review

MAX_DRAWN = 1_000
"""Files of a sample, at most."""


_ALWAYS = frozenset({
    "modalities", "channels", "collections", "under", "since", "until", "dated_by", "shortest_ms", "longest_ms", "tags", "tracks",
})  # fmt: skip
"""What a filter's identifier always contains; the rest only where it restricts, so that stored identifiers stay what they are."""


class _Told(str):
    """A text whose ``repr`` is the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Randomly drawn files: ``assets`` (n,), from a ``population`` of files that nobody has judged. ``segments`` (n,) are their
    first segments."""

    assets: Ids
    segments: Ids
    population: int


def sample(searcher: Searcher, judgements: Judgements, question: str, wanted: Filter, count: int) -> Sample:
    """The next ``count`` files in the question's random order, among files that pass the filter and nobody has judged. Repeated
    calls give the same files until they are judged.

    Raises:
        InputError: the question is none that can be judged, or ``count`` is out of range.
    """
    if not 1 <= count <= MAX_DRAWN:
        raise InputError(f"{count:,} files cannot be drawn.", remedy=f"Draw 1 to {MAX_DRAWN:,}.")
    view = searcher.current(searcher.store.version())
    within = searcher.targets(view, wanted, ())
    ids = np.sort(np.concatenate([np.empty(0, np.int64), *within.values()]))
    assets, first = np.unique(view.columns.assets[np.searchsorted(view.columns.ids, ids)], return_index=True)
    known = np.array([one.asset for one in judgements.of(question)], np.int64)
    left = np.setdiff1d(assets, known)
    chosen = order(question, left)[:count]
    return Sample(chosen, ids[first[np.searchsorted(assets, chosen)]], len(left))


def judge(
    searcher: Searcher, judgements: Judgements, question: str, right: Sequence[int], wrong: Sequence[int], wanted: Filter, *, of_sample: bool
) -> None:  # fmt: skip
    """Record which files answer a question and which do not. ``of_sample``: these are all of the files that ``sample`` draws
    next.

    Raises:
        InputError: see ``Judgements.put``; they are not the next ones of the sample: then it were none that is random.
    """
    if not of_sample:
        judgements.put(question, right, wrong)
        return
    said = {*right, *wrong}
    next_ones = sample(searcher, judgements, question, wanted, max(len(said), 1))
    if said != set(next_ones.assets.tolist()):
        raise InputError(
            "These are not the files that were drawn last.",
            remedy="Judge every file of the sample, with the filter under which it was drawn. If the archive has changed, draw again.",
        )
    judgements.put(question, right, wrong, population=next_ones.population, scope=scope_of(wanted))


def scope_of(wanted: Filter) -> str:
    """An identifier for a filter. A sample drawn under one filter says nothing about another."""
    given = (
        f"{one.name}={value!r}"
        for one in fields(Filter)
        if one.repr and ((value := getattr(wanted, one.name)) != one.default or one.name in _ALWAYS)
    )
    told = f"Filter({', '.join(given)})"
    told = told if wanted.within is None else repr((_Told(told), wanted.within))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def review(judged: Sequence[JudgedAsset], wanted: Filter) -> Review | None:
    """Summarise the judgements of a question, given in the order in which they were made. None if there are none."""
    if not judged:
        return None
    right, draw = sum(one.right for one in judged), drawn(judged, scope_of(wanted))
    if draw is None:
        return Review(len(judged), right)
    left = draw.left_at_most
    return Review(len(judged), right, draw.sampled, draw.population, left, right / (right + left) if right + left else None)
