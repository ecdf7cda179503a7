"""Open: a dialog on one moment of the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from search.api.schemas import AssetDetail, Hit, Neighbours, SegmentEntry
from search.errors import ServiceError
from search.types import WORDS
from ui import passage_text, phrasing
from ui.i18n import mark, percent, tr
from ui.page import frame, look
from ui.page.components import stage
from ui.page.state import Piece, State

_AROUND = 4
_READ_MS = 300_000
"""How far what is said and shown is read to both sides of a moment."""
_LINES = 1_000
"""Passages of a channel that are shown at once, at most."""
_MOVED, _AT = "moved", "texts-at"


def show(state: State, segment: int) -> None:
    """Open the dialog on a segment."""
    try:
        near = frame.client().segment(segment, around=_AROUND)
        asset = frame.client().asset(near.asset.id)
        data = describe(state, near, asset)
    except ServiceError as error:
        if error.status != 404:
            raise
        data = {"name": tr("No longer in the archive"), "lost": tr("It may have been deleted.")}

    st.session_state.pop(_AT, None)

    def sent(told: Mapping[str, Any]) -> None:
        if told.get("kind") == "texts":  # the player has come to where nothing was read yet; nothing else changes
            st.session_state[_AT] = told.get("at")
            return
        if told.get("kind") == "judge":
            right = told.get("right")
            right = right if isinstance(right, bool) else None
            if look.judge(state, data["asset"], right):  # the page behind follows when the dialog is closed
                data["judged"] = right
            return
        st.session_state[_MOVED] = True
        frame.go(follow(state, data, told))

    def inside() -> None:
        if st.session_state.pop(_MOVED, False):
            st.rerun()  # a dialog draws itself alone; the page behind it has to follow
        if "lost" in data:
            st.markdown(phrasing.plain(data["lost"]))
        else:
            at = st.session_state.get(_AT)
            try:
                read = texts(state, asset, at if isinstance(at, int) else data["start"])
            except ServiceError:  # the page says it as soon as anything is asked
                read = None
            stage(data | {"texts": read}, sent)

    dismissed = lambda: frame.go(replace(state, opened=None))  # noqa: E731 - one line, used once
    st.dialog(phrasing.plain(data["name"]), width="large", on_dismiss=dismissed)(inside)()


def describe(state: State, near: Neighbours, asset: AssetDetail) -> dict[str, Any]:
    """What the dialog shows of a segment, its neighbours and its asset."""
    here, links = near.segment, near.segment.links
    hits, known = _hits(state), frame.known()
    order = _order(state, hits)
    found = next((one for one in hits if here.id == one.segment or here.id in one.evidence.segments), None)
    at = [look.key(state, one) for one in order].index(look.key(state, found)) if found else None
    begins = look.starts(found) if found else here.span.start_ms if here.span else 0
    mine = [hit for hit in hits if hit.asset.id == asset.id]
    verdict = (
        next((look.verdict_of(one) for one in look.answers(state) if found is None or found in one.hits), None)
        if state.asks
        else None
    )
    return {
        "prefers": found is not None and not found.steps and not state.spoken, "judges": bool(state.question), "judged": next((hit.judged for hit in mine), None),
        "segment": here.id, "asset": asset.id, "medium": asset.modality, "name": asset.name, "format": asset.format, "media": links.media,
        "alt": f"{tr(phrasing.MEDIA[asset.modality])} {asset.name}", "poster": _large(links.thumbnail),
        "heard": tr("This is in {track}. If another one plays, choose it in the player, or download the file.", track=here.track) if here.track else "",
        "start": begins, "length": asset.duration_ms or 0, "ends": phrasing.clock(asset.duration_ms or 0),
        "regions": [_region(hit) for hit in mine if hit.box and (asset.modality != "video" or hit is found)], "cuts": asset.modality in ("image", "video"),
        "motion": _motion(asset, here) if asset.modality == "imu" else None,
        "strip": look.strip(asset, mine, verdict), "words": _words(near, mine), "near": [] if here.channel in WORDS else _near(near),
        "answers": known.answers if asset.modality in ("image", "video") else "", "translates": known.translates,
        "why": _why(state, order, found), "share": state.href(opened=here.id), "facts": facts(asset, here, found, verdict),
        "place": tr("{number} of {all}", number=at + 1, all=len(order)) if at is not None and len(order) > 1 else "",
        "before": order[at - 1].segment if at else None,
        "after": order[at + 1].segment if at is not None and at + 1 < len(order) else None,
    }  # fmt: skip


def _motion(asset: AssetDetail, here: SegmentEntry) -> dict[str, Any] | None:
    """What a recording of motion tells over time, and the films that were taken meanwhile: of each, what it shows at the moment."""
    try:
        told = frame.client().motion(asset.id)
    except ServiceError:  # the file may be away
        return None
    films, at = [], here.span.start_ms if here.span else 0
    for film in told.films:
        begins = at - film.offset_ms
        if film.segment is None or not 0 <= begins < (film.asset.duration_ms or 0):
            continue
        near = frame.client().segments(film.asset.id, from_ms=begins, until_ms=begins + 1, limit=10).segments
        shown = max((one for one in near if one.span), key=lambda one: one.span.start_ms if one.span else 0, default=None)
        films.append({"segment": shown.id if shown else film.segment, "label": f"{film.asset.name} {phrasing.clock(begins)}"})
    return {
        "features": [{"name": one.name, "says": tr("{name}: {measures}; half as strong as can be at {half} {unit}", name=one.name, measures=one.measures, half=f"{one.half:g}", unit=one.unit)} for one in told.features],
        "stretches": [{"start": one.start_ms, "end": one.end_ms, "features": one.features, "way": one.way} for one in told.stretches],
        "here": [here.span.start_ms, here.span.end_ms] if here.span else None, "films": films,
    }  # fmt: skip


def texts(state: State, asset: AssetDetail, at: int) -> dict[str, Any] | None:
    """What is said, shown and written in an asset around a time in milliseconds, in order; None where there is nothing of the kind.

    ``from`` and ``until`` are the stretch that was read, in milliseconds: beyond it there may be more.
    """
    channels = [channel for channel in asset.segments if channel in WORDS]
    if asset.modality == "text" or not channels:
        return None
    since, until = max(0, at - _READ_MS), at + _READ_MS
    found = [
        one
        for channel in channels
        for one in frame.client().segments(asset.id, channel=channel, from_ms=since, until_ms=until, limit=_LINES).segments
    ]
    marks = _marks([hit for hit in _hits(state) if hit.asset.id == asset.id])
    lines = [
        told
        | {
            "segment": one.id, "start": one.span.start_ms if one.span else None, "end": one.span.end_ms if one.span else None,
            "clock": phrasing.clock(one.span.start_ms) if one.span else "", "here": one.id == state.opened, "found": one.id in marks,
        }
        for one in sorted(found, key=lambda one: (one.span.start_ms if one.span else -1, one.id))
        if (told := passage_text.passage(one, one.channel, marks=marks.get(one.id, ())))
    ]  # fmt: skip
    return {"lines": lines, "from": since, "until": until}


def facts(asset: AssetDetail, segment: SegmentEntry, found: Hit | None, verdict: str | None = None) -> list[tuple[str, str]]:
    """Metadata as pairs of a name and what it says; what is not known is left out."""
    span = (found.span if found else None) or segment.span
    pixels = f"{asset.width} × {asset.height}" if asset.width and asset.height else ""
    places = "\n".join(
        _place(
            one.path, one.collection, one.folder, one.name, state=tr("missing") if one.missing else tr("away") if one.away else ""
        )
        for one in asset.locations
    )
    known = [
        (tr("Match"), phrasing.band(found.confidence, verdict)[1] if found else ""),
        (tr("Moment"), f"{phrasing.clock(span.start_ms)} – {phrasing.clock(span.end_ms)}" if span else ""),
        (tr("Matched on"), tr(phrasing.CHANNELS[segment.channel]) if found else ""), (tr("Sound track"), segment.track or ""), (tr("Title"), asset.title or ""),
        _dated(asset), (tr("Origin"), asset.provenance.evidence if asset.provenance else ""),
        (tr("Camera"), asset.camera or ""), (tr("Rights"), asset.rights or ""), (tr("Place"), phrasing.position(asset.latitude, asset.longitude)),
        (tr("Length"), phrasing.clock(asset.duration_ms) if asset.duration_ms else ""), (tr("Pixels"), pixels),
        (tr("File"), f"{asset.format}, {phrasing.size(asset.bytes)}"), (tr("Location"), places), (tr("Added"), phrasing.day(asset.added_at)),
        (tr("Tags"), ", ".join(f"{tag.name} {percent(tag.score)}" for tag in asset.tags)),
        (tr("Things"), ", ".join(f"{count} × {label}" if count > 1 else label for label, count in asset.things.items())),
        (tr("Not indexed"), "\n".join(f"{gap.detail} {gap.remedy}" for gap in asset.gaps)),
    ]  # fmt: skip
    return [(name, value) for name, value in known if value]


_TOLD_BY = {
    "sidecar": mark("XMP beside the file"), "xmp": "XMP", "exif": "EXIF", "digitized": mark("when it was scanned or stored"), "iptc": "IPTC",
    "tags": mark("the file's tags"), "takeout": "Google Takeout", "name": mark("the file's name"), "changed": mark("when a program saved it last"),
}  # fmt: skip
"""Where a date comes from, in words."""


def _dated(asset: AssetDetail) -> tuple[str, str]:
    """When it was taken and how that is known, or else when the file was changed."""
    if asset.date is None or asset.date.source in (None, "file"):
        return tr("File modified"), phrasing.taken(asset.date) if asset.date else ""
    return tr("Taken"), f"{phrasing.taken(asset.date)} ({tr(_TOLD_BY[asset.date.source])})"


def follow(state: State, data: Mapping[str, Any], told: Mapping[str, Any]) -> State:
    """Where what the dialog sends leads to."""
    kind, segment = told.get("kind"), told.get("segment")
    if kind == "open" and isinstance(segment, int):
        return replace(state, opened=segment)
    if kind in ("similar", "add"):
        return look.similar(state, data["segment"], data["medium"], data["name"], add=kind == "add")
    if kind == "prefer":
        return look.preferring(state, data["segment"], nearer=bool(told.get("nearer")))
    if kind in ("frame", "thing"):
        piece = Piece.of({"kind": "upload", "value": told.get("upload"), "medium": "image", "label": told.get("label")})
        if piece is None:
            return state
        if told.get("add") is True:
            return replace(state, view="search", pieces=(*state.pieces, piece), opened=None)
        return replace(state, view="search", text="", pieces=(piece,), opened=None)
    return state


def _why(state: State, order: list[Hit], found: Hit | None) -> dict[str, Any] | None:
    """What asks the service why a hit was found, and why the one before it; None where that cannot be told."""
    if found is None or found.steps or state.spoken or state.regional:
        return None
    at = order.index(found) if found in order else 0
    search = {name: value for name, value in state.request().items() if name != "k"}
    return {"search": search, "segments": [one.segment for one in (*order[max(at - 1, 0) : at], found)], "map": True}


def _region(hit: Hit) -> list[float]:
    """Left, top, width and height of what answers, in percent."""
    return [hit.box.left, hit.box.top, hit.box.width, hit.box.height] if hit.box else []


def _hits(state: State) -> list[Hit]:
    return [hit for one in look.answers(state) for hit in one.hits] if state.asks else []


def _marks(hits: list[Hit]) -> dict[int, passage_text.Marks]:
    """Where in the texts of segments stands what was asked for."""
    return {hit.segment: hit.evidence.marks for hit in hits if hit.evidence.marks}


def _order(state: State, hits: list[Hit]) -> list[Hit]:
    """The hits in the order of their cards."""
    seen: set[int] = set()
    keys = [look.key(state, hit) for hit in hits]
    return [hit for hit, key in zip(hits, keys, strict=True) if not (key in seen or seen.add(key))]  # type: ignore[func-returns-value]


def _near(near: Neighbours) -> list[dict[str, Any]]:
    entries = [*near.before, near.segment, *near.after]
    return [
        {
            "start": one.span.start_ms, "span": f"{phrasing.clock(one.span.start_ms)} – {phrasing.clock(one.span.end_ms)}",
            "thumbnail": f"{one.links.thumbnail}&size=160" if "?" in (one.links.thumbnail or "") else None, "here": one is near.segment,
        }
        for one in entries
        if one.span
    ]  # fmt: skip


def _words(near: Neighbours, hits: list[Hit]) -> list[dict[str, Any]]:
    """The paragraphs of a text."""
    entries, marks = [*near.before, near.segment, *near.after], _marks(hits)
    return [
        {"pieces": passage_text.pieces(one.text, marks.get(one.id, ())), "here": one is near.segment}
        for one in entries
        if one.text
    ]


def _large(thumbnail: str | None) -> str | None:
    return thumbnail and f"{thumbnail}{'&' if '?' in thumbnail else '?'}size=1280"


def _place(path: str | None, collection: str, folder: str, name: str, *, state: str) -> str:
    where = path or "/".join(part for part in (folder, name) if part)
    return f"{where} ({collection}{f', {state}' if state else ''})"
