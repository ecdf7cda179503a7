"""From what was found to what is exported: each moment with its medium, and for timelines with how the medium counts its frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from search.errors import MediaError, Problem
from search.exports.bundle import Cutter, slug
from search.exports.excerpt import Excerpt
from search.exports.timecode import FrameClock
from search.media import clips
from search.media.opening import Held
from search.media.signed_files import SigningKey, credentialed
from search.store.catalogue import Asset
from search.types import Box, Modality, Thing

_CUT, _RESIZED = ("c2pa.trimmed", "c2pa.transcoded"), ("c2pa.resized.proportional", "c2pa.transcoded")
"""What C2PA calls that which was done to a clip, and to a picture."""

Opener = Callable[[Asset], AbstractContextManager[Held]]
"""Opens the file of an asset, which must still be the one that was indexed."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be exported: an asset, or from ``start_ms`` to ``end_ms`` of it, and what is said of it."""

    asset: int
    start_ms: int | None = None
    end_ms: int | None = None
    channel: str = ""
    confidence: float | None = None
    text: str = ""
    note: str = ""
    box: Box | None = None

    def shows(self, one: Thing) -> bool:
        """Whether a thing of the asset is in what is to be exported."""
        return self.start_ms is None or one.at_ms is None or self.start_ms <= one.at_ms < (self.end_ms or self.start_ms + 1)


@dataclass(frozen=True, slots=True)
class Locus:
    """Where callers find an asset: its names, and its ``source``, an address or a path."""

    collection: str
    folder: str
    name: str
    source: str


def excerpts(
    moments: Sequence[Chosen], assets: Mapping[int, Asset], locus: Callable[[Asset], Locus], open_: Opener | None,
    things: Mapping[int, Sequence[Thing]] | None = None,
) -> tuple[list[Excerpt], dict[str, str]]:  # fmt: skip
    """The moments as excerpts, and what was left out: names, and why. With ``open_``, videos are asked how they count their frames. ``things``
    are those in pictures of the assets."""
    clocks: dict[int, FrameClock | None] = {}
    unread: set[int] = set()
    audible = {id_ for id_, asset in assets.items() if asset.modality is Modality.AUDIO}
    left_out: dict[str, str] = {}
    made = []
    for one in moments:
        if (asset := assets.get(one.asset)) is None:
            left_out[f"asset {one.asset}"] = "It is no longer in the archive."
            continue
        place = locus(asset)
        if open_ and asset.modality is Modality.VIDEO and asset.id not in clocks and asset.id not in unread:
            try:
                with open_(asset) as file:
                    rate, timecode, heard = clips.counted(file)
                clocks[asset.id] = FrameClock.told(rate, timecode) if rate else None
                audible |= {asset.id} if heard else set()
            except (MediaError, Problem) as error:
                left_out[place.name] = str(error)
                unread.add(asset.id)
        if asset.id in unread:
            continue
        made.append(
            Excerpt(
                asset.id, asset.digest, place.name, place.folder, place.collection, place.source, asset.modality, asset.format, asset.size,
                asset.duration_ms, one.start_ms, one.end_ms, one.channel, one.confidence, one.text, one.note, clocks.get(asset.id), asset.width, asset.height,
                asset.id in audible, one.box, tuple(thing for thing in (things or {}).get(asset.id, ()) if one.shows(thing)),
            )
        )  # fmt: skip
    return made, left_out


def picturer(assets: Mapping[int, Asset], picture: Callable[[Asset, int | None], bytes]) -> Cutter:
    """Gives pictures of excerpts, where ``picture`` gives one of an asset, of a video at a time in milliseconds."""

    def of(one: Excerpt) -> tuple[str, bytes]:
        return "jpg", picture(assets[one.asset], one.start_ms)

    return of


def signer(make: Cutter, assets: Mapping[int, Asset], open_: Opener, key: SigningKey) -> Cutter:
    """What ``make`` makes, with content credentials of which the medium is the parent."""

    def of(one: Excerpt) -> tuple[str, bytes]:
        suffix, content = make(one)
        actions = _RESIZED if suffix == "jpg" else _CUT
        with open_(assets[one.asset]) as file:
            return suffix, credentialed(file, slug(one.name), suffix, content, actions, key)

    return of


def cutter(assets: Mapping[int, Asset], open_: Opener, *, exact: bool = True) -> Cutter:
    """Cuts clips of these assets. A whole medium is cut up to the longest clip."""

    def cut(one: Excerpt) -> tuple[str, bytes]:
        start, end = one.stretch
        with open_(assets[one.asset]) as file:
            return clips.cut(
                file, one.modality, start, min(end, start + clips.MAX_CLIP_MS) if one.end_ms is None else end, exact=exact
            )

    return cut
