"""The protocol between parent and decoder: JSON headers over a socket, raw arrays in shared memory. Never pickle.

A message is ``u32 header length | u64 payload length | header``, little-endian. For each piece of the payload follows one byte:
the number of the slot of shared memory that holds it (``slots.py``). A request is a message without payload and comes with the
opened file. Replies to a request are one ``info``, any number of ``cut`` and ``gap``, perhaps an ``info`` with the decoded
duration, and then ``end``; where positions are asked for, any number of ``patch``, and then ``end``; where provenance is, one
``provenance`` and ``end``; where a mask is, ``info``, ``cut``, ``mask`` and ``end``. ``error`` may replace any of them and is the last. The parent trusts nothing that it reads here: a
malicious file may have taken over the decoder.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from search.errors import REASONS, MediaError
from search.media.metadata import dates
from search.types import (
    IMU_RATE,
    MAX_IDENTIFIER,
    TRACK_RATE,
    Channel,
    Claim,
    Credentials,
    Cut,
    DateSource,
    Gap,
    Info,
    Mask,
    MaskPrompt,
    Modality,
    Needs,
    Origin,
    Patch,
    Provenance,
    ProvenanceReport,
    Span,
    Stamp,
)  # fmt: skip

PREFIX = struct.Struct("<IQ")
MAX_HEADER_BYTES = 64 * 1024
"""Longest header, in bytes."""
PIECE_FRAMES = 16
"""Frames that a piece of a shot has at most."""

_DETAIL, _FORMAT, _SOURCE = 500, 64, 200
"""The maximum number of characters of a text, of a format's name, and of the name of a source."""
_SIDE, _LONGEST = (1 << 31) - 1, (1 << 53) - 1
"""The largest width and height, and the largest time, that every database accepts."""
_BYTES = (Modality.IMAGE, Modality.VIDEO)
"""Modalities with bytes as content; the others have float32."""
_READINGS = {6: IMU_RATE, 3: TRACK_RATE}
"""Numbers in a reading of motion."""
_CLAIMS, _DEPTH, _SENTENCES = 100, 30, 100
"""The most claims of a file, how deep they may lie, and the most texts in a list."""
_Enum = TypeVar("_Enum", bound=StrEnum)

Task: TypeAlias = Literal["positions", "provenance"]
"""What can be asked of a file besides its content."""

Reply: TypeAlias = Info | Cut | Gap | Mask | Patch | ProvenanceReport | MediaError | None
"""A reply of a decoder; None: the request is done."""


class MalformedError(Exception):
    """The other side broke the protocol."""


def pack(header: Mapping[str, Any], length: int = 0) -> bytes:
    """The first bytes of a message, up to its payload of ``length`` bytes."""
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return PREFIX.pack(len(encoded), length) + encoded


def pack_request(
    modality: Modality, suffix: str, wanted: Needs | Task, limits: Mapping[str, Any], prompt: MaskPrompt | None = None
) -> bytes:
    """A request to decode the file that comes with it, or for something else of it. Only the suffix of its name is sent. With a
    ``prompt``, for its first picture and the mask of what that points at."""
    task, needs = (wanted, None) if isinstance(wanted, str) else ("mask" if prompt else "decode", asdict(wanted))
    return pack(
        {
            "modality": modality, "suffix": suffix, "task": task, "needs": needs, "limits": dict(limits),
            "prompt": prompt and asdict(prompt),
        }
    )  # fmt: skip


def pack_reply(reply: Reply) -> tuple[bytes, memoryview]:
    """A reply as (prefix and header, payload)."""
    if reply is None:
        return pack({"kind": "end"}), memoryview(b"")
    if isinstance(reply, MediaError):
        return pack({"kind": "error", "reason": reply.reason, "detail": str(reply)[:_DETAIL]}), memoryview(b"")
    if isinstance(reply, Gap):
        return pack(
            {"kind": "gap", "reason": reply.reason, "detail": reply.detail[:_DETAIL], "span": _flat(reply.span)}
        ), memoryview(b"")
    if isinstance(reply, Info):
        stamps = [[stamp.source, stamp.text] for stamp in reply.stamps]
        told = asdict(reply) | {"title": (reply.title or "")[:_DETAIL] or None, "stamps": stamps}
        return pack({"kind": "info", **told}), memoryview(b"")
    if isinstance(reply, ProvenanceReport):
        return pack({"kind": "provenance", **asdict(reply)}), memoryview(b"")
    if isinstance(reply, Patch):
        return pack({"kind": "patch", "offset": reply.offset, "content": reply.content.hex()}), memoryview(b"")
    if isinstance(reply, Mask):
        shape = list(reply.pixels.shape)
        return pack({"kind": "mask", "shape": shape}, reply.pixels.size), np.ascontiguousarray(reply.pixels).data.cast("B")
    content = reply.content
    if isinstance(content, str):
        payload, shape = memoryview(content.encode("utf-8", "replace")), [len(content)]
    else:
        payload, shape = np.ascontiguousarray(content).data.cast("B"), list(content.shape)
    header = {
        "kind": "cut",
        "channel": reply.channel,
        "modality": reply.modality,
        "span": _flat(reply.span),
        "shape": shape,
        "source": reply.source,
        "language": reply.language,
        "times": reply.times,
    }
    return pack(header, len(payload)), payload


def unpack_header(raw: bytes) -> dict[str, Any]:
    """A header from its bytes.

    Raises:
        MalformedError: not a JSON object.
    """
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedError("a header that is not JSON") from error
    if not isinstance(header, dict):
        raise MalformedError("a header that is not an object")
    return header


def room(header: Mapping[str, Any], length: int, needs: Needs, max_frames: int) -> NDArray[Any]:
    """Memory for the payload that ``header`` announces, if the announcement is valid.

    Raises:
        MalformedError: the length does not match modality, shape and needs.
    """
    if header.get("kind") == "mask":
        sides = header.get("shape")
        if not (
            isinstance(sides, list) and len(sides) == 2 and all(type(one) is int and 0 < one <= needs.size for one in sides)
            and length == math.prod(sides)
        ):  # fmt: skip
            raise MalformedError("a mask of no shape")
        return np.empty(sides, np.uint8)
    if header.get("kind") != "cut":
        if length:
            raise MalformedError("a payload where none belongs")
        return np.empty(0, np.uint8)
    modality, shape = _member(Modality, header.get("modality")), header.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise MalformedError("a shape that is none")
    side = (needs.size, needs.size, 3)
    if modality is Modality.TEXT:
        fits = len(shape) == 1 and 0 < shape[0] <= needs.characters and length <= 4 * shape[0]
    elif modality is Modality.AUDIO:
        fits = (
            needs.rate > 0
            and len(shape) == 1
            and 0 < shape[0] <= needs.rate * needs.window_ms // 1000 + 1
            and length == 4 * shape[0]
        )
    elif modality is Modality.IMAGE:
        fits = needs.size > 0 and tuple(shape) == side and length == needs.size**2 * 3
    elif modality in (Modality.DEPTH, Modality.THERMAL):
        fits = needs.size > 0 and tuple(shape) == side[:2] and length == 4 * needs.size**2
    elif modality is Modality.IMU:
        fits = (
            len(shape) == 2
            and (rate := _READINGS.get(shape[0])) is not None
            and 0 < shape[1] <= rate * needs.window_ms // 1000 + 1
            and length == 4 * shape[0] * shape[1]
        )
    else:
        inside = (
            needs.fit == "inside"
            and len(shape) == len(side) + 1
            and all(0 < one <= most for one, most in zip(shape[1:], side, strict=True))
        )
        fits = (
            needs.size > 0
            and (tuple(shape[1:]) == side or (inside and shape[-1] == side[-1]))
            and 0 < shape[0] <= max(max_frames, PIECE_FRAMES)
            and length == math.prod(shape)
        )
    if not fits:
        raise MalformedError(f"content of shape {shape} in {length} bytes")
    if modality is Modality.TEXT:
        return np.empty(length, np.uint8)
    return np.empty(shape, np.uint8 if modality in _BYTES else np.float32)


def unpack_reply(header: Mapping[str, Any], payload: NDArray[Any]) -> Reply:
    """A reply from its header and its payload, in the memory that ``room`` made.

    Raises:
        MalformedError: a field is missing, unknown, or of the wrong type.
    """
    kind = header.get("kind")
    if kind == "end":
        return None
    if kind == "info":
        width, height = (_number(header.get(name), _SIDE) for name in ("width", "height"))
        duration = _number(header.get("duration_ms"), _LONGEST)
        modality, form = _member(Modality, header.get("modality")), _word(header.get("format"))[:_FORMAT]
        stamps, title = _stamps(header.get("stamps")), _words(header.get("title"))
        of = header.get("provenance")
        return Info(
            modality, form, width, height, duration, stamps, title, _position(header.get("position")),
            None if of is None else _provenance(of), _number(header.get("first_stamp_ms"), _LONGEST),
            _number(header.get("subtitles"), _LONGEST) or 0, _words(header.get("camera")), _words(header.get("rights")),
            _identifier(header.get("taken_with")),
        )  # fmt: skip
    if kind == "provenance":
        claim = header.get("claim")
        return ProvenanceReport(
            _provenance(header.get("provenance")), _sentences(header.get("evidence")), None if claim is None else _claim(claim, [0]),
            _words(header.get("link")),
        )  # fmt: skip
    if kind == "cut":
        modality = _member(Modality, header.get("modality"))
        content = payload.tobytes().decode("utf-8", "replace").replace("\0", " ") if modality is Modality.TEXT else payload
        return Cut(
            _member(Channel, header.get("channel")),
            modality,
            _span(header.get("span")),
            content,
            _source(header.get("source")),
            _language(header.get("language")),
            _times(header.get("times"), _span(header.get("span")), payload.shape),
        )
    if kind == "mask":
        if payload.size and payload.max() > 1:
            raise MalformedError("a mask that is none")
        return Mask(payload)
    if kind == "patch":
        return _patch(header)
    if kind not in ("gap", "error"):
        raise MalformedError("a reply of no known kind")
    reason, detail = header.get("reason"), _word(header.get("detail"))
    if reason not in REASONS:
        raise MalformedError("a reason that is not in the ledger's words")
    return Gap(reason, detail, _span(header.get("span"))) if kind == "gap" else MediaError(reason, detail)


def _patch(header: Mapping[str, Any]) -> Patch:
    offset, content = header.get("offset"), header.get("content")
    if type(offset) is not int or not 0 <= offset <= _LONGEST or not isinstance(content, str):
        raise MalformedError("a patch that is none")
    try:
        return Patch(offset, bytes.fromhex(content))
    except ValueError:
        raise MalformedError("a patch without bytes") from None


def _provenance(value: object) -> Provenance:
    if not isinstance(value, dict):
        raise MalformedError("a provenance that is none")
    origin, credentials = value.get("origin"), value.get("credentials")
    return Provenance(
        None if origin is None else _member(Origin, origin), None if credentials is None else _member(Credentials, credentials),
        _word(value.get("evidence")),
    )  # fmt: skip


def _claim(value: object, count: list[int], depth: int = 0) -> Claim:
    """A claim and those behind it; ``count`` holds how many there are so far."""
    count[0] += 1
    if not isinstance(value, dict) or depth > _DEPTH or count[0] > _CLAIMS or not isinstance(value.get("made_from"), list):
        raise MalformedError("a claim that is none, or too many")
    return Claim(
        _word(value.get("title")), _word(value.get("signer")), _word(value.get("software")), _words(value.get("signed_at")),
        _sentences(value.get("actions")), _sentences(value.get("sources")), _word(value.get("relation")),
        _sentences(value.get("problems")), tuple(_claim(one, count, depth + 1) for one in value["made_from"]),
    )  # fmt: skip


def _sentences(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _SENTENCES:
        raise MalformedError("a list of texts that is none")
    return tuple(map(_word, value))


def _times(value: object, span: Span | None, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """When each frame of a shot is shown: one time per frame, in order, within the span."""
    if value is None:
        return None
    if not isinstance(value, list) or span is None or len(shape) != 4 or len(value) != shape[0]:
        raise MalformedError("times that are of no frames")
    if any(type(one) is not int or not span.start <= one < span.end for one in value) or value != sorted(value):
        raise MalformedError("times that are out of order or outside the span")
    return tuple(value)


def _flat(span: Span | None) -> list[int | str] | None:
    return None if span is None else [span.start, span.end, span.unit]


def _span(value: object) -> Span | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise MalformedError("a span that is none")
    start, end, unit = value
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= _LONGEST or unit not in ("ms", "char"):
        raise MalformedError("a span that cannot be")
    checked: Literal["ms", "char"] = "ms" if unit == "ms" else "char"
    return Span(start, end, checked)


def _stamps(value: object) -> tuple[Stamp, ...]:
    if not isinstance(value, list) or len(value) > dates.MAX_STAMPS:
        raise MalformedError("dates that are none")
    found = []
    for one in value:
        if not isinstance(one, list) or len(one) != 2 or not isinstance(one[1], str) or not dates.STAMP.fullmatch(one[1]):
            raise MalformedError("a date that is none")
        found.append(Stamp(_member(DateSource, one[0]), one[1]))
    return tuple(found)


def _position(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(one) in (int, float) and abs(one) <= 180 for one in value):
        raise MalformedError("a position that is none")
    return float(value[0]), float(value[1])


def _member(kind: type[_Enum], value: object) -> _Enum:
    try:
        return kind(_word(value))
    except ValueError:
        raise MalformedError(f"an unknown {kind.__name__.lower()}") from None


def _number(value: object, most: int) -> int | None:
    if value is not None and not (type(value) is int and 0 <= value <= most):
        raise MalformedError("a field that is not a number")
    return value


def _source(value: object) -> str | None:
    name = _words(value)
    if name is not None and not (name.isprintable() and 0 < len(name) <= _SOURCE):
        raise MalformedError("a source that has no name")
    return name


def _identifier(value: object) -> str | None:
    told = _words(value)
    if told is not None and not (told.isprintable() and 0 < len(told) <= MAX_IDENTIFIER):
        raise MalformedError("an identifier that is none")
    return told


def _language(value: object) -> str | None:
    code = _words(value)
    if code is not None and not (len(code) == 2 and code.isascii() and code.isalpha() and code.islower()):
        raise MalformedError("a language that is none")
    return code


def _words(value: object) -> str | None:
    return None if value is None else _word(value)


def _word(value: object) -> str:
    """A text that any database accepts: valid Unicode without NUL, of limited length."""
    if not isinstance(value, str):
        raise MalformedError("a field that is not text")
    return value[:_DETAIL].encode("utf-8", "replace").decode().replace("\0", " ")
