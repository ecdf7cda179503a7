"""Commands that ask the archive: `search` and `similar`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.cells import cell_len

from search.errors import InputError, UnknownName
from search.settings import load
from search.types import Channel, DateSource, Filter, Modality, Origin
from ui.commands.narrowing import narrowed
from ui.options import Home, Json, members, paths_under
from ui.terminal import echo

if TYPE_CHECKING:
    from search.query import Engine, Query, Then

asking, filtering, output = (partial(typer.Option, rich_help_panel=title) for title in ("Ask", "Filter", "Output"))
"""Options of a search, by group of its help."""

MAX_EXPLAINED = 200
"""Hits that --why explains, at most."""

NOTHING_FOUND = 3
"""Exit code: no file of the archive answers."""


def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="What to look for, in words.")] = None,
    text: Annotated[list[str] | None, asking(help="Another text.")] = None,
    image: Annotated[list[Path] | None, asking(help="A picture to search with.")] = None,
    box: Annotated[
        list[str] | None,
        asking(
            metavar="X,Y,W,H", help="Only this part of a picture, in percent: left, top, width, height. One for each --image."
        ),
    ] = None,
    audio: Annotated[list[Path] | None, asking(help="A sound to search with.")] = None,
    video: Annotated[list[Path] | None, asking(help="A video to search with.")] = None,
    depth: Annotated[list[Path] | None, asking(help="A depth picture to search with, such as a.depth.png.")] = None,
    thermal: Annotated[list[Path] | None, asking(help="A thermal picture to search with, such as a.thermal.png.")] = None,
    imu: Annotated[list[Path] | None, asking(help="A motion recording to search with, such as a.imu.csv.")] = None,
    segment: Annotated[list[int] | None, asking(help="A segment to search with, by its number in a hit.")] = None,
    without: Annotated[list[str] | None, asking("--not", help="A text to subtract.")] = None,
    weights: Annotated[
        str | None, asking(help="One weight per term, comma-separated, in the order the options are listed here.")
    ] = None,
    targets: Annotated[
        str | None,
        filtering(
            "--in", metavar="MEDIA", help="Media to find, comma-separated: image, audio, video, text, depth, thermal, imu."
        ),
    ] = None,
    channel: Annotated[
        str | None, filtering(metavar="CHANNELS", help="Channels to search, comma-separated: visual, sound, text, motion.")
    ] = None,
    under: Annotated[list[Path] | None, filtering(help="Only files at or below this path.")] = None,
    collection: Annotated[list[str] | None, filtering(help="Only files of this collection.")] = None,
    since: Annotated[str | None, filtering(metavar="DATE", help="Taken on this date or later: 2024-05-31.")] = None,
    until: Annotated[str | None, filtering(metavar="DATE", help="Taken on this date or earlier.")] = None,
    dated_by: Annotated[
        str | None,
        filtering(
            metavar="SOURCES",
            help="Sources of the date, comma-separated: sidecar, xmp, exif, digitized, iptc, tags, takeout, name, changed, file.",
        ),
    ] = None,
    shortest: Annotated[float | None, filtering(metavar="SECONDS", help="At least this long.")] = None,
    longest: Annotated[float | None, filtering(metavar="SECONDS", help="At most this long.")] = None,
    tag: Annotated[
        list[str] | None, filtering(help="Only files with this label of `sensorium tag`. Repeated: with any of them.")
    ] = None,
    thing: Annotated[
        list[str] | None,
        filtering(
            metavar="THING",
            help='Only files with these things in a picture: dog, "3.. person", "dog left of car". Repeated: with all of them.',
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        filtering(help="Only this sound track: a language, a number, or words of its title. Repeated: any of them."),
    ] = None,
    origin: Annotated[
        str | None,
        filtering(
            metavar="ORIGINS",
            help="Only files that state how they came about, comma-separated: generated (by a model), edited (by a model), captured.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        filtering(
            metavar="FILTER", help="Only files with this value of `sensorium facets`, such as size:1..10. May be repeated."
        ),
    ] = None,
    nearer: Annotated[
        list[int] | None,
        asking(metavar="SEGMENT", help="A hit that is nearer to what you look for than the others. May be repeated."),
    ] = None,
    farther: Annotated[
        list[int] | None, asking(metavar="SEGMENT", help="A hit that is farther from it; it is left out. May be repeated.")
    ] = None,
    space: Annotated[list[str] | None, asking(help="Search in this space. May be repeated; 'all' searches every space.")] = None,
    rerank: Annotated[
        bool, asking("--rerank", help="Reorder the best shots with X-CLIP, word by word and frame by frame.")
    ] = False,
    spoken: Annotated[bool, asking("--spoken", help="--audio is a spoken question: also search for what is said in it.")] = False,
    in_form: Annotated[
        bool, asking("--form", help='TEXT is a question in the text form: siren ~30s> crowd -"police car" in:video.')
    ] = False,
    by_words: Annotated[bool, asking("--words", help="Search texts by their words only, not by meaning.")] = False,
    region: Annotated[
        bool,
        asking("--region", help="Search for a part of a picture, and say where it is. Needs `sensorium readers add regions`."),
    ] = False,
    imagine: Annotated[
        str | None,
        asking(metavar="MODEL", help="Imagine pictures of TEXT with this model, pick, and search with them too."),
    ] = None,
    pick: Annotated[
        str | None, asking(metavar="NUMBERS", help="Imagined pictures to search with, such as 1,3. Default: ask, or all.")
    ] = None,
    seeds: Annotated[
        str | None, asking(metavar="SEEDS", help="Seeds of the imagined pictures, comma-separated. Default: four drawn.")
    ] = None,
    steps: Annotated[int | None, asking(help="Steps of each imagined picture, at most 50.")] = None,
    group: Annotated[str, output(help="One hit per moment, asset or segment.")] = "moment",
    sort: Annotated[str, output(help="Order of hits: match, date, name or length.")] = "match",
    diverse: Annotated[bool, output("--diverse", help="Reorder hits so that similar ones do not stand together.")] = False,
    why: Annotated[
        bool, output("--why", help="Show what each term, space and channel added to each hit, and what it lacks.")
    ] = False,
    fold: Annotated[bool, output("--fold", help="Put pictures and shots that show the same as a better hit behind it.")] = False,
    estimate: Annotated[bool, output("--estimate", help="Estimate how many files match.")] = False,
    k: Annotated[int, output("-k", help="Number of hits.")] = 10,
    offset: Annotated[int, output(help="Number of hits to skip.")] = 0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Search by words, by files, or by both at once.

    A text finds what means it and what says it. Quoted phrases must occur; -word excludes.

    Examples:
      sensorium search boats on the shore at sunset
      sensorium search --image photo.jpg --in audio,text
      sensorium search --image photo.jpg --box 25,40,30,20 --region
      sensorium search "a beach" --text rain --not people --weights 1,0.7
      sensorium search "fire engine" --under ~/Videos --since 2024-05-01
      sensorium search --form 'siren ~30s> crowd -"police car" in:video'
      sensorium search "a traffic light" --region
      sensorium search "a red boat" --imagine imagine:stabilityai/sd-turbo
      sensorium search "a street" --thing "2.. person" --thing "dog left of car"
    """
    from search.media.metadata import language_names
    from search.query import Engine, Near, Term, Then
    from search.query.algebra import parsed_box
    from search.query.preferences import Preference
    from ui.picking import picked

    texts = [" ".join(words)] if words else []
    terms: list[Term | Near] = [Term(one, Modality.TEXT) for one in [*texts, *(text or [])]]
    if box and len(box) != len(image or []):
        raise InputError(
            f"{len(box)} --box for {len(image or [])} --image.",
            remedy="Give one --box for each --image, in their order, or none.",
        )
    boxes = [parsed_box(one) for one in box] if box else [None] * len(image or [])
    terms += [Term(file, Modality.IMAGE, box=part) for file, part in zip(image or [], boxes, strict=True)]
    given = (
        (Modality.AUDIO, audio), (Modality.VIDEO, video),
        (Modality.DEPTH, depth), (Modality.THERMAL, thermal), (Modality.IMU, imu),
    )  # fmt: skip
    for modality, files in given:
        terms += [Term(file, modality) for file in files or []]
    terms += [Near(number) for number in segment or []]
    if in_form and (len(terms) != 1 or not texts or without or weights is not None):
        raise InputError(
            "--form takes one text and no other term.", remedy="Write the terms into the form: siren +image:a.jpg -rain."
        )
    preferences = [*(Preference(one) for one in nearer or ()), *(Preference(one, nearer=False) for one in farther or ())]
    query: Query | Then = _blend(terms, without or [], weights)
    wanted = Filter(
        modalities=tuple(members("modality", Modality, targets)), channels=tuple(members("channel", Channel, channel)),
        collections=tuple(collection or ()), dated_by=tuple(members("source of dates", DateSource, dated_by)),
        since=_date("since", since), until=_date("until", until), shortest_ms=_ms(shortest), longest_ms=_ms(longest), tags=tuple(tag or ()),
        tracks=language_names.spelled(track or ()), origins=tuple(members("origin", Origin, origin)), things=tuple(thing or ()),
    )  # fmt: skip
    with Engine(load({"home": home})) as engine:
        wanted = narrowed(engine, wanted, where or ())
        if in_form:
            query, wanted = stated_in_form(engine, texts[0], wanted)
        if under:
            wanted = replace(wanted, under=(*wanted.under, *paths_under(engine.store, under)))
            _check_under(engine.store, under, wanted.under)
        if why:
            _check_alone("--why", {
                "--spoken": spoken, "--rerank": rerank, "--region": region, "--nearer": bool(nearer), "--farther": bool(farther), "a pattern": isinstance(query, Then), "more than 200 hits": k > MAX_EXPLAINED,
            })  # fmt: skip
        if imagine:
            _check_alone("--imagine", {
                "--spoken": spoken, "--words": by_words, "--rerank": rerank, "--sort": sort != "match", "--diverse": diverse, "--fold": fold, "--why": why,
                "--region": region, "--nearer": bool(nearer), "--farther": bool(farther), "--offset": bool(offset), "--form": in_form,
                "anything but one text": len(terms) != 1 or not texts or bool(without),
            })  # fmt: skip
            with picked(
                load({"home": home}), imagine, texts[0], seeds=_numbers("seeds", seeds) or (), steps=steps, pick=_numbers("pick", pick)
            ) as pictures:  # fmt: skip
                found = engine.imagined(texts[0], pictures, wanted, k=k, spaces=space or ())
        elif region:
            _check_alone("--region", {
                "--spoken": spoken, "--words": by_words, "--rerank": rerank, "--sort": sort != "match", "--diverse": diverse,
                "--fold": fold, "--nearer": bool(nearer), "--farther": bool(farther), "a pattern": isinstance(query, Then),
            })  # fmt: skip
            found = engine.regions(cast("Query", query), wanted, k=k, offset=offset, group=_grouping(group), spaces=space or ())
        elif spoken:
            if isinstance(query, Then):
                raise InputError("A pattern is no spoken question.", remedy="Ask without --spoken.")
            found = engine.spoken(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), sort=_sorting(sort)
            )  # fmt: skip
        else:
            found = engine.search(
                query, wanted, k=k, offset=offset, group=_grouping(group), spaces=space or (), rerank=rerank, words=by_words,
                sort=_sorting(sort), diverse=diverse, fold=fold, preferences=preferences,
            )  # fmt: skip
        whys = (
            engine.why(
                query, [hit.segment.id for hit in found.hits], wanted, spaces=space or (), words=by_words, preferences=preferences
            )
            if why
            else []
        )
        show_answer(found, as_json, estimate=estimate, whys=whys)


def _numbers(name: str, given: str | None) -> list[int] | None:
    """Whole numbers, comma-separated; None: none were given."""
    try:
        return None if given is None else [int(part) for part in given.split(",")]
    except ValueError:
        raise InputError(f"--{name} {given} are no whole numbers.", remedy=f"Write them as --{name} 1,3.") from None


def similar(
    segment: Annotated[int, typer.Argument(metavar="SEGMENT", help="A segment, by its number in a hit.")],
    targets: Annotated[
        str | None,
        typer.Option(
            "--in", metavar="MEDIA", help="Media to find, comma-separated: image, audio, video, text, depth, thermal, imu."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of hits.")] = 10,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find more like a segment, in other files."""
    from search.query import Engine, Near

    wanted = Filter(modalities=tuple(members("modality", Modality, targets)))
    with Engine(load({"home": home})) as engine:
        known = engine.store.segments([segment])
        own = [found.asset for found in known.values()]
        show_answer(engine.search(Near(segment), wanted, k=k, without=own), as_json)


def show_answer(answer: Any, as_json: bool, *, estimate: bool = False, whys: Sequence[Any] = ()) -> None:  # noqa: ANN401
    """Print an answer, with why its hits were found where ``whys`` say it. Exits with 3 if nothing is found."""
    from search import wire
    from ui import show

    if as_json:
        show.emit(wire.answer(answer, whys))
    elif answer.hits:
        if answer.heard:
            show.err.print(f"Heard: {answer.heard}", highlight=False, markup=False)
        show.hits(answer, estimate=estimate, whys=whys)
    if not answer.hits:
        if not as_json:
            show.err.print("Nothing found. Remove filters or try simpler words.")
        raise typer.Exit(NOTHING_FOUND)


def _blend(terms: list[Any], without: list[str], weights: str | None) -> Query:
    from search.query import Blend, Term

    numbers = [1.0] * len(terms)
    if weights is not None:
        try:
            numbers = [float(number) for number in weights.split(",")]
        except ValueError:
            raise InputError(
                f"--weights: {weights!r} is not a list of numbers.", remedy="Separate numbers by commas: 1,0.7."
            ) from None
        if len(numbers) != len(terms) or not all(abs(number) < 1e6 for number in numbers):
            raise InputError(f"--weights has {len(numbers)} numbers for {len(terms)} terms.", remedy="Give one number per term.")
    negative = [(-0.5, Term(one, Modality.TEXT)) for one in without]
    return Blend((*zip(numbers, terms, strict=True), *negative))


def stated_in_form(engine: Engine, text: str, wanted: Filter) -> tuple[Query | Then, Filter]:
    """The query and the filter that a text in the form means. Folders are as they are typed here."""
    from search.query import form

    try:
        found = form.read(text, replace(wanted, under=()))
    except form.FormError as error:
        echo(f"{text}\n{' ' * cell_len(text[: error.at])}^", err=True)
        raise
    under = paths_under(engine.store, [Path(one).expanduser() for one in found.filter.under])
    return found.query, replace(found.filter, under=(*wanted.under, *under))


def _check_under(store: Any, given: Sequence[Path], under: Sequence[str]) -> None:  # noqa: ANN401
    """Say so if the archive has no files under the given paths."""
    if not store.holds_under(under):
        named = ", ".join(map(str, given))
        echo(f"The archive has no files under {named}. `sensorium status` lists its folders.", err=True)


def _check_alone(option: str, others: dict[str, bool]) -> None:
    """Raises InputError for what an option does not go with."""
    if given := [name for name, is_given in others.items() if is_given]:
        raise InputError(f"{option} does not go with {given[0]}.", remedy=f"Leave out one of them: {option} or {given[0]}.")


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
        raise InputError(f"--{option}: {given!r} is not a date.", remedy="Use YYYY-MM-DD, such as 2024-05-31.") from None


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
