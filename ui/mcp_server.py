"""The archive for language models: a server of the Model Context Protocol with a few tools that only read. It asks a running service."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Any, Literal, ParamSpec

from mcp.server import MCPServer
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from search.api.client import Client
from search.api.schemas import AssetRef, Hit, SegmentEntry, Span
from search.errors import SensoriumError

P = ParamSpec("P")

Medium = Literal["image", "video", "audio", "text"]
Kind = Literal["visual", "sound", "text", "speech", "ocr", "caption", "motion"]

MAX_HITS = 20
"""Hits of one answer."""

MAX_CHARACTERS = 600
"""Characters of a text in an answer."""

INSTRUCTIONS = """Search a media archive by meaning. Begin with what_is_searchable if you do not know the archive. search_media finds moments by a
sentence; plan_search answers questions of several parts, such as one thing and then another, one without another, or what is shown while
something is said; get_moment shows one with what comes before and after it; get_asset tells all about a file. Nothing can be changed."""

READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def build(client: Client) -> MCPServer:
    """A server whose tools ask ``client``."""
    server = MCPServer("sensorium", instructions=INSTRUCTIONS, version=version("sensorium"))

    def tool(answer: Callable[P, CallToolResult]) -> Callable[P, CallToolResult]:
        """Register a tool. What goes wrong is a result that says what to do, since the text of an exception is withheld."""

        @wraps(answer)
        def told(*args: P.args, **options: P.kwargs) -> CallToolResult:
            try:
                return answer(*args, **options)
            except SensoriumError as error:
                return CallToolResult(content=[TextContent(type="text", text=f"{error} {error.remedy}".strip())], is_error=True)

        server.tool(annotations=READS, structured_output=False)(told)
        return told

    @tool
    def search_media(
        query: Annotated[
            str,
            Field(
                min_length=1,
                max_length=2_000,
                description='What to look for: a sentence. "A phrase" must occur in what is said or written; -word must not.',
            ),
        ],
        media: Annotated[list[Medium], Field(description="What may be found; empty: all.")] = [],  # noqa: B006 - never changed
        collections: Annotated[list[str], Field(description="Names from list_collections; empty: all.")] = [],  # noqa: B006
        folder: Annotated[str, Field(description="Only below this folder, as hits show it, such as 2024/harbour.")] = "",
        since: Annotated[str, Field(description="Taken on this day or later: 2024-05-31.")] = "",
        until: Annotated[str, Field(description="Taken on this day or earlier.")] = "",
        limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 8,
        pictures: Annotated[bool, Field(description="Send small pictures of the first four hits along.")] = False,
    ) -> CallToolResult:
        """Find pictures, moments of videos, sounds and texts by meaning and by words. Each hit has a segment for get_moment and an asset for get_asset."""
        given = {"collections": collections, "under": folder, "since": since, "until": until}
        found = client.search(query, targets=media, filter={name: value for name, value in given.items() if value}, k=limit)
        verdict = found.found.verdict if found.found else None
        told: dict[str, Any] = {
            "hits": [_hit(one) for one in found.hits], "is_it_in_the_archive": verdict, "notes": found.notes,
            "searchable_files": found.coverage.seen, "files": found.coverage.files,
        }  # fmt: skip
        return _result(told, [_picture(client, one) for one in found.hits[:4]] if pictures else [])

    @tool
    def plan_search(
        question: Annotated[str, Field(min_length=1, max_length=2_000, description="A question of several parts, in words.")],
        steps: Annotated[
            list[dict[str, Any]] | None,
            Field(
                description="Your own steps in the place of those that the question's grammar gives, such as those of an earlier plan, edited: "
                "skill (words, picture, sound, speech, screen, then, without, similar, region), form (siren ~30s> crowd in:video), useful (0..1), "
                "part (steps of one part are different ways to find the same)."
            ),
        ] = None,
        together: Annotated[bool, Field(description="Of own steps: one file must answer all parts.")] = True,
        skip: Annotated[list[int], Field(description="Numbers of steps that are not taken.")] = [],  # noqa: B006
        limit: Annotated[int, Field(ge=1, le=MAX_HITS)] = 8,
    ) -> CallToolResult:
        """Break a question into searches, take those that are useful and possible in this archive, six at most, and put together what they find."""
        found = client.plan(question, steps=steps, together=together, skip=skip, k=limit)
        told = {
            "hits": [_hit(one) | {"parts_at_s": [one.span.start_ms / 1000 for one in one.steps]} for one in (found.answer.hits if found.answer else [])],
            "steps": [one.model_dump(mode="json", exclude_none=True) for one in found.steps],
            "stopped": found.stopped, "not_searched": found.notes,
        }  # fmt: skip
        return _result(told)

    @tool
    def get_moment(
        segment: Annotated[int, Field(ge=1, description="The segment of a hit.")],
        around: Annotated[int, Field(ge=0, le=20, description="How many neighbours in time to tell on each side.")] = 3,
    ) -> CallToolResult:
        """A moment with what comes before and after it: times, and what is said or written there."""
        near = client.segment(segment, around=around)
        return _result({"asset": _asset(near.asset), "before": [_segment(one) for one in near.before], "moment": _segment(near.segment), "after": [_segment(one) for one in near.after]})  # fmt: skip

    @tool
    def get_asset(asset: Annotated[int, Field(ge=1, description="The asset of a hit.")]) -> CallToolResult:
        """All that is known of a file: where it lies, its date and where that comes from, its length, labels, hash, and what of it could not be indexed."""
        found = client.asset(asset)
        return _result(found.model_dump(mode="json", exclude={"links"}, exclude_none=True))

    @tool
    def list_collections() -> CallToolResult:
        """The collections of the archive, the first 500 of them, with how many files of each medium they hold."""
        told = client.collections()
        return _result({"collections": [{"name": one.name, "files": one.files} for one in told.collections], "labels": told.tags})

    @tool
    def what_is_searchable() -> CallToolResult:
        """What the archive holds and what of it can be found: media, spoken and written text, and what no reader has read yet."""
        status = client.status()
        told = {
            "files_by_medium": status.assets, "segments_by_kind": status.segments, "collections": status.collections,
            "not_read": [one.model_dump(mode="json") for one in status.unread], "engine": status.engine,
            "spaces": [one.name for one in status.spaces],
        }  # fmt: skip
        return _result(told)

    return server


def _result(told: dict[str, Any], pictures: list[ImageContent | None] | None = None) -> CallToolResult:
    text = TextContent(type="text", text=json.dumps(told, ensure_ascii=False))
    return CallToolResult(content=[text, *(one for one in pictures or [] if one)], structured_content=told)


def _hit(hit: Hit) -> dict[str, Any]:
    told = {
        "segment": hit.segment,
        "asset": hit.asset.id,
        "probability": hit.confidence,
        "found_by": str(hit.channel),
        **_asset(hit.asset),
        **_time(hit.span),
    }
    return told | ({"text": hit.evidence.text[:MAX_CHARACTERS]} if hit.evidence.text else {})


def _asset(asset: AssetRef) -> dict[str, Any]:
    date = asset.date.written if asset.date and asset.date.source != "file" else None
    told = {"medium": str(asset.modality), "name": asset.name, "folder": asset.folder, "collection": asset.collection}
    return told | ({"taken": date} if date else {}) | ({"length_s": asset.duration_ms / 1000} if asset.duration_ms else {})


def _segment(one: SegmentEntry) -> dict[str, Any]:
    return {"segment": one.id, "kind": str(one.channel), **_time(one.span)} | (
        {"text": one.text[:MAX_CHARACTERS]} if one.text else {}
    )


def _time(span: Span | None) -> dict[str, float]:
    return {"from_s": span.start_ms / 1000, "until_s": span.end_ms / 1000} if span else {}


def _picture(client: Client, hit: Hit) -> ImageContent | None:
    """A small picture of a hit; None where there is none, or it cannot be made."""
    if hit.links.thumbnail is None:
        return None
    with suppress(SensoriumError):
        middle = (hit.span.start_ms + hit.span.end_ms) / 2000 if hit.span and hit.asset.modality == "video" else None
        data = client.thumbnail(hit.asset.id, t=middle, size=160)
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type=kind)
    return None
