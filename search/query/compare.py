"""Two spaces side by side: what the same questions find in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.query.algebra import Query
from search.query.engine import EVERYTHING, Engine
from search.types import Filter, Hit


@dataclass(frozen=True, slots=True)
class Difference:
    """What one question finds in two spaces: the best assets of each, best first."""

    asked: str
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]

    @property
    def overlap(self) -> float:
        """The share of assets that both find, 0..1, of the longer list."""
        ours, theirs = ({hit.segment.asset for hit in hits} for hits in (self.before, self.after))
        return len(ours & theirs) / max(len(ours), len(theirs), 1)

    @property
    def same_first(self) -> bool:
        """Whether both find the same asset first."""
        firsts = [hits[0].segment.asset if hits else None for hits in (self.before, self.after)]
        return firsts[0] == firsts[1]


def compare(
    engine: Engine, questions: Sequence[tuple[str, Query]], spaces: tuple[str, str], *, k: int, wanted: Filter = EVERYTHING
) -> list[Difference]:
    """Ask questions (how to call it, the query) in both spaces.

    Raises:
        UnknownName: a space that is not there.
        QueryError: a question that one of them does not know.
    """
    return [
        Difference(asked, *(engine.search(query, wanted, k=k, group="asset", spaces=[space]).hits for space in spaces))
        for asked, query in questions
    ]
