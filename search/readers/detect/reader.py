"""The reader of the detect family: things in each still, and in the middle frame of each shot, with their boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from search.encoders.known_models import MODEL_FAMILIES
from search.models import Model
from search.readers.caption.reader import picture_of, pictured
from search.readers.detect.detector import Detector
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Picture, Span, Thing

SIDE_PIXELS = 1_024
"""The longer side of pictures as they are looked at; models scale them further."""

MOST_THINGS = 300
"""Things of a picture, the surest, that are kept."""

_RECIPE = "1"
"""Changes with what is made of what models find."""


class ThingReader:
    """Reader of one model, for the labels of its detector."""

    channels = frozenset[Channel]()
    reads = MODEL_FAMILIES["detect"].takes

    def __init__(self, model: Model, detector: Detector) -> None:
        self.name, self._detector = model.name, detector
        told = "\n".join((model.revision, _RECIPE, *detector.labels))
        self.revision = hashlib.sha256(told.encode()).hexdigest()[:32]
        self.needs = Needs(size=SIDE_PIXELS, fit="pad", rate=0)

    @property
    def note(self) -> str:
        """What to know of it before it reads."""
        looks = self._detector.looks
        return f"so many labels take {looks} looks at each picture" if looks > 1 else ""

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Thing | Gap]:
        """Things in order of time, of each picture the surest first. At the end one Gap tells how many were left out."""
        left = 0
        for cut in cuts:
            if isinstance(cut, Cut) and pictured(cut):
                picture, at = seen_in(cut, info, self.needs)
                things = self.things(picture, cut.span, at)
                left += len(things[MOST_THINGS:])
                yield from things[:MOST_THINGS]
        if left:
            yield Gap("not_read", f"{left:,} things that are less sure than {MOST_THINGS} others of their picture were left out")

    def things(self, picture: Picture, span: Span | None = None, at_ms: int | None = None) -> list[Thing]:
        """The things in a picture (H, W, 3), the surest first."""
        height, width = picture.shape[:2]
        (found,) = self._detector.find([picture])
        return [
            Thing(
                self._detector.labels[label],
                (100 * left / width, 100 * top / height, 100 * (right - left) / width, 100 * (bottom - top) / height),
                float(score), span, at_ms, self.name,
            )
            for (left, top, right, bottom), score, label in zip(found.corners.tolist(), found.scores, found.labels, strict=True)
        ]  # fmt: skip


def seen_in(cut: Cut, info: Info, needs: Needs) -> tuple[Picture, int | None]:
    """The picture (H, W, 3) of a still, or the middle frame of a shot and when it is on screen, in milliseconds."""
    at = None
    if cut.modality is Modality.VIDEO:
        middle = len(cut.content) // 2
        at = cut.times[middle] if cut.times else cut.span.start if cut.span else None
    return picture_of(cut, info, needs), at
