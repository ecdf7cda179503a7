"""Facets: for each property that a filter can ask for, how many files have each of its values.

Files are counted, not segments. Those are counted that pass a filter and of which a space holds something. What the columns of a
view tell is counted in them. Folders, collections, tags and own fields are read from the database once for each of its states.
"""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import UnknownName
from search.query.searcher import Searcher
from search.query.view import View
from search.store import SqlStore
from search.store.sql import NO_DAY, SHAPES, SOURCES, Columns, Tables, language_of, shapes_of
from search.types import KINDS, Channel, Filter, Modality, Within

LONGEST_FACET, LONGEST_ORDERED = 100, 1_200
"""Values of a facet that are told: the most frequent ones; of what has an order, the last ones."""

FIELD = "field."
"""Before the name of an own field, where it stands beside the facets of the archive."""

SECONDS = (10, 60, 300, 1_800)
MEGABYTES = (0.1, 1, 10, 100, 1_000)
MEGAPIXELS = (0.5, 2, 8, 24)
CONFIDENCES = (0.5, 0.7, 0.9)
"""Where ranges begin. A value on an edge counts in the higher range."""

Counts = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value, as filters take it, and the number of files that have it. Ranges are written ``low..high``."""

    value: str
    files: int


@dataclass(frozen=True, slots=True)
class Facet:
    """A property and its values: ranges, years and months in their order, everything else by number of files. ``more`` further
    values are left out."""

    name: str
    values: tuple[FacetValue, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Faceted:
    """The ``files`` and ``segments`` that pass a filter, and their facets."""

    files: int
    segments: int
    facets: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class PassingRows:
    """The segments that pass a filter: their rows (n,), the first row of each asset (m,), and whether an asset passes, by its id."""

    columns: Columns
    rows: NDArray[np.intp]
    firsts: NDArray[np.intp]
    assets: NDArray[np.bool_]

    @classmethod
    def of(cls, searcher: Searcher, view: View, wanted: Filter) -> PassingRows:
        """What of a searcher's view passes a filter. Raises InputError, UnknownName: see ``SqlStore.select``."""
        columns, targets = view.columns, searcher.targets(view, wanted, ())
        mask = np.zeros(len(columns.ids), np.bool_)
        if sum(map(len, targets.values())) == len(mask):
            mask[:] = True
        else:
            for ids in targets.values():
                mask[np.searchsorted(columns.ids, ids)] = True
        rows = np.flatnonzero(mask)
        row_of = np.full(int(columns.assets.max(initial=0)) + 1, -1, np.intp)
        row_of[columns.assets[rows[::-1]]] = rows[::-1]  # of several, the last that is written stays
        assets = row_of >= 0
        return cls(columns, rows, row_of[assets], assets)

    def has(self, assets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """A mask (n,) of those assets (n,) that pass."""
        within = assets < len(self.assets)
        return within & self.assets[np.where(within, assets, 0)]

    def each(self, codes: NDArray[Any], count: int) -> NDArray[np.intp]:
        """How many assets have a segment with each of ``count`` codes, (count,). ``codes`` (n,) are those of ``rows``; negative
        ones do not count."""
        found = np.empty(count, np.intp)
        assets, seen = self.columns.assets[self.rows], np.zeros(len(self.assets), np.bool_)
        for code in range(count):
            seen[:] = False
            seen[assets[codes == code]] = True
            found[code] = np.count_nonzero(seen)
        return found


@dataclass(slots=True)
class Tabled:
    """What the database says of assets beside the columns of a view, in one of its states, for callers ``within`` collections."""

    version: int
    tables: Tables
    children: dict[tuple[str, ...], tuple[list[str], NDArray[np.int64]]] = field(default_factory=dict)

    def below(self, bases: tuple[str, ...]) -> tuple[list[str], NDArray[np.int64]]:
        """The folders right below some folders, or these themselves; and for each known folder the one that it lies in, -1 for
        none."""
        if bases not in self.children:
            names: dict[str, int] = {}
            codes = [names.setdefault(found, len(names)) if (found := _below(one, bases)) else -1 for one in self.tables.folders]
            self.children[bases] = list(names), np.array(codes, np.int64)
        return self.children[bases]


class FacetCounter:
    """Counts facets of one archive. Threads may count at the same time."""

    def __init__(self, store: SqlStore) -> None:
        self._store, self._lock = store, threading.Lock()
        self._tabled: dict[Within, Tabled] = {}

    def count(self, searcher: Searcher, view: View, wanted: Filter, names: Sequence[str] = ()) -> Faceted:
        """The facets with these names, or all that some file has a value of. Own fields are named ``field.NAME``.

        Raises:
            UnknownName: a facet, or a name in the filter, that is not there.
            InputError: see ``SqlStore.select``.
        """
        passing = PassingRows.of(searcher, view, wanted)
        tabled = self._known(wanted.within)
        own = {FIELD + name: name for name in tabled.tables.fields}
        for name in names:
            if name not in _COUNTED and name not in _TABLED and name not in own:
                raise UnknownName("facet", name, [*_COUNTED, *_TABLED, *own])
        facets = []
        for name in dict.fromkeys(names) if names else (*_COUNTED, *_TABLED, *own):
            if name in _COUNTED:
                found, ordered = _COUNTED[name](passing), name in _ORDERED
            elif name in _TABLED:
                found, ordered = _TABLED[name](passing, tabled, wanted), name in _ORDERED
            else:
                found, ordered = _of_pairs(passing, *tabled.tables.fields[own[name]]), False
            told = [(value, files) for value, files in found if files]
            kept = told[-LONGEST_ORDERED:] if ordered else sorted(told, key=lambda one: (-one[1], one[0]))[:LONGEST_FACET]
            if told or names:
                values = tuple(FacetValue(*one) for one in kept)
                facets.append(Facet(name, values, len(told) - len(values)))
        return Faceted(len(passing.firsts), len(passing.rows), tuple(facets))

    def tagged(self, within: Within) -> dict[int, list[str]]:
        """The tags of assets."""
        assets, codes, values = self._known(within).tables.labels
        found: dict[int, list[str]] = {}
        for asset, code in zip(assets.tolist(), codes.tolist(), strict=True):
            found.setdefault(asset, []).append(values[code])
        return found

    def _known(self, within: Within) -> Tabled:
        version = self._store.version()
        with self._lock:
            known = self._tabled.get(within)
            if known is None or known.version != version:
                if len(self._tabled) >= _CALLERS:
                    self._tabled.clear()
                known = self._tabled[within] = Tabled(version, self._store.tables(within))
            return known


_CALLERS = 16
"""Sets of collections, each of some callers, for which tables are kept."""


def _kinds(passing: PassingRows, of: Callable[[int], str], names: Sequence[str]) -> Counts:
    """Files by what their kinds say."""
    codes = np.array([names.index(of(code)) for code in range(len(KINDS))])
    counts = passing.each(codes[passing.columns.kinds[passing.rows]], len(names))
    return list(zip(names, counts.tolist(), strict=True))


def _modalities(passing: PassingRows) -> Counts:
    return _kinds(passing, lambda code: str(KINDS[code].modality), [str(one) for one in Modality])


def _channels(passing: PassingRows) -> Counts:
    return _kinds(passing, lambda code: str(KINDS[code].channel), [str(one) for one in Channel])


def _years(passing: PassingRows) -> Counts:
    days = passing.columns.days[passing.firsts]
    years, counts = np.unique(
        days[days != NO_DAY].astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64), return_counts=True
    )
    return [
        (f"{1970 + year:04d}", count)
        for year, count in zip(years.tolist(), counts.tolist(), strict=True)
        if _is_year(1970 + year)
    ]


def _months(passing: PassingRows) -> Counts:
    """Files whose month is known; of a day that may lie in two months, the first counts."""
    first, last = passing.columns.days[passing.firsts], passing.columns.last_days[passing.firsts]
    days = first[(first != NO_DAY) & (last.astype(np.int64) - first < _LONGEST_MONTH)]
    months, counts = np.unique(days.astype("datetime64[D]").astype("datetime64[M]"), return_counts=True)
    return [
        (str(month), count)
        for month, count in zip(months, counts.tolist(), strict=True)
        if _is_year(int(month.astype("datetime64[Y]").astype(np.int64)) + 1970)
    ]


_LONGEST_MONTH = 31
"""Days."""


def _is_year(year: int) -> bool:
    return datetime.MINYEAR <= year <= datetime.MAXYEAR


def _sources(passing: PassingRows) -> Counts:
    return _coded(passing.columns.sources[passing.firsts], [str(one) for one in SOURCES])


def _shapes(passing: PassingRows) -> Counts:
    return _coded(shapes_of(passing.columns.only(passing.firsts)), [str(one) for one in SHAPES])


def _coded(codes: NDArray[np.int8], names: Sequence[str]) -> Counts:
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    return list(zip(names, counts.tolist(), strict=True))


def _durations(passing: PassingRows) -> Counts:
    durations = passing.columns.durations[passing.firsts]
    return _ranges(durations[durations >= 0] / 1000, SECONDS)


def _sizes(passing: PassingRows) -> Counts:
    return _ranges(passing.columns.sizes[passing.firsts] / 1e6, MEGABYTES)


def _pixels(passing: PassingRows) -> Counts:
    at, columns = passing.firsts, passing.columns
    pixels = columns.widths[at].astype(np.float64) * columns.heights[at]
    return _ranges(pixels[pixels > 0] / 1e6, MEGAPIXELS)


def _ranges(values: NDArray[np.float64], edges: Sequence[float]) -> Counts:
    counts = np.bincount(np.searchsorted(np.array(edges, np.float64), values, "right"), minlength=len(edges) + 1)
    return list(zip(_ranged(edges), counts.tolist(), strict=True))


def _ranged(edges: Sequence[float]) -> list[str]:
    """The ranges between edges, as filters take them."""
    ends = ["", *(f"{edge:g}" for edge in edges), ""]
    return [f"{low}..{high}" for low, high in pairwise(ends)]


def _languages(passing: PassingRows) -> Counts:
    codes = passing.columns.languages[passing.rows]
    known = np.unique(codes[codes != 0])
    at = np.where(codes != 0, np.searchsorted(known, codes), -1)
    return [(language_of(code), count) for code, count in zip(known.tolist(), passing.each(at, len(known)).tolist(), strict=True)]


def _confidences(passing: PassingRows) -> Counts:
    given = passing.columns.confidences[passing.rows]
    at = np.where(given >= 0, np.searchsorted(np.array(CONFIDENCES, np.float32), given, "right"), -1)
    return list(zip(_ranged(CONFIDENCES), passing.each(at, len(CONFIDENCES) + 1).tolist(), strict=True))


def _of_pairs(
    passing: PassingRows, assets: NDArray[np.int64], codes: NDArray[np.int64], values: Sequence[str], *, distinct: bool = True
) -> Counts:  # fmt: skip
    """Files by value, from pairs (n,) of an asset and the code of a value. A pair may be there twice, unless they are ``distinct``."""
    here = passing.has(assets) & (codes >= 0)
    found = codes[here]
    if not distinct:
        found = np.unique(assets[here] * np.int64(max(len(values), 1)) + found) % max(len(values), 1)
    return list(zip(values, np.bincount(found, minlength=len(values)).tolist(), strict=True))


def _collections(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:
    tables = tabled.tables
    if wanted.collections:  # a file may lie in others as well, which were not asked for
        keep = [name in wanted.collections for name in tables.collections]
        codes = (
            np.where(np.array(keep, np.bool_)[tables.in_collection], tables.in_collection, -1) if keep else tables.in_collection
        )
        return _of_pairs(passing, tables.assets, codes, tables.collections, distinct=False)
    return _of_pairs(passing, tables.assets, tables.in_collection, tables.collections, distinct=False)


def _folders(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:
    tables = tabled.tables
    roots = [root for name, some in tables.roots.items() if not wanted.collections or name in wanted.collections for root in some]
    names, below = tabled.below(tuple(sorted(wanted.under or roots)))
    codes = below[tables.in_folder] if len(below) else tables.in_folder
    return _of_pairs(passing, tables.assets, codes, names, distinct=False)


def _below(folder: str, bases: Sequence[str]) -> str | None:
    """The folder right below the innermost base in which a folder lies, or the base itself; None: it lies in none."""
    inside = [base.rstrip("/") for base in bases if folder == base or folder.startswith(base.rstrip("/") + "/")]
    if not inside:
        return None
    base = max(inside, key=len)
    step = folder[len(base) + 1 :].partition(os.sep)[0]
    return f"{base}/{step}" if step else base or "/"


def _tags(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001 - one signature for all
    return _of_pairs(passing, *tabled.tables.labels)


def _origins(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001
    return _of_pairs(passing, *tabled.tables.origins)


def _cameras(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001
    return _of_pairs(passing, *tabled.tables.cameras)


def _rights(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001
    return _of_pairs(passing, *tabled.tables.rights)


def _places(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:
    """Files by where they were made, in fields of a degree: their southern, western, northern and eastern edges."""
    assets, latitudes, longitudes = tabled.tables.positions
    if wanted.located is not None:
        tables = tabled.tables
        shown = np.array([name in wanted.located for name in tables.collections], np.bool_)
        kept = np.isin(assets, tables.assets[shown[tables.in_collection]] if len(shown) else tables.assets)
        assets, latitudes, longitudes = assets[kept], latitudes[kept], longitudes[kept]
    south, west = np.floor(latitudes).astype(np.int64), np.floor(longitudes).astype(np.int64)
    fields, codes = np.unique(np.stack([south, west], axis=1), axis=0, return_inverse=True)
    names = [f"{low},{left},{low + 1},{left + 1}" for low, left in fields.tolist()]
    return _of_pairs(passing, assets, codes.reshape(-1).astype(np.int64), names)


def _things(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001
    return _of_pairs(passing, *tabled.tables.things)


def _speech(passing: PassingRows, tabled: Tabled, wanted: Filter) -> Counts:  # noqa: ARG001
    spoken = int(np.count_nonzero(passing.has(tabled.tables.spoken)))
    return [("yes", spoken), ("no", len(passing.firsts) - spoken)]


_COUNTED: dict[str, Callable[[PassingRows], Counts]] = {
    "modality": _modalities, "channel": _channels, "date": _years, "month": _months, "dated_by": _sources, "duration": _durations, "size": _sizes,
    "pixels": _pixels, "shape": _shapes, "language": _languages, "confidence": _confidences,
}  # fmt: skip
_TABLED: dict[str, Callable[[PassingRows, Tabled, Filter], Counts]] = {
    "collection": _collections, "folder": _folders, "tag": _tags, "origin": _origins, "camera": _cameras,
    "rights": _rights, "place": _places, "thing": _things, "speech": _speech,
}  # fmt: skip
_ORDERED = frozenset({"date", "month", "duration", "size", "pixels", "confidence"})

FACETS = (*_COUNTED, *_TABLED)
"""The names of the facets of every archive."""
