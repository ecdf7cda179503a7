"""Everything that reads what others wrote: whatever stands there, it gives a value or one of our own errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import hashlib
import io
import json
import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from indexer import run
from indexer.watch import is_remote
from search import settings
from search.api import cursors, media_files, schemas, searching
from search.api.service import Service
from search.cache import DIGEST_DIGITS, digest_of, picture
from search.errors import IndexDamaged, InputError, MediaError, Problem, SensoriumError
from search.index import Generations
from search.index.flat import FlatIndex
from search.media import ending, is_media
from search.media.decode import images, motion
from search.media.metadata import dates, iptc, sidecars, subtitles, takeout, text_values, timed, xmp
from search.media.sandbox import protocol
from search.media.sniff import HEAD_BYTES, sensed
from search.media.source import PICTURES, Limits, Source
from search.query.evaluate import JudgedQuery, read_manifest
from search.readers.written import WrittenReader
from search.store.sql import SqlStore
from search.types import Channel, Cut, DateSource, Filter, Gap, Info, Modality, Needs, Span
from tests.conftest import make_archive
from tests.fakes.encoder import FakeEncoder
from tests.fuzz.conftest import FUZZ
from tests.fuzz.decoding import InProcess
from ui.page.state import Piece, State

DIM = 4
NEEDS = Needs(size=4, fit="squash", rate=8, window_ms=1_000, characters=20)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
deep = st.integers(1, 50_000).map(lambda depth: "[" * depth)
json_texts = values.map(json.dumps) | deep | st.text(max_size=60)


def near(known: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """What looks like ``known``, with some of its values exchanged, and with less or more."""
    names = st.sampled_from([*known]) | st.text(max_size=8)
    changes = st.dictionaries(names, values, max_size=3)
    return st.tuples(changes, st.sets(names, max_size=1)).map(
        lambda drawn: {name: value for name, value in (known | drawn[0]).items() if name not in drawn[1]}
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A generation on disk: its ``Generations``, the folder of its space, and its manifest as JSON."""
    folder = tmp_path_factory.mktemp("generation")
    index, generations = FlatIndex(DIM), Generations(folder, 1, "space", DIM)
    index.add(np.arange(1, 6), np.eye(5, DIM, dtype=np.float32))
    generations.write(index, last_embedding=5, last_removal=0)
    return generations, generations.folder, json.loads((generations.folder / "gen-00000001/manifest.json").read_text())


def tried(refusal: type[Exception], function: Callable[..., Any], *arguments: object) -> Any:
    """What a function gives, or how it refuses."""
    try:
        return function(*arguments)
    except refusal as refused:
        return refused


@FUZZ
@given(st.binary(max_size=90) | st.from_regex(rb"gen-\d{8} [0-9a-f]{64}\n?", fullmatch=True))
def test_any_current_is_damage(written, line):
    generations, folder, _ = written
    (folder / "CURRENT").write_bytes(line)
    assert isinstance(tried(IndexDamaged, generations.load), IndexDamaged)


@FUZZ
@given(st.data())
def test_a_manifest_that_current_knows_is_whole_or_damage(written, data):
    generations, folder, manifest = written
    content = data.draw(near(manifest).map(json.dumps) | json_texts).encode("utf-8", "surrogatepass")
    (folder / "gen-00000001/manifest.json").write_bytes(content)
    (folder / "CURRENT").write_text(f"gen-00000001 {hashlib.sha256(content).hexdigest()}\n")
    if not isinstance(loaded := tried(IndexDamaged, generations.load), IndexDamaged):
        assert (loaded[0].generation, loaded[0].count, len(loaded[1])) == (1, 5, 5)
        assert f"{loaded[0].generation:08d}" == "00000001"


CONTENT = bytes(range(64))
numbers = st.sampled_from(["", "0", "5", "63", "64", "9" * 18, "9" * 30, "-1", "٣", "a", " 7 "]) | st.integers(0, 70).map(str)
ranges = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
    st.builds("bytes={}-{}".format, numbers, numbers),
    st.lists(st.builds("{}-{}".format, numbers, numbers), max_size=3).map(lambda some: "bytes=" + ",".join(some)),
    st.builds("{}{}{}-{}".format, st.sampled_from(["Bytes", "bytes ", "items", ""]), st.sampled_from(["=", " = ", "", "=="]), numbers, numbers),
)  # fmt: skip


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "asgi": {"spec_version": "2.4"}})


def sent(response: Response, asked: Request) -> tuple[int, dict[str, str], bytes]:
    """What a response sends: status, headers, body."""
    messages = []

    async def send(message) -> None:
        messages.append(message)

    with ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own: browsers' tests leave one
        thread.submit(lambda: asyncio.run(response(asked.scope, asked.receive, send))).result()
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers, b"".join(message.get("body", b"") for message in messages[1:])


@FUZZ
@given(ranges)
@example("bytes=0-0")
@example("bytes=-0")
@example("bytes=60-")
def test_a_range_is_served_exactly_or_the_whole_is(tmp_path_factory, told):
    file = tmp_path_factory.getbasetemp() / "ranged.bin"
    file.write_bytes(CONTENT)
    asked = request(range=told)
    if problem := tried(Problem, media_files._settle_range, asked, len(CONTENT)):
        assert (problem.status, problem.headers) == (416, {"Content-Range": "bytes */64"})
        return
    status, headers, body = sent(media_files.File(file), asked)
    if status == 200:
        assert body == CONTENT
    else:
        assert status == 206
        start, end = map(int, headers["content-range"].removeprefix("bytes ").removesuffix("/64").split("-"))
        assert body == CONTENT[start : end + 1]
        assert body


@FUZZ
@given(st.integers(0, 63), st.integers(0, 100) | st.none())
def test_a_range_that_can_be_is_served(tmp_path_factory, start, length):
    file = tmp_path_factory.getbasetemp() / "ranged.bin"
    file.write_bytes(CONTENT)
    end = "" if length is None else start + length
    asked = request(range=f"bytes={start}-{end}")
    media_files._settle_range(asked, len(CONTENT))
    status, _, body = sent(media_files.File(file), asked)
    assert (status, body) == (206, CONTENT[start:] if length is None else CONTENT[start : start + length + 1])


@FUZZ
@given(st.text(st.characters(max_codepoint=255), max_size=40), st.booleans())
@example('"other", W/"tag"', True)
def test_if_none_match_holds_where_the_tag_is_named(told, named):
    tag = '"tag"'
    told = f"{told},{tag}" if named else told
    assume(named or (tag not in told and told.strip() != "*"))
    assert media_files._matches(request(if_none_match=told), tag) is named


@FUZZ
@given(st.integers(0, 10**18 - 1))
def test_a_cursor_gives_its_key(key):
    assert cursors.key_of(cursors.cursor_of(key)) == key


@FUZZ
@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_cursor_is_a_key_or_a_problem(told):
    key = tried(Problem, cursors.key_of, told)
    assert (key.status, key.kind) == (422, "cursor") if isinstance(key, Problem) else 0 <= key < 10**18


ASKED = schemas.SearchRequest(query=[{"text": "red"}])
IDENTITY = searching._identity(ASKED)


@FUZZ
@given(
    st.text(max_size=200)
    | (json_texts | st.tuples(values, values | st.just(IDENTITY), values | st.just(7)).map(json.dumps)).map(
        lambda told: base64.urlsafe_b64encode(told.encode("utf-8", "surrogatepass")).decode().rstrip("=")[:200]
    )
)
@example(searching._cursor(ASKED, 20, "7"))
def test_the_cursor_of_a_search_is_an_offset_or_a_problem(told):
    place = tried(Problem, searching._place, ASKED.model_copy(update={"cursor": told}))
    assert place.status == 422 if isinstance(place, Problem) else 0 < place[0] < searching.MAX_DEPTH and isinstance(place[1], str)


REQUEST = {
    "query": [{"text": "red"}], "targets": ["image"], "channels": [], "group": "moment", "k": 20,
    "filter": {"collections": ["default"], "under": "pictures", "since": "2020-01-01", "until": None, "shortest_ms": 5},
}  # fmt: skip
names = st.text(max_size=20) | st.sampled_from(["\ud800", "\udcff", "a/../..", "//", "\0", "é", "e\u0301", "a\\b", "." * 300])
days = st.dates().map(str) | st.text(max_size=12) | st.integers() | st.floats()
wheres = st.fixed_dictionaries(
    {},
    optional={"collections": st.lists(names | st.just("default"), max_size=2), "under": names, "since": days, "until": days,
              "shortest_ms": st.integers(-1, 2**54), "longest_ms": st.integers() | st.floats()},
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service over the small archive."""
    folder, encoder = tmp_path_factory.mktemp("service"), FakeEncoder()
    home = settings.Settings(home=folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "DecodePool", InProcess)
        run.index(home, run.RunRequest([make_archive(folder / "archive")]), encoder=encoder)
    service = Service(home, load=lambda _: encoder, runner=lambda *_: None)
    service.start()
    yield service
    service.close()


@FUZZ
@given(near(REQUEST) | wheres.map(lambda where: REQUEST | {"targets": [], "filter": where}))
def test_any_search_is_answered_or_refused(service, told):
    try:
        asked = schemas.SearchRequest.model_validate_json(json.dumps(told))
    except ValidationError:
        return
    try:
        engine, query, wanted = searching._understand(service, service.whole, asked)
        found = searching._answer(service, service.whole, engine, query, wanted, asked)
    except SensoriumError:
        return
    assert len(found.hits) <= asked.k


@FUZZ
@given(
    st.text(max_size=12) | st.dates().map(str), st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just("\udcff")
)
def test_any_filter_of_the_command_line_is_understood_or_refused(service, day, path):
    try:
        engine = service.engine()
        mask = SqlStore(engine._database).select(engine.store.columns(1), Filter(since=day, under=(path,)))
    except SensoriumError:
        return
    assert mask.dtype == np.bool_


REPLIES = [
    Info(Modality.IMAGE, "png", 4, 4), Gap("truncated", "half", Span(0, 5)),
    Cut(Channel.VISUAL, Modality.IMAGE, None, np.zeros((4, 4, 3), np.uint8)), Cut(Channel.TEXT, Modality.TEXT, Span(0, 3, "char"), "red"),
    Cut(Channel.SOUND, Modality.AUDIO, Span(0, 1), np.zeros(8, np.float32)),
    Cut(Channel.VISUAL, Modality.DEPTH, None, np.zeros((4, 4), np.float32)),
    Cut(Channel.MOTION, Modality.IMU, Span(0, 1), np.zeros((6, 8), np.float32)),
    Cut(Channel.SPEECH, Modality.TEXT, Span(0, 1), "red", "subtitle stream 2 (German)", "de"),
]  # fmt: skip
HEADERS = [json.loads(protocol.pack_reply(reply)[0][protocol.PREFIX.size :]) for reply in (*REPLIES, None)]


@FUZZ
@given(st.sampled_from(HEADERS).flatmap(near), st.integers(0, 200) | st.just(2**63))
def test_a_reply_is_understood_or_malformed(header, length):
    try:
        payload = protocol.room(header, length, NEEDS, 3)
        reply = protocol.unpack_reply(header, np.zeros_like(payload))
    except protocol.MalformedError:
        return
    if isinstance(reply, Cut):
        assert isinstance(reply.content, str) == (reply.modality is Modality.TEXT)
    json.dumps(None if reply is None or isinstance(reply, Cut | Exception) else asdict(reply)).encode()


@FUZZ
@given(st.binary(max_size=60) | json_texts.map(lambda told: told.encode("utf-8", "surrogatepass")))
def test_a_header_is_an_object_or_malformed(raw):
    assert isinstance(tried(protocol.MalformedError, protocol.unpack_header, raw), dict | protocol.MalformedError)


KEYS = [field.name for field in fields(settings.Settings)]
toml_values = st.one_of(
    st.integers().map(str), st.floats().map(lambda number: repr(number).replace("e+", "e")), st.booleans().map(lambda one: str(one).lower()),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(json.dumps),
    st.sampled_from(["[]", "{}", "2024-01-01", "inf", "-nan", '"~nobody-of-that-name/x"', '"a\\u0000b"', "[" * 5000, "1979-05-27T07:32:00Z"]),
)  # fmt: skip


@FUZZ
@given(
    st.dictionaries(st.sampled_from(KEYS) | st.text("abc_", min_size=1), toml_values, max_size=3).map(
        lambda told: "\n".join(f"{key} = {value}" for key, value in told.items()).encode()
    )
    | st.binary(max_size=60)
)
def test_any_configuration_is_settings_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "configured"
    folder.mkdir(exist_ok=True)
    (folder / "sensorium.toml").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(settings, "user_config_path", lambda *_, **__: folder / "nobody")
        try:
            read = settings.load({}, {})
        except InputError:
            return
    assert all(type(getattr(read, name)) is type(getattr(DEFAULTS, name)) for name in KEYS if name not in ("home", "models"))
    assert read.home.is_absolute()
    assert read.models is None or read.models.is_absolute()
    assert min(value for name in KEYS if type(value := getattr(read, name)) is int) >= 0


DEFAULTS = settings.Settings(Path("/"))
told_state = st.dictionaries(
    st.sampled_from(
        ["text", "pieces", "targets", "channels", "collections", "under", "since", "until", "shortest", "longest", "group", "view", "more", "opened"]
    ),
    values | st.lists(values | st.dictionaries(st.sampled_from(["kind", "value", "weight", "medium", "label"]), values | st.sampled_from(["text", "segment", "7"])), max_size=3),
    max_size=6,
)  # fmt: skip


@FUZZ
@given(told_state)
@example({"shortest": 10**400, "pieces": [{"kind": "text", "value": "red", "weight": 10**400}]})
@example({"shortest": 1234567.25, "opened": "0", "text": "a\ud800b"})
def test_whatever_a_browser_sends_is_a_state_that_its_address_says(told):
    state = State.of(told)
    assert State.read(state.params()) == state
    assert State.link(state.href()) == state


@FUZZ
@given(st.dictionaries(st.sampled_from(["q", "with", "in", "channel", "collection", "under", "open", "shortest", "longest", "since"]),
                       st.lists(st.text(max_size=30) | st.from_regex(r"(text|upload|segment)~[^~]*~[^~]*~?.*"), max_size=3)))  # fmt: skip
def test_any_address_names_a_state_that_its_own_address_says(params):
    state = State.read(params)
    assert State.read(state.params()) == state
    assert State.link(state.href()) == state
    for piece in state.pieces:
        assert Piece.read(str(piece)) == piece


@FUZZ
@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=90) | st.from_regex(r"[0-9a-fA-F]{63,65}-.*"))
@example("ü" * DIGEST_DIGITS + "-sheet.jpg")
def test_only_a_picture_tells_a_digest(name):
    if digest := digest_of(Path("/home/cache/ab") / name):
        assert len(bytes.fromhex(digest)) == DIGEST_DIGITS // 2
    assert digest_of(picture(Path("/home"), "ab" * 32, "image-320", "jpg")) == "ab" * 32


words_of_mounts = st.text(st.characters(exclude_characters=" \n"), max_size=12) | st.sampled_from(
    ["/", "/srv", "/srv/a\\040b", "\\134", "nfs4", "ext4"]
)


@FUZZ
@given(st.lists(st.lists(words_of_mounts, max_size=6).map(" ".join), max_size=5).map("\n".join) | st.text())
def test_any_list_of_mounts_says_whether_a_folder_is_remote(tmp_path_factory, told):
    mounts = tmp_path_factory.getbasetemp() / "mounts"
    mounts.write_text(told, "utf-8", "surrogatepass")
    assert is_remote(Path("/srv/a b/pictures"), str(mounts)) in (True, False)


@pytest.mark.parametrize(
    ("written", "real"), [("/a\\040b", "/a b"), ("/a\u2028b", "/a\u2028b"), ("/a\\043b", "/a#b"), ("/a\\134040b", "/a\\040b")]
)
def test_a_mount_is_known_however_its_name_is_written(tmp_path, written, real):
    (tmp_path / "mounts").write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {written} nfs4 rw 0 0\n")
    assert is_remote(Path(real) / "pictures", str(tmp_path / "mounts"))
    assert not is_remote(Path("/elsewhere"), str(tmp_path / "mounts"))


JUDGED = {"query": {"text": "red"}, "targets": ["image"], "relevant": ["a.jpg"], "under": "pictures"}


@FUZZ
@given(st.lists(near(JUDGED).map(json.dumps) | json_texts, max_size=3).map("\n".join) | st.binary(max_size=60))
def test_any_manifest_of_judged_queries_is_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "judged.jsonl"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    judged = tried(InputError, lambda: list(read_manifest(file)))
    assert isinstance(judged, InputError) or all(isinstance(one, JudgedQuery) and one.relevant for one in judged)


def test_a_line_of_a_manifest_ends_where_json_lines_end(tmp_path):
    line = json.dumps({"query": {"text": "red\u2028\x85rose"}, "relevant": ["a.jpg"]}, ensure_ascii=False)
    (tmp_path / "judged.jsonl").write_text(f"{line}\n{line}\n", "utf-8")
    assert [one.query.content for one in read_manifest(tmp_path / "judged.jsonl")] == ["red\u2028\x85rose"] * 2


numbers_of_sensors = (
    st.integers(0, 10**6).map(str)
    | st.floats().map(repr)
    | st.sampled_from(["", "nan", "-inf", "1e400", "0x1", "1_0", "\u0663", '"1"', "\0"])
)
lines_of_sensors = st.lists(numbers_of_sensors, min_size=5, max_size=9).map(",".join) | st.text(max_size=30)
tables = st.tuples(
    st.sampled_from(["t,ax,ay,az,gx,gy,gz", "time (ms);accX;accY;accZ;gyroX;gyroY;gyroZ", "t,ax,ay,az"]) | st.text(max_size=40),
    st.lists(lines_of_sensors, max_size=6),
).map(lambda told: "\n".join([told[0], *told[1]]).encode("utf-8", "surrogatepass"))


@FUZZ
@given(tables | st.binary(max_size=90))
@example(b"t,ax,ay,az,gx,gy,gz\n0,1,2,3,4,5,6\n1e308,1,2,3,4,5,6\n-1e308,1,1,1,1,1,1\n1,1,1,1,1,1,1\n")
def test_any_table_of_motion_is_windows_or_refused(content):
    source = Source(io.BytesIO(content), len(content), content[:HEAD_BYTES], ".csv")
    found = tried(MediaError, lambda: list(motion.read(source, NEEDS, Limits(0, 0, 0, ()))))
    if isinstance(found, MediaError):
        return
    assert isinstance(found[0], Info)
    for cut in found[1:]:
        assert isinstance(cut, Gap) or (cut.content.dtype == np.float32 and np.isfinite(cut.content).all())
        assert isinstance(cut, Gap) or (
            cut.content.shape[0] == 6 and 0 < cut.content.shape[1] <= 400 and 0 <= cut.span.start < cut.span.end
        )
        assert protocol.unpack_reply(*unpacked(cut)) is not None


def unpacked(reply: Gap | Cut, needs: Needs = NEEDS) -> tuple[dict[str, Any], Any]:
    """A reply as the parent gets it, with room for what it holds, filled."""
    packed, payload = protocol.pack_reply(reply)
    header = protocol.unpack_header(packed[protocol.PREFIX.size :])
    room = protocol.room(header, len(payload), needs, 3)
    room.data.cast("B")[:] = payload
    return header, room


@FUZZ
@given(
    st.text(max_size=30) | st.from_regex(r"(/?(depth|THERMAL|imu|a))*/?a?(\.(depth|imu|thermal))?\.(png|csv|x)", fullmatch=True)
)
def test_any_name_is_that_of_a_sensor_or_of_none(name):
    assert sensed(name) in (None, Modality.DEPTH, Modality.THERMAL, Modality.IMU)
    assert is_media(f"a{ending(name)}") == bool(ending(name))


def check_written(found: list[Info | Cut | Gap], most: int = text_values.MAX_VALUES) -> None:
    """What was written comes through to the parent as it is, and is not too much."""
    assert len(found) <= most
    for one in found:
        assert isinstance(one, Cut) or one.reason == "not_read"
        assert protocol.unpack_reply(*unpacked(one, WrittenReader.needs)) == one
        if isinstance(one, Cut):
            assert text_values.clean(one.content) == one.content != ""
            assert one.span is None or 0 <= one.span.start < one.span.end


LETTERS = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["\0", "\ud800", "\u202e", "\u200b", "\r", "\x85", "&c;", "]]>", "<", "Ã©"]
)
element = st.sampled_from(
    ["dc:title", "dc:subject", "rdf:li", "rdf:Bag", "photoshop:City", "x", "x:y", "rdf:Description", "!DOCTYPE", "?x", "!--"]
)
some_xmp = st.recursive(
    LETTERS, lambda inner: st.tuples(element, st.lists(inner, max_size=3)).map(lambda told: f"<{told[0]} xml:lang='de'>{''.join(told[1])}</{told[0]}>")
).map(lambda told: XMP_HEAD.replace("|", told).encode("utf-8", "surrogatepass"))  # fmt: skip
XMP_HEAD = (
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:dc='http://purl.org/dc/elements/1.1/'"
    " xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'>|</rdf:RDF>"
)


@FUZZ
@given(some_xmp | st.binary(max_size=90), st.sampled_from(["utf-8", "utf-16"]))
@example(
    b"<!DOCTYPE x [<!ENTITY c SYSTEM 'file:///etc/passwd'>]><dc:title xmlns:dc='http://purl.org/dc/elements/1.1/'>&c;</dc:title>",
    "utf-8",
)
def test_any_xmp_is_text_or_a_gap(raw, encoding):
    raw = raw if encoding == "utf-8" else raw.decode("utf-8", "replace").encode(encoding)
    check_written(list(text_values.cuts("XMP", xmp.values(raw), WrittenReader.needs)))
    assert all(dates.STAMP.fullmatch(stamp.text) for stamp in xmp.told(raw).stamps)


data_sets = st.tuples(
    st.integers(0, 3),
    st.sampled_from([5, 25, 90, 120, 7, 55, 60, 62]),
    st.binary(max_size=20) | LETTERS.map(lambda told: told.encode("utf-8", "replace")),
)


@FUZZ
@given(st.lists(data_sets.map(lambda told: b"\x1c%c%c%s%s" % (told[0], told[1], len(told[2]).to_bytes(2, "big"), told[2])), max_size=5).map(b"".join)
       | st.binary(max_size=40).map(b"\x1c".__add__))  # fmt: skip
def test_any_iptc_is_text_or_a_gap(raw):
    check_written(list(text_values.cuts("IPTC", iptc.values(raw), WrittenReader.needs)))
    assert all(dates.STAMP.fullmatch(stamp.text) for stamp in iptc.stamps(raw))


entries = st.tuples(
    st.sampled_from([0x010E, 0x013B, 0x8298, 0x9C9B, 0x9C9E, 0x8769, 0x9286, 700, 33723]), st.integers(0, 14),
    st.integers(0, 20) | st.just(2**32 - 1), st.integers(0, 120) | st.just(2**32 - 1),
)  # fmt: skip
directories = st.lists(entries, max_size=6).map(
    lambda told: b"II*\0\x08\0\0\0" + len(told).to_bytes(2, "little") + b"".join(struct.pack("<HHII", *entry) for entry in told)
)


@pytest.mark.filterwarnings("ignore")  # as decoders do
@FUZZ
@given(st.tuples(directories, st.binary(max_size=80)).map(b"".join) | st.binary(max_size=80), st.binary(max_size=40))
def test_any_exif_is_text_or_a_gap(exif, comment):
    Image.new("L", (4, 4)).save(file := io.BytesIO(), "jpeg", exif=b"Exif\0\0" + exif, comment=comment)
    source = Source(file, len(file.getvalue()), file.getvalue()[:HEAD_BYTES], ".jpg")
    info, *rest = images.read(source, WrittenReader.needs, Limits(100, 1, 0, tuple(PICTURES)))
    assert isinstance(info, Info)
    check_written(rest)


pieces_of_png = st.tuples(st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"IEND", b"abcd"]), st.integers(-3, 3),
                          st.sampled_from([b"Title\0", b"Author\0\1", b"XML:com.adobe.xmp\0\1\0\0\0", b""]), st.binary(max_size=30))  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@FUZZ
@given(st.lists(pieces_of_png, max_size=4))
def test_any_texts_of_a_png_are_text_or_a_gap(told):
    Image.new("L", (4, 4)).save(file := io.BytesIO(), "png")
    chunks = b"".join(
        struct.pack(">I", max(0, len(key + text) + off)) + kind + key + text + b"\0" * 4 for kind, off, key, text in told
    )
    content = file.getvalue()[:-12] + chunks + file.getvalue()[-12:]
    source = Source(io.BytesIO(content), len(content), content[:HEAD_BYTES], ".png")
    _, *rest = images.read(source, WrittenReader.needs, Limits(100, 1, 0, tuple(PICTURES)))
    check_written(rest)


times = st.sampled_from(["00:00:01,000", "99999:99:99.999", "00:00.5", "-1:00:00,000", "aa"]) | st.from_regex(
    r"\d{1,3}:\d\d:\d\d,\d{3}", fullmatch=True
)
cue = st.tuples(times, times, LETTERS | st.sampled_from(["<i>a</i>", "{\\an8}b", "a\nb", "&lt;c&gt;"]))


@FUZZ
@given(st.lists(cue.map(lambda told: f"{told[0]} --> {told[1]}\n{told[2]}\n"), max_size=6).map("\n".join) | st.text(max_size=60))
def test_any_subtitles_are_cues_in_order_of_time(told):
    with contextlib.suppress(MediaError):  # there are none
        check_written(found := list(subtitles.beside(timed.cues("srt", b"", told), WrittenReader.needs)))
        assert [cut.span.start for cut in found] == sorted(cut.span.start for cut in found)


@FUZZ
@given(
    st.sampled_from(["ass", "sub", "lrc", "ttml", "scc"]),
    st.lists(
        st.sampled_from([
            "[Events]\nFormat: Start, End, Text\n", "Dialogue: 0:00:01.00,0:00:02.00,", "{1}{1}25\n", "{25}{75}", "[00:01.00]", "<00:02>",
            "Scenarist_SCC V1.0\n\n", "00:00:01:00\t9420 9420 9470 9470 c120 942f 942f\n", '<tt xmlns="http://www.w3.org/ns/ttml"><body begin="1s">',
            '<div><p begin="1s" end="2s">', "<p begin='9'>", "</p>", "</div>", "</body></tt>", "<br/>", "red", "\n",
        ]) | st.text(max_size=8),
        max_size=12,
    ).map("".join),
)  # fmt: skip
def test_any_timed_text_is_cues_or_is_refused(form, told):
    try:
        found = list(subtitles.beside(timed.cues(form, told.encode("utf-8", "surrogatepass"), told), WrittenReader.needs))
    except Exception:
        return  # the child's answer to whatever a library raises is a refusal
    check_written(found)


@FUZZ
@given(st.binary(max_size=1300), st.sampled_from(timed.MARKS))
def test_any_ebu_stl_is_cues_or_is_refused(raw, mark):
    try:
        found = list(subtitles.beside(timed.cues("stl", b"850" + mark + raw, ""), WrittenReader.needs))
    except Exception:
        return
    check_written(found)


@FUZZ
@given(st.sampled_from([*subtitles._TEXTS.values()]), st.binary(max_size=60), st.integers(), st.integers())
def test_any_packet_of_subtitles_is_a_cue(read, raw, start, end):
    cues = subtitles.Cues(WrittenReader.needs, "subtitle stream 1")
    check_written([*cues.push(start, end, read(raw)), *cues.finish()])


@FUZZ
@given(
    st.binary(max_size=20),
    st.sampled_from([b"", b".de", b".en-US.sdh", b".hi", b".x", b" [en]", b"_2-pt-BR(", b"-"]),
    st.sampled_from([b".srt", b".VTT", b".xmp", b".txt", b""]),
)
def test_any_name_of_a_sidecar_has_a_source_that_comes_through(stem, middle, suffix):
    name = os.fsdecode(stem.replace(b"/", b"").replace(b"\0", b"") + middle + suffix)
    cut = Cut(Channel.SPEECH, Modality.TEXT, None, "red", sidecars._shown(name) or "x", sidecars._language(name))
    assert protocol.unpack_reply(*unpacked(cut)) == cut


written_dates = st.text(max_size=45) | st.from_regex(
    r"(D:)?\d{4}[-:./ ]?\d\d[-:./ ]?\d\d[T ]\d\d:?\d\d(:?\d\d)?(Z|[+-]\d\d:?\d\d)?", fullmatch=True
)


@FUZZ
@given(
    st.lists(written_dates, max_size=5),
    st.text(st.characters(exclude_characters="\0"), max_size=60),
    st.integers(-(2**63), 2**63 - 1),
)
@example(["9999-12-31T23:59:59-12:00", "0001:01:01 00:00:00"], "99991231_235959.jpg", 2**63 - 1)
def test_whatever_is_written_for_a_date_is_one_that_has_come_or_none(told, name, mtime_ns):
    now = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    found = [*dates.stamps(DateSource.EXIF, *told), *dates.in_name(f"/a/{name}", now)]
    assert all(dates.STAMP.fullmatch(stamp.text) for stamp in found)
    for zone in (None, datetime.timezone(datetime.timedelta(hours=14))):
        dated = dates.resolve(found, now, lambda zone=zone: zone) or dates.of_copy(mtime_ns, now, zone)
        assert dated.first is None or dated.first <= dated.last
        assert dated.first is None or dated.first <= 20_787 + 1
    for text in told:
        dates.quicktime(text, now)


@FUZZ
@given(st.binary(max_size=90) | json_texts.map(lambda told: told.encode("utf-8", "surrogatepass")) | st.builds(
    lambda time, place: json.dumps({"photoTakenTime": time, "geoData": place}).encode(),
    st.one_of(st.none(), st.dictionaries(st.just("timestamp"), st.one_of(st.integers(), st.text(max_size=20)))),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["latitude", "longitude"]), st.one_of(st.floats(), st.text(max_size=5), st.none()))),
))  # fmt: skip
def test_any_json_beside_a_picture_is_a_date_or_refused(raw):
    try:
        info = takeout.info(raw)
    except MediaError:
        return
    header, _ = protocol.pack_reply(info)
    length, _ = protocol.PREFIX.unpack(header[: protocol.PREFIX.size])
    assert protocol.unpack_reply(protocol.unpack_header(header[protocol.PREFIX.size :][:length]), np.empty(0, np.uint8)) == info
