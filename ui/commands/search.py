"""Commands that ask the archive: `search` and `similar`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.errors import InputError, UnknownName
from search.settings import load
from search.types import Channel, DateSource, Filter, Modality
from ui.options import Home, Json, members, paths_under
from ui.terminal import echo

if TYPE_CHECKING:
    from search.query import Query

NOTHING_FOUND = 3
"""Exit code: no file of the archive answers."""


def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="What to look for, in words.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A further text.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture to search with.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound to search with.")] = None,
    video: Annotated[list[Path] | None, typer.Option(help="A video to search with.")] = None,
    depth: Annotated[list[Path] | None, typer.Option(help="A picture of depth, such as a.depth.png, to search with.")] = None,
    thermal: Annotated[list[Path] | None, typer.Option(help="A thermal picture, such as a.thermal.png, to search with.")] = None,
    imu: Annotated[list[Path] | None, typer.Option(help="A table of motion, such as a.imu.csv, to search with.")] = None,
    segment: Annotated[list[int] | None, typer.Option(help="A segment of the archive to search with.")] = None,
    without: Annotated[list[str] | None, typer.Option("--not", help="A text to subtract.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A number for each term, separated by commas, in the order of these options.")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option("--in", help="Media to find: image, audio, video, text, depth, thermal, imu; separated by commas."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Channels to search: visual, sound, text, motion; separated by commas.")
    ] = None,
    under: Annotated[list[Path] | None, typer.Option(help="Only files at or below this path.")] = None,
    collection: Annotated[list[str] | None, typer.Option(help="Only files of this collection.")] = None,
    since: Annotated[str | None, typer.Option(help="Taken, or else changed, on this day or later: 2024-05-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Taken, or else changed, on this day or earlier.")] = None,
    dated_by: Annotated[
        str | None,
        typer.Option(
            help="Where the date has to come from: sidecar, xmp, exif, digitized, iptc, tags, takeout, name, changed, or file, the copy's own time;"
            " separated by commas."
        ),
    ] = None,
    shortest: Annotated[float | None, typer.Option(help="At least this long, in seconds.")] = None,
    longest: Annotated[float | None, typer.Option(help="At most this long, in seconds.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only files with this label of `sensorium tag`; of several one is enough.")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            help="Only what is heard in this sound track: a language, a number, or words of its title; of several one is enough."
        ),
    ] = None,
    space: Annotated[list[str] | None, typer.Option(help="Search in this space; may be repeated; all: in every one.")] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Have X-CLIP put the best shots in order, word by word and frame by frame.")
    ] = False,
    spoken: Annotated[
        bool, typer.Option("--spoken", help="The --audio is a spoken question: what is said in it is asked too.")
    ] = False,
    by_words: Annotated[bool, typer.Option("--words", help="Search texts by their words alone, not by meaning.")] = False,
    group: Annotated[str, typer.Option(help="What a hit is: moment, asset or segment.")] = "moment",
    sort: Annotated[str, typer.Option(help="The order of the hits: match, date, name or length.")] = "match",
    estimate: Annotated[bool, typer.Option("--estimate", help="Say about how many files match.")] = False,
    k: Annotated[int, typer.Option("-k", help="Hits to show.")] = 10,
    offset: Annotated[int, typer.Option(help="Hits to skip.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find moments, pictures, sounds and texts by words, files, or both at once.

    A single text finds what means it and what says it. "Words in quotes" must be said; -words must not.
    """
    from search.media import languages
    from search.query import Engine, Near, Term

    texts = [" ".join(words)] if words else []
    terms: list[Term | Near] = [Term(one, Modality.TEXT) for one in [*texts, *(text or [])]]
    given = (
        (Modality.IMAGE, image), (Modality.AUDIO, audio), (Modality.VIDEO, video),
        (Modality.DEPTH, depth), (Modality.THERMAL, thermal), (Modality.IMU, imu),
    )  # fmt: skip
    for modality, files in given:
        terms += [Term(file, modality) for file in files or []]
    terms += [Near(number) for number in segment or []]
    query = _blend(terms, without or [], weights)
    wanted = Filter(
        modalities=tuple(members("modality", Modality, targets)), channels=tuple(members("channel", Channel, channel)),
        collections=tuple(collection or ()), dated_by=tuple(members("source of dates", DateSource, dated_by)),
        since=_date("since", since), until=_date("until", until), shortest_ms=_ms(shortest), longest_ms=_ms(longest), tags=tuple(tag or ()),
        tracks=languages.spelled(track or ()),
    )  # fmt: skip
    with Engine(load({"home": home})) as engine:
        if under:
            wanted = replace(wanted, under=paths_under(engine.store, under))
            _check_under(engine.store, under, wanted.under)
        if spoken:
            found = engine.spoken(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), sort=_sorting(sort)
            )  # fmt: skip
        else:
            found = engine.search(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), rerank=rerank, words=by_words,
                sort=_sorting(sort),
            )  # fmt: skip
        _show(found, as_json, estimate=estimate)


def similar(
    segment: Annotated[int, typer.Argument(metavar="SEGMENT", help="A segment, by its number in the hits of a search.")],
    targets: Annotated[
        str | None, typer.Option("--in", help="Media to find: image, audio, video, text, depth, thermal, imu.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Hits to show.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find more like a segment of the archive, in other files."""
    from search.query import Engine, Near

    wanted = Filter(modalities=tuple(members("modality", Modality, targets)))
    with Engine(load({"home": home})) as engine:
        known = engine.store.segments([segment])
        own = [found.asset for found in known.values()]
        _show(engine.search(Near(segment), wanted, k=k, without=own), as_json)


def _show(answer: Any, as_json: bool, *, estimate: bool = False) -> None:  # noqa: ANN401
    from search import wire
    from ui import show

    if as_json:
        show.emit(wire.answer(answer))
    elif answer.hits:
        if answer.heard:
            show.err.print(f"Heard: {answer.heard}", highlight=False, markup=False)
        show.hits(answer, estimate=estimate)
    if not answer.hits:
        if not as_json:
            show.err.print("Nothing found. Loosen the filters, or ask in other words.")
        raise typer.Exit(NOTHING_FOUND)


def _blend(terms: list[Any], without: list[str], weights: str | None) -> Query:
    from search.query import Blend, Term

    numbers = [1.0] * len(terms)
    if weights is not None:
        try:
            numbers = [float(number) for number in weights.split(",")]
        except ValueError:
            raise InputError(f"--weights is {weights!r}, not numbers separated by commas.") from None
        if len(numbers) != len(terms) or not all(abs(number) < 1e6 for number in numbers):
            raise InputError(f"--weights has {len(numbers)} numbers for {len(terms)} terms.", remedy="Give one for each term.")
    negative = [(-0.5, Term(one, Modality.TEXT)) for one in without]
    return Blend((*zip(numbers, terms, strict=True), *negative))


def _check_under(store: Any, given: Sequence[Path], under: Sequence[str]) -> None:  # noqa: ANN401
    """Say so where nothing of the archive lies under the paths that were given."""
    if not store.holds_under(under):
        named = ", ".join(map(str, given))
        echo(f"Nothing of the archive lies under {named}. `sensorium status` lists its folders.", err=True)


def _grouping(given: str) -> Any:  # noqa: ANN401 - a literal type
    if given not in {"moment", "asset", "segment"}:
        raise UnknownName("grouping", given, ("moment", "asset", "segment"))
    return given


def _sorting(given: str) -> Any:  # noqa: ANN401 - a literal type
    if given not in {"match", "date", "name", "length"}:
        raise UnknownName("order", given, ("match", "date", "name", "length"))
    return given


def _date(option: str, given: str | None) -> str | None:

    try:
        return given and datetime.date.fromisoformat(given).isoformat()
    except ValueError:
        raise InputError(f"--{option} is {given!r}, which is no day.", remedy="Write it like 2024-05-31.") from None


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
