"""Tokens that are limited to collections: what lies elsewhere is as if it did not exist, in every route."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import ExitStack
from dataclasses import replace

import pytest
from PIL import Image
from sqlalchemy import LargeBinary, String, cast, insert, literal, select, update
from starlette.testclient import TestClient
from typer.testing import CliRunner

from indexer import run
from search import readers
from search.api import identity
from search.api.app import create_app
from search.api.identity import ROLES, WHOLE, Access
from search.api.service import Service
from search.errors import InputError, UnknownName
from search.models import Models
from search.store import Database, JobBook, Labels, Readers, SqlStore, tables
from search.store.tokens import MAX_COLLECTIONS, Role, Tokens
from search.types import Filter
from tests.conftest import write_tone
from tests.fakes.encoder import COLOURS
from tests.integration.test_api_identity import LISTED, bearer
from tests.integration.test_api_search import assert_problem
from tests.waiting import LONG
from ui.cli import app as command

SECRETS = ("theirs", "hush", "blue", "black", "zebracorn", "high.wav", "broken")
"""What only the other collection holds: words, names of files and folders, tags, judged questions."""

NOWHERE = 999_999
"""An id that nothing has."""

QUESTIONS = ("red", "blue", "zebracorn", "hushname", "low", "flowers in the garden", '"blue water"', "zebracorm")


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(settings, request):
    return settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))


def picture(path, name):
    Image.new("RGB", (64, 48), COLOURS[name]).save(path)


@pytest.fixture
def folders(tmp_path):
    """Two folders for two collections, with one picture in both under different names."""
    mine, theirs = tmp_path / "archive" / "mine", tmp_path / "archive" / "theirs" / "hushfolder"
    mine.mkdir(parents=True)
    theirs.mkdir(parents=True)
    for name in ("red", "green"):
        picture(mine / f"{name}.png", name)
    picture(mine / "shared.png", "cyan")
    write_tone(mine / "low.wav", 220.0)
    (mine / "flowers.txt").write_text("Red flowers stand in the garden.\n")
    (mine / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    for name in ("blue", "black"):
        picture(theirs / f"{name}.png", name)
    shutil.copy(mine / "shared.png", theirs / "hushname.png")
    write_tone(theirs / "high.wav", 3520.0)
    (theirs / "zebracorn.txt").write_text("A zebracorn drinks blue water by night.\n")
    (theirs / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    return mine, theirs.parent


@pytest.fixture
def shared(settings, folders, encoder):
    """Settings of an archive with both collections; everything of theirs is judged and tagged, and a job is theirs."""
    mine, theirs = folders
    run.index(settings, run.RunRequest([mine], "mine"), encoder=encoder)
    run.index(settings, run.RunRequest([theirs], "theirs"), encoder=encoder)
    return replace(settings, roots=str(mine.parent))


@pytest.fixture
def doors(shared, encoder):
    """A client of the service, with the secrets of tokens that are limited to one collection, and of an admin."""
    with ExitStack() as stack:
        service = Service(shared, load=lambda _: encoder, runner=lambda *_: None, patience=LONG)
        tokens = Tokens(service.database)
        secrets = {role: tokens.add(f"my {role}", role, days=1, collections=["mine"])[1] for role in (Role.READER, Role.INGESTER)}
        secrets[Role.ADMIN] = tokens.add("admin", Role.ADMIN, days=1)[1]
        access = Access(tokens, shared.home, local=True)
        http = stack.enter_context(
            TestClient(create_app(service, access), base_url="http://localhost:8571", raise_server_exceptions=False)
        )
        http.service, http.tokens, http.secrets, http.access = service, tokens, secrets, access
        hidden = [one for one in service.whole.catalogue.page(everything(), before=None, limit=50) if only_theirs(one)]
        http.hidden = next(one.id for one in hidden if one.location.path.endswith("zebracorn.txt"))
        http.segment = service.whole.catalogue.segments(http.hidden, limit=1)[0].id
        http.line = next(one.id for one in service.whole.catalogue.ledger() if one.path.endswith("broken.jpg"))
        Labels(service.database).put(1, {one.id: [("hushtag", 0.9)] for one in hidden})
        for question in ("blue", "hush question"):
            service.whole.judgements.put(question, [http.hidden], [])
        admin = bearer(secrets[Role.ADMIN])
        job = http.post("/v1/index-jobs", headers=admin, json={"paths": ["archive/theirs"], "collection": "theirs"})
        http.job = job.json()["id"]
        yield http


def everything():
    from search.store.catalogue import AssetFilter

    return AssetFilter()


def only_theirs(asset) -> bool:
    return {one.collection for one in asset.locations} == {"theirs"}


def by_id(what, path, method="GET", **body):
    """Asks for a hidden thing by its id."""
    return lambda http, id_: (method, path.replace("{id}", str(id_(what))), body or None)


def by_body(path, make):
    return lambda http, id_: ("POST", path, make(id_))


def plainly(method, path, body=None):
    """Asks in one way that names nothing: the answer must hold nothing of the other collection."""
    return lambda http, id_: (method, path, body)


TABLE = {
    ("GET", "/v1/status"): plainly("GET", "/v1/status"),
    ("GET", "/v1/collections"): plainly("GET", "/v1/collections"),
    ("GET", "/v1/failures"): plainly("GET", "/v1/failures"),
    ("GET", "/v1/assets"): plainly("GET", "/v1/assets?limit=200"),
    ("GET", "/v1/assets/{id}"): by_id("asset", "/v1/assets/{id}"),
    ("GET", "/v1/assets/{id}/segments"): by_id("asset", "/v1/assets/{id}/segments"),
    ("GET", "/v1/assets/{id}/regions"): by_id("asset", "/v1/assets/{id}/regions"),
    ("GET", "/v1/assets/{id}/provenance"): by_id("asset", "/v1/assets/{id}/provenance"),
    ("GET", "/v1/assets/{id}/motion"): by_id("asset", "/v1/assets/{id}/motion"),
    ("GET", "/v1/segments/{id}"): by_id("segment", "/v1/segments/{id}"),
    ("GET", "/v1/assets/{id}/media"): by_id("asset", "/v1/assets/{id}/media"),
    ("GET", "/v1/assets/{id}/thumbnail"): by_id("asset", "/v1/assets/{id}/thumbnail"),
    ("GET", "/v1/assets/{id}/preview"): by_id("asset", "/v1/assets/{id}/preview"),
    ("POST", "/v1/imaginings"): plainly("POST", "/v1/imaginings", {"text": "a red boat"}),
    ("GET", "/v1/imaginings/{id}"): plainly("GET", f"/v1/imaginings/{'0' * 32}"),
    ("DELETE", "/v1/imaginings/{id}"): plainly("DELETE", f"/v1/imaginings/{'0' * 32}"),
    ("GET", "/v1/uploads/{id}"): plainly("GET", f"/v1/uploads/{'0' * 32}"),
    ("DELETE", "/v1/uploads/{id}"): plainly("DELETE", f"/v1/uploads/{'0' * 32}"),
    ("PUT", "/v1/uploads/{id}/pin"): plainly("PUT", f"/v1/uploads/{'0' * 32}/pin"),
    ("DELETE", "/v1/uploads/{id}/pin"): plainly("DELETE", f"/v1/uploads/{'0' * 32}/pin"),
    ("POST", "/v1/uploads"): plainly("POST", "/v1/uploads", {}),
    ("POST", "/v1/uploads/fetch"): plainly("POST", "/v1/uploads/fetch", {"url": "https://example.org/"}),
    ("GET", "/v1/map"): plainly("GET", "/v1/map"),
    ("POST", "/v1/map"): plainly("POST", "/v1/map", {}),
    ("GET", "/v1/index-jobs"): plainly("GET", "/v1/index-jobs"),
    ("GET", "/v1/index-jobs/{id}"): by_id("job", "/v1/index-jobs/{id}"),
    ("GET", "/v1/index-jobs/{id}/events"): by_id("job", "/v1/index-jobs/{id}/events"),
    ("GET", "/v1/index-jobs/{id}/errors"): by_id("job", "/v1/index-jobs/{id}/errors"),
    ("POST", "/v1/index-jobs/{id}/cancel"): by_id("job", "/v1/index-jobs/{id}/cancel", "POST"),
    ("POST", "/v1/index-jobs"): plainly("POST", "/v1/index-jobs", {"paths": ["mine"], "collection": "mine"}),
    ("POST", "/v1/failures/retry"): by_body("/v1/failures/retry", lambda id_: {"failures": [id_("line")], "collection": "mine"}),
    ("POST", "/v1/search"): by_body("/v1/search", lambda id_: {"query": [{"segment": id_("segment")}]}),
    ("POST", "/v1/why"): by_body(
        "/v1/why", lambda id_: {"search": {"query": [{"text": "red"}]}, "segments": [id_("segment")], "map": True}
    ),
    ("GET", "/v1/segments/{id}/encoded"): by_id("segment", "/v1/segments/{id}/encoded"),
    ("POST", "/v1/duplicates"): plainly("POST", "/v1/duplicates", {}),
    ("GET", "/v1/assets/{id}/reuse"): by_id("asset", "/v1/assets/{id}/reuse"),
    ("POST", "/v1/segment"): by_body("/v1/segment", lambda id_: {"segment": id_("segment"), "on": [{"x": 5, "y": 5}]}),
    ("POST", "/v1/plan"): plainly("POST", "/v1/plan", {"question": "red, then blue"}),
    ("POST", "/v1/facets"): plainly("POST", "/v1/facets", {}),
    ("POST", "/v1/browse"): plainly("POST", "/v1/browse", {"limit": 200}),
    ("POST", "/v1/contrast"): plainly("POST", "/v1/contrast", {"these": {"targets": ["image"]}, "those": {"targets": ["text"]}}),
    ("POST", "/v1/embeddings"): plainly("POST", "/v1/embeddings", {"input": "red"}),
    ("POST", "/v1/exports"): by_body("/v1/exports", lambda id_: {"format": "json", "moments": [{"asset": id_("asset")}]}),
    ("GET", "/v1/saved"): plainly("GET", "/v1/saved"),
    ("GET", "/v1/saved/{name}/new"): plainly("GET", "/v1/saved/mine/new"),
    ("PUT", "/v1/saved/{name}"): plainly("PUT", "/v1/saved/mine", {"form": "red"}),
    ("PUT", "/v1/saved/{name}/seen"): plainly("PUT", "/v1/saved/mine/seen", {"until": 1}),
    ("DELETE", "/v1/saved/{name}"): plainly("DELETE", "/v1/saved/mine"),
    ("PUT", "/v1/fields/{name}"): lambda doors, id_: (
        "PUT",
        "/v1/fields/mark",
        {"values": [{"asset": id_("asset"), "value": "x"}]},
    ),
    ("GET", "/v1/cases"): plainly("GET", "/v1/cases"),
    ("POST", "/v1/cases"): plainly("POST", "/v1/cases", {"name": "mine"}),
    ("GET", "/v1/cases/{id}"): plainly("GET", "/v1/cases/1"),
    ("PUT", "/v1/cases/{id}"): plainly("PUT", "/v1/cases/1", {"version": 1, "name": "mine", "note": "", "exhibits": []}),
    ("DELETE", "/v1/cases/{id}"): plainly("DELETE", "/v1/cases/1"),
    ("POST", "/v1/cases/{id}/exhibits"): by_body("/v1/cases/1/exhibits", lambda id_: {"exhibits": [{"asset": id_("asset")}]}),
    ("POST", "/v1/assets/{id}/ask"): by_id("asset", "/v1/assets/{id}/ask", "POST", question="What is it?"),
    ("POST", "/v1/segments/{id}/translate"): by_id("segment", "/v1/segments/{id}/translate?to=de", "POST"),
    ("GET", "/v1/judgements"): plainly("GET", "/v1/judgements?question=hush%20question"),
    ("POST", "/v1/judgements"): by_body("/v1/judgements", lambda id_: {"question": "red", "right": [id_("asset")]}),
    ("DELETE", "/v1/judgements"): plainly("DELETE", "/v1/judgements?question=hush%20question"),
    ("POST", "/v1/judgements/sample"): plainly("POST", "/v1/judgements/sample", {"question": "red", "count": 50}),
    ("GET", "/v1/problems/{kind}"): plainly("GET", "/v1/problems/token"),
    ("GET", "/v1/docs"): plainly("GET", "/v1/docs"),
    ("GET", "/v1/docs/oauth2-redirect"): plainly("GET", "/v1/docs/oauth2-redirect"),
    ("GET", "/v1/openapi.json"): plainly("GET", "/v1/openapi.json"),
}
"""How each route is asked by who may not see something: where an id is named, once that of something hidden, and once of nothing."""


def test_every_route_is_in_the_table():
    assert set(TABLE) | WHOLE == set(LISTED)


@pytest.mark.parametrize("role", [Role.READER, Role.INGESTER])
def test_what_is_hidden_answers_like_what_is_not_there(doors, role):
    doors.service.settings = replace(doors.service.settings, captioner="caption:fake", translator="seamless:fake")
    for (method, path), ask in TABLE.items():
        if (ROLES[method, path] or Role.READER) > role:
            continue
        answers = []
        ids = {"asset": doors.hidden, "segment": doors.segment, "job": doors.job, "line": doors.line}
        for known in (ids.__getitem__, lambda _: NOWHERE):
            verb, address, body = ask(doors, known)
            answer = doors.request(verb, address, headers=bearer(doors.secrets[role]), json=body)
            told = re.sub(r'"(request|total|encode|filter|scan)":[^,}]*', "", answer.text)
            for id_ in {*map(str, ids.values()), str(NOWHERE)}:
                told = re.sub(rf"(?<![\d:\-.]){id_}(?![\d:\-])", "#", told) if verb != "GET" or "{id}" in path else told
            headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
            answers.append((answer.status_code, headers, told))
        if "{id}" in path or (
            "hidden" not in address
            and body
            and ("failures" in body or "right" in body or "query" in body or "moments" in body or "segments" in body)
        ):
            assert answers[0] == answers[1], (method, path)
            refused = (403,) if path.startswith("/v1/cases") else (404, 422)  # cases tell of the whole archive
            assert answers[0][0] in refused, (method, path, answers[0])
        assert answers[0][0] < 500, (method, path, answers[0])
        if "/docs" not in path and "openapi" not in path:
            asked = json.dumps(body or {}) + address
            assert not [word for word in SECRETS if word in answers[0][2] and word not in asked], (method, path, answers[0][2])


def test_what_tells_of_the_whole_archive_is_for_unlimited_tokens(doors):
    assert_problem(doors.get("/metrics", headers=bearer(doors.secrets[Role.INGESTER])), 403, "limited")
    assert doors.get("/metrics", headers=bearer(doors.secrets[Role.ADMIN])).status_code == 200


def stripped(told):
    """An answer without what counts over the whole archive: ids, states, times, and scores, with the ranks and marks that follow
    from them. Hits come by name."""
    left = {"id", "asset", "segment", "score", "rank", "confidence", "timings_ms", "generation", "links", "added_at", "request"}
    left |= {"line", "found", "estimate", "others", "cursor"}
    if isinstance(told, dict):
        kept = {
            name: stripped(value)
            for name, value in told.items()
            if name not in left or (name == "asset" and isinstance(value, dict))
        }
        if "hits" in kept:
            kept["hits"].sort(key=lambda hit: json.dumps(hit, sort_keys=True))
        if "evidence" in kept:
            kept["evidence"] = {
                name: value for name, value in kept["evidence"].items() if name not in ("segments", "cosine", "marks")
            }
        return kept
    if isinstance(told, list):
        return [stripped(one) for one in told]
    return told


def test_answers_are_those_of_an_archive_without_the_rest(doors, settings, folders, encoder, tmp_path, start):
    alone = replace(settings, home=tmp_path / "alone", database_url="", roots=str(folders[0]))
    run.index(alone, run.RunRequest([folders[0]], "mine"), encoder=encoder)
    whole, mine = start(alone), bearer(doors.secrets[Role.READER])

    def same(method, address, **options):
        limited, all_ = doors.request(method, address, headers=mine, **options), whole.request(method, address, **options)
        assert limited.status_code == all_.status_code, (address, limited.text)
        assert stripped(limited.json()) == stripped(all_.json()), (address, options)
        return limited.json()

    assert same("GET", "/v1/status")["assets"] == {"image": 3, "audio": 1, "text": 1}
    assert [one["name"] for one in same("GET", "/v1/collections")["collections"]] == ["mine"]
    assert same("GET", "/v1/failures")["failures"]
    assert len(same("GET", "/v1/assets")["assets"]) == 5
    same("GET", "/v1/assets?name=hush")
    same("GET", "/v1/assets?collection=theirs")
    same("GET", "/v1/failures?collection=theirs")
    for question in QUESTIONS:
        for more in ({}, {"words": True}, {"group": "asset"}, {"sort": "name"}, {"filter": {"under": "hushfolder"}}):
            same("POST", "/v1/search", json={"query": [{"text": question}], **more})
        for filter_ in ({"collections": ["theirs"]}, {"collections": ["their"]}, {"tags": ["hushtag"]}, {"tracks": ["2"]}):
            same("POST", "/v1/search", json={"query": [{"text": question}], "filter": filter_})
        same("GET", f"/v1/judgements?question={question}")
        same("POST", "/v1/judgements/sample", json={"question": question, "count": 3, "filter": {"collections": ["theirs"]}})
    assert same("POST", "/v1/judgements/sample", json={"question": "hush question", "count": 50})["population"] == 5


def test_a_shared_picture_shows_where_it_lies_here_and_no_more(doors):
    mine = bearer(doors.secrets[Role.READER])
    hits = doors.post("/v1/search", headers=mine, json={"query": [{"text": "cyan"}], "k": 1}).json()["hits"]
    found = doors.get(f"/v1/assets/{hits[0]['asset']['id']}", headers=mine).json()
    assert [(one["collection"], one["name"]) for one in found["locations"]] == [("mine", "shared.png")]
    assert doors.get(f"/v1/assets/{found['id']}/media", headers=mine).status_code == 200
    assert doors.get(f"/v1/assets/{found['id']}/thumbnail", headers=mine).status_code == 200
    everywhere = doors.get(f"/v1/assets/{found['id']}", headers=bearer(doors.secrets[Role.ADMIN])).json()
    assert len(everywhere["locations"]) == 2
    words = doors.post("/v1/search", headers=mine, json={"query": [{"text": "hushname"}], "words": True}).json()
    assert words["hits"] == []


def test_jobs_reach_the_folders_of_the_collections_and_no_others(doors, folders):
    mine = bearer(doors.secrets[Role.INGESTER])

    def ask(path, collection, **headers):
        return doors.post("/v1/index-jobs", headers=mine | headers, json={"paths": [str(path)], "collection": collection})

    assert_problem(ask("mine", "theirs"), 403, "limited")
    assert_problem(ask("mine", "new"), 403, "limited")
    for path in ("archive/theirs", "theirs", folders[1], folders[0] / ".." / "theirs", folders[0].parent):
        assert_problem(ask(path, "mine"), 403, "outside-roots")
    assert_problem(doors.post("/v1/failures/retry", headers=mine, json={}), 403, "limited")
    assert doors.post("/v1/failures/retry", headers=mine, json={"collection": "mine"}).status_code == 202
    theirs = {"paths": ["archive/theirs"], "collection": "theirs"}
    admin = bearer(doors.secrets[Role.ADMIN])
    doors.post(f"/v1/index-jobs/{doors.job}/cancel", headers=admin)
    assert doors.post("/v1/index-jobs", headers=admin | {"Idempotency-Key": "one"}, json=theirs).status_code == 202
    assert ask("mine", "mine", **{"Idempotency-Key": "one"}).status_code == 202  # keys of others are not met
    listed = doors.get("/v1/index-jobs", headers=mine).json()["jobs"]
    assert {job["collection"] for job in listed} == {"mine"}


def test_a_link_into_another_collection_is_not_followed(doors, folders):
    mine, theirs = folders
    red = mine / "red.png"
    told = red.stat()
    red.rename(theirs / "elsewhere.png")
    red.symlink_to(theirs / "elsewhere.png")
    asset = next(
        one for one in doors.service.whole.catalogue.page(everything(), before=None, limit=50) if one.location.path == str(red)
    )
    assert (red.stat().st_size, red.stat().st_mtime_ns) == (told.st_size, told.st_mtime_ns)
    limited = doors.get(f"/v1/assets/{asset.id}/media", headers=bearer(doors.secrets[Role.READER]))
    assert_problem(limited, 403, "outside-roots")
    assert doors.get(f"/v1/assets/{asset.id}/media", headers=bearer(doors.secrets[Role.ADMIN])).status_code == 200


def test_a_token_without_any_collection_finds_nothing(doors, monkeypatch):
    monkeypatch.setattr(identity, "KNOWN_SECONDS", 0)
    _, nothing = doors.tokens.add("nobody", Role.READER, days=1, collections=[])
    found = doors.post("/v1/search", headers=bearer(nothing), json={"query": [{"text": "red"}]}).json()
    assert found["hits"] == []
    assert found["searched"] == 0
    assert doors.get("/v1/assets", headers=bearer(nothing)).json()["assets"] == []
    assert doors.get("/v1/status", headers=bearer(nothing)).json()["files"] == {}


def test_tokens_are_limited_to_collections_that_are_there(doors, monkeypatch):
    add = doors.tokens.add
    with pytest.raises(UnknownName, match="collection"):
        add("a", Role.READER, days=1, collections=["mine", "mnie"])
    with pytest.raises(InputError, match="admin"):
        add("b", Role.ADMIN, days=1, collections=["mine"])
    with pytest.raises(InputError, match="100,000 collections"):
        add("c", Role.READER, days=1, collections=[f"c{number}" for number in range(100_000)])
    with pytest.raises(InputError, match="cannot be named"):
        add("n" * 4_096, Role.READER, days=1)
    with pytest.raises(UnknownName):
        add("d", Role.READER, days=1, collections=["c" * 4_096])
    assert MAX_COLLECTIONS < 30_000  # values of one statement on SQLite
    monkeypatch.setenv("SENSORIUM_HOME", str(doors.service.settings.home))
    monkeypatch.setenv("SENSORIUM_DATABASE_URL", doors.service.settings.database_url)
    run = lambda *arguments: CliRunner().invoke(command, ["tokens", *arguments])  # noqa: E731
    told = run("add", "guest", "--collection", "mine", "--json")
    assert json.loads(told.stdout)["collections"] == ["mine"]
    assert "guest  reader within mine  until" in run("list").stdout
    assert run("add", "other", "--collection", "mnie").exit_code != 0


def test_a_filter_of_no_collection_sees_nothing_of_any_kind(shared):
    database = Database(shared.database)
    store = SqlStore(database)
    columns = store.columns(1)
    assert store.select(columns, Filter()).all()
    assert not store.select(columns, Filter(within=())).any()
    assert not store.select(columns, Filter(within=("nowhere",))).any()
    database.close()


def test_a_stream_ends_when_its_token_is_revoked_or_changed(doors, monkeypatch):
    """A job goes on whatever becomes of the token that started it; who lost it sees no more of it."""
    monkeypatch.setattr(identity, "KNOWN_SECONDS", 0)
    mine, admin = bearer(doors.secrets[Role.INGESTER]), bearer(doors.secrets[Role.ADMIN])
    monkeypatch.setattr(JobBook, "open", lambda _: [])  # so that it stays in the queue
    job = doors.post("/v1/index-jobs", headers=mine, json={"paths": ["mine"], "collection": "mine"}).json()["id"]
    real, asked = Tokens.find, []

    def find(self, secret):
        asked.append(secret)
        if len(asked) == 3:  # the request itself, and two looks of the stream
            doors.tokens.revoke("my ingester")
            doors.tokens.add("my ingester", Role.READER, days=1, collections=["mine"])
        return real(self, secret)

    monkeypatch.setattr(Tokens, "find", find)
    with doors.stream("GET", f"/v1/index-jobs/{job}/events", headers=mine) as stream:
        told = "".join(stream.iter_text())  # which ends by itself
    assert "event: progress" in told
    assert "event: end" not in told
    assert doors.post(f"/v1/index-jobs/{job}/cancel", headers=mine).status_code == 401
    assert doors.get(f"/v1/index-jobs/{job}", headers=admin).json()["state"] == "queued"


def test_who_lost_a_role_during_a_job_cannot_cancel_it(doors, monkeypatch):
    monkeypatch.setattr(identity, "KNOWN_SECONDS", 0)
    mine, admin = bearer(doors.secrets[Role.INGESTER]), bearer(doors.secrets[Role.ADMIN])
    monkeypatch.setattr(JobBook, "open", lambda _: [])
    job = doors.post("/v1/index-jobs", headers=mine, json={"paths": ["mine"], "collection": "mine"}).json()["id"]
    with doors.service.database.writing(quiet=True) as connection:
        connection.execute(update(tables.token).where(tables.token.c.name == "my ingester").values(role="reader"))
    assert_problem(doors.post(f"/v1/index-jobs/{job}/cancel", headers=mine), 403, "role")
    assert doors.get(f"/v1/index-jobs/{job}", headers=mine).json()["state"] == "queued"
    with doors.service.database.writing(quiet=True) as connection:
        connection.execute(update(tables.token).where(tables.token.c.name == "my ingester").values(collections='["theirs"]'))
    assert_problem(doors.get(f"/v1/index-jobs/{job}", headers=mine), 404, "no-job")
    assert doors.get(f"/v1/index-jobs/{job}", headers=admin).json()["state"] == "queued"


def test_tokens_that_are_cut_or_in_the_address_or_no_text_are_refused(doors):
    secret = doors.secrets[Role.READER]
    for wrong in (secret[:-1], secret[1:], secret + "x", secret[: len(secret) // 2], secret.swapcase(), f"{secret} {secret}", ""):
        assert_problem(doors.get("/v1/status", headers=bearer(wrong)), 401, "token")
        assert doors.get("/", params={"token": wrong}, follow_redirects=False).status_code == 401
    for address in (
        f"/v1/status?token={secret}",
        f"/v1/status?access_token={secret}",
        f"/v1/status/{secret}",
        f"/v1/assets?token={secret}",
    ):
        assert doors.get(address).status_code == 401
    assert doors.get("/v1/status", headers={"Authorization": b"Bearer \xff\xfe"}).status_code == 401
    assert doors.get("/v1/status", headers={"Authorization": f"Token {secret}"}).status_code == 401


def test_a_hundred_thousand_collections_cost_a_limited_caller_nothing(doors):
    collection, number = tables.collection, select(literal(100_000).label("at")).cte(recursive=True)
    number = number.union_all(select(number.c.at + 1).where(number.c.at < 199_999))
    names = select("c" + cast(number.c.at, String), literal(1))
    roots = select(collection.c.id, cast("/nowhere/" + collection.c.name, LargeBinary)).where(collection.c.name.like("c1%"))
    with doors.service.database.writing() as connection:  # the database counts: rows from here would take seconds
        connection.execute(insert(collection).from_select(["name", "created_at"], names))
        connection.execute(insert(tables.root).from_select(["collection_id", "path"], roots))
    mine, admin = bearer(doors.secrets[Role.READER]), bearer(doors.secrets[Role.ADMIN])
    told = doors.get("/v1/collections", headers=mine)
    assert [one["name"] for one in told.json()["collections"]] == ["mine"]
    assert doors.get("/v1/status", headers=mine).json()["collections"] == ["mine"]
    found = doors.post("/v1/search", headers=mine, json={"query": [{"text": "red"}], "filter": {"collections": ["c100001"]}})
    assert_problem(found, 422, "unknown-name")
    assert "c1" not in found.json()["remedy"].replace("c100001", "")
    for headers in (mine, admin):
        assert doors.post("/v1/search", headers=headers, json={"query": [{"text": "red"}]}).json()["hits"]
        assert doors.get("/v1/assets", headers=headers).json()["assets"]
    assert len(doors.get("/v1/status", headers=admin).json()["collections"]) == 100_002
    page = doors.get("/v1/collections", headers=admin, params={"limit": 2}).json()
    assert ([one["name"] for one in page["collections"]], len(page["roots"])) == (["mine", "theirs"], 1_000)
    after = doors.get("/v1/collections", headers=admin, params={"limit": 2, "cursor": page["cursor"]}).json()
    assert [(one["name"], [root["name"] for root in one["roots"]]) for one in after["collections"]] == [
        (name, [name]) for name in ("c100000", "c100001")
    ]
    assert doors.get("/v1/collections", headers=mine, params={"limit": 1}).json()["cursor"] is None


def test_what_lies_beside_the_other_copy_of_a_file_is_not_read_here(doors, folders, encoder):
    mine, theirs = folders
    theirs = theirs / "hushfolder"
    write_tone(theirs / "both.wav", 880.0)
    (theirs / "both.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nA zebracorn whispers\n")
    shutil.copy(theirs / "both.wav", mine / "both.wav")
    reader = readers.load("written", Models.of(doors.service.settings), "cpu")
    Readers(doors.service.database).add("written", reader.revision, sorted(reader.reads), sorted(reader.channels))
    for folder, name in ((theirs.parent, "theirs"), (mine, "mine")):
        run.index(doors.service.settings, run.RunRequest([folder], name), encoder=encoder)
    asked = {"query": [{"text": '"zebracorn whispers"'}], "words": True}
    hits = doors.post("/v1/search", headers=bearer(doors.secrets[Role.ADMIN]), json=asked).json()["hits"]
    (hit,) = [hit for hit in hits if hit["channel"] == "speech"]  # the other is the file of subtitles
    headers = bearer(doors.secrets[Role.READER])
    assert doors.post("/v1/search", headers=headers, json=asked).json()["hits"] == []
    assert doors.get(f"/v1/assets/{hit['asset']['id']}", headers=headers).json()["segments"] == {"sound": 1}
    assert "zebracorn" not in doors.get(f"/v1/assets/{hit['asset']['id']}/segments", headers=headers).text
    for path in (f"/v1/segments/{hit['segment']}", f"/v1/segments/{NOWHERE}"):
        assert_problem(doors.get(path, headers=headers), 404, "no-segment")
    asked = {"query": [{"segment": hit["segment"]}]}
    assert_problem(doors.post("/v1/search", headers=headers, json=asked), 422, "query")
