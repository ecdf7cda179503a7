"""The reader of the caption family: a sentence for each still, and for each shot of its middle frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from search.encoders.generation import GeneratedText, repeats
from search.encoders.known_models import MODEL_FAMILIES
from search.media.decode.geometry import unpadded
from search.models import Model
from search.readers.caption.writer import Writer
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage, Picture, Span

T = TypeVar("T")

_RECIPE = "1"
"""Changes with what is asked of models and made of what they write."""

_END = re.compile(r"(?<=[.!?…])\s+(?=[^\W\d_])|(?<=[。！？])")
_SHORT = re.compile(r"\b\w{1,3}\.$")
"""What may be an abbreviation."""


class Captioner:
    """Reader of one model. The confidence of a caption is the exponential of the mean log probability of its tokens."""

    def __init__(self, model: Model, writer: Writer) -> None:
        self.name = model.name
        self.revision = f"{model.revision}.{_RECIPE}"
        self.channels = frozenset({Channel.CAPTION})
        self.reads = MODEL_FAMILIES["caption"].takes
        self.needs: Needs = writer.needs
        self._writer, self._source = writer, f"written by {model.name}"

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:
        """Captions in order of time. Consecutive shots with the same caption share one passage. A caption stuck in a loop is
        dropped."""
        return _joined(self._captions(info, cuts))

    def _captions(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage]:
        seen = ((cut.span, picture_of(cut, info, self.needs)) for cut in cuts if isinstance(cut, Cut) and pictured(cut))
        for some in _groups(seen, self.needs.batch):
            for (span, _), written in zip(some, self._writer.describe([picture for _, picture in some]), strict=True):
                if text := sentence(written):
                    yield Passage(
                        Channel.CAPTION, span, text, self._source, confidence=written.confidence, language=self._writer.language
                    )


def pictured(cut: Cut) -> bool:
    """Whether a cut is a picture or frames."""
    return cut.channel is Channel.VISUAL and cut.modality in (Modality.IMAGE, Modality.VIDEO)


def picture_of(cut: Cut, info: Info, needs: Needs) -> Picture:
    """The picture (H, W, 3) of a still, or the middle frame of a shot."""
    frames = cast("NDArray[np.uint8]", cut.content)
    return unpadded(frames[len(frames) // 2] if frames.ndim == 4 else frames, info, needs)


def sentence(written: GeneratedText) -> str:
    """The first sentence that a model wrote; empty if there is none, or if it is stuck in a loop."""
    text = ""
    for piece in _END.split(written.text):
        text = f"{text} {piece}".strip()
        if not _SHORT.search(text):
            break
    return "" if repeats(text) or not re.search(r"\w", text) else text


def _joined(passages: Iterator[Passage]) -> Iterator[Passage]:
    """Merge consecutive passages with the same text. The merged passage has the lowest confidence of them."""
    held: Passage | None = None
    for passage in passages:
        if held is None:
            held = passage
        elif held.text == passage.text and held.span and passage.span and held.span.end == passage.span.start:
            least = min(held.confidence or 0.0, passage.confidence or 0.0)
            held = replace(held, span=Span(held.span.start, passage.span.end), confidence=least)
        else:
            yield held
            held = passage
    if held is not None:
        yield held


def _groups(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while some := list(islice(items, size)):
        yield some
