"""Clips of sound and video, cut by ffmpeg, and the rate and start timecode by which editing programs count their frames."""

from __future__ import annotations

import re
from fractions import Fraction

from search.errors import InputError
from search.media.opening import Held
from search.media.previews import execute, source
from search.types import Modality

MAX_CLIP_MS = 300_000
"""The longest clip, in milliseconds."""

CUT_PROCESSOR_SECONDS = 300
"""Processor time of one clip."""

_RATE = re.compile(r"\] config in time_base: \S+, frame_rate: (\d+)/(\d+)")
_SOUND = re.compile(r"^\s+Stream #\S+: Audio:", re.MULTILINE)
_TIMECODE = re.compile(r"^\s+timecode\s*: (\d\d:\d\d:\d\d[:;.]\d\d\d?)\s*$", re.MULTILINE)


def counted(file: Held) -> tuple[Fraction | None, str | None, bool]:
    """Frames a second of a video, exactly, and the timecode of its first frame; None: it tells none. And whether it has sound.

    Raises:
        MediaError: it cannot be read.
    """
    graph = source().video.filter("showinfo").output("pipe:1", format="null", vframes=1)
    _, told = execute(file, graph, level="info", empty=True)
    rate, timecode = _RATE.search(told), _TIMECODE.search(told)
    known = Fraction(int(rate[1]), int(rate[2])) if rate and int(rate[2]) else None
    return known if known and 1 <= known <= 1000 else None, timecode and timecode[1], bool(_SOUND.search(told))


def cut(file: Held, modality: Modality, start_ms: int, end_ms: int, *, exact: bool = True) -> tuple[str, bytes]:
    """A stretch of a sound or a video: the suffix of its file, and its bytes.

    A video becomes H.264 with AAC in fragmented MP4, a sound FLAC. Without ``exact``, the packets of a video are copied instead, from the key
    frame at or before its beginning, into Matroska.

    Raises:
        InputError: it is empty, or too long.
        MediaError: it cannot be read.
    """
    length = end_ms - start_ms
    if not 0 < length <= MAX_CLIP_MS:
        raise InputError(
            f"A clip of {length / 1000:g} s cannot be cut.",
            remedy=f"It lasts more than 0 s, and at most {MAX_CLIP_MS // 1000} s.",
        )
    from_here = source(ss=f"{start_ms / 1000:.3f}")
    lasts = {"t": f"{length / 1000:.3f}", "map_metadata": -1}
    if modality is Modality.AUDIO:
        made = from_here.audio.output("pipe:1", format="flac", acodec="flac", **lasts)
        return "flac", execute(file, made, seconds=CUT_PROCESSOR_SECONDS)[0]
    if not exact:
        made = from_here.output("pipe:1", format="matroska", vcodec="copy", acodec="copy", sn=None, dn=None, **lasts)
        return "mkv", execute(file, made, seconds=CUT_PROCESSOR_SECONDS)[0]
    made = from_here.output(
        "pipe:1", format="mp4", vcodec="libx264", preset="veryfast", crf=18, pix_fmt="yuv420p", acodec="aac", threads=1,
        vf="pad=ceil(iw/2)*2:ceil(ih/2)*2", movflags="frag_keyframe+empty_moov+default_base_moof", sn=None, dn=None, **lasts,
    )  # fmt: skip
    return "mp4", execute(file, made, seconds=CUT_PROCESSOR_SECONDS)[0]
