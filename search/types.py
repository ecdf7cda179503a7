"""The core types of Sensorium: what is stored, embedded, asked and found.

Arrays are named by what they hold. ``Vectors`` are float32 ``(n, dim)`` with rows of unit length, ``Ids`` are int64 ``(n,)``.
Pictures are uint8 ``(height, width, 3)`` in RGB order; sound is float32 ``(samples,)``, mono, in [-1, 1]. Times are whole
milliseconds; spans are half-open.
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
"""The order of hits: best first; newest first; by file name; longest file first."""

BrowseOrder: TypeAlias = Literal["added", "date", "length", "size"]
"""The order of files without a question: what came last, is newest, longest or largest first."""

Grouping: TypeAlias = Literal["moment", "asset", "segment"]
"""What a hit is."""


class Modality(StrEnum):
    """The type of an asset or of a query term."""

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
    """The aspect of an asset that a segment represents."""

    VISUAL = "visual"
    SOUND = "sound"
    TEXT = "text"
    MOTION = "motion"
    SPEECH = "speech"
    OCR = "ocr"
    CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class Kind:
    """A modality together with a channel. Raw scores are comparable only within one kind."""

    modality: Modality
    channel: Channel

    @property
    def content(self) -> Modality:
        """The modality of the content that the encoder gets: audio for a video's sound, text for what was read in it."""
        return Modality.AUDIO if self.channel is Channel.SOUND else Modality.TEXT if self.channel in WORDS else self.modality

    @property
    def read(self) -> bool:
        """Whether its segments come from a reader and are not cut from the asset itself."""
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

TRACK_RATE = 4
"""Readings of a track a second, as encoders get them: three numbers each, velocity east, north and up in m/s."""

TRACK_FORMATS = frozenset({"gpx", "fit", "srt", "gps.csv"})
"""Formats of recordings of motion that are positions."""

NEAREST_METRES = 0.5
"""Metres at and below which depth is 1: where more is known than an order, content is ``NEAREST_METRES`` over the metres, and 0 unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range ``[start, end)`` of an asset, in milliseconds or in characters of its text."""

    start: int
    end: int
    unit: Unit = "ms"


@dataclass(frozen=True, slots=True)
class Space:
    """One embedding space. Vectors are comparable only inside one space; its name is part of their identity.

    ``levelled``: its sound was brought to one loudness before embedding (``search/media/decode/loudness.py``). All new spaces do this.
    Vectors of older archives without it are not comparable with levelled ones. ``asked_only``: what it accepts in questions, and does
    not store.
    """

    name: str
    family: str
    model: str
    revision: str
    dim: int
    accepts: frozenset[Modality]
    levelled: bool = True
    asked_only: frozenset[Modality] = frozenset()

    def kinds(self, modalities: Sequence[Modality] = (), channels: Sequence[Channel] = ()) -> tuple[Kind, ...]:
        """The kinds of segments that the space accepts. A video's sound needs an encoder of sound, its pictures one of video.

        ``modalities`` and ``channels`` restrict the result, unless they are empty.
        """
        return tuple(
            kind
            for kind in KINDS
            if kind.content in self.accepts - self.asked_only
            and (not modalities or kind.modality in modalities)
            and (not channels or kind.channel in channels)
        )


Box: TypeAlias = "tuple[float, float, float, float]"
"""A part of a picture: left, top, width and height in percent of the picture's, as ``xywh=percent:`` of W3C media fragments."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The form of input that an encoder wants; the decoder delivers exactly this.

    Pictures are ``size`` x ``size``; 0: no pictures. ``fit`` says how other shapes are fitted: ``crop`` scales the short side and
    cuts out the middle, ``squash`` scales both sides freely, ``pad`` scales the long side and fills up with black. ``inside``
    scales like ``pad`` without filling up; it is for ``moments`` alone. ``filter`` is the scaling filter.

    Sound comes at ``rate`` Hz (0: no sound), in windows of at most ``window_ms``, each ``levelled`` to one loudness. Motion
    readings come in the same windows. Text is cut to at most ``characters``. ``window_ms`` and ``characters`` are the same for
    all spaces of an archive, so that the spaces share its segments.

    ``batch`` is the encoder's preferred number of pictures, windows or texts at once. ``metadata``: if neither pictures nor sound
    are wanted, the text written in the file comes instead: captions, tags, chapters, subtitles. ``moments``: of a video, only the
    frames on screen at these times come, in milliseconds, ascending, each as a cut of one frame. ``lasts_ms`` is then the known
    length of the video. ``crop``: of a picture, only this part is taken.
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
    crop: Box | None = None


class Shape(StrEnum):
    """How a picture or video lies, as it is displayed."""

    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"
    SQUARE = "square"


class DateSource(StrEnum):
    """The source of a date, most trusted first.

    ``sidecar``: XMP beside the file; ``digitized``: when a camera or scanner stored it; ``tags``: of a sound, film or document;
    ``takeout``: the JSON of an export; ``name``: of the file or its folder; ``changed``: when a program last saved it; ``file``:
    the time of the copy.
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

    It may end with an offset, ``+09:00``, or with ``Z``. ``Z`` means that the time is in UTC and the zone is unknown.
    """

    source: DateSource
    text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """When an asset was taken: days ``first`` to ``last`` (from 1970-01-01, both included). They differ if the date is partial or
    its zone unknown.

    Both are None if nothing gives a date. ``text`` is the date as written, in local time if the zone is known. ``source`` None:
    no date has been looked for yet.
    """

    first: int | None
    last: int | None
    source: DateSource | None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """How an asset is filed: its date, all dates that were found, a fingerprint of the files beside it that may give a date, and
    the zone that the setting gave for a time in UTC (empty: the setting has none; None: no zone was needed). ``position``, ``camera``
    and ``rights`` are those of its ``Info``, or of the files beside it."""

    dated: Dated
    stamps: tuple[Stamp, ...] = ()
    beside: str = ""
    zone: str | None = None
    position: tuple[float, float] | None = None
    camera: str | None = None
    rights: str | None = None


class Origin(StrEnum):
    """How a file came about, as it states itself: made by a model, changed by one, or captured by a camera or recorder and not edited
    since."""

    GENERATED = "generated"
    EDITED = "edited"
    CAPTURED = "captured"


class Credentials(StrEnum):
    """What came of checking a file's content credentials (C2PA): ``remote``, they lie at an address, which is not fetched;
    ``invalid``, what they say does not match the file or their signature; ``valid``; ``trusted``, valid and signed under one of
    one's own anchors."""

    REMOTE = "remote"
    INVALID = "invalid"
    VALID = "valid"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a file states of its making, and the ``evidence``, a sentence. No credentials: it is not signed. No origin: it does not
    state one, or its credentials are invalid."""

    origin: Origin | None
    credentials: Credentials | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A step in the making of a file, as its signer states it. ``relation`` tells what it is to the next step: parent, component
    or input; empty for the file itself. ``problems`` are what C2PA calls failures, by their codes. ``sources`` are the IPTC codes of
    digital source types. ``made_from`` are the steps before it."""

    title: str
    signer: str
    software: str
    signed_at: str | None
    actions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    relation: str = ""
    problems: tuple[str, ...] = ()
    made_from: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvenanceReport:
    """All that a file states of its making: its ``provenance``, every piece of ``evidence``, the signed ``claim``, and the ``link``
    to credentials that lie elsewhere."""

    provenance: Provenance
    evidence: tuple[str, ...] = ()
    claim: Claim | None = None
    link: str | None = None


MAX_IDENTIFIER = 64
"""Characters that ``Info.taken_with`` may have."""


@dataclass(frozen=True, slots=True)
class Info:
    """What probing found out about an asset. Sizes are in pixels as displayed, the duration in milliseconds. None: the asset has
    no such value.

    ``stamps`` are the dates written in it; ``position`` is its latitude and longitude in degrees; ``provenance`` is what it states
    of its making, if it states anything; ``first_stamp_ms`` is the first time stamp of sound or a film, on
    the file's own clock; ``subtitles`` is the number of its subtitle tracks; ``camera`` is what made it, maker and model; ``rights`` is
    its copyright notice and its licence; ``taken_with`` identifies what was taken at once: a phone writes the same into a photograph and
    into the film that it takes with it.
    """

    modality: Modality
    format: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    stamps: tuple[Stamp, ...] = ()
    title: str | None = None
    position: tuple[float, float] | None = None
    provenance: Provenance | None = None
    first_stamp_ms: int | None = None
    subtitles: int = 0
    camera: str | None = None
    rights: str | None = None
    taken_with: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A segment as the decoder delivers it: its position, and the content for the encoder.

    ``content`` by ``modality``: image (H, W, 3) uint8; video (frames, H, W, 3) uint8; audio (samples,) float32; text str; depth
    and thermal (H, W) float32 in [0, 1], near or hot is 1; imu (6, readings) float32 at ``IMU_RATE``, or of
    a track (3, readings) float32 at ``TRACK_RATE``, with NaN for what was not recorded. ``source`` and ``language``
    are those of a ``Passage``, for text written in a file.
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
    """A word of a passage: characters ``[start, end)`` of its text, the milliseconds ``[start_ms, end_ms)`` in which it is heard,
    and the reader's confidence, 0..1."""

    start: int
    end: int
    start_ms: int | None = None
    end_ms: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that a reader read in one piece, with its position and the reader's confidence, 0..1.

    ``language`` is an ISO 639-1 code. ``source`` names the reader, or the place of the text: ``faster-whisper tiny.en``,
    ``EXIF``, ``subtitles.srt``. ``box`` is its position in the picture: left, top, right, bottom in percent of width and height.
    ``translated``: the text is a translation of what was said, into ``language``.
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
    """Further data of a passage, see ``Passage``."""

    words: tuple[Word, ...] = ()
    box: tuple[float, float, float, float] | None = None
    translated: bool = False


IMPORTED = "imported"
"""The source of things that no reader found."""

LONGEST_LABEL = 200
"""Characters of a thing's label, at most."""


@dataclass(frozen=True, slots=True)
class PictureCodes:
    """The codes of the windows of a picture, or of the frame on screen at ``at_ms`` of the shot ``span``: see
    ``search/index/window_codes.py``."""

    span: Span | None
    codes: bytes
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing in a picture, or in the frame on screen at ``at_ms`` of the shot ``span``, and where it is.

    ``confidence``, 0..1, is the detector's; None: somebody said that it is there. ``source`` is the reader's name, or ``imported``.
    """

    label: str
    box: Box
    confidence: float | None = None
    span: Span | None = None
    at_ms: int | None = None
    source: str = IMPORTED


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What copies of a picture, a shot or a window of sound are found by, see ``search/media/fingerprints.py``: ``codes`` (n,) are
    uint64 of its frames, which come on screen at ``times`` in milliseconds (None: it is a still), or uint32 of its sound."""

    codes: NDArray[np.uint64] | NDArray[np.uint32]
    times: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of an asset that could not be searched, for the ledger. The rest of the asset is indexed."""

    reason: str
    detail: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment, with the data needed to show it. The fields from ``source`` on describe what a reader read, as in
    ``Passage``; ``taken_with`` is that of ``Info``."""

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
    taken_with: str | None = None

    @property
    def track(self) -> str | None:
        """The sound track and channel in which it was heard, in words. None: it is not sound, or it is the first track as a
        whole."""
        return track_of(self.source) if self.channel in HEARD else None


HEARD = (Channel.SOUND, Channel.SPEECH)
"""The channels of segments that were heard in a sound track."""

_TRACK = re.compile(r"(?:^|, )((?:sound track \d+|(?:left|right) channel$|channel \d+$).*)", re.DOTALL)


def track_of(source: str | None) -> str | None:
    """The track and channel at the end of a segment's source: ``sound track 2 (Commentary, German), left channel``. None: the
    first track."""
    found = _TRACK.search(source or "")
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes to be put at ``offset`` of a file, in the place of as many."""

    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class MaskPrompt:
    """What points at a thing in a picture: points on it and points beside it, as (x, y) in percent of width and height, and a box
    around it. A click is one point, a scribble many. There is a point on it, or a box."""

    on: tuple[tuple[float, float], ...] = ()
    beside: tuple[tuple[float, float], ...] = ()
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Mask:
    """Which pixels of a picture belong to a thing: (H, W) uint8, 0 or 1."""

    pixels: NDArray[np.uint8]


Area: TypeAlias = "tuple[float, float, float] | tuple[float, float, float, float]"
"""A part of the Earth: latitude and longitude in degrees and a radius in kilometres; or the southern, western, northern and eastern edge
in degrees, where west may be greater than east."""

Within: TypeAlias = "tuple[str, ...] | None"
"""Names of collections; None: the whole archive."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The part of the archive that a query may search. Empty tuples and None do not restrict.

    ``modalities`` and ``channels`` are the targets. ``under`` are absolute paths. Dates are ISO 8601 days, compared with the days
    on which the asset may have been taken; assets without a date are excluded. ``dated_by`` are the allowed sources of the date.
    Durations are in milliseconds; assets without a duration are excluded. ``tags``: an asset needs one of them. ``tracks``: only
    what was heard in one of these sound tracks is found. A track is given by its language (ISO 639-1), its number, or words of
    its name. ``origins``: only files that state one of these origins are found. ``things``: only files in one of whose pictures things
    are as each of these says, see ``search/store/arrangement.py``.
    ``after_segment``: only segments with a larger number, which came later, are found.

    File sizes are in bytes. Pixels are width times height, and ``shapes`` how a picture lies; assets without a size in pixels are
    excluded. ``languages`` (ISO 639-1) and confidences, 0..1, are of what a reader read; everything else is excluded.
    ``cameras`` and ``rights`` are parts of what a file states of its camera and its rights, in upper or lower case; one of each is
    enough. ``areas`` are where it was made; one is enough. ``speech``: whether the asset has speech that was read. ``fields`` are own fields, each with a value or a range of numbers
    ``low..high``, either end of which may be left out. All named fields must fit; of several values for one field, one must.

    ``within`` are the collections that whoever asks may see. To them, the others do not exist. ``located`` are those of whose files
    they may know where they were made; None: all.
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
    origins: tuple[Origin, ...] = ()
    cameras: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    areas: tuple[Area, ...] = ()
    things: tuple[str, ...] = ()
    after_segment: int | None = None
    smallest_bytes: int | None = None
    largest_bytes: int | None = None
    fewest_pixels: int | None = None
    most_pixels: int | None = None
    shapes: tuple[Shape, ...] = ()
    languages: tuple[str, ...] = ()
    least_confidence: float | None = None
    most_confidence: float | None = None
    speech: bool | None = None
    fields: tuple[tuple[str, str], ...] = ()
    within: Within = field(default=None, repr=False)
    located: Within = field(default=None, repr=False)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of segments that pass its modalities and channels."""
        return tuple(
            kind
            for kind in KINDS
            if (not self.modalities or kind.modality in self.modalities) and (not self.channels or kind.channel in self.channels)
        )


@dataclass(frozen=True, slots=True)
class StepFound:
    """Where a step of a pattern was found: the segment, its stretch, and the probability, 0..1, that it is what was asked for."""

    segment: int
    channel: Channel
    span: Span
    chance: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A found moment: neighbouring segments of one asset and channel.

    ``score`` is in log-odds and is comparable across media, channels and archives: see ``search/query/calibration.py``.
    ``confidence`` in [0, 1] is the calibrated probability that the hit is right; None: there is no calibration for questions of
    this modality and segments of this kind. ``cosine`` is the raw similarity, comparable only within one kind and one query. For
    a hit found by words alone, ``cosine`` is 0, ``space`` is empty, and ``score`` says how unlikely a chance match this good is.

    ``marks`` are the characters ``[start, end)`` of the segment's text that match words of the query. ``starts_ms`` is when the
    first of them is heard or seen, or else the start of the moment. ``stretch`` is the longer part of the asset that is equally
    good; ``span`` is its best part. ``judged`` is people's judgement whether the file answers the question; None: nobody judged
    it. ``others`` are segments of the other photographs of the same burst that also answer, best first. ``steps``: where the steps
    of a pattern were found; the hit is then the moment that spans them, and its segment that of the first step.
    ``box`` is the part of the picture, or of the frame at ``starts_ms``, that answers; None: the picture as a whole.
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
    steps: tuple[StepFound, ...] = ()
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of an archive or collection is searchable: its ``files``, each in one of the next three counts.

    ``unsampled_ms`` is the length of sound and video that could not be decoded. ``without`` counts files by what they lack
    (``sound``, ``picture``). ``away`` counts those files whose folder or file system is not there; they can be found, but not
    shown. ``unread`` counts, by suffix, further media and documents in formats without a reader.
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
    """The ``verdict`` whether the answer is in the archive, and its probability, 0..1, if presence and absence are equally likely
    beforehand.

    ``line`` is the probability from which on the verdict is yes. At most 5 % of questions whose answer is absent reach it; this
    rests on ``questions`` such questions. 0: nothing was fitted, the answer was found by words alone.
    """

    verdict: Verdict
    probability: float
    line: float
    questions: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many files are right.

    ``expected`` is computed from the probabilities of the hits, and from people's judgements for judged files. The bounds hold in
    95 of 100 cases if the hits are independent. ``at_least`` is Chapman's estimate from two independent channels; None if there
    are no two.
    """

    expected: float
    low: float
    high: float
    at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """People's judgements of a question's files: how many were ``judged``, and how many of these are ``right``.

    ``sampled`` of them were drawn at random, the first from ``population`` files. From this follows, each in 95 of 100 cases: at
    most ``left_at_most`` right files are not judged yet, and at least the share ``recall_at_least``, 0..1, of all right files is
    known. None: nothing was drawn under this filter.
    """

    judged: int
    right: int
    sampled: int = 0
    population: int | None = None
    left_at_most: int | None = None
    recall_at_least: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a query. ``searched`` counts the segments that passed the filter; times are in milliseconds.

    ``coverage`` is that of the searched collections: a search cannot find what it cannot see. ``notes`` say what was left out of
    the question. ``heard`` is the transcript of a spoken question.

    ``found`` says whether the answer is in the archive at all, and ``estimate`` how many files are right; None: there is no
    calibration for such questions. ``line`` is the score from which on a hit is more than a weak match. ``review``: people have
    judged some of its files.

    ``more``: more hits follow the last one. ``limit``: the list ends after this number of hits because of a maximum, not because
    nothing follows. ``state`` identifies the archive state that was searched: pages with different states do not belong to one
    list.
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
