"""The rail: what the archive can be narrowed by, with the number of files behind each value. Every value is a link."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from search.api.schemas import Facets
from search.errors import ServiceError
from ui import phrasing
from ui.i18n import mark, tr, whole
from ui.page import frame, question
from ui.page.components import rail
from ui.page.state import CHANNELS, FIRST_HITS, TARGETS, State

_LISTS = {
    "modality": (mark("Medium"), "targets"), "collection": (mark("Collection"), "collections"), "tag": (mark("Tag"), "tags"),
    "channel": (mark("Found in"), "channels"), "language": (mark("Language"), "languages"), "origin": (mark("Origin"), "origins"), "thing": (mark("Things seen"), "things"),
    "camera": (mark("Camera"), "cameras"), "rights": (mark("Rights"), "rights"), "place": (mark("Place"), "places"),
}  # fmt: skip
"""Facets of which several values may be chosen: how they are headed, and the part of the state that holds them."""
_OWN: dict[str, dict[str, Any]] = {
    **{name: {part: ()} for name, (_, part) in _LISTS.items()}, "month": {"since": "", "until": ""}, "duration": {"shortest": None, "longest": None},
}  # fmt: skip
"""What a facet adds to the state, taken away: its values are counted as if none of them were chosen, so that others can be."""
_FIELD = "field."

Value = dict[str, Any]


def show(state: State) -> None:
    """Draw the rail; while nothing can be counted, without counts."""
    data = {"groups": groups(state), "state": asdict(state), "known": asdict(frame.known())}
    rail(data, question.sent)


def counted(state: State) -> Facets | None:
    """All facets of the files that pass a state's filters; None: the service cannot count them now, or a filter holds nothing."""
    try:
        return frame.counted(state.targets, state.channels, state.filter())
    except ServiceError:
        return None


def values(state: State, name: str) -> list[tuple[str, int]]:
    """The values of a facet with their files, counted under all of a state's filters but its own."""
    if name.startswith(_FIELD):
        state = replace(state, fields=tuple(one for one in state.fields if one[0] != name.removeprefix(_FIELD)))
    found = counted(replace(state, **_OWN.get(name, {})))
    return [(one.value, one.files) for facet in (found.facets if found else ()) if facet.name == name for one in facet.values]


def groups(state: State) -> list[dict[str, Any]]:
    """The facets with their values, in the order in which they stand. What has but one value, which all files have, is left out."""
    found = counted(state)
    every = whole(found.files) if found else ""
    own = [facet.name for facet in (found.facets if found else ()) if facet.name.startswith(_FIELD)]
    own += [name for name in dict.fromkeys(_FIELD + name for name, _ in state.fields) if name not in own]
    drawn = [
        ("modality", tr("Medium"), _listed(state, "modality")), ("folder", tr("Folder"), _folders(state)), ("month", tr("Date"), _taken(state)),
        *((name, tr(_LISTS[name][0]), _listed(state, name)) for name in ("tag", "thing", "collection")), ("duration", tr("Length"), _lengths(state)),
        *((name, tr(_LISTS[name][0]), _listed(state, name)) for name in ("camera", "place", "channel", "language", "rights", "origin")),
        *((name, _headed(name.removeprefix(_FIELD)), _fields(state, name)) for name in own),
    ]  # fmt: skip
    return [
        {"name": name, "title": title, "values": some}
        for name, title, some in drawn
        if len(some) > 1 or any(one["on"] or one["files"] != every for one in some)
    ]


def _headed(name: str) -> str:
    return name[0].upper() + name[1:]


def months(state: State) -> list[dict[str, Any]]:
    """The months that have files, in order, with their files."""
    return [{"month": month, "files": files} for month, files in values(state, "month")]


def _value(state: State, label: str, files: int | None, *, on: bool, level: int = 0, **changes: Any) -> Value:  # noqa: ANN401 - any part of the state
    href = state.href(**changes, view="search", opened=None, count=FIRST_HITS)
    return {"label": label, "files": "" if files is None else whole(files), "on": on, "level": level, "href": href}


def _listed(state: State, name: str) -> list[Value]:
    part = _LISTS[name][1]
    chosen: tuple[str, ...] = getattr(state, part)
    known = dict(values(state, name))
    order = {"modality": TARGETS, "channel": CHANNELS}.get(name)
    shown = (
        [one for one in order if one in known or one in chosen]
        if order
        else [*known, *(one for one in chosen if one not in known)]
    )
    found = []
    for one in shown:
        changed: dict[str, Any] = {part: tuple(other for other in chosen if other != one) if one in chosen else (*chosen, one)}
        found.append(_value(state, _name(name, one), known.get(one, 0), on=one in chosen, **changed))
    return found


_NAMES = {
    "modality": {
        "image": mark("Images"),
        "video": mark("Videos"),
        "audio": mark("Sounds"),
        "text": mark("Texts"),
        "imu": mark("Motion"),
    },
    "channel": phrasing.CHANNELS,
    "origin": {
        "generated": mark("Made by a model"),
        "edited": mark("Changed by a model"),
        "captured": mark("Captured, not edited"),
    },
}


def _name(facet: str, value: str) -> str:
    """What a value of a facet is called; of a place, where its field of a degree begins."""
    if facet == "place" and value.count(",") == 3:
        south, west = (float(edge) for edge in value.split(",")[:2])
        return phrasing.position(south, west)
    known = _NAMES.get(facet, {}).get(value)
    return _headed(tr(known)) if known else value


def _folders(state: State) -> list[Value]:
    """The way down to the chosen folder, and the folders in it."""
    parts = [part for part in state.under.split("/") if part]
    above = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
    way = [_value(state, tr("All folders"), None, on=False, under="")] if parts else []
    way += [
        _value(state, parts[depth], None, on=path == above[-1], level=depth + 1, under="" if path == above[-1] else path)
        for depth, path in enumerate(above)
    ]
    inside = sorted((path, files) for path, files in values(state, "folder") if path and path != state.under)
    return way + [
        _value(state, path.rpartition("/")[2], files, on=False, level=len(parts) + bool(parts), under=path)
        for path, files in inside
    ]


def _taken(state: State) -> list[Value]:
    """Years, newest first; of a chosen one its months, too."""
    known = values(state, "month")
    years: dict[str, int] = {}
    for month, files in known:
        years[month[:-3]] = years.get(month[:-3], 0) + files
    found: list[Value] = []
    for year, files in reversed(years.items()):
        found.append(_spell(state, year, files, f"{year}-01-01", f"{year}-12-31"))
        if {state.since[:-6], state.until[:-6]} == {year}:
            found += [
                _spell(state, phrasing.month(month), some, f"{month}-01", phrasing.last_day(month), level=1)
                for month, some in known
                if month[:-3] == year
            ]
    return found


def _spell(state: State, label: str, files: int, since: str, until: str, *, level: int = 0) -> Value:
    on = (state.since, state.until) == (since, until)
    return _value(state, label, files, on=on, level=level, since="" if on else since, until="" if on else until)


def _lengths(state: State) -> list[Value]:
    found = []
    for told, files in values(state, "duration"):
        low, high = (float(end) if end else None for end in told.split(".."))
        on = (state.shortest, state.longest) == (low, high)
        found.append(
            _value(state, phrasing.lengths(low, high), files, on=on, shortest=None if on else low, longest=None if on else high)
        )
    return found


def _fields(state: State, name: str) -> list[Value]:
    own = name.removeprefix(_FIELD)
    known = dict(values(state, name))
    chosen = [value for field, value in state.fields if field == own]
    return [
        _value(
            state, value, known.get(value, 0), on=value in chosen,
            fields=tuple(one for one in state.fields if one != (own, value)) if value in chosen else (*state.fields, (own, value)),
        )
        for value in [*known, *(one for one in chosen if one not in known)]
    ]  # fmt: skip
