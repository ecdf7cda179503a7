"""Sampling of long query files: only an evenly spread part is encoded (such as one minute), so that a query costs no more than
that."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.types import Channel, Cut, Info, Modality, Span

MAX_ASKED_MS = 60_000
"""How much of what has a length is asked, in milliseconds."""

MAX_ASKED_CUTS = 60
"""How many cuts are asked of what has none, such as the paragraphs of a text."""

FRAME_MS = 1_000
"""What a frame of a video counts."""


@dataclass(slots=True)
class _Place:
    """Position within a channel: the next wanted position, the ``step`` between wanted ones (0: all), and how much was ``taken``
    since the step was set."""

    step: float
    due: float = 0.0
    taken: float = 0.0
    cuts: int = 0


class Spread:
    """Takes the cuts of a file one by one, in order. Files that state a wrong length are bounded too: each time the limit is reached, half as
    much is taken from the rest."""  # fmt: skip

    def __init__(self, info: Info) -> None:
        self._length = info.duration_ms or 0
        self._places: dict[Channel, _Place] = {}
        self.whole = True
        """Whether nothing was left out."""

    def take(self, cut: Cut) -> Cut | None:
        """The wanted part of a cut; None if nothing of it is wanted."""
        timed = cut.span is not None and cut.span.unit == "ms"
        place = self._places.get(cut.channel)
        if place is None:
            place = self._places[cut.channel] = self._begin(cut, timed)
        place.cuts += 1
        span = cut.span if cut.span is not None and cut.span.unit == "ms" else Span(place.cuts - 1, place.cuts)
        if cut.modality is Modality.VIDEO and not isinstance(cut.content, str):
            found = self._frames(cut, span, cut.content.astype(np.uint8, copy=False), place)
        else:
            found = self._piece(cut, span, place)
        most = MAX_ASKED_MS if timed else MAX_ASKED_CUTS
        if place.taken >= most:
            place.step, place.taken = 2 * (place.step or place.taken / place.cuts), 0.0
        self.whole = self.whole and found is cut
        return found

    def _begin(self, cut: Cut, timed: bool) -> _Place:
        if not timed or cut.span is None or self._length <= MAX_ASKED_MS:
            return _Place(0.0)
        piece = FRAME_MS if cut.modality is Modality.VIDEO else cut.span.end - cut.span.start
        step = piece * self._length / MAX_ASKED_MS
        return _Place(step, due=step / 2)

    def _piece(self, cut: Cut, span: Span, place: _Place) -> Cut | None:
        if not _reach(place, span.end):
            return None
        place.taken += span.end - span.start
        return cut

    def _frames(self, cut: Cut, span: Span, frames: NDArray[np.uint8], place: _Place) -> Cut | None:
        """The shot with only its wanted frames."""
        times = cut.times or tuple(np.linspace(span.start, span.end, len(frames), endpoint=False).astype(int).tolist())
        shown = [at for at, until in enumerate((*times[1:], span.end)) if _reach(place, until)]
        place.taken += FRAME_MS * len(shown)
        if len(shown) == len(frames):
            return cut
        return replace(cut, content=frames[shown], times=tuple(times[at] for at in shown)) if shown else None


def _reach(place: _Place, end: float) -> bool:
    """Whether something that ends at ``end`` is wanted; if so, moves the position past it."""
    if not place.step:
        return True
    if end <= place.due:
        return False
    place.due += (np.floor((end - place.due) / place.step) + 1) * place.step
    return True
