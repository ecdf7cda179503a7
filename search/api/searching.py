"""POST /v1/search: converts a request to a query, and an answer to hits with links."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
from fastapi import APIRouter, Response

from search import wire
from search.api import links
from search.api import schemas as s
from search.api.cursors import cursor_of, keys_of
from search.api.index_jobs import Token
from search.api.places import printable
from search.api.prefixed import public
from search.api.seen import Seen, Sight
from search.api.segmenting import part_of
from search.api.service import Service
from search.errors import Problem, QueryError
from search.media.metadata import language_names
from search.planning.grammar import GrammarPlanner
from search.planning.plan import carry_out
from search.planning.skills import PlanStep, Proposal
from search.query import Blend, Engine, Near, Query, Term, Then, form
from search.query.algebra import every_term
from search.query.engine import MAX_DEPTH
from search.query.facets import Facet
from search.query.narrowing import area_of
from search.query.open_spaces import ALL
from search.query.preferences import Preference
from search.types import Answer, Filter, Modality

MAX_INLINE_BYTES = 4 << 20
"""The largest inlined medium, in bytes. Larger ones must be uploaded."""


def router(service: Service) -> APIRouter:
    """The route of searches."""
    routes = APIRouter(tags=["search"])

    @routes.post("/search", summary="Search", operation_id="search")
    async def search(asked: s.SearchRequest, seen: Sight) -> s.Found:
        """Find moments, pictures, sounds and texts by any mixture of them.

        Small media may be inlined as base64; larger ones go through `POST /v1/uploads`. A segment's own asset is not found again.
        """
        return await searched(service, seen, asked)

    @routes.post("/plan", summary="Plan and search", operation_id="plan")
    async def plan(asked: s.PlanRequest, seen: Sight) -> s.Plan:
        """Break a question into searches, rate each by how useful and how possible it is, and take those that are worth it, six at most.

        Each step tells its question in the text form, so that it can be edited and sent again in `steps`, or be asked by itself.
        """
        engine = service.engine()
        wanted = narrowed(seen, asked)
        if any("upload:" in one.form for one in asked.steps or ()):
            raise QueryError(
                "A plan takes no files.", remedy="Ask with the file in a search, and use segment: and its number in the plan."
            )
        return await service.searching.run(_planned, service, seen, engine, wanted, asked)

    @routes.post("/facets", summary="Count by facet", operation_id="facets")
    async def facets(asked: s.FacetsRequest, seen: Sight) -> s.Facets:
        """How many of the files that pass a filter have each value: media, channels, years, lengths, sizes, folders, tags, own fields and so on.

        Folders are those right below the filter's folder, or below the roots.
        """
        return await service.searching.run(_facets, service, seen, asked)

    @routes.post("/browse", summary="Browse", operation_id="browse")
    async def browse(asked: s.BrowseRequest, seen: Sight) -> s.Assets:
        """The files that pass a filter, without a question, in an order; each with the first of its segments that passes."""
        return await service.searching.run(_browse, service, seen, asked)

    @routes.post("/contrast", summary="Compare two parts", operation_id="contrast")
    async def contrast(asked: s.ContrastRequest, seen: Sight) -> s.Contrast:
        """What sets some files apart from others: tags and words, with the number of files that have them."""
        return await service.searching.run(_contrast, service, seen, asked)

    @routes.get("/map", summary="Map of the archive", operation_id="map")
    async def map_(seen: Sight) -> s.ArchiveMap:
        """The map that was made last: what is alike lies near each other, in areas named by tags and words. `POST /v1/map` makes it."""
        return await service.searching.run(_map, service, seen)

    @routes.post("/map", status_code=202, summary="Make a map", operation_id="make_map")
    def make_map(response: Response, seen: Sight, key: Token = None) -> s.Job:
        """Make a map of the archive, or bring it up to date, in a job. What was on it before stays about where it was."""
        job = service.jobs.ask_map(key, seen)
        response.headers["Location"] = public(f"{s.BASE}/index-jobs/{job.id}")
        return service.jobs.tell(job, seen)

    return routes


async def searched(service: Service, seen: Seen, asked: s.SearchRequest) -> s.Found:
    """The answer to a search, when its turn comes."""
    if _brings_files(asked):
        engine, query, wanted = await understood(service, seen, asked)
        return await service.searching.run(_answer, service, seen, engine, query, wanted, asked)
    return await service.searching.run(lambda: _answer(service, seen, *_understand(service, seen, asked), asked))


async def understood(service: Service, seen: Seen, asked: s.SearchRequest) -> tuple[Engine, Query | Then, Filter]:
    """The engine, the query and the filter of a search, whose files are decoded and encoded by then."""
    turns = service.decoding if _brings_files(asked) else service.searching
    return await turns.run(_understand, service, seen, asked)


def _brings_files(asked: s.SearchRequest) -> bool:
    return (
        bool(asked.imagined)
        or any(term.text is None and (term.segment is None or term.box) for term in asked.query)
        or "upload:" in (asked.form or "")
    )


def preferences_of(asked: s.SearchRequest) -> list[Preference]:
    """What somebody preferred among the hits of a search."""
    return [Preference(one.segment, one.nearer) for one in asked.preferences]


def own_assets(seen: Seen, asked: s.SearchRequest) -> list[int]:
    """The assets of the segments that are asked with, which are not found again."""
    segments = [term.segment for term in asked.query if term.segment is not None]
    return sorted({found.asset for found in seen.store.segments(segments).values()}) if segments else []


def _contrast(service: Service, seen: Seen, asked: s.ContrastRequest) -> s.Contrast:
    found = service.engine().contrast(narrowed(seen, asked.these), narrowed(seen, asked.those), most=asked.most)
    shown = seen.store.segments([*found.these_pictures, *found.those_pictures])
    pictures = {
        side: [
            {"segment": one, "asset": shown[one].asset, "name": printable(os.path.basename(shown[one].path))}
            for one in getattr(found, side)
            if one in shown
        ]
        for side in ("these_pictures", "those_pictures")
    }
    return s.Contrast.model_validate(asdict(found) | pictures)


def _map(service: Service, seen: Seen) -> s.ArchiveMap:
    found = service.engine().survey(Filter(within=seen.within))
    if found is None:
        raise Problem(
            404,
            "no-map",
            "There is no map yet",
            "Nobody has made one of this archive.",
            remedy="POST /v1/map makes it, or `sensorium map --make`.",
        )
    across = np.round(np.clip(found.places, 0, 1) * s.MAP_SIZE).astype(int)
    return s.ArchiveMap(
        space=found.space, made_at=links.moment(found.made_at), files=found.files, assets=found.assets.tolist(), segments=found.segments.tolist(),
        media=[*found.media], x=across[:, 0].tolist(), y=across[:, 1].tolist(), areas=found.areas.tolist(),
        named=[s.MapArea(names=[*one.names], x=round(one.x * s.MAP_SIZE), y=round(one.y * s.MAP_SIZE), files=one.files) for one in found.named],
    )  # fmt: skip


def _browse(service: Service, seen: Seen, asked: s.BrowseRequest) -> s.Assets:
    after = None
    if asked.cursor is not None:
        value, last = keys_of(asked.cursor, 2)
        after = value, last
    found, ends = service.engine().browse(narrowed(seen, asked), asked.order, after=after, limit=asked.limit)
    assets = seen.catalogue.assets(list(found))
    entries = [links.entry(assets[id_], seen.places, segment) for id_, segment in found.items() if id_ in assets]
    return s.Assets(assets=entries, cursor=cursor_of(*ends) if ends else None)


def _facets(service: Service, seen: Seen, asked: s.FacetsRequest) -> s.Facets:
    if asked.space:
        service.searcher(asked.space)
    found = service.engine().facets(narrowed(seen, asked), asked.facets, space=asked.space)
    return s.Facets(files=found.files, segments=found.segments, facets=[_facet(one, seen) for one in found.facets])


def _facet(found: Facet, seen: Seen) -> s.Facet:
    """A facet as callers see it: folders are relative to their roots, and those of one name are counted together."""
    counts = Counter[str]()
    for one in found.values:
        counts[seen.places.relative(one.value) if found.name == "folder" else printable(one.value)] += one.files
    return s.Facet(
        name=found.name, values=[s.FacetValue(value=value, files=files) for value, files in counts.items()], more=found.more
    )


def _understand(service: Service, seen: Seen, asked: s.SearchRequest) -> tuple[Engine, Query | Then, Filter]:
    """The engine, the query and the filter. Decodes and encodes the query's files, which may take long, before the request's turn."""
    engine = service.engine()
    names = _spaces(service, asked)
    query, wanted = _stated(service, seen, asked)
    for part in every_term(query):
        if isinstance(part, Term) and part.modality is not Modality.TEXT:
            for name in names:
                with suppress(QueryError):  # told where it is asked, unless another space knows what to make of it
                    service.searcher(name).terms.encode(part)  # which remembers it
    return engine, query, wanted


def _stated(service: Service, seen: Seen, asked: s.SearchRequest) -> tuple[Query | Then, Filter]:
    """The query and the filter that a request states, in terms or in the text form."""
    wanted = narrowed(seen, asked)
    if asked.form is None:
        return Blend(tuple((term.weight, _part(service, seen, term)) for term in asked.query)), wanted

    def opens(kind: str, value: str) -> Term:
        if kind != "upload":
            raise QueryError("A service opens no files by their names.", remedy="Upload the file, and write upload: and its id.")
        upload = service.uploads.find(value)
        return Term(upload.path, upload.modality, f"upload {upload.id}")

    return _formed(seen, asked.form, wanted, opens)


def _formed(seen: Seen, text: str, wanted: Filter, opens: form.Opens) -> tuple[Query | Then, Filter]:
    """The query and the filter that a text in the form means. Folders are as callers see them."""
    found = form.read(text, replace(wanted, under=()), opens)
    below = [path for folder in found.filter.under for path in seen.places.under(folder, found.filter.collections)]
    return found.query, replace(found.filter, under=(*wanted.under, *below))


def _planned(service: Service, seen: Seen, engine: Engine, wanted: Filter, asked: s.PlanRequest) -> s.Plan:
    def opens(kind: str, value: str) -> Term:  # noqa: ARG001 - as the form calls it
        raise QueryError("A plan takes no files.", remedy="Ask in words, or like a segment: segment:17.")

    if asked.steps is None:
        proposal = GrammarPlanner().propose(asked.question)
    else:
        proposal = Proposal(tuple(PlanStep(one.skill, one.form, one.useful, one.part) for one in asked.steps), asked.together)
    found = carry_out(
        engine, service.settings, asked.question, proposal, lambda text: _formed(seen, text, wanted, opens), k=asked.k, skip=asked.skip, dry=asked.dry
    )  # fmt: skip
    return s.Plan(
        question=found.question, steps=[s.PlanRow.model_validate(wire.plan_row(number, one)) for number, one in enumerate(found.rows, 1)],
        together=found.together, calls=found.calls, stopped=found.stopped, notes=list(found.notes),
        answer=_found(seen, found.answer) if found.answer else None,
    )  # fmt: skip


def _spaces(service: Service, asked: s.SearchRequest) -> list[str]:
    """The spaces to search, all open."""
    names = [entry.name for entry in service.spaces.all()] if ALL in asked.spaces else list(dict.fromkeys(asked.spaces))
    for name in names:
        service.searcher(name)
    return names or [""]


def _answer(
    service: Service, seen: Seen, engine: Engine, query: Query | Then, wanted: Filter, asked: s.SearchRequest
) -> s.Found:  # fmt: skip
    offset, state = _place(asked)
    own = own_assets(seen, asked)
    k = min(asked.k, MAX_DEPTH - offset)
    if asked.region:
        if isinstance(query, Then):
            raise QueryError("A pattern is not searched by region.", remedy="Ask without region.")
        answer = engine.regions(query, wanted, k=k, offset=offset, group=asked.group, without=own, spaces=asked.spaces)
    elif asked.imagined:
        pictures = [service.uploads.find(one).path for one in asked.imagined]
        answer = engine.imagined(str(asked.query[0].text), pictures, wanted, k=k, spaces=asked.spaces)
    elif asked.spoken:
        if isinstance(query, Then):
            raise QueryError("A pattern is no spoken question.", remedy="Ask without spoken.")
        answer = engine.spoken(
            query, wanted, k=k, offset=offset, group=asked.group, without=own, spaces=asked.spaces, sort=asked.sort
        )  # fmt: skip
    else:
        answer = engine.search(
            query, wanted, k=k, offset=offset, group=asked.group, without=own, spaces=asked.spaces, rerank=asked.rerank,
            words=asked.words, sort=asked.sort, diverse=asked.diverse, fold=asked.fold,
            preferences=preferences_of(asked),
        )  # fmt: skip
    service.metrics.searched(answer.timings_ms)
    if state not in (None, answer.state):
        raise Problem(
            409, "stale-cursor", "The archive has changed", "What can be found has changed since the page before.",
            remedy="Ask again without a cursor.",
        )  # fmt: skip
    found = _found(seen, answer, _cursor(asked, offset + k, answer.state) if answer.more and not asked.imagined else None)
    return found.model_copy(update={"several": _several(asked)})


def _several(asked: s.SearchRequest) -> bool:
    """Whether a search asks for a text of several parts."""
    if len(asked.query) != 1 or asked.query[0].text is None or asked.spoken or asked.words:
        return False
    with suppress(QueryError):
        return GrammarPlanner().propose(asked.query[0].text).several
    return False


def _found(seen: Seen, answer: Answer, cursor: str | None = None) -> s.Found:
    """An answer in the form of the API."""
    assets = seen.catalogue.assets(sorted({hit.segment.asset for hit in answer.hits}))
    return s.Found(
        hits=[links.hit(hit, assets[hit.segment.asset], seen.places) for hit in answer.hits if hit.segment.asset in assets],
        cursor=cursor, limit=answer.limit,
        generation=answer.generation, searched=answer.searched, coverage=links.coverage(answer.coverage),
        timings_ms=answer.timings_ms, heard=answer.heard, notes=list(answer.notes), line=answer.line,
        found=s.Verdict.model_validate(asdict(answer.found)) if answer.found else None,
        estimate=s.Estimate.model_validate(asdict(answer.estimate)) if answer.estimate else None,
        review=s.Review.model_validate(asdict(answer.review)) if answer.review else None,
    )  # fmt: skip


def narrowed(seen: Seen, asked: s.Narrowed) -> Filter:
    """The filter of a request.

    Raises:
        UnknownName: there is no such collection.
        Problem: the folder leads out of its root, or holds nothing (422).
    """
    where = asked.filter
    seen.know_collections(where.collections)
    under = seen.places.under(where.under, where.collections) if where.under else ()
    if under and not seen.store.holds_under(under):
        raise Problem(
            422, "folder", "The folder holds nothing", f"Nothing that is indexed lies under {where.under}.",
            remedy="Write it as hits show it, such as 2024/harbour. Names are case-sensitive.",
        )  # fmt: skip
    return Filter(
        modalities=tuple(dict.fromkeys(asked.targets)), channels=tuple(dict.fromkeys(asked.channels)),
        collections=tuple(dict.fromkeys(where.collections)),
        under=under,
        since=where.since.isoformat() if where.since else None, until=where.until.isoformat() if where.until else None,
        dated_by=tuple(dict.fromkeys(where.dated_by)),
        shortest_ms=where.shortest_ms, longest_ms=where.longest_ms, tags=tuple(dict.fromkeys(where.tags)), tracks=language_names.spelled(where.tracks),
        origins=tuple(dict.fromkeys(where.origins)), things=tuple(dict.fromkeys(where.things)), after_segment=where.after_segment,
        smallest_bytes=where.smallest_bytes, largest_bytes=where.largest_bytes, fewest_pixels=where.fewest_pixels, most_pixels=where.most_pixels,
        shapes=tuple(dict.fromkeys(where.shapes)), languages=tuple(dict.fromkeys(where.languages)), least_confidence=where.least_confidence,
        most_confidence=where.most_confidence, speech=where.speech, fields=tuple(dict.fromkeys((one.name, one.value) for one in where.fields)),
        cameras=tuple(dict.fromkeys(where.cameras)), rights=tuple(dict.fromkeys(where.rights)), areas=tuple(dict.fromkeys(map(area_of, where.places))),
        within=seen.within, located=seen.places.located(),
    )  # fmt: skip


def _part(service: Service, seen: Seen, term: s.Term) -> Term | Near:
    box = term.box.sides if term.box else None
    if term.segment is not None and box:
        return Term(part_of(service, seen, term.segment, box), Modality.IMAGE, f"part of segment {term.segment}")
    if term.segment is not None:
        return Near(term.segment)
    if term.text is not None:
        return Term(term.text, Modality.TEXT)
    if term.upload is not None:
        upload = service.uploads.find(term.upload)
        return Term(upload.path, upload.modality, f"upload {upload.id}", box)
    modality, data = next((kind, data) for kind in Modality if (data := getattr(term, kind, None)))
    return Term(service.uploads.keep(decoded(data), modality), modality, f"inlined {modality}", box)


def decoded(data: str) -> bytes:
    """The bytes of plain base64 or of a data: URL (RFC 2397)."""
    if data.startswith("data:"):
        header, comma, data = data.partition(",")
        if not comma or not header.endswith(";base64"):
            raise Problem(422, "inline", "The inlined medium cannot be read", "The data: URL is not base64.", remedy=_HOW)
    if len(data) > MAX_INLINE_BYTES * 4 // 3 + 1024:
        raise Problem(
            413, "too-large", "The inlined medium is too large", f"An inlined medium has at most {MAX_INLINE_BYTES >> 20} MB.",
            remedy="Send it to POST /v1/uploads, and search with the id that it answers.",
        )  # fmt: skip
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "inline", "The inlined medium cannot be read", "It is not valid base64.", remedy=_HOW) from None
    if not content:
        raise Problem(422, "inline", "The inlined medium is empty", "It has no bytes.", remedy=_HOW)
    return content


_HOW = "Send base64 (RFC 4648) or a data: URL with ;base64."


def _cursor(asked: s.SearchRequest, offset: int, state: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([offset, _identity(asked), state]).encode()).decode().rstrip("=")


def _place(asked: s.SearchRequest) -> tuple[int, str | None]:
    """The offset of a page and the archive state that it belongs to; the state is None for the first page.

    Raises:
        Problem: the cursor is invalid, or belongs to another query (422).
    """
    if asked.cursor is None:
        return 0, None
    try:
        offset, identity, state = json.loads(base64.urlsafe_b64decode(asked.cursor + "=" * (-len(asked.cursor) % 4)))
    except (ValueError, TypeError):
        offset, identity, state = None, None, None
    if type(offset) is not int or not 0 < offset < MAX_DEPTH or identity != _identity(asked) or not isinstance(state, str):
        raise Problem(
            422, "cursor", "The cursor does not belong here", "It was not given for this query.",
            remedy="Send the query that answered this cursor, unchanged, or leave the cursor out.",
        )  # fmt: skip
    return offset, state


def _identity(asked: s.SearchRequest) -> str:
    stated = asked.model_dump_json(exclude={"cursor", "k"})
    return hashlib.sha256(stated.encode()).hexdigest()[:16]
