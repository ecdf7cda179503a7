"""The film behind a still: phones append a few seconds of film to a photograph, in the same file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from search.errors import MediaError
from search.media.decode import streams
from search.media.source import Found, Limits, Source
from search.types import Channel, Cut, Gap, Needs

SOURCE = "film behind the still"
"""The source of its segments, in words."""
_MAX_FILM_BYTES = 200 << 20
"""The largest film that is read, in bytes."""
_TOLD = (b"MotionPhoto", b"MicroVideo")
"""The mark in Google's XMP for a photograph with a film (developer.android.com, Motion Photo format)."""
_SAMSUNG = b"SEFT"
"""The last bytes of Samsung photographs that have something appended."""
_BOX = b"ftyp"
_PICTURES = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
"""Brands of picture files. The still itself may have one of these."""
_STEP_BYTES = 1 << 20


def read(image: Image.Image, source: Source, needs: Needs, limits: Limits) -> Iterator[Found]:
    """The shots of the film behind a still whose head has been read; nothing if there is no film. A gap says that its sound is
    not searched."""
    if not _announced(image, source):
        return
    at = _beginning(source)
    if at is None:
        return
    length = source.size - at
    if length > _MAX_FILM_BYTES:
        yield Gap("not_sampled", f"the {SOURCE} is not searched: it has {length} bytes, more than {_MAX_FILM_BYTES}")
        return
    source.file.seek(at)
    content = source.file.read(length)
    film = Source(io.BytesIO(content), length, content[: len(source.head)], ".mp4")
    is_heard = False
    try:
        for found in streams.read(film, replace(needs, metadata=False), limits):
            if isinstance(found, Gap):
                yield replace(found, detail=f"{SOURCE}: {found.detail}")
            elif isinstance(found, Cut) and found.channel is Channel.VISUAL:
                yield replace(found, source=SOURCE if found.source is None else f"{SOURCE}, {found.source}")
            elif isinstance(found, Cut):
                is_heard = True
    except MediaError as error:
        yield Gap("not_sampled", f"the {SOURCE} is not searched: {error}")
    if is_heard:
        yield Gap("not_sampled", f"the sound of the {SOURCE} is not searched")


def _announced(image: Image.Image, source: Source) -> bool:
    """Whether the picture's metadata announce a film. Only then is the file searched for one."""
    told = image.info.get("xmp") or b""
    told = told.encode("utf-8", "replace") if isinstance(told, str) else told
    if any(word in told for word in _TOLD):
        return True
    source.file.seek(max(0, source.size - len(_SAMSUNG)))
    return source.file.read(len(_SAMSUNG)) == _SAMSUNG


def _beginning(source: Source) -> int | None:
    """The offset of the film in a file that begins with a picture: that of its first box, which names the format (ISO/IEC
    14496-12, 4.3)."""
    before, tail = 0, b""
    source.file.seek(0)
    while part := source.file.read(_STEP_BYTES):
        window, place = tail + part, 0
        while (place := window.find(_BOX, place)) >= 0 and place + 8 <= len(window):
            length = int.from_bytes(window[max(0, place - 4) : place], "big")
            start = before - len(tail) + place - 4
            if start > 0 and 16 <= length <= 256 and window[place + 4 : place + 8] not in _PICTURES:
                return start
            place += 1
        before += len(part)
        tail = window[-12:]
    return None
