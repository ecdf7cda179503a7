"""Conversion of stored objects to API objects, and the links to their media."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from urllib.parse import quote

from search import wire
from search.api import schemas as s
from search.api.places import Places, printable
from search.api.prefixed import public
from search.api.schemas import BASE
from search.errors import REASONS
from search.store.catalogue import Asset, LedgerLine, Location
from search.types import Channel, Coverage, Hit, Modality, Segment, Span, Thing


def links(asset: Asset, span: Span | None = None, starts_ms: int | None = None) -> s.Links:
    """The links of an asset, or of the moment ``span`` in it. The moment plays from ``starts_ms`` if that is given.

    Times of media fragments count on the clock of the file, all others from its first stamp.
    """
    here, modality = public(f"{BASE}/assets/{asset.id}"), asset.modality
    timed = span if span and span.unit == "ms" else None
    zero = asset.first_stamp_ms or 0
    seconds = (
        f"#t={_seconds(zero + (timed.start if starts_ms is None else starts_ms))},{_seconds(zero + timed.end)}" if timed else ""
    )
    at = f"?t={_seconds((timed.start + timed.end) // 2)}" if timed and modality is Modality.VIDEO else ""
    pictured = modality not in (Modality.TEXT, Modality.IMU)
    return s.Links(
        media=f"{here}/media", moment=f"{here}/media{seconds}",
        thumbnail=f"{here}/thumbnail{at}" if pictured else None,
        preview=f"{here}/preview" if modality in (Modality.VIDEO, Modality.AUDIO) else None,
    )  # fmt: skip


def hit(found: Hit, asset: Asset, places: Places) -> s.Hit:
    """A hit in the form of the API: like on the command line, but with links and without paths."""
    values = wire.hit(found)
    place = next((one for one in asset.locations if one.path == found.segment.path), asset.location)
    values["asset"] = reference(asset, places, place)
    values["links"] = links(asset, found.span, found.starts_ms)
    return s.Hit.model_validate(values)


def reference(asset: Asset, places: Places, place: Location | None = None) -> s.AssetRef:
    """An asset as hits show it, at ``place`` or its first location."""
    place = place or asset.location
    spot = places.spot(place.collection, place.path)
    return s.AssetRef(
        id=asset.id, sha256=asset.digest, modality=asset.modality, name=spot.name, folder=spot.folder, collection=spot.collection, path=spot.path,
        format=asset.format, width=asset.width, height=asset.height, duration_ms=asset.duration_ms, missing=not place.present,
        away=place.state == "away", date=None if (date := wire.date(asset.dated)) is None else s.Date.model_validate(date),
    )  # fmt: skip


def entry(asset: Asset, places: Places, segment: int | None = None) -> s.AssetEntry:
    """An asset as lists show it. ``segment`` is its first one."""
    return s.AssetEntry(
        **reference(asset, places).model_dump(), bytes=asset.size, segment=segment, title=asset.title, day=_day(asset.dated.first),
        added_at=moment(asset.created_at), links=links(asset),
    )  # fmt: skip


def detail(
    asset: Asset, counts: dict[str, int], gaps: list[LedgerLine], labels: list[tuple[str, float]], things: dict[str, int], places: Places
) -> s.AssetDetail:  # fmt: skip
    """All data of an asset."""
    placed = asset.position if any(places.placed(one.collection) for one in asset.locations) else None
    latitude, longitude = placed or (None, None)
    return s.AssetDetail(
        **entry(asset, places).model_dump(), locations=locations(asset, places), segments=counts,
        gaps=[s.Gap(reason=one.reason, detail=wire.sentence(places.hide(one.detail)), remedy=one.remedy, span=span(one.span)) for one in gaps],
        dates=[s.Stamp(source=one.source, text=one.text) for one in asset.stamps],
        tags=[s.Tag(name=name, score=round(score, 4)) for name, score in labels], things=things,
        provenance=s.Provenance.model_validate(asdict(asset.provenance)) if asset.provenance else None,
        camera=printable(asset.camera or "") or None, rights=printable(asset.rights or "") or None, latitude=latitude, longitude=longitude,
    )  # fmt: skip


def locations(asset: Asset, places: Places) -> list[s.Place]:
    """Where an asset lies."""
    spots = [(places.spot(one.collection, one.path), one) for one in asset.locations]
    return [
        s.Place(
            collection=spot.collection,
            folder=spot.folder,
            name=spot.name,
            path=spot.path,
            missing=not one.present,
            away=one.state == "away",
        )
        for spot, one in spots
    ]


def segment(found: Segment, asset: Asset) -> s.SegmentEntry:
    """A segment of ``asset``."""
    chars = found.span if found.span and found.span.unit == "char" else None
    return s.SegmentEntry(
        id=found.id, asset=found.asset, channel=Channel(found.channel), span=span(found.span), **wire.read(found),
        characters=s.Characters(start=chars.start, end=chars.end) if chars else None,
        links=links(asset, found.span),
    )  # fmt: skip


def region(found: Thing) -> s.Region:
    """A thing in a picture."""
    return s.Region(
        label=found.label, confidence=found.confidence, source=found.source, box=s.Box.model_validate(wire.box(found.box)),
        span=span(found.span), at_ms=found.at_ms,
    )  # fmt: skip


def failure(found: LedgerLine, places: Places) -> s.Failure:
    """A line of the ledger."""
    spot = places.spot(found.collection or "", found.path)
    return s.Failure(
        id=found.id, asset=found.asset, collection=found.collection, folder=spot.folder, name=spot.name, path=spot.path,
        reason=found.reason, detail=wire.sentence(places.hide(found.detail)), remedy=found.remedy, span=span(found.span),
    )  # fmt: skip


def failures(found: list[LedgerLine], counts: dict[str, int], places: Places, cursor: str | None) -> s.Failures:
    """A page of the ledger, with the number of lines for each reason in the whole ledger."""
    reasons = [s.Reason(reason=reason, count=count, remedy=REASONS.get(reason, "")) for reason, count in counts.items()]
    return s.Failures(reasons=reasons, failures=[failure(one, places) for one in found], cursor=cursor)


def coverage(found: Coverage) -> s.Coverage:
    """Coverage in the form of the API."""
    return s.Coverage(**wire.coverage(found))


def span(found: Span | None) -> s.Span | None:
    """A span of time; None for a span of characters."""
    return s.Span(start_ms=found.start, end_ms=found.end) if found and found.unit == "ms" else None


def moment(ms: int) -> datetime.datetime:
    """Milliseconds since 1970 as a date with its time zone."""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)


def attachment(name: str, *, inline: bool) -> str:
    """A Content-Disposition header (RFC 6266) for a file name in any script."""
    return f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}"


def _day(days: int | None) -> datetime.date | None:
    return None if days is None else datetime.date(1970, 1, 1) + datetime.timedelta(days=days)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".")
