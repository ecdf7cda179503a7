"""Bursts: photographs taken in quick succession that look alike are one hit, the best of them; the others are counted.

So are a photograph and the film that a phone took with it and left beside it (Apple's Live Photos): both have one name, or hold one
identifier.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from search.query.moments import Ranked
from search.query.ranking import Question, QuestionMomentData
from search.store import SqlStore
from search.types import KINDS, Channel, DateSource, Filter, Kind, Modality, Segment

MIN_COSINE = 0.9
"""The minimum cosine between frames of a burst."""
MAX_GAP_SECONDS = 2
"""Frames of a burst follow each other within this time, if the times are known from the camera."""
MAX_NUMBER_GAP = 3
"""Otherwise their names are camera-made (JEITA CP-3461: DSC_2007), and their numbers differ by at most this."""

MAX_LIVE_MS = 5_000
"""The maximum length of a film that a phone takes with a photograph, in milliseconds. Apple's last about three seconds."""

_LIVE_STILLS, _LIVE_FILMS = (".heic", ".heif", ".jpg", ".jpeg"), (".mov", ".mp4")
"""The suffixes of such a photograph and of its film, where nothing but one name in one folder tells it; Google Takeout calls the film .MP4."""
_FILMS = [KINDS.index(Kind(Modality.VIDEO, channel)) for channel in (Channel.VISUAL, Channel.SOUND)]
_STILL = KINDS.index(Kind(Modality.IMAGE, Channel.VISUAL))
_UNTOLD = (None, DateSource.FILE, DateSource.CHANGED, DateSource.TAKEOUT)
"""Sources of dates that are not precise to the second."""
_NUMBER = re.compile(r"(?<=\D)\d{4,18}(?=\D*$)")


class Bursts:
    """The bursts among the segments that answer one question. To be used inside ``Question.reading``."""

    def __init__(self, question: Question, store: SqlStore, around: QuestionMomentData, wanted: Filter | None = None) -> None:
        """``around`` gives the kinds of segments; files lie where the filter of the question finds them."""
        self._question, self._store, self._around, self._wanted = question, store, around, wanted
        self._frames: list[_Frame] = []
        self._assets, self._films_behind = set[int](), set[int]()
        self.others: dict[int, tuple[int, ...]] = {}
        """Of the best frame of a burst, the segments that stand behind it, best first."""

    def stacked(self, level: Ranked) -> Ranked:
        """Remove photographs from a level of segments, best first, if a better one of the same burst is in this level or in an
        earlier one."""
        if not self._question.scans or not len(level.ids):
            return level
        rows = self._around.rows(level.ids)
        films = np.isin(rows.kinds, _FILMS) & (rows.durations >= 0) & (rows.durations <= MAX_LIVE_MS)
        shown = level.ids[(rows.kinds == _STILL) & (rows.units == 0) | films].tolist()
        known = self._store.segments(shown, self._wanted)
        before = len(self._frames)
        for segment in (known[id_] for id_ in shown if id_ in known):
            if segment.asset not in self._assets:  # of several pages or shots the best one
                self._assets.add(segment.asset)
                self._frames.append(_Frame.of(segment))
        ranks = {frame.id: rank for rank, frame in enumerate(self._frames)}
        behind: list[int] = []
        for burst in _with_films(_bursts([frame for frame in self._frames if not frame.is_film], self._alike), self._frames):
            best, *others = sorted(burst, key=lambda frame: ranks[frame.id])
            new = [frame for frame in others if ranks[frame.id] >= before]
            self.others[best.id] = (*self.others.get(best.id, ()), *(frame.id for frame in new))
            behind += [frame.id for frame in new]
            self._films_behind |= {frame.asset for frame in new if frame.is_film}
        hidden = np.isin(level.ids, np.array(behind, np.int64)) | np.isin(rows.assets, np.array([*self._films_behind], np.int64))
        return level.only(~hidden) if hidden.any() else level

    def _alike(self, pairs: Sequence[tuple[_Frame, _Frame]]) -> list[bool]:
        """Which pairs look alike, in the first space that holds both."""
        found = np.zeros(len(pairs), np.bool_)
        first, second = (np.array([pair[side].id for pair in pairs], np.int64) for side in (0, 1))
        for scan in self._question.scans:
            index = scan.view.live.index
            both = index.holds(first) & index.holds(second)
            if both.any():
                products = index.reconstruct(first[both]) * index.reconstruct(second[both])
                found[both] |= products.sum(axis=1) >= MIN_COSINE
        return found.tolist()


@dataclass(frozen=True, slots=True)
class _Frame:
    """A photograph or a short film: its segment and asset, its path without the suffix, and which of the two it is; of a
    photograph its folder, file name before and after the last number, that number, and the time it was taken, if known."""

    id: int
    asset: int
    taken_with: str | None
    stem: str
    suffix: str
    is_film: bool
    folder: str
    name: tuple[str, str]
    number: int
    taken: datetime.datetime | None

    @classmethod
    def of(cls, segment: Segment) -> _Frame:
        folder, name = os.path.split(segment.path)
        number = _NUMBER.search(name)
        at, end = number.span() if number else (len(name), len(name))
        stem, suffix = os.path.splitext(segment.path)
        return cls(
            segment.id, segment.asset, segment.taken_with, stem.casefold(), suffix.lower(), segment.modality is Modality.VIDEO, folder,
            (name[:at], name[end:]), int(name[at:end] or -1), _taken(segment),
        )  # fmt: skip

    def identifier(self) -> tuple[str, str] | None:
        """The folder, and what says in the file what it was taken with."""
        return (self.folder, self.taken_with) if self.taken_with else None

    def live_name(self) -> str | None:
        """The path without the suffix, if it may be a photograph of a phone or the film taken with one."""
        return self.stem if self.suffix in (_LIVE_FILMS if self.is_film else _LIVE_STILLS) else None

    def follows(self, other: _Frame) -> bool:
        """Whether it may have been taken directly after another one."""
        if self.folder != other.folder:
            return False
        if self.taken is not None and other.taken is not None:
            return abs((self.taken - other.taken).total_seconds()) <= MAX_GAP_SECONDS
        return self.number >= 0 and self.name == other.name and abs(self.number - other.number) <= MAX_NUMBER_GAP


def _taken(segment: Segment) -> datetime.datetime | None:
    dated = segment.dated
    if dated is None or dated.source in _UNTOLD or len(dated.text or "") < len("2024-05-01T12:03:01"):
        return None
    try:
        return datetime.datetime.fromisoformat((dated.text or "")[:19])
    except ValueError:
        return None


def _bursts(frames: Sequence[_Frame], alike: Callable[[Sequence[tuple[_Frame, _Frame]]], list[bool]]) -> list[list[_Frame]]:
    """The bursts among some photographs, each with at least two frames. Frames of a burst are neighbours by time, or by name, and
    look alike."""
    ordered = sorted(
        frames,
        key=lambda frame: (
            frame.folder,
            frame.taken is None,
            frame.taken.isoformat() if frame.taken else "",
            frame.name,
            frame.number,
        ),
    )
    pairs = [(one, other) for one, other in pairwise(ordered) if other.follows(one)]
    bursts: list[list[_Frame]] = []
    for (one, other), same in zip(pairs, alike(pairs) if pairs else (), strict=True):
        if not same:
            continue
        if bursts and bursts[-1][-1] is one:
            bursts[-1].append(other)
        else:
            bursts.append([one, other])
    return bursts


def _with_films(bursts: list[list[_Frame]], frames: Sequence[_Frame]) -> list[list[_Frame]]:
    """The bursts among some photographs and films, together with the films that belong to photographs, in bursts or alone. What the
    files hold counts before their names."""
    films, stills = [frame for frame in frames if frame.is_film], [frame for frame in frames if not frame.is_film]
    grouped = {frame.id: burst for burst in bursts for frame in burst}
    placed = set[int]()
    for told in (_Frame.identifier, _Frame.live_name):
        waiting = {key: film for film in films if film.id not in placed and (key := told(film))}
        for still in (still for still in stills if still.id not in placed):
            film = waiting.pop(key, None) if (key := told(still)) else None
            if film is None or (told is _Frame.live_name and still.taken_with and film.taken_with):
                continue
            if still.id not in grouped:
                bursts.append(grouped.setdefault(still.id, [still]))
            grouped[still.id].append(film)
            placed |= {still.id, film.id}
    return bursts
