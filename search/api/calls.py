"""The calls of the API: what each one sends, and how its answer is converted. Shared by the synchronous and the asynchronous
client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from httpx2 import Response

from search.api import schemas as s
from search.errors import Refused, ServiceError, ServiceFailed, ServiceLoading
from search.types import BrowseOrder, Channel, Grouping, Modality, Sort

T = TypeVar("T")
Model = TypeVar("Model", bound=s.Wire)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and the function that converts its answer. ``content`` is sent as it is; a path is streamed."""

    method: str
    path: str
    parse: Callable[[Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def search(
    query: str | Sequence[s.Term | Mapping[str, Any]] = (), *, form: str | None = None, targets: Sequence[Modality | str] = (),
    channels: Sequence[Channel | str] = (), filter: s.Where | Mapping[str, Any] | None = None, group: Grouping = "moment",  # noqa: A002
    k: int = 20, cursor: str | None = None, spaces: Sequence[str] = (), rerank: bool = False,
    words: bool = False, spoken: bool = False, sort: Sort = "match", diverse: bool = False, region: bool = False, fold: bool = False,
    preferences: Sequence[s.Preferred | Mapping[str, Any]] = (), imagined: Sequence[str] = (),
) -> Call[s.Found]:  # fmt: skip
    """Search. ``query`` is a text, or terms as the API takes them, such as ``{"upload": id, "weight": -0.5}``; ``form`` is a question in
    the text form, in its place."""
    terms = [{"text": query}] if isinstance(query, str) else [_plain(term) for term in query]
    body = {
        "query": terms, "targets": list(targets), "channels": list(channels), "filter": _plain(filter or {}),
        "group": group, "k": k, "cursor": cursor, "spaces": list(spaces), "rerank": rerank,
        "words": words, "spoken": spoken, "sort": sort, "form": form, "diverse": diverse, "region": region, "fold": fold,
        "preferences": [_plain(one) for one in preferences], "imagined": list(imagined),
    }  # fmt: skip
    return Call("POST", "/search", _as(s.Found), json=body)


def why(
    search: s.SearchRequest | Mapping[str, Any], segments: Sequence[int], *, map: bool = False  # noqa: A002 - as the API calls it
) -> Call[s.Whys]:  # fmt: skip
    """Why segments were found by a search, in the order of its hits; ``map``: also which parts of pictures answer."""
    return Call("POST", "/why", _as(s.Whys), json={"search": _plain(search), "segments": list(segments), "map": map})


def duplicates(
    *, targets: Sequence[Modality | str] = (), filter: s.Where | Mapping[str, Any] | None = None, limit: int = 100,  # noqa: A002
) -> Call[s.Duplicates]:  # fmt: skip
    """Groups of files that are copies of each other."""
    return Call(
        "POST", "/duplicates", _as(s.Duplicates), json={"targets": list(targets), "filter": _plain(filter or {}), "limit": limit}
    )


def reuse(asset: int) -> Call[s.Reuse]:
    """Where stretches of a film or a sound are found in other files."""
    return Call("GET", f"/assets/{asset}/reuse", _as(s.Reuse))


def encoded(segment: int, *, space: str = "") -> Call[bytes]:
    """What the encoder saw of a segment: a PNG, a WAV file, or a text."""
    return Call("GET", f"/segments/{segment}/encoded", _bytes, params=_given({"space": space or None}))


def plan(
    question: str, *, steps: Sequence[s.PlanStep | Mapping[str, Any]] | None = None, together: bool = True, skip: Sequence[int] = (), k: int = 10,
    dry: bool = False, targets: Sequence[Modality | str] = (), filter: s.Where | Mapping[str, Any] | None = None,  # noqa: A002
) -> Call[s.Plan]:  # fmt: skip
    """Break a question into searches, and take those that are worth it. ``steps`` are taken in the place of those that the grammar of the
    question gives; ``skip`` are the numbers of steps that are not taken."""
    body = {
        "question": question, "steps": None if steps is None else [_plain(one) for one in steps], "together": together, "skip": list(skip),
        "k": k, "dry": dry, "targets": list(targets), "filter": _plain(filter or {}),
    }  # fmt: skip
    return Call("POST", "/plan", _as(s.Plan), json=body)


def export(
    format: s.ExportFormat, *, title: str = "export", search: s.SearchRequest | Mapping[str, Any] | None = None,  # noqa: A002
    moments: Sequence[s.Excerpted | Mapping[str, Any]] = (), exact: bool = True,
) -> Call[bytes]:  # fmt: skip
    """Export the hits of a search, or moments, as a ZIP archive with a manifest of hashes."""
    body = {
        "format": format,
        "title": title,
        "search": search and _plain(search),
        "moments": [_plain(one) for one in moments],
        "exact": exact,
    }
    return Call("POST", "/exports", _bytes, json=body)


def embeddings(
    input: str | Sequence[str | s.EmbeddingInput | Mapping[str, Any]], *, model: str = "", encoding_format: Literal["float", "base64"] = "float"  # noqa: A002
) -> Call[s.Embeddings]:  # fmt: skip
    """Unit vectors of texts, pictures, sounds and videos in a space; ``model`` is its name."""
    given = input if isinstance(input, str) else [one if isinstance(one, str) else _plain(one) for one in input]
    return Call(
        "POST", "/embeddings", _as(s.Embeddings), json={"input": given, "model": model, "encoding_format": encoding_format}
    )


def mask(
    *, asset: int | None = None, segment: int | None = None, upload: str | None = None, at_ms: int | None = None,
    on: Sequence[tuple[float, float]] = (), beside: Sequence[tuple[float, float]] = (),
    box: tuple[float, float, float, float] | None = None, cut: Literal["thing", "box"] = "thing",
) -> Call[s.CutOut]:  # fmt: skip
    """What is pointed at in a picture, cut out to search with. Points are (x, y), a box is left, top, width and height, all in percent."""
    points = [[{"x": x, "y": y} for x, y in some] for some in (on, beside)]
    part = None if box is None else dict(zip(("left", "top", "width", "height"), box, strict=True))
    body = {
        "asset": asset, "segment": segment, "upload": upload, "at_ms": at_ms, "on": points[0], "beside": points[1], "box": part, "cut": cut,
    }  # fmt: skip
    return Call("POST", "/segment", _as(s.CutOut), json=body)


def saved() -> Call[s.SavedQuestionList]:
    """Every saved question, by name."""
    return Call("GET", "/saved", _as(s.SavedQuestionList))


def save(
    name: str, form: str, *, false_alarms: float | None = None, webhook: str | None = None
) -> Call[s.SavedQuestionEntry]:  # fmt: skip
    """Save a question in the text form under a name. With ``false_alarms``, a share, it stands and tells its ``webhook`` what comes."""
    body = _given({"form": form, "false_alarms": false_alarms, "webhook": webhook})
    return Call("PUT", f"/saved/{quote(name, safe='')}", _as(s.SavedQuestionEntry), json=body)


def seen(name: str, until: int) -> Call[s.SavedQuestionEntry]:
    """Note up to which segment hits of a saved question have been shown."""
    return Call("PUT", f"/saved/{quote(name, safe='')}/seen", _as(s.SavedQuestionEntry), json={"until": until})


def saved_new(name: str) -> Call[s.SavedQuestionNews]:
    """What has come to a standing question since hits were last noted as shown."""
    return Call("GET", f"/saved/{quote(name, safe='')}/new", _as(s.SavedQuestionNews))


def forget_saved(name: str) -> Call[None]:
    """Forget a saved question."""
    return Call("DELETE", f"/saved/{quote(name, safe='')}", _nothing)


def set_field(name: str, values: Mapping[int, str]) -> Call[s.FieldValues]:
    """Give assets a value of an own field, empty: none. Returns the values from before."""
    body = {"values": [{"asset": asset, "value": value} for asset, value in values.items()]}
    return Call("PUT", f"/fields/{quote(name, safe='')}", _as(s.FieldValues), json=body)


def cases() -> Call[s.CaseList]:
    """Every case, the one that was changed last first."""
    return Call("GET", "/cases", _as(s.CaseList))


def make_case(name: str, *, note: str = "") -> Call[s.CaseDetail]:
    """Begin a case."""
    return Call("POST", "/cases", _as(s.CaseDetail), json={"name": name, "note": note})


def case(id: int) -> Call[s.CaseDetail]:  # noqa: A002 - as the API calls it
    """A case with its exhibits."""
    return Call("GET", f"/cases/{id}", _as(s.CaseDetail))


def collect(id: int, exhibits: Sequence[s.ExhibitRequest | Mapping[str, Any]]) -> Call[s.CaseDetail]:  # noqa: A002
    """Put moments at the end of a case."""
    return Call("POST", f"/cases/{id}/exhibits", _as(s.CaseDetail), json={"exhibits": [_plain(one) for one in exhibits]})


def change_case(
    id: int, version: int, *, name: str, note: str, exhibits: Sequence[s.ExhibitRequest | Mapping[str, Any]]  # noqa: A002
) -> Call[s.CaseDetail]:  # fmt: skip
    """Make a case what is given. Fails if somebody else has changed it since ``version``."""
    body = {"version": version, "name": name, "note": note, "exhibits": [_plain(one) for one in exhibits]}
    return Call("PUT", f"/cases/{id}", _as(s.CaseDetail), json=body)


def delete_case(id: int) -> Call[None]:  # noqa: A002
    """Delete a case."""
    return Call("DELETE", f"/cases/{id}", _nothing)


def facets(
    *names: str, targets: Sequence[Modality | str] = (), channels: Sequence[Channel | str] = (),
    filter: s.Where | Mapping[str, Any] | None = None, space: str = "",  # noqa: A002
) -> Call[s.Facets]:  # fmt: skip
    """How many of the files that pass a filter have each value of the facets with these names, or of all."""
    body = {
        "facets": list(names),
        "targets": list(targets),
        "channels": list(channels),
        "filter": _plain(filter or {}),
        "space": space,
    }
    return Call("POST", "/facets", _as(s.Facets), json=body)


def browse(
    *, targets: Sequence[Modality | str] = (), channels: Sequence[Channel | str] = (), filter: s.Where | Mapping[str, Any] | None = None,  # noqa: A002
    order: BrowseOrder = "added", limit: int = 50, cursor: str | None = None,
) -> Call[s.Assets]:  # fmt: skip
    """The files that pass a filter, page by page: what came last, is newest, longest or largest first."""
    body = {
        "targets": list(targets), "channels": list(channels), "filter": _plain(filter or {}), "order": order, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    return Call("POST", "/browse", _as(s.Assets), json=body)


def contrast(these: s.Narrowed | Mapping[str, Any], those: s.Narrowed | Mapping[str, Any], *, most: int = 20) -> Call[s.Contrast]:
    """What sets the files of one part of the archive apart from those of another. A part is given like
    ``{"targets": ["image"], "filter": {"collections": ["a"]}}``."""
    body = {"these": _plain(these), "those": _plain(those), "most": most}
    return Call("POST", "/contrast", _as(s.Contrast), json=body)


def judgements(question: str) -> Call[s.Judgements]:
    """People's judgements of a question's files."""
    return Call("GET", "/judgements", _as(s.Judgements), params={"question": question})


def judge(
    question: str, *, right: Sequence[int] = (), wrong: Sequence[int] = (), of_sample: bool = False, targets: Sequence[Modality | str] = (),
    channels: Sequence[Channel | str] = (), filter: s.Where | Mapping[str, Any] | None = None,  # noqa: A002
) -> Call[s.Judgements]:  # fmt: skip
    """Record which assets answer a question, and which do not. ``of_sample``: these are all of the assets that ``sample`` drew."""
    body = {
        "question": question, "right": list(right), "wrong": list(wrong), "of_sample": of_sample, "targets": list(targets),
        "channels": list(channels), "filter": _plain(filter or {}),
    }  # fmt: skip
    return Call("POST", "/judgements", _as(s.Judgements), json=body)


def sample(
    question: str, count: int = 20, *, targets: Sequence[Modality | str] = (), channels: Sequence[Channel | str] = (),
    filter: s.Where | Mapping[str, Any] | None = None,  # noqa: A002
) -> Call[s.Sample]:  # fmt: skip
    """Randomly drawn assets that nobody has judged for a question. The same ones are drawn until they are judged."""
    body = {
        "question": question, "count": count, "targets": list(targets), "channels": list(channels), "filter": _plain(filter or {}),
    }  # fmt: skip
    return Call("POST", "/judgements/sample", _as(s.Sample), json=body)


def forget_judgements(question: str, asset: int | None = None) -> Call[s.Forgotten]:
    """Remove the judgement of an asset, or all judgements of a question."""
    return Call("DELETE", "/judgements", _as(s.Forgotten), params=_given({"question": question, "asset": asset}))


def assets(
    *, modality: Modality | str | Sequence[Modality | str] = (), collection: str | Sequence[str] = (), name: str | None = None,
    state: Literal["present", "missing"] | None = None, sha256: str | None = None, path: str | None = None, limit: int = 50, cursor: str | None = None,
) -> Call[s.Assets]:  # fmt: skip
    """A page of assets, newest first, of one modality and collection, several or all; ``name`` is part of the file's name."""
    given = {
        "modality": _many(modality),
        "collection": _many(collection),
        "name": name,
        "state": state,
        "sha256": sha256,
        "path": path,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/assets", _as(s.Assets), params=_given(given))


def asset(id: int) -> Call[s.AssetDetail]:  # noqa: A002 - as the API calls it
    """All that is known of an asset."""
    return Call("GET", f"/assets/{id}", _as(s.AssetDetail))


def segments(
    asset: int, *, channel: Channel | str | None = None, from_ms: int | None = None, until_ms: int | None = None, limit: int = 200,
    cursor: str | None = None,
) -> Call[s.Segments]:  # fmt: skip
    """A page of an asset's segments. Segments with times are included only if they overlap ``[from_ms, until_ms)``."""
    given = {"channel": channel, "from_ms": from_ms, "until_ms": until_ms, "limit": limit, "cursor": cursor}
    return Call("GET", f"/assets/{asset}/segments", _as(s.Segments), params=_given(given))


def regions(asset: int, *, limit: int = 1_000) -> Call[s.Regions]:
    """The things in an asset's pictures, with their boxes."""
    return Call("GET", f"/assets/{asset}/regions", _as(s.Regions), params={"limit": limit})


def provenance(asset: int) -> Call[s.ProvenanceReport]:
    """All that an asset's file states of its making."""
    return Call("GET", f"/assets/{asset}/provenance", _as(s.ProvenanceReport))


def motion(asset: int) -> Call[s.MotionStrip]:
    """What a track or a recording of motion tells over time."""
    return Call("GET", f"/assets/{asset}/motion", _as(s.MotionStrip))


def segment(id: int, *, around: int = 3) -> Call[s.Neighbours]:  # noqa: A002
    """A segment with its neighbours in time."""
    return Call("GET", f"/segments/{id}", _as(s.Neighbours), params={"around": around})


def ask(asset: int, question: str, *, at_ms: int | None = None) -> Call[s.Answer]:
    """A model's answer to a question about an asset; for a video, about its frame at ``at_ms``."""
    return Call("POST", f"/assets/{asset}/ask", _as(s.Answer), json=_given({"question": question, "at_ms": at_ms}))


def translate(segment: int, to: str, *, original: str | None = None) -> Call[s.Translation]:
    """A model's translation of the text of a segment. ``original`` is the language of the text, for texts whose language is not
    known."""
    return Call("POST", f"/segments/{segment}/translate", _as(s.Translation), params=_given({"to": to, "from": original}))


def imagine(
    text: str, *, count: int = 4, seeds: Sequence[int] = (), steps: int | None = None, side: int | None = None
) -> Call[s.Imagining]:  # fmt: skip
    """Have a model begin to imagine pictures of a text."""
    given = {"text": text, "count": count, "seeds": list(seeds), "steps": steps, "side": side}
    return Call("POST", "/imaginings", _as(s.Imagining), json=_given(given))


def imagining(id: str) -> Call[s.Imagining]:  # noqa: A002
    """What is imagined: how far it is, and the pictures."""
    return Call("GET", f"/imaginings/{id}", _as(s.Imagining))


def stop_imagining(id: str) -> Call[None]:  # noqa: A002
    """Stop to imagine, and remove the pictures."""
    return Call("DELETE", f"/imaginings/{id}", _nothing)


def media(asset: int, *, range: tuple[int, int] | None = None) -> Call[bytes]:  # noqa: A002
    """The bytes of an asset, or those from ``range[0]`` up to, not including, ``range[1]``."""
    headers = {} if range is None else {"Range": f"bytes={range[0]}-{range[1] - 1}"}
    return Call("GET", f"/assets/{asset}/media", _bytes, headers=headers)


def thumbnail(asset: int, *, t: float | None = None, size: int = 320) -> Call[bytes]:
    """A picture of an asset: of a video its frame at ``t`` seconds, of a sound its wave."""
    return Call("GET", f"/assets/{asset}/thumbnail", _bytes, params=_given({"t": t, "size": size}))


def preview(asset: int) -> Call[bytes]:
    """The sheet of frames of a video, or the wave of a sound."""
    return Call("GET", f"/assets/{asset}/preview", _bytes)


def sprite(asset: int) -> Call[s.Sprite]:
    """The layout of a video's frame sheet."""
    return Call("GET", f"/assets/{asset}/preview", _as(s.Sprite), params={"info": 1})


def upload(content: bytes | Path, *, name: str | None = None) -> Call[s.Upload]:
    """Upload content to search with; a path is streamed. The suffix of ``name`` tells types of text apart."""
    named = name or (content.name if isinstance(content, Path) else None)
    headers = {"Content-Type": "application/octet-stream"}
    return Call("POST", "/uploads", _as(s.Upload), params=_given({"name": named}), content=content, headers=headers)


def fetch(url: str) -> Call[s.Upload]:
    """Let the service fetch content from the web to search with, if it is configured to do so."""
    return Call("POST", "/uploads/fetch", _as(s.Upload), json={"url": url})


def get_upload(id: str) -> Call[s.Upload]:  # noqa: A002
    """What is known of an upload."""
    return Call("GET", f"/uploads/{id}", _as(s.Upload))


def pin_upload(id: str) -> Call[s.Upload]:  # noqa: A002
    """Keep an upload until it is deleted."""
    return Call("PUT", f"/uploads/{id}/pin", _as(s.Upload))


def unpin_upload(id: str) -> Call[s.Upload]:  # noqa: A002
    """Let a pinned upload expire like any other."""
    return Call("DELETE", f"/uploads/{id}/pin", _as(s.Upload))


def delete_upload(id: str) -> Call[None]:  # noqa: A002
    """Forget an upload."""
    return Call("DELETE", f"/uploads/{id}", _nothing)


def index(
    paths: Sequence[str], *, collection: str = "default", retry: bool = False, prune: bool = False, key: str | None = None
) -> Call[s.Job]:
    """Start an index job; the same ``key`` with the same request gives the same job again."""
    body = {"paths": list(paths), "collection": collection, "retry": retry, "prune": prune}
    return Call("POST", "/index-jobs", _as(s.Job), json=body, headers=_given({"Idempotency-Key": key}))


def jobs(*, limit: int = 50, cursor: str | None = None) -> Call[s.Jobs]:
    """A page of index jobs, newest first."""
    return Call("GET", "/index-jobs", _as(s.Jobs), params=_given({"limit": limit, "cursor": cursor}))


def job(id: int) -> Call[s.Job]:  # noqa: A002
    """An index job with its progress."""
    return Call("GET", f"/index-jobs/{id}", _as(s.Job))


def job_errors(id: int, *, limit: int = 100, cursor: str | None = None) -> Call[s.Failures]:  # noqa: A002
    """What a job could not index."""
    return Call("GET", f"/index-jobs/{id}/errors", _as(s.Failures), params=_given({"limit": limit, "cursor": cursor}))


def cancel_job(id: int) -> Call[s.Job]:  # noqa: A002
    """End a job early."""
    return Call("POST", f"/index-jobs/{id}/cancel", _as(s.Job))


def job_events(id: int) -> Call[s.Job]:  # noqa: A002
    """A job's progress as a stream."""
    return Call("GET", f"/index-jobs/{id}/events", _as(s.Job))


def status() -> Call[s.Status]:
    """What the archive holds and how the service is."""
    return Call("GET", "/status", _as(s.Status))


def collections(*, limit: int = 500, cursor: str | None = None) -> Call[s.Collections]:
    """A page of the collections, and the folders that may be indexed."""
    return Call("GET", "/collections", _as(s.Collections), params=_given({"limit": limit, "cursor": cursor}))


def failures(
    *, collection: str | None = None, reason: str | None = None, limit: int = 100, cursor: str | None = None
) -> Call[s.Failures]:
    """What could not be searched, and why."""
    given = {"collection": collection, "reason": reason, "limit": limit, "cursor": cursor}
    return Call("GET", "/failures", _as(s.Failures), params=_given(given))


def retry(
    *, failures: Sequence[int] = (), reason: str | None = None, collection: str | None = None, key: str | None = None
) -> Call[s.Job]:  # fmt: skip
    """Try failures again: those with these ids or all, for one reason, of one collection."""
    body = {"failures": list(failures), "reason": reason, "collection": collection}
    return Call("POST", "/failures/retry", _as(s.Job), json=body, headers=_given({"Idempotency-Key": key}))


def map() -> Call[s.ArchiveMap]:  # noqa: A001 - as the route is called
    """The map of the archive that was made last."""
    return Call("GET", "/map", _as(s.ArchiveMap))


def make_map(*, key: str | None = None) -> Call[s.Job]:
    """Make a map of the archive, or bring it up to date, in a job."""
    return Call("POST", "/map", _as(s.Job), headers=_given({"Idempotency-Key": key}))


def trouble(response: Response) -> ServiceError:
    """The error for a problem response. The response's body must have been read."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": response.reason_phrase}
    message, remedy, status = problem.get("detail") or problem.get("title", ""), problem.get("remedy", ""), response.status_code
    loading = ServiceLoading(message, remedy=remedy, status=status, problem=problem)
    if status == 503 and loading.kind == "loading":
        after = response.headers.get("retry-after", "")
        loading.retry_after = float(after) if after.isdigit() else 1.0
        return loading
    kind = Refused if 400 <= status < 500 else ServiceFailed
    return kind(message, remedy=remedy, status=status, problem=problem)


def _as(model: type[Model]) -> Callable[[Response], Model]:
    return lambda response: model.model_validate_json(response.content)


def _bytes(response: Response) -> bytes:
    return response.content


def _nothing(_: Response) -> None:
    return None


def _plain(value: s.Wire | Mapping[str, Any]) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, s.Wire) else dict(value)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _many(given: str | Sequence[str]) -> list[str]:
    """One value of a repeatable parameter, or several."""
    return [given] if isinstance(given, str) else list(given)
