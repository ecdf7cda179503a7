"""The reader of on-screen text: what stands in the stills and shots of an asset, as passages with their places."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from search.readers.ocr import layout
from search.readers.ocr.frames import Standing, follow
from search.readers.ocr.layout import Line
from search.readers.ocr.networks import MIN_CONFIDENCE, OcrNetworks
from search.types import Channel, Cut, Gap, Info, Modality, Needs, Passage, Picture, Span, Word

SIDE_PIXELS = 1600
"""Pixels of the long side at which text is read: a page of A4 has 137 to the inch. A shot of ten frames then takes 77 MB."""
NATIVE_SHARE = 0.85
"""Pictures smaller than this part of ``SIDE_PIXELS`` are brought back to their own size: enlarged, textures look like letters twice as often."""
MIN_LINE_PIXELS = 16
"""Lines that are lower than this, in pixels, and were found but not read are text that is too small. Others are mostly no text."""
VERSION = "2"
"""Changes whenever the code here reads otherwise."""


class OcrReader:
    """Reads on-screen text: in images, and in videos whatever is shown in a shot for about a second.

    A passage is a block of lines that belong together, or a part of it with at most ``needs.characters``. In a video its span is
    that of the frames that show it, at most its shot. Text shown over several shots is a passage in each. Lines at any angle and
    columns of Chinese or Japanese are read. Mirrored text is not: the model's confidence is low for nearly all of it, and such
    lines are dropped; only words of symmetric letters come out, backwards.

    The decoder delivers pictures of at most ``SIDE_PIXELS``. Of a page of 10,000 words in a font of 6.2 pixels 86 % are read. From some
    5.8 pixels down, the detector takes such pages for texture, in part or as a whole. Larger pictures cannot be read in tiles.
    """

    def __init__(self, engine: OcrNetworks, name: str) -> None:
        """``name``: the name that loads it."""
        self._engine, self.name = engine, name
        self.revision = f"{engine.revision}-{VERSION}"
        self.channels = frozenset({Channel.OCR})
        self.reads = frozenset({Modality.IMAGE, Modality.VIDEO})
        self.needs = Needs(size=SIDE_PIXELS, fit="pad", rate=0)

    def read(self, info: Info, cuts: Iterable[Cut | Gap]) -> Iterator[Passage | Gap]:
        """Read an asset. At its end one Gap (``not_read``) says which text was not read."""
        unread, told = _Unread(), set[str]()
        for cut in cuts:
            if isinstance(cut, Gap) or cut.modality not in self.reads or isinstance(cut.content, str):
                continue
            frames = [_picture(frame, info) for frame in (cut.content if cut.content.ndim == 4 else cut.content[None])]
            lines, left = follow(self._engine, frames)
            unread.note(lines, left, cut.span)
            for passage in self._passages(lines, cut.span, frames, cut.times):
                if cut.span is None and passage.text in told:
                    continue  # it stands on every page
                told.add(passage.text)
                yield passage
        if gap := unread.gap():
            yield gap

    def _passages(
        self, lines: Sequence[Standing], span: Span | None, frames: Sequence[Picture], times: Sequence[int] | None
    ) -> Iterator[Passage]:
        """Blocks of the lines that appear and disappear together."""
        together = defaultdict(list)
        for standing in lines:
            if standing.line.confidence >= MIN_CONFIDENCE:
                together[standing.first, standing.last].append(standing.line)
        height, width = frames[0].shape[:2]
        for (first, last), group in sorted(together.items()):
            for piece in (piece for block in layout.blocks(group) for piece in layout.pieces(block, self.needs.characters)):
                yield self._passage(piece, _part(span, first, last, len(frames), times), width, height)

    def _passage(self, block: Sequence[Line], span: Span | None, width: int, height: int) -> Passage:
        text, scores = layout.text(block)
        sure = [score for score, character in zip(scores, text, strict=True) if not character.isspace()]
        words = tuple(
            Word(*found.span(), confidence=round(float(np.mean(scores[slice(*found.span())])), 4))
            for found in re.finditer(r"\S+", text)
        )
        left, top, right, bottom = layout.bounds(block)
        box = tuple(
            round(min(max(100 * at / side, 0.0), 100.0), 2)
            for at, side in ((left, width), (top, height), (right + 1, width), (bottom + 1, height))
        )
        return Passage(
            Channel.OCR,
            span,
            text,
            self._engine.title,
            round(float(np.mean(sure)), 4),
            language(text),
            words,
            (box[0], box[1], box[2], box[3]),
        )


class _Unread:
    """Counts text that was found in an asset and not read."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(
            ("too small or too faint", "in letters that the model does not know", "beyond what is read of one picture"), 0
        )
        self._spans: list[Span] = []

    def note(self, lines: Sequence[Standing], left: int, span: Span | None) -> None:
        """Count the unread lines of a still or shot. ``left`` lines were not looked at."""
        strange = sum(standing.line.text.isspace() for standing in lines)
        small = sum(_is_small(standing.line) for standing in lines)
        for what, count in zip(self._counts, (small, strange, left), strict=True):
            self._counts[what] += count
        if span is not None and small + strange + left:
            self._spans.append(span)

    def gap(self) -> Gap | None:
        """The gap for them; None if there are none."""
        told = "; ".join(f"lines of text {what}: {count}" for what, count in self._counts.items() if count)
        span = Span(self._spans[0].start, self._spans[-1].end) if self._spans else None
        return Gap("not_read", told, span) if told else None


def _is_small(line: Line) -> bool:
    return line.confidence < MIN_CONFIDENCE and not line.text.isspace() and line.height < MIN_LINE_PIXELS


def _part(span: Span | None, first: int, last: int, count: int, times: Sequence[int] | None) -> Span | None:
    """The time of frames ``[first, last]`` out of ``count`` frames in a span. ``times``: when each frame is shown, if known."""
    if span is None:
        return None
    if times is not None and len(times) == count:
        start = span.start if first == 0 else times[first]
        end = times[last + 1] if last + 1 < count else span.end
        return Span(start, max(end, start + 1), span.unit)
    length = span.end - span.start
    start, end = span.start + first * length // count, span.start + (last + 1) * length // count
    return Span(start, max(end, start + 1), span.unit)


def _picture(frame: NDArray[Any], info: Info) -> Picture:
    """The picture in a padded square (SIZE, SIZE, 3), not larger than in the file."""
    size = len(frame)
    if not info.width or not info.height:
        return np.asarray(frame, np.uint8)
    scale = size / max(info.width, info.height)
    width, height = (min(size, max(1, round(side * scale))) for side in (info.width, info.height))
    top, left = (size - height) // 2, (size - width) // 2
    picture = np.asarray(frame[top : top + height, left : left + width], np.uint8)
    if scale * NATIVE_SHARE > 1:
        own = (max(1, round(width / scale)), max(1, round(height / scale)))
        picture = np.asarray(cv2.resize(picture, own, interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def language(text: str) -> str | None:
    """The language (ISO 639-1) of a script; None for scripts of many languages, such as Latin."""
    scripts: dict[str, int] = defaultdict(int)
    for character in text:
        if character.isalpha():
            scripts[unicodedata.name(character, "").partition(" ")[0]] += 1
    kana, han = scripts["HIRAGANA"] + scripts["KATAKANA"], scripts["CJK"]
    counts = {"ja": kana + han if kana else 0, "zh": 0 if kana else han, "ko": scripts["HANGUL"], "el": scripts["GREEK"]}
    best = max(counts, key=lambda code: counts[code])
    return best if 2 * counts[best] > sum(scripts.values()) else None
