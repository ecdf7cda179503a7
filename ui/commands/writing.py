"""What models write on demand: answers about an asset, and translations. Always told as written by a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from search.errors import InputError
from search.settings import Settings, load
from ui.options import Home, Json, archive


def ask(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset's number or the path of a file. ./17 is a file named 17.")
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="A question, in quotes.")],
    at: Annotated[float | None, typer.Option(metavar="SECONDS", help="Ask about the video frame at this time.", min=0)] = None,
    captioner: Annotated[str | None, typer.Option(help="The model to ask. Default: the one of the settings.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask a model about a picture or a video.

    The model writes the answer, and may be wrong.

    Examples:
      sensorium ask clip.mp4 "what is the man holding?" --at 12.5
    """
    from search.media import DecodePool
    from search.models import Models
    from search.ondemand import ask as asking
    from ui import show

    settings = load({"home": home, "captioner": captioner})
    path = path_of_asset(settings, asset)
    writer = asking.load(settings.captioner, Models.of(settings), settings.device)
    with DecodePool(settings, 1) as pool:
        found = asking.ask(writer, pool, path, question, at_ms=None if at is None else round(at * 1000))
    if as_json:
        show.emit({
            "answer": found.text, "written_by": found.model, "confidence": round(found.confidence, 4), "frames_ms": list(found.frames)
        })  # fmt: skip
    else:
        told = f"{found.model} answers (written by a model, may be wrong): {found.text}"
        show.out.print(told, highlight=False, markup=False, soft_wrap=True)


def translate(
    words: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="What to translate.")] = None,
    to: Annotated[str, typer.Option(metavar="LANGUAGE", help="The language to translate into, such as de or German.")] = "en",
    original: Annotated[
        str | None,
        typer.Option("--from", metavar="LANGUAGE", help="The language of the text. Default: that of the segment, else English."),
    ] = None,
    segment: Annotated[int | None, typer.Option(help="Translate the text of a segment, by its number in a hit.")] = None,
    translator: Annotated[str | None, typer.Option(help="The model to use. Default: the one of the settings.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Translate a text, or what a segment says.

    Examples:
      sensorium translate --segment 4711 --to de
    """
    from search.models import Models
    from search.ondemand import translate as translating
    from search.ondemand.languages import NAMES
    from ui import show

    settings = load({"home": home, "translator": translator})
    if bool(words) == (segment is not None):
        raise InputError("There is no text to translate, or more than one.", remedy="Give a text in words, or --segment NUMBER.")
    text, spoken = (" ".join(words or ()), None) if segment is None else _said(settings, segment)
    model = translating.load(settings.translator, Models.of(settings), settings.device)
    found = model.translate(text, to, original or spoken or "en")
    if as_json:
        show.emit({
            "text": found.text, "language": found.language, "translated_from": found.original, "written_by": found.model,
            "confidence": round(found.confidence, 4),
        })  # fmt: skip
        return
    show.out.print(found.text, highlight=False, markup=False, soft_wrap=True)
    told = f"{found.model} translated this from {NAMES[found.original]} into {NAMES[found.language]} (may be wrong)."
    show.err.print(told, highlight=False, markup=False, soft_wrap=True)


def _said(settings: Settings, segment: int) -> tuple[str, str | None]:
    """The text of a segment, and its language where that is known."""
    catalogue = _catalogue(settings)
    found = catalogue.segment(segment)
    if found is None or not found.text:
        raise InputError(f"There is no segment {segment} with a text.", remedy="Take the number from a search for text.")
    return found.text, catalogue.language(segment)


def path_of_asset(settings: Settings, asset: str) -> Path:
    """The file of an asset that is stated by its number, or by the file itself."""
    if not asset.isascii() or not asset.isdigit():
        return Path(asset).absolute()
    found = _catalogue(settings).assets([int(asset)] if len(asset) < 19 else []).get(int(asset))
    if found is None:
        raise InputError(
            f"There is no asset {asset}.", remedy=f"Take the number from a search. For a file of that name write ./{asset}."
        )
    return Path(found.location.path)


def _catalogue(settings: Settings) -> Any:  # noqa: ANN401 - the store is imported late
    from search.store import Catalogue

    return Catalogue(archive(settings))
