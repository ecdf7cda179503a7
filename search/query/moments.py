"""Moments: neighbouring hits of one asset become one, with start and end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from search.types import Grouping, Segment, Span

NEAR = {"ms": 1_000, "char": 8}
"""The widest gap between neighbours."""

DROP = 1.0
"""A neighbour this much weaker, in standard deviations, is no longer part of the moment."""


@dataclass(slots=True)
class Moment:
    """A segment that was found, and the neighbours that joined it. ``score`` and ``cosine`` are the best segment's."""

    best: Segment
    score: float
    cosine: float
    span: Span | None
    evidence: list[int] = field(default_factory=list)

    def joins(self, segment: Segment, score: float) -> bool:
        """Whether a weaker hit lies beside this moment, in the same asset and channel, and is nearly as good."""
        mine, other = self.span, segment.span
        if mine is None or other is None or segment.channel is not self.best.channel or score < self.score - DROP:
            return False
        return max(mine.start, other.start) - min(mine.end, other.end) <= NEAR[mine.unit]

    def absorb(self, segment: Segment) -> None:
        """Take the segment in, and grow over its span."""
        self.evidence.append(segment.id)
        if self.span and segment.span:
            start, end = min(self.span.start, segment.span.start), max(self.span.end, segment.span.end)
            self.span = Span(start, end, self.span.unit)


def merge(found: Iterable[tuple[Segment, float, float]], group: Grouping) -> list[Moment]:
    """Merge hits (segment, score, cosine) that come best first; moments come out best first.

    ``moment`` merges neighbours, ``asset`` keeps the best moment of each asset, ``segment`` merges nothing.
    """
    moments: list[Moment] = []
    by_asset: dict[int, list[Moment]] = {}
    for segment, score, cosine in found:
        siblings = by_asset.setdefault(segment.asset, [])
        home = next((moment for moment in siblings if group != "segment" and moment.joins(segment, score)), None)
        if home is not None:
            home.absorb(segment)
        else:
            siblings.append(moment := Moment(segment, score, cosine, segment.span, [segment.id]))
            if group != "asset" or len(siblings) == 1:
                moments.append(moment)
    return moments
