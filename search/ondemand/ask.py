"""Questions about one asset, answered by a model that looks at it. The answer is never stored, and is always shown as written by
a model.

The model is one of the caption family (``search.readers.caption``). The setting ``captioner`` names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search import readers
from search.errors import InputError, MediaError
from search.media import DecodePool
from search.media.opening import Held
from search.models import Models, named
from search.types import Cut, Gap, Info, Modality, Picture

if TYPE_CHECKING:  # torch takes seconds to import
    from search.readers.caption.writer import Writer

MAX_FRAMES = 8
"""Frames of a video that a model is shown, at most."""

NONE = "No model is set that answers questions."
HOW = "Set SENSORIUM_CAPTIONER to one, such as caption:Salesforce/blip-vqa-base, and fetch it with: sensorium models pull NAME"


@dataclass(frozen=True, slots=True)
class Answered:
    """What ``model`` wrote, and its confidence, 0..1. ``frames`` are the times in milliseconds of the frames that it saw; none
    for a still."""

    text: str
    confidence: float
    model: str
    frames: tuple[int, ...] = ()


def load(captioner: str, models: Models, device: str = "auto") -> Writer:
    """Load the model that a setting names: ``caption:REPOSITORY``, or a folder.

    Raises:
        InputError: none is named, or one that takes no questions.
        ModelMissing: its weights are not here, or are not what they should be; or a package that it needs is not installed.
    """
    if not captioner:
        raise InputError(NONE, remedy=HOW)
    name = named(captioner, "caption")
    writer: Writer = readers.opened(name, lambda module: module.writer_of(models.find(name), device))
    if not writer.answers:
        raise InputError(f"The model {name} writes captions, and takes no questions.", remedy=HOW)
    return writer


def ask(writer: Writer, pool: DecodePool, path: Path | Held, question: str, *, at_ms: int | None = None) -> Answered:
    """Ask about the picture in a file. For a video, ask about frames spread over its shots, or about the frame at ``at_ms``.

    A model that takes one picture is asked about each frame. The most frequent answer counts; if there is none, the most
    confident one. Its confidence is the sum of the confidences of that answer, divided by the number of frames.

    Raises:
        InputError: there is nothing to be seen in the file, nothing at that time, no question, or the model gave no answer.
        MediaError: the file cannot be decoded.
    """
    from search.encoders.generation import repeats
    from search.readers.caption.writer import Asked

    if not question.strip():
        raise InputError("There is no question.", remedy="Ask in words, in quotes.")
    frames = _frames(writer, pool, path, at_ms)
    times, pictures = tuple(time for time, _ in frames if time is not None), [picture for _, picture in frames]
    groups = [tuple(pictures)] if writer.several else [(picture,) for picture in pictures]
    written = writer.answer([Asked(group, question) for group in groups])
    totals: dict[str, list[float]] = {}
    for one in written:
        if any(letter.isalnum() for letter in one.text) and not repeats(one.text):
            totals.setdefault(one.text, []).append(one.confidence)
    if not totals:
        raise InputError(f"{writer.name} has no answer to that.", remedy="Ask in other words, or another model.")
    text = max(totals, key=lambda text: (len(totals[text]), sum(totals[text])))
    return Answered(text, sum(totals[text]) / len(written), writer.name, times)


Frame = tuple[int | None, Picture]
"""When it is shown, in milliseconds, and a picture (H, W, 3)."""


def _frames(writer: Writer, pool: DecodePool, path: Path | Held, at_ms: int | None) -> Sequence[Frame]:
    replies = pool.decode(path, writer.needs)
    try:
        info, seen = _seen(replies, path)
        shots = ([(time, _whole(picture, info, writer)) for time, picture in shot] for shot in seen)
        frames = _spread(shots) if at_ms is None else _at(shots, at_ms)
    finally:
        replies.close()
    if not frames and at_ms is not None:
        raise InputError(f"Nothing is to be seen in {path.name} at {at_ms / 1000:g} seconds.", remedy="Ask about another time.")
    if not frames:
        raise InputError(f"There is nothing to be seen in {path.name}.", remedy="Ask about a picture or a video.")
    return frames


def _seen(replies: Iterator[Info | Cut | Gap], path: Path | Held) -> tuple[Info, Iterator[list[Frame]]]:
    """The info of a file, and the frames of each of its shots."""
    from search.readers.caption.reader import pictured

    info = next(replies, None)
    if not isinstance(info, Info):
        raise MediaError("undecodable", f"nothing of {path.name} can be decoded")
    return info, (_shot(cut) for cut in replies if isinstance(cut, Cut) and pictured(cut))


def _shot(cut: Cut) -> list[Frame]:
    """The frames of a cut with their approximate times."""
    content = np.asarray(cut.content, np.uint8)
    if cut.modality is Modality.IMAGE or cut.span is None:  # of an animation its middle frame, since it has no times
        return [(None, content[len(content) // 2] if content.ndim == 4 else content)]
    step = (cut.span.end - cut.span.start) / len(content)
    return [(int(cut.span.start + (number + 0.5) * step), frame) for number, frame in enumerate(content)]


def _whole(picture: Picture, info: Info, writer: Writer) -> Picture:
    from search.media.decode.geometry import unpadded

    return unpadded(picture, info, writer.needs)


def _at(shots: Iterator[list[Frame]], at_ms: int) -> list[Frame]:
    """The frame nearest to a time; empty if the time is after the end."""
    best: Frame | None = None
    for shot in shots:
        for time, picture in shot:
            if time is None:
                return [(None, picture)]
            if best is None or best[0] is None or abs(time - at_ms) < abs(best[0] - at_ms):
                best = (time, picture)
        if best is not None and best[0] is not None and shot[-1][0] is not None and shot[-1][0] > at_ms:
            return [best]
    return [] if best is None or best[0] is None or at_ms - best[0] > 1_000 else [best]


def _spread(shots: Iterator[list[Frame]]) -> list[Frame]:
    """The middle frames of shots spread over a video. For a video with few shots: frames spread over it."""
    middles, every = _Thinned(), _Thinned()
    for shot in shots:
        middles.add(shot[len(shot) // 2])
        for frame in shot:
            every.add(frame)
    return middles.spread() if middles.count >= MAX_FRAMES else every.spread()


class _Thinned:
    """Keeps an evenly spaced sample of frames from a stream of any length."""

    def __init__(self) -> None:
        self.count, self._step, self._kept = 0, 1, list[Frame]()

    def add(self, frame: Frame) -> None:
        """Take the next frame."""
        if self.count % self._step == 0:
            self._kept.append(frame)
            if len(self._kept) >= 4 * MAX_FRAMES:
                self._kept, self._step = self._kept[::2], 2 * self._step
        self.count += 1

    def spread(self) -> list[Frame]:
        """At most ``MAX_FRAMES``, from the middle of as many equal parts."""
        kept, count = self._kept, min(MAX_FRAMES, len(self._kept))
        return [kept[(2 * number + 1) * len(kept) // (2 * count)] for number in range(count)]
