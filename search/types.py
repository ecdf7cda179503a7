"""The nouns of Sensorium: what is stored, embedded, asked and found.

Arrays are named by what they hold. ``Vectors`` are float32 ``(n, dim)`` with rows of unit length, ``Ids`` are
int64 ``(n,)``. Pictures are uint8 ``(height, width, 3)`` in RGB order; sound is float32 ``(samples,)``, mono, in
[-1, 1]. Times are whole milliseconds; spans are half-open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # the command line names these types before anything needs numpy, whose import takes a while
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"
Ids: TypeAlias = "NDArray[np.int64]"
Picture: TypeAlias = "NDArray[np.uint8]"
Sound: TypeAlias = "NDArray[np.float32]"

Unit: TypeAlias = Literal["ms", "char"]
"""What a span counts."""

Sort: TypeAlias = Literal["match", "date", "name", "length"]
"""The order of hits: best first; newest first; by the file's name; longest first, by the length of the file."""

Grouping: TypeAlias = Literal["moment", "asset", "segment"]
"""What a hit is."""


class Modality(StrEnum):
    """What an asset is, and what a query term is."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    DEPTH = "depth"
    THERMAL = "thermal"
    IMU = "imu"


MEDIA = frozenset({Modality.IMAGE, Modality.AUDIO, Modality.VIDEO, Modality.TEXT})
"""The modalities of everyday media; the others come from sensors."""


class Channel(StrEnum):
    """Through which aspect a segment speaks."""

    VISUAL = "visual"
    SOUND = "sound"
    TEXT = "text"
    MOTION = "motion"
    SPEECH = "speech"
    OCR = "ocr"
    CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class Kind:
    """A modality seen through one channel: the unit in which raw scores compare with each other."""

    modality: Modality
    channel: Channel

    @property
    def content(self) -> Modality:
        """What an encoder gets of it: of a video's sound, sound; of what was read in it, text."""
        return Modality.AUDIO if self.channel is Channel.SOUND else Modality.TEXT if self.channel in WORDS else self.modality

    @property
    def read(self) -> bool:
        """Whether it takes a reader: it is not cut from the asset itself."""
        return self.channel in WORDS and self.modality is not Modality.TEXT

    def __str__(self) -> str:
        return f"{self.modality}/{self.channel}"


KINDS = (
    Kind(Modality.IMAGE, Channel.VISUAL),
    Kind(Modality.AUDIO, Channel.SOUND),
    Kind(Modality.VIDEO, Channel.VISUAL),
    Kind(Modality.VIDEO, Channel.SOUND),
    Kind(Modality.TEXT, Channel.TEXT),
    Kind(Modality.DEPTH, Channel.VISUAL),
    Kind(Modality.THERMAL, Channel.VISUAL),
    Kind(Modality.IMU, Channel.MOTION),
    Kind(Modality.AUDIO, Channel.SPEECH),
    Kind(Modality.VIDEO, Channel.SPEECH),
    Kind(Modality.IMAGE, Channel.OCR),
    Kind(Modality.VIDEO, Channel.OCR),
    Kind(Modality.IMAGE, Channel.CAPTION),
    Kind(Modality.VIDEO, Channel.CAPTION),
    Kind(Modality.IMAGE, Channel.TEXT),
    Kind(Modality.AUDIO, Channel.TEXT),
    Kind(Modality.VIDEO, Channel.TEXT),
)
"""Every kind that an archive can hold."""

WORDS = frozenset({Channel.TEXT, Channel.SPEECH, Channel.OCR, Channel.CAPTION})
"""The channels that are text."""

IMU_RATE = 400
"""Readings of a motion sensor a second, as encoders get them: six numbers each, acceleration in m/s² and turning in rad/s."""

NEAREST = 0.5
"""Metres at and below which depth is 1: where more is known than an order, content is ``NEAREST`` over the metres, and 0 unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch ``[start, end)`` of an asset, in milliseconds or in characters of its text."""

    start: int
    end: int
    unit: Unit = "ms"


@dataclass(frozen=True, slots=True)
class Space:
    """One embedding space. Vectors compare only inside one space; its name is part of their identity.

    ``levelled``: its vectors of sound are of sound at one loudness (``search/media/loudness.py``), as all are that are made now. Those of
    older archives are not, and do not compare.
    """

    name: str
    family: str
    model: str
    revision: str
    dim: int
    accepts: frozenset[Modality]
    levelled: bool = True

    def kinds(self, modalities: Sequence[Modality] = (), channels: Sequence[Channel] = ()) -> tuple[Kind, ...]:
        """The kinds of segments that it can take in: a video's sound wants an encoder of sound, its pictures one of video.

        ``modalities`` and ``channels`` restrict, unless they are empty.
        """
        return tuple(
            kind
            for kind in KINDS
            if kind.content in self.accepts
            and (not modalities or kind.modality in modalities)
            and (not channels or kind.channel in channels)
        )


@dataclass(frozen=True, slots=True)
class Needs:
    """What an encoder wants its input to look like; the decoder delivers exactly this.

    Pictures are ``size`` x ``size``; 0: none are wanted. ``fit`` says how other shapes get there: ``crop`` scales the short side and cuts
    the middle out, ``squash`` scales both sides freely, ``pad`` scales the long side and fills up with black. ``filter`` is that of the scaling.
    Sound comes at ``rate`` Hz, 0: none is wanted, in windows of at most ``window_ms``, each ``levelled`` to one loudness; so do readings of motion. Text is cut to at most
    ``characters``. The last two are the same for all spaces of an archive, so that these share its segments.
    ``fit`` may also be ``inside``: scaled as by ``pad``, and not filled up; for ``moments`` alone.
    ``batch`` is how many pictures, windows or texts the encoder likes to get at once. ``metadata``: where neither pictures nor sound are
    wanted, what is written in the file comes instead, as text: captions, tags, chapters, subtitles. ``moments``: of a video, only the
    frames on screen at these times come, in milliseconds, ascending, each a cut of one frame; ``lasts_ms`` is then how long the video is known to last.
    """

    size: int
    fit: Literal["crop", "squash", "pad", "inside"]
    rate: int
    window_ms: int = 5_000
    characters: int = 1_000
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    batch: int = 8
    metadata: bool = False
    levelled: bool = True
    moments: tuple[int, ...] = ()
    lasts_ms: int | None = None


class DateSource(StrEnum):
    """Where a date comes from, the most trusted first.

    ``sidecar``: XMP beside the file; ``digitized``: when a camera or scanner stored it; ``tags``: of a sound, film or document; ``takeout``: the
    JSON of an export; ``name``: of the file or its folder; ``changed``: when a program saved it last; ``file``: the time of the copy.
    """

    SIDECAR = "sidecar"
    XMP = "xmp"
    EXIF = "exif"
    DIGITIZED = "digitized"
    IPTC = "iptc"
    TAGS = "tags"
    TAKEOUT = "takeout"
    NAME = "name"
    CHANGED = "changed"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A date as it is written somewhere. ``text`` is ISO 8601 and may be partial: ``1972``, ``1972-06``, ``2019-07-14T12:20:56``.

    At its end may stand an offset, ``+09:00``, or a ``Z``: then it is in UTC, and the zone is not told.
    """

    source: DateSource
    text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """When an asset was taken: days ``first`` to ``last`` (from 1970-01-01, both included), which differ where a date is partial or its zone unknown.

    Where nothing tells it, both are None. ``text``: the date as it is written, in local time where the zone is known. ``source`` None: not yet
    looked for.
    """

    first: int | None
    last: int | None
    source: DateSource | None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """How an asset is dated: the date, all that were found, a fingerprint of the files beside it that may tell one, and the zone that the
    setting gave for a time in UTC (empty: it has none; None: none was asked for).
    """

    dated: Dated
    stamps: tuple[Stamp, ...] = ()
    beside: str = ""
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """What probing learned of an asset. Sizes in pixels as displayed, duration in milliseconds; None: has none.

    ``stamps`` are the dates that are written in it, ``position`` its latitude and longitude in degrees.
    """

    modality: Modality
    format: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    stamps: tuple[Stamp, ...] = ()
    title: str | None = None
    position: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment as the decoder delivers it: where it lies, and the content that the encoder gets.

    ``content`` by ``modality``: image (H, W, 3) uint8; video (frames, H, W, 3) uint8; audio (samples,) float32; text str; depth and
    thermal (H, W) float32 in [0, 1], near or hot is 1; imu (6, readings) float32 at ``IMU_RATE``. ``source`` and ``language``: as of a
    ``Passage``, for what is written in a file.
    """

    channel: Channel
    modality: Modality
    span: Span | None
    content: NDArray[np.uint8] | NDArray[np.float32] | str
    source: str | None = None
    language: str | None = None
    times: tuple[int, ...] | None = None
    """When each frame of a video's shot comes on screen, in milliseconds within ``span``, in order; None: not told."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a passage: characters ``[start, end)`` of its text, milliseconds ``[start_ms, end_ms)`` where it is heard, and how sure the reader is, 0..1."""

    start: int
    end: int
    start_ms: int | None = None
    end_ms: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """What a reader read: a text in one piece, where it is said or stands, and how sure the reader is of it, 0..1.

    ``language`` is an ISO 639-1 code. ``source`` says who read it or where it stood: ``faster-whisper tiny.en``, ``EXIF``, ``subtitles.srt``.
    ``box`` is where in the picture it stands: left, top, right, bottom in percent of width and height. ``translated``: it is a translation
    of what was said, into ``language``.
    """

    channel: Channel
    span: Span | None
    text: str
    source: str
    confidence: float | None = None
    language: str | None = None
    words: tuple[Word, ...] = ()
    box: tuple[float, float, float, float] | None = None
    translated: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """What else a reader said of a passage, see there."""

    words: tuple[Word, ...] = ()
    box: tuple[float, float, float, float] | None = None
    translated: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of an asset that could not be searched, for the ledger. The asset as a whole is still indexed."""

    reason: str
    detail: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment in the archive, with what a person needs to recognise it. From ``source`` on: of what was read, as in ``Passage``."""

    id: int
    asset: int
    modality: Modality
    channel: Channel
    path: str
    span: Span | None
    text: str | None
    missing: bool = False
    source: str | None = None
    language: str | None = None
    confidence: float | None = None
    detail: Detail | None = None
    dated: Dated | None = None

    @property
    def track(self) -> str | None:
        """The sound track and channel that it was heard in, in words; None: it is no sound, or all that the first track holds."""
        return track_of(self.source) if self.channel in HEARD else None


HEARD = (Channel.SOUND, Channel.SPEECH)
"""The channels of segments that were heard in a sound track."""

_TRACK = re.compile(r"(?:^|, )((?:sound track \d+|(?:left|right) channel$|channel \d+$).*)", re.DOTALL)


def track_of(source: str | None) -> str | None:
    """The track and channel that the source of a segment ends with: ``sound track 2 (Commentary, German), left channel``; None: the first."""
    found = _TRACK.search(source or "")
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the archive a query may see. Empty tuples and None do not restrict.

    ``modalities`` and ``channels`` are the targets; ``under`` are absolute paths; dates are ISO 8601 days compared with the days on which
    the asset may have been taken, and exclude what has no date; ``dated_by`` are the sources that a date may have; durations are in
    milliseconds, and exclude what has none; of ``tags`` one is enough, and so of ``tracks``: then only what was heard in sound tracks is found,
    of these languages (ISO 639-1) or numbers, or with these words in what they are called.
    """

    modalities: tuple[Modality, ...] = ()
    channels: tuple[Channel, ...] = ()
    collections: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    dated_by: tuple[DateSource, ...] = ()
    shortest_ms: int | None = None
    longest_ms: int | None = None
    tags: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of segments that its modalities and channels let through."""
        return tuple(
            kind
            for kind in KINDS
            if (not self.modalities or kind.modality in self.modalities) and (not self.channels or kind.channel in self.channels)
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment that was found: neighbouring segments of one asset, seen through one channel.

    ``score`` is in log-odds, and compares across media, channels and archives: see ``search/query/calibration.py``. ``confidence`` in [0, 1] is the
    calibrated probability that the hit is right; None: nothing is known of questions of this modality to segments of this kind. ``cosine`` is the raw similarity, comparable only within one kind and one query; it is 0, and ``space``
    empty, where words alone found it: then ``score`` is as seldom as it is to hold as much of the query for no reason.

    ``marks`` are the characters ``[start, end)`` of the segment's text that were asked for in words; ``starts_ms`` is when the first of
    them is heard or seen, or else the moment begins. ``stretch`` is where more of the asset around the hit is as good: ``span`` is its best part.
    ``judged`` is what people said of its file: whether it answers the question; None: nobody did.
    ``others`` are segments of the photographs that the hit stands for, those of its burst that answer too, best first.
    """

    rank: int
    score: float
    confidence: float | None
    cosine: float
    space: str
    segment: Segment
    span: Span | None
    evidence: tuple[int, ...] = ()
    marks: tuple[tuple[int, int], ...] = ()
    starts_ms: int | None = None
    stretch: Span | None = None
    judged: bool | None = None
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an archive, or of a collection, can be seen: its ``files``, each of them in one of the next three counts.

    ``unsampled_ms`` is the length of sound and video that could not be decoded; ``without`` counts files by what of them is missing
    (``sound``, ``picture``). ``away``: files among them whose folder or file system is not there; they can be found, not shown.
    ``unread`` counts, by suffix, media and documents besides that are in formats without a reader.
    """

    files: int = 0
    seen: int = 0
    waiting: int = 0
    failed: int = 0
    unsampled_ms: int = 0
    without: Mapping[str, int] = field(default_factory=dict)
    away: int = 0
    unread: Mapping[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is hidden from a search."""
        return self.seen == self.files and not (self.unsampled_ms or self.without or self.away or self.unread)

    def __add__(self, other: Coverage) -> Coverage:
        """Of both together."""
        without, unread = (
            {what: mine.get(what, 0) + theirs.get(what, 0) for what in {**mine, **theirs}}
            for mine, theirs in ((self.without, other.without), (self.unread, other.unread))
        )
        return Coverage(
            self.files + other.files, self.seen + other.seen, self.waiting + other.waiting, self.failed + other.failed,
            self.unsampled_ms + other.unsampled_ms, without, self.away + other.away, unread,
        )  # fmt: skip


Verdict: TypeAlias = Literal["yes", "unsure", "no"]
"""Whether what was asked for is in the archive."""


@dataclass(frozen=True, slots=True)
class Found:
    """Whether what was asked for is here: a ``verdict``, and how likely it is, 0..1, were it here as often as not.

    ``line`` is the probability from which on the verdict is yes. At most 5 % of questions whose answer is not there reach it; that rests on
    ``questions`` such questions. 0: nothing was fitted, words alone found it.
    """

    verdict: Verdict
    probability: float
    line: float
    questions: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many files are right: the expected number by the probabilities of the hits, of judged ones by what people said, and the bounds between which it
    lies in 95 of 100 cases if these are independent. ``at_least`` is Chapman's estimate from two channels that find on their own; None where there are no two."""

    expected: float
    low: float
    high: float
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What people said of a question's files: how many were ``judged``, and how many of them are ``right``.

    ``sampled`` of them were drawn at random, the first from ``population`` files: so at most ``left_at_most`` right ones are left that nobody has judged, and
    at least the share ``recall_at_least``, 0..1, of all right ones is known, each in 95 of 100 cases. None: nothing was drawn under this filter.
    """

    judged: int
    right: int
    sampled: int = 0
    population: int | None = None
    left_at_most: int | None = None
    recall_at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found. ``searched`` counts the segments that the filter let through; times are in milliseconds.

    ``coverage`` is that of the collections that were searched: what a search cannot see, it cannot find. ``notes`` say what of a question was not asked. ``heard`` is what was said
    in a spoken question.

    ``found`` says whether what was asked for is here at all, and ``estimate`` how much of it; None: nothing is known of such questions.
    ``line`` is the score from which on a hit is more than a weak match. ``review``: people have judged some of its files.

    ``more``: hits follow after the last one. ``limit``: the list ends after so many hits because of a maximum, not because nothing
    follows. ``state`` names the state of the archive that was searched: pages with different states are not of one list.
    """

    hits: tuple[Hit, ...]
    generation: int
    searched: int
    coverage: Coverage
    timings_ms: dict[str, float] = field(default_factory=dict)
    heard: str | None = None
    notes: tuple[str, ...] = ()
    more: bool = False
    limit: int | None = None
    state: str = ""
    found: Found | None = None
    estimate: Estimate | None = None
    line: float | None = None
    review: Review | None = None
