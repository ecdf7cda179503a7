"""Regions: what the windows of pictures show, as codes that are searched by themselves. Needs no model beyond the pocket space's.

Of a shot, the frame in its middle is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from search import encoders
from search.encoders import RegionalEncoder
from search.models import Model
from search.types import Channel, Cut, Gap, Info, Modality, PictureCodes

FAMILY = "regions"

PICTURES_AT_ONCE = 8


class RegionReader:
    """The reader of this family: codes of the windows of pictures, for a space of the family ``pocket``."""

    name = FAMILY
    channels = frozenset[Channel]()
    reads = frozenset({Modality.IMAGE, Modality.VIDEO})

    def __init__(self, encoder: RegionalEncoder) -> None:
        self._encoder, self.revision = encoder, encoder.region_revision
        self.needs = replace(encoder.needs, rate=0)

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[PictureCodes | Gap]:  # noqa: ARG002  one signature for all readers
        """Yield the codes of each picture, and of the middle frame of each shot."""
        waiting: list[tuple[Cut, int | None, NDArray[np.uint8]]] = []
        for cut in cuts:
            if isinstance(cut, Gap) or cut.channel is not Channel.VISUAL or isinstance(cut.content, str):
                continue
            pixels, at = cast("NDArray[np.uint8]", cut.content), None
            if cut.modality is Modality.VIDEO:
                middle = len(pixels) // 2
                at = cut.times[middle] if cut.times else cut.span.start if cut.span else None
                pixels = pixels[middle].copy()
            waiting.append((cut, at, pixels))
            if len(waiting) == PICTURES_AT_ONCE:
                yield from self._coded(waiting)
                waiting = []
        yield from self._coded(waiting)

    def _coded(self, some: list[tuple[Cut, int | None, NDArray[np.uint8]]]) -> Iterator[PictureCodes]:
        from search.index.window_codes import pack  # brings FAISS, which takes a while to load

        codes = pack(self._encoder.regions([pixels for _, _, pixels in some]))
        for (cut, at, _), code in zip(some, codes, strict=True):
            yield PictureCodes(cut.span, code, at)


def load(model: Model | None, device: str) -> RegionReader:  # noqa: ARG001  one signature for all families
    """Load the reader."""
    return RegionReader(cast("RegionalEncoder", encoders.load("pocket", device=device)))
