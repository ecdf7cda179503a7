"""Calibrate a space from the archive itself. Text in files, and human judgements, give questions with known answers.

A passage of a file is a question whose answers are the file's pictures and sounds. If these and everything similar are removed,
the same question has no answer. Questions that most archives cannot answer come from ``questions.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search.encoders import ask
from search.errors import InputError
from search.query import calibration as c
from search.query.fitting import Archive, Case, fit
from search.query.questions import FOREIGN, MEANINGLESS, SOUNDS
from search.query.searcher import Searcher
from search.query.view import View
from search.types import KINDS, WORDS, Channel, Ids, Kind, Modality, Vectors

COHORT = 400
"""Segments of a kind of content in the cohort, at most."""

ASKED = 300
"""Passages that are asked, at most."""

LONGEST_WORDS = 40
"""The maximum number of words of a passage used as a question: longer ones are unlike questions."""

ALIKE = 0.5
"""The cosine between two passages from which on the files of one may also answer the other."""

ARCHIVE_SIZES = (3, 10, 30, 100, 300, 1_000)
"""Segments of the archives that are asked."""

ARCHIVES_PER_SIZE = 20
"""Archives of a size that questions without an answer share, since an archive takes much longer to look at than a question."""

MIN_QUESTIONS = 60
"""The least number of known-answer questions for measuring a direction, and of labels for an archive to calibrate itself."""

GROWN = 1.5
"""An archive calibrates itself again when it has this many times as many labels."""


def labels(searcher: Searcher) -> int:
    """The approximate number of labels in the archive: passages of media that a space holds, and judgements."""
    view = searcher.current(searcher.store.version())
    return int(np.isin(view.columns.kinds, _LEGIBLE).sum()) + searcher.judgements.count()


def due(searcher: Searcher) -> int:
    """The number of labels in the archive, if so many are new since its last calibration that a space should be calibrated again; else 0."""
    told = labels(searcher)  # makes the searcher load a calibration that was just made
    enough = told >= max(MIN_QUESTIONS, GROWN * searcher.calibration.labels)
    return told if enough and Modality.TEXT in searcher.space.accepts else 0


def calibrate(searcher: Searcher, progress: Callable[[int, int], None] = lambda *_: None) -> c.Calibration:
    """Calibrate a space from its archive. A space with a built-in calibration keeps that cohort, and its directions where the
    archive has too little data.

    Raises:
        InputError: the space knows no text, or the archive has no labels that could be asked.
    """
    if Modality.TEXT not in searcher.space.accepts:
        raise InputError(
            f"The space {searcher.space.name!r} knows no text.", remedy="Calibrate a space that can be asked in words."
        )
    rng, view = np.random.default_rng(0), searcher.current(searcher.store.version())
    asked = list(_labels(searcher, view, rng))
    if not asked:
        raise _nothing_known()
    brought = c.brought(searcher.space, searcher.encoder)
    foreign = [text for domain in FOREIGN.values() for pair in domain for text in pair]
    heard = [text for domain in SOUNDS.values() for text in domain]
    bank = ask(searcher.encoder, [*foreign, *heard])
    base = brought or _cohort(searcher, view, bank, rng)
    cases = list(_cases(searcher, view, base, rng, asked, list(zip([*foreign, *heard], bank, strict=True)), progress))
    if not any(case.right for case in cases):
        raise _nothing_known()
    made = fit(replace(base, directions={}, shared={}), cases)
    told = labels(searcher)
    if brought is None:
        return replace(made, made="from the archive", labels=told)
    ours = {key: one for key, one in made.directions.items() if one.present >= MIN_QUESTIONS}
    merged = {key: _merged(one, ours.get(key)) for key, one in brought.directions.items()}
    return replace(brought, directions=merged, made=f"{c.BUILT_IN}, measured by the archive" if ours else c.BUILT_IN, labels=told)


def _nothing_known() -> InputError:
    return InputError(
        "The archive has nothing whose answer is known: no passages beside pictures or sounds, and no judgements.",
        remedy="Have speech, captions or texts of media read (`sensorium readers add`), or judge answers (`sensorium judge`), and try again.",
    )


def _merged(built_in: c.Direction, own: c.Direction | None) -> c.Direction:
    """A built-in direction with the figures that the archive measured. Its scale is kept, because the scales of all directions
    must stay comparable."""
    return replace(built_in, error=own.error, bins=own.bins) if own else built_in


def _cohort(searcher: Searcher, view: View, bank: Vectors, rng: np.random.Generator) -> c.Calibration:
    contents: dict[Modality, Vectors] = {}
    segments: dict[Modality, Ids] = {}
    for code, kind in enumerate(KINDS):
        content = Modality.IMAGE if kind.content is Modality.VIDEO else kind.content
        ids = view.columns.ids[view.columns.kinds == code]
        if len(ids) >= c.MIN_SAMPLE and content not in contents:
            segments[content] = _some(ids, COHORT, rng)
            contents[content] = searcher.vectors(view, segments[content])
    return c.Calibration(contents, {Modality.TEXT: bank}, {}, segments=segments)


def _cases(
    searcher: Searcher, view: View, base: c.Calibration, rng: np.random.Generator, asked: Sequence[tuple[str, frozenset[int]]],
    foreign: Sequence[tuple[str, NDArray[np.float32]]], progress: Callable[[int, int], None],
) -> Iterator[Case]:  # fmt: skip
    vectors = ask(searcher.encoder, [text for text, _ in asked])
    near = vectors @ vectors.T
    absent = [(len(text.split()), vector) for text, vector in foreign]
    absent += [(1, vector) for vector in ask(searcher.encoder, list(MEANINGLESS))]
    for code, kind in enumerate(KINDS):
        ids = view.columns.ids[view.columns.kinds == code]
        if base.cohort(kind) is None or kind.channel in WORDS or not len(ids):
            continue
        ids = _some(ids, max(ARCHIVE_SIZES), rng)
        rows, assets = searcher.vectors(view, ids), view.columns.assets[np.searchsorted(view.columns.ids, ids)]
        for number, (text, own) in enumerate(asked):
            progress(number, len(asked))
            right = np.isin(assets, sorted(own))
            resembling = {asset for at in np.flatnonzero(near[number] >= ALIKE).tolist() for asset in asked[at][1]}
            gone = right | np.isin(assets, sorted(resembling))
            if right.any() and number % 2 == 0:
                yield _case(base, kind, rows, vectors[number], len(text.split()), np.flatnonzero(right), ~gone | right, rng)
            elif right.any():
                yield _case(base, kind, rows, vectors[number], len(text.split()), np.empty(0, np.intp), ~gone, rng)
        drawn: dict[tuple[int, int], Archive] = {}
        for words, vector in absent:
            progress(len(asked), len(asked))
            size = min(int(rng.choice(ARCHIVE_SIZES)), len(rows))
            key = size, int(rng.integers(ARCHIVES_PER_SIZE))
            if key not in drawn:
                drawn[key] = Archive.of(base, kind, rows[np.sort(rng.permutation(len(rows))[:size])])
            yield Case(drawn[key], Modality.TEXT, vector, words, frozenset(), foreign=True)


def _case(
    base: c.Calibration, kind: Kind, rows: Vectors, vector: NDArray[np.float32], words: int, right: NDArray[np.intp],
    allowed: NDArray[np.bool_], rng: np.random.Generator,
) -> Case:  # fmt: skip
    """A question for a part of the archive. The part contains the right segments (m,), and random ones of the ``allowed`` (n,) up
    to a random size."""
    size = int(rng.choice(ARCHIVE_SIZES))
    others = np.setdiff1d(np.flatnonzero(allowed), right)
    chosen = np.sort(
        np.concatenate([right[:size], rng.permutation(others)[: max(size - len(right), 0 if len(right) else 1)]]).astype(np.intp)
    )
    if not len(chosen):
        chosen = np.flatnonzero(allowed)[:1] if allowed.any() else np.zeros(1, np.intp)
    places = frozenset(np.flatnonzero(np.isin(chosen, right)).tolist())
    return Case(Archive.of(base, kind, rows[chosen]), Modality.TEXT, vector, words, places)


def _labels(searcher: Searcher, view: View, rng: np.random.Generator) -> Iterator[tuple[str, frozenset[int]]]:
    """Questions with the assets that answer them: judged questions, and short passages of media. Tags are not used, because the
    space itself produced them."""
    for question, judged in searcher.judgements.questions().items():
        if right := frozenset(one.asset for one in judged if one.right):
            yield question, right
    columns = view.columns
    ids = _some(columns.ids[np.isin(columns.kinds, _LEGIBLE)], ASKED, rng)
    for segment in searcher.store.segments(ids.tolist()).values():
        if segment.text and 2 <= len(segment.text.split()) <= LONGEST_WORDS:
            yield segment.text, frozenset({segment.asset})


_LEGIBLE = [
    code for code, kind in enumerate(KINDS) if kind.read and kind.channel in (Channel.SPEECH, Channel.CAPTION, Channel.TEXT)
]


def _some(ids: Ids, count: int, rng: np.random.Generator) -> Ids:
    return ids if len(ids) <= count else np.sort(rng.choice(ids, count, replace=False))
