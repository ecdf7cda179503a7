"""Closed captions in the pictures of a film: CEA-608, as ATSC A/53 Part 4 and SCTE 128 put it into MPEG-2, H.264 and H.265.

The bytes are taken from the packets, without decoding a picture, and put in the order in which the pictures are shown. ttconv reads
them, as it reads a file of Scenarist captions.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.stream import Discard

from search.media.metadata import subtitles, timed
from search.types import Cut, Gap, Needs

SOURCE = "closed captions"
"""The source of their cues, in words."""
MAX_PAIRS = 2_000_000
"""The maximum number of pairs of letters that are read: nine hours of a field that never pauses have one million."""
LOOKED_AT_PACKETS = 300
"""Packets that are searched for captions. Broadcasts carry them from the first picture on, empty if nothing is said (CTA-708, 4.3)."""

_MARK = b"GA94\x03"
"""Begins caption data (A/53 Part 4, 6.2.3). H.264 and H.265 escape nothing behind it: each entry begins with set bits."""
_CODECS = ("h264", "hevc", "mpeg2video")
_RATE = Fraction(30_000, 1_001)
"""Frames of time codes a second, as ttconv counts them where no frame is dropped."""

Pair = tuple[int, int, int]
"""Time in milliseconds, and two bytes with their parity."""


def inside(container: av.container.InputContainer, needs: Needs) -> Iterator[Cut | Gap]:
    """The cues of the captions in the first picture track. Other channels than the first (CC1) are a gap."""
    film = next((stream for stream in container.streams.video if stream.codec_context is not None), None)
    if film is None or film.codec_context.name not in _CODECS:
        return
    for other in container.streams:
        other.discard = Discard.default if other.index == film.index else Discard.all
    pairs, has_more, start = list[Pair](), False, (container.start_time or 0) * 1000 / av.time_base
    is_marked = is_timed = False
    try:
        if container.streams.subtitles:  # these have been read
            container.seek(container.start_time or 0)
        for number, packet in enumerate(container.demux(film)):
            is_marked = is_marked or _MARK in bytes(packet)
            if (number >= LOOKED_AT_PACKETS and not is_marked) or len(pairs) > MAX_PAIRS:
                break
            if packet.pts is None or packet.time_base is None:
                continue
            is_timed = True
            time = round(float(packet.pts * packet.time_base * 1000) - start)
            for field, first, second in _triplets(bytes(packet)):
                if field == 0:
                    pairs.append((time, first, second))
                elif first & 0x7F or second & 0x7F:
                    has_more = True
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        yield Gap("not_read", f"the {SOURCE} end early; the decoder says: {error}")
    if is_marked and not is_timed:
        yield Gap("not_read", f"the {SOURCE} have no times")
    pairs.sort(key=lambda pair: pair[0])  # of one picture, in their order
    cues = subtitles.Cues(needs, SOURCE)
    try:
        for begin, end, words in timed.cues("scc", b"", scenarist(pairs)) if pairs else ():
            yield from cues.push(begin, end, words)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  damaged captions raise anything, and the other texts of the file are read
        yield Gap("not_read", f"the {SOURCE} are damaged; their reader says: {error}")
    yield from cues.finish()
    if has_more:
        yield Gap("not_read", f"of the {SOURCE}, only the first channel (CC1) is read")
    if len(pairs) > MAX_PAIRS:
        yield Gap("not_read", f"only the first {MAX_PAIRS} letters of the {SOURCE} were read")


def scenarist(pairs: list[Pair]) -> str:
    """Pairs in order of time as a file of Scenarist captions, a line for each run of pairs."""
    lines, run = ["Scenarist_SCC V1.0"], list[str]()
    begin, following = 0, -1
    for time, first, second in pairs:
        frame = round(time * _RATE / 1000)
        if not (first & 0x7F or second & 0x7F):
            continue
        if run and frame != following:
            lines.append(f"{_code(begin)}\t{' '.join(run)}")
            run = []
        if not run:
            begin = following = frame
        run.append(f"{first:02x}{second:02x}")
        following += 1
    if run:
        lines.append(f"{_code(begin)}\t{' '.join(run)}")
    return "\n\n".join(lines) + "\n"


def _code(frame: int) -> str:
    seconds, frames = divmod(max(frame, 0), 30)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"


def _triplets(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """The valid entries of caption data in a packet: field (0 and 1: CEA-608, 2 and 3: CEA-708) and two bytes."""
    at = packet.find(_MARK)
    while at >= 0:
        told = packet[at + len(_MARK) : at + len(_MARK) + 2 + 3 * 31]
        count = told[0] & 0x1F if told and told[0] & 0x40 else 0
        for place in range(2, min(2 + 3 * count, len(told) - 2), 3):
            if told[place] & 4:
                yield told[place] & 3, told[place + 1], told[place + 2]
        at = packet.find(_MARK, at + 1)
