"""Browsing: the files that pass a filter, in an order, without a question."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.query.facets import PassingRows
from search.query.searcher import Searcher
from search.query.view import View
from search.types import BrowseOrder, Filter

Place = tuple[int, int]
"""Where a page ends: the value of its last file by which files are ordered, and its id."""

_COLUMN: Final[dict[BrowseOrder, str]] = {"added": "assets", "date": "days", "length": "durations", "size": "sizes"}


def browsed(
    searcher: Searcher, view: View, wanted: Filter, order: BrowseOrder, after: Place | None, limit: int
) -> tuple[dict[int, int], Place | None]:  # fmt: skip
    """At most ``limit`` assets behind a place, each with the first of its segments that passes; and where they end if more follow.

    The largest value comes first: what came last, the newest day, the longest, the largest. Of one value, what came last is
    first; what has no value comes at the end.
    """
    passing = PassingRows.of(searcher, view, wanted)
    columns, rows = passing.columns, passing.firsts
    assets = columns.assets[rows]
    values: NDArray[np.int64] = getattr(columns, _COLUMN[order])[rows].astype(np.int64)
    if after is not None:
        behind = (values < after[0]) | ((values == after[0]) & (assets < after[1]))
        rows, assets, values = rows[behind], assets[behind], values[behind]
    if more := len(rows) > limit:  # only what may be on the page has to be sorted
        near = values >= np.partition(values, len(values) - limit)[len(values) - limit]
        rows, assets, values = rows[near], assets[near], values[near]
    page = np.lexsort((-assets, -values))[:limit]
    found = dict(zip(assets[page].tolist(), columns.ids[rows[page]].tolist(), strict=True))
    return found, (int(values[page[-1]]), int(assets[page[-1]])) if more else None
