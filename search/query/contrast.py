"""Contrast: what sets some files apart from others: tags and words, with the number of files that have them on both sides, and the
pictures that are nearest to the difference of both sides' mean vectors.

The measure is the difference of log-odds in standard deviations, with an informative prior (Monroe, Colaresi and Quinn 2008): to either
side ``PRIOR_FILES`` are added, with the share that both sides have together. So what only one file has weighs little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.query.facets import FacetCounter
from search.query.searcher import Searcher
from search.query.view import View
from search.store import SqlStore
from search.store.folding import terms
from search.types import Channel, Filter, Ids, Within

MAX_PASSAGES = 20_000
"""Passages that are read on either side; the newest ones."""

MAX_PICTURES, SHOWN_PICTURES = 20_000, 6
"""Pictures and shots that are looked at on either side, the newest ones; and those that are told."""

PRIOR_FILES = 10.0
"""Files that are added to either side."""

TELLING = 1.96
"""Standard deviations from which on a difference is told: 19 of 20 that are this large are no chance, taken one by one."""


@dataclass(frozen=True, slots=True)
class SetApart:
    """A tag or a word, the files that have it on both sides, and by how many standard deviations it sets these apart (above 0) or those
    (below 0)."""

    value: str
    these: int
    those: int
    deviations: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """What sets ``these`` files apart from ``those``: both are numbers of files. Differences are sorted by size, these before those.

    ``limited``: not every passage was read for the words. ``these_pictures`` and ``those_pictures`` are segments, one a file, the most telling first.
    """

    these: int
    those: int
    tags: tuple[SetApart, ...]
    words: tuple[SetApart, ...]
    limited: bool = False
    these_pictures: tuple[int, ...] = ()
    those_pictures: tuple[int, ...] = ()


class Contraster:
    """Contrasts parts of one archive."""

    def __init__(self, store: SqlStore, facets: FacetCounter) -> None:
        self._store, self._facets = store, facets

    def contrast(self, searcher: Searcher, view: View, these: Filter, those: Filter, most: int) -> Contrast:
        """The ``most`` largest differences of each sort between what passes two filters. A file that passes both counts on both sides.

        Raises:
            UnknownName, InputError: see ``SqlStore.select``.
        """
        sides = [_assets(searcher, view, one) for one in (these, those)]
        labels = [self._facets.tagged(one.within) for one in (these, those)]
        tags = [
            Counter(name for asset in side.tolist() for name in of.get(asset, ())) for side, of in zip(sides, labels, strict=True)
        ]
        (first, cut), (second, cut_too) = self._words(sides[0], these.within), self._words(sides[1], those.within)
        a, b = len(sides[0]), len(sides[1])
        found = differences(tags[0], tags[1], a, b, most), differences(first, second, a, b, most)
        return Contrast(a, b, found[0], found[1], cut or cut_too, *_pictures(searcher, view, these, those))

    def _words(self, assets: Ids, within: Within) -> tuple[Counter[str], bool]:
        """The files that have each word in what was read or written in them, and whether passages were left out."""
        said: dict[int, set[str]] = {}
        read = self._store.texts(assets, MAX_PASSAGES, within)
        for asset, text in read:
            said.setdefault(asset, set()).update(term for term in terms(text) if len(term) > 2 and not term.isdecimal())
        return Counter(term for some in said.values() for term in some), len(read) == MAX_PASSAGES


def differences(
    these: Mapping[str, int], those: Mapping[str, int], of_these: int, of_those: int, most: int
) -> tuple[SetApart, ...]:
    """What differs between two sets of files, ``most`` for either side: from the files that have each value, of so many files."""
    values = sorted({*these, *those})
    if not values or not of_these or not of_those:
        return ()
    counts = np.array([(these.get(one, 0), those.get(one, 0)) for one in values], np.float64)
    apart = deviations(counts[:, 0], counts[:, 1], of_these, of_those)
    found = [
        SetApart(value, int(a), int(b), float(d))
        for value, (a, b), d in zip(values, counts, apart, strict=True)
        if abs(d) >= TELLING
    ]
    return (
        *_largest((one for one in found if one.deviations > 0), most),
        *_largest((one for one in found if one.deviations < 0), most),
    )


def deviations(these: NDArray[np.float64], those: NDArray[np.float64], of_these: int, of_those: int) -> NDArray[np.float64]:
    """The differences of log-odds in standard deviations (n,), of files (n,) among so many on either side."""
    odds, variance, share = np.zeros(len(these)), np.zeros(len(these)), (these + those) / (of_these + of_those)
    for sign, with_it, of in ((1, these, of_these), (-1, those, of_those)):
        have, lack = with_it + PRIOR_FILES * share, of - with_it + PRIOR_FILES * (1 - share)
        lack = np.maximum(lack, 1e-9)  # where every file has it
        odds += sign * np.log(have / lack)
        variance += 1 / have + 1 / lack
    return np.asarray(odds / np.sqrt(variance), np.float64)


def _pictures(searcher: Searcher, view: View, these: Filter, those: Filter) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The segments of either side whose pictures lie farthest to its own side of the difference of means, one a file."""
    sides = []
    for wanted in (these, those):
        some = [ids for kind, ids in searcher.targets(view, wanted, ()).items() if kind.channel == Channel.VISUAL]
        sides.append(np.sort(np.concatenate([np.empty(0, np.int64), *some]))[-MAX_PICTURES:])
    if not all(map(len, sides)):
        return (), ()
    vectors = [searcher.vectors(view, ids) for ids in sides]
    apart = vectors[0].mean(0) - vectors[1].mean(0)
    return _farthest(view, sides[0], vectors[0] @ apart), _farthest(view, sides[1], -(vectors[1] @ apart))


def _farthest(view: View, ids: Ids, scores: NDArray[np.float32]) -> tuple[int, ...]:
    found: dict[int, int] = {}
    for at in np.argsort(-scores, kind="stable"):
        found.setdefault(int(view.columns.assets[np.searchsorted(view.columns.ids, ids[at])]), int(ids[at]))
        if len(found) == SHOWN_PICTURES:
            break
    return tuple(found.values())


def _largest(some: Iterable[SetApart], most: int) -> list[SetApart]:
    return sorted(some, key=lambda one: (-abs(one.deviations), one.value))[:most]


def _assets(searcher: Searcher, view: View, wanted: Filter) -> Ids:
    ids = np.sort(np.concatenate([np.empty(0, np.int64), *searcher.targets(view, wanted, ()).values()]))
    return np.asarray(np.unique(view.columns.assets[np.searchsorted(view.columns.ids, ids)]), np.int64)
