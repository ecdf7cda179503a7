"""IPTC-IIM: the captions of press photographs (IPTC-NAA Information Interchange Model 4.2)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from search.media.metadata import dates
from search.media.metadata.text_values import Role, Value, decoded
from search.types import DateSource, Stamp

_MARK = 0x1C
_CHARSET, _UTF8 = (1, 90), b"\x1b%G"
_ROLES: dict[int, Role] = {
    5: "title", 105: "title", 120: "description", 25: "keywords", 20: "keywords",
    92: "place", 90: "place", 95: "place", 101: "place", 80: "credit", 110: "credit", 115: "credit", 116: "credit",
}  # fmt: skip
"""Data sets of record 2 -> what they say."""
_COPYRIGHT = 116
_DAY, _TIME, _DIGITIZED_DAY, _DIGITIZED_TIME = 55, 60, 62, 63
"""Data sets of record 2 that are dates: CCYYMMDD, where a month or day that is not known is 00, and HHMMSS with the offset."""


def values(raw: bytes) -> Iterator[Value]:
    """The values of the data sets. Their character set is seldom stated, so we guess one charset for all fields.

    Raises:
        ValueError: they are cut off, or are not IPTC.
    """
    found, told, damage = list[tuple[Role, bytes]](), False, None
    try:
        for record, number, value in _sets(raw):
            told |= (record, number) == _CHARSET and value == _UTF8
            if record == 2 and number in _ROLES:
                found.append((_ROLES[number], value))
    except ValueError as error:
        damage = error
    texts = [value for _, value in found]
    lines = [value.decode("utf-8", "replace") for value in texts] if told else decoded(*texts)
    yield from (Value(role, line) for (role, _), line in zip(found, lines, strict=True))
    if damage is not None:
        raise damage


def stamps(raw: bytes) -> list[Stamp]:
    """When the picture was made or, if that is not stated, digitised. Of damaged data sets, what comes before the damage."""
    told: dict[int, str] = {}
    with contextlib.suppress(ValueError):
        for record, number, value in _sets(raw):
            if record == 2 and number in (_DAY, _TIME, _DIGITIZED_DAY, _DIGITIZED_TIME):
                told.setdefault(number, value.decode("ascii", "replace").strip())
    made, digitized = (
        f"{told.get(day, '')}T{told[time]}" if time in told else told.get(day)
        for day, time in ((_DAY, _TIME), (_DIGITIZED_DAY, _DIGITIZED_TIME))
    )
    return [
        *(dates.stamps(DateSource.IPTC, made) or dates.stamps(DateSource.IPTC, told.get(_DAY))),
        *(dates.stamps(DateSource.DIGITIZED, digitized) or dates.stamps(DateSource.DIGITIZED, told.get(_DIGITIZED_DAY))),
    ]


def rights(raw: bytes) -> str:
    """The copyright notice; empty if there is none. Of damaged data sets, what comes before the damage."""
    with contextlib.suppress(ValueError):
        for record, number, value in _sets(raw):
            if (record, number) == (2, _COPYRIGHT):
                return decoded(value)[0]
    return ""


def _sets(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while raw[at : at + 1] == bytes((_MARK,)):
        length = int.from_bytes(raw[at + 3 : at + 5], "big")
        if len(raw) < at + 5 + length or length >= 1 << 15:
            raise ValueError("a data set that is cut off")
        yield raw[at + 1], raw[at + 2], raw[at + 5 : at + 5 + length]
        at += 5 + length
    if raw[at:].strip(b"\0"):
        raise ValueError("something that is no data set")
