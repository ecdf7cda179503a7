"""`sensorium export`: what a search found, as files for other programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import InputError
from search.settings import Settings, load
from ui.options import Home, Json, archive
from ui.terminal import echo

if TYPE_CHECKING:
    from search.api.thumbnails import Thumbnails
    from search.exports.gather import Chosen, Locus
    from search.media.opening import Held
    from search.store.catalogue import Asset

    Holder = Callable[[Asset], AbstractContextManager[Held]]


FORMATS = ("csv", "json", "vtt", "annotations", "regions", "coco", "iiif", "edl", "otio", "fcpxml", "sheet", "pictures", "clips")
SIGNED = ("clips", "pictures")
"""Formats whose files can carry content credentials."""


def export(
    answer: Annotated[
        Path, typer.Argument(metavar="ANSWER", help="What `sensorium search --json` printed; - reads it from standard input.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The ZIP archive to write.")],
    format: Annotated[str, typer.Option(help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")] = "json",  # noqa: A002
    title: Annotated[str | None, typer.Option(help="The title of the export. Default: the name of the file.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Cut clips at key frames, without encoding them anew.")] = False,
    sign: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="KEY CERTIFICATES", help="Sign clips or pictures: a private key and its certificates, PEM."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Export what a search found, with a manifest of hashes.

    Timelines count whole frames of each video's own rate, from its own start timecode.

    Signed clips and pictures carry content credentials (C2PA): what each was made of, with the credentials of that, and what was done to it.

    Pipe what `sensorium search --json` prints into it, or name a file.

    Examples:
      sensorium search boats --in video --json > boats.json
      sensorium export boats.json --format otio --to boats.zip
      sensorium export - --format clips --to clips.zip
      sensorium export a.json --format clips --sign key.pem chain.pem --to a.zip
    """
    from search.api.exporting import CELL_PIXELS, PICTURE_PIXELS
    from search.api.thumbnails import Thumbnails
    from search.exports.bundle import FRAMED, THINGS, bundle
    from search.exports.gather import cutter, excerpts, picturer, signer
    from search.media import DecodePool
    from search.media.signed_files import SigningKey
    from search.store import Catalogue
    from search.store.things import Things

    if sign and format not in SIGNED:
        raise InputError(f"An export as {format} is not signed.", remedy=f"Sign one as {' or '.join(SIGNED)}.")
    key = SigningKey.read(*sign) if sign else None
    moments = _moments(answer)
    settings = load({"home": home})
    database = archive(settings)
    assets = Catalogue(database).assets(sorted({one.asset for one in moments}))
    held = _holder(settings)
    things = Things(database).of(list(assets)) if format in THINGS else None
    some, left_out = excerpts(moments, assets, _locus, held if format in FRAMED else None, things)
    part = to.with_name(f"{to.name}.part")
    try:
        with part.open("wb") as file, ExitStack() as kept:
            make = cutter(assets, held, exact=not copy)
            if format in ("sheet", "pictures"):
                thumbnails = Thumbnails(settings, kept.enter_context(DecodePool(settings, 1)))
                make = picturer(assets, _pictures(thumbnails, CELL_PIXELS if format == "sheet" else PICTURE_PIXELS, held))
            make = signer(make, assets, held, key) if key else make
            bundle(file, format, title or to.stem, some, make, left_out=left_out)
        part.replace(to)
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror}.", remedy="Choose another place with --to.") from None
    finally:
        part.unlink(missing_ok=True)
    for name, why in left_out.items():
        echo(f"Left out: {name}. {why}", err=True)
    echo(json.dumps({"file": str(to), "moments": len(some), "left_out": left_out}) if as_json else f"{to}: {len(some)} moments")


def _moments(answer: Path) -> list[Chosen]:
    from search.exports.gather import Chosen

    try:
        told: dict[str, Any] = json.loads(sys.stdin.read() if str(answer) == "-" else answer.read_text("utf-8"))
        return [
            Chosen(
                hit["asset"]["id"], (hit["span"] or {}).get("start_ms"), (hit["span"] or {}).get("end_ms"), hit["channel"], hit["confidence"],
                hit["evidence"].get("text") or "", box=tuple(box[side] for side in ("left", "top", "width", "height")) if (box := hit.get("box")) else None,
            )
            for hit in told["hits"]
        ]  # fmt: skip
    except OSError as error:
        raise InputError(
            f"{answer} cannot be read: {error.strerror}.", remedy="Name what `sensorium search --json` printed."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{answer} is no answer of a search.", remedy="Name what `sensorium search --json` printed.") from None


def _pictures(thumbnails: Thumbnails, size: int, held: Holder) -> Callable[[Asset, int | None], bytes]:
    return lambda asset, at_ms: thumbnails.picture(asset, at_ms, lambda: held(asset), size)


def _locus(asset: Asset) -> Locus:
    from search.exports.gather import Locus

    path = os.fsencode(asset.location.path).decode("utf-8", "replace")
    return Locus(asset.location.collection, os.path.dirname(path), os.path.basename(path), path)


def _holder(settings: Settings) -> Holder:
    """What opens the file of an asset, which must be as it was indexed."""
    from search.errors import MediaError
    from search.folders import is_address
    from search.media.objects import Objects
    from search.media.opening import Held, opened

    objects = Objects(settings)

    @contextmanager
    def held(asset: Asset) -> Iterator[Held]:
        with ExitStack() as kept:
            for place in asset.locations:
                with suppress(MediaError):
                    if is_address(place.path):
                        fetched = objects.held(os.fsencode(place.path), bytes.fromhex(asset.digest), asset.size)
                        file = kept.enter_context(fetched)
                    else:
                        file = Held(Path(place.path), kept.enter_context(opened(Path(place.path))))
                        found = os.fstat(file.descriptor)
                        if (found.st_size, found.st_mtime_ns) != (place.size, place.mtime_ns):
                            continue
                    yield file
                    return
            raise MediaError("vanished", "The file is no longer as it was indexed.")

    return held
