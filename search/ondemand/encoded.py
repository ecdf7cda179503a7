"""What an encoder saw of a segment: the picture as it was squashed or cut, the window of sound, the paragraph."""

from __future__ import annotations

import io
import wave
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from search.errors import InputError
from search.media import DecodePool
from search.media.opening import Held
from search.types import Channel, Cut, Modality, Needs, Picture, Segment, Sound


def decoded(
    pool: DecodePool, file: Path | Held, needs: Needs, segment: Segment, *, place: int, lasts_ms: int | None
) -> Picture | Sound:
    """The content of a picture, frame or window of sound, as the encoder got it: of a shot or an animation the frame in its middle.

    ``place`` is the segment's position among those of its channel, ``lasts_ms`` the length of its file.

    Raises:
        InputError: the file no longer holds such a segment, or the segment is none that can be shown.
        MediaError: the file cannot be decoded.
    """
    channel, span = segment.channel, segment.span
    if channel not in (Channel.VISUAL, Channel.SOUND):
        raise InputError(f"The segment {segment.id} is {channel}, which has no picture and no sound.", remedy="Read its text.")
    wanted = replace(needs, rate=0) if channel is Channel.VISUAL else replace(needs, size=0)
    if channel is Channel.VISUAL and segment.modality is Modality.VIDEO and span:
        wanted, place = replace(wanted, moments=((span.start + span.end) // 2,), lasts_ms=lasts_ms), 0
        span = None
    with closing(pool.decode(file, wanted)) as replies:
        cuts = (one for one in replies if isinstance(one, Cut) and one.channel is channel and not isinstance(one.content, str))
        for number, cut in enumerate(cuts):
            if cut.span == span if span else number == place:
                content = np.asarray(cut.content)
                return content[len(content) // 2] if content.ndim == 4 else content
    raise InputError(f"The file of segment {segment.id} no longer holds it as it was indexed.", remedy="Index its folder again.")


def as_png(picture: Picture) -> bytes:
    """A picture (H, W, 3), or (H, W) with values 0..1, as the bytes of a PNG."""
    pixels = picture if picture.dtype == np.uint8 else np.round(picture * 255).clip(0, 255).astype(np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def as_wav(sound: Sound, rate: int) -> bytes:
    """A sound (samples,) at ``rate`` Hz as the bytes of a WAV file of 16 bits."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return made.getvalue()
