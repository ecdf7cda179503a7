"""Assets over the line: lists, media with ranges, pictures of them; files that changed, vanished or would like to run."""

from __future__ import annotations

import base64
import errno
import io
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from indexer import run
from search import cache
from search.media import previews
from tests.integration.test_api_search import assert_problem
from tests.media_samples import COLOURS, write_video


@pytest.fixture
def clip(archive):
    """A video of three seconds: red, then blue."""
    path = archive / "clip.mp4"
    halves = ("color=red:s=96x64:d=1.5:r=10", "color=blue:s=96x64:d=1.5:r=10")
    inputs = [part for source in halves for part in ("-f", "lavfi", "-i", source)]
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        *inputs,
        "-filter_complex",
        "concat=n=2",
        "-pix_fmt",
        "yuv420p",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def find(http):
    def by_name(name):
        return next(one for one in http.get("/v1/assets", params={"name": name}).json()["assets"] if one["name"] == name)

    return by_name


def colour(content, at=(0.5, 0.5)):
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return image.getpixel((int(at[0] * image.width), int(at[1] * image.height)))


def near(a, b):
    return all(abs(x - y) < 40 for x, y in zip(a, b, strict=True))


def test_lists_page_by_key_and_filter(still):
    seen, cursor = [], None
    while True:
        page = still.get("/v1/assets", params={"limit": 4} | ({"cursor": cursor} if cursor else {})).json()
        seen += [asset["id"] for asset in page["assets"]]
        if (cursor := page["cursor"]) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 13
    assert len(still.get("/v1/assets", params={"modality": "audio"}).json()["assets"]) == 3
    assert [one["name"] for one in still.get("/v1/assets", params={"name": "YELL"}).json()["assets"]] == ["yellow.png"]
    assert still.get("/v1/assets", params={"name": "archive"}).json()["assets"] == []  # only names, never folders above
    assert still.get("/v1/assets", params={"name": "%"}).json()["assets"] == []
    assert_problem(still.get("/v1/assets", params={"collection": "other"}), 422, "unknown-name")
    both = still.get("/v1/assets", params={"modality": ["audio", "text"], "collection": "default"}).json()["assets"]
    assert [one["modality"] for one in both].count("audio") == 3
    assert len(both) == 5
    assert still.get("/v1/assets", params={"state": "missing"}).json()["assets"] == []
    assert_problem(still.get("/v1/assets", params={"cursor": "nonsense"}), 422, "cursor")
    assert_problem(still.get("/v1/assets", params={"limit": 0}), 422, "validation")


def test_details_tell_locations_segments_and_identity(http, find):
    told = http.get(f"/v1/assets/{find('red.png')['id']}").json()
    assert (told["width"], told["height"], told["format"], told["segments"]) == (64, 48, "png", {"visual": 1})
    assert told["locations"] == [
        {"collection": "default", "folder": "pictures", "name": "red.png", "path": None, "missing": False, "away": False}
    ]
    assert len(told["sha256"]) == 64


def test_segments_and_their_neighbours(http, find):
    segments = http.get(f"/v1/assets/{find('sea.md')['id']}/segments").json()["segments"]
    near = http.get(f"/v1/segments/{segments[0]['id']}").json()
    assert near["segment"] == segments[0]
    assert near["after"] == segments[1:4]
    assert near["asset"]["name"] == "sea.md"


@pytest.mark.parametrize("id_", ["424242", "0", "-1", "x", str(2**70), "%00"])
@pytest.mark.parametrize(
    "path", ["assets/{}", "assets/{}/media", "assets/{}/thumbnail", "assets/{}/preview", "segments/{}", "index-jobs/{}"]
)
def test_unknown_ids_are_told(still, path, id_):
    response = still.get(f"/v1/{path.format(id_)}")
    assert_problem(response, 422 if id_ != "424242" else 404, response.json()["type"].rpartition("/")[2])


def test_collections_say_how_much_of_them_can_be_found(http, archive, settings, encoder):
    assert http.get("/v1/collections").json()["collections"][0]["coverage"] == {
        "files": 13, "seen": 13, "waiting": 0, "failed": 0, "unsampled_ms": 0, "without": {}, "away": 0, "unread": {},
    }  # fmt: skip
    (archive / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture follows")
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    broken = http.get("/v1/collections").json()["collections"][0]["coverage"]
    assert (broken["files"], broken["seen"], broken["failed"]) == (14, 13, 1)
    (line,) = http.get("/v1/failures").json()["failures"]
    assert line["detail"].startswith("Nothing of the picture can be read; its decoder says: ")
    assert line["detail"].endswith(".")


def test_paths_show_only_where_that_is_configured(start, indexed, archive):
    shown = start(replace(indexed, show_paths="default"))
    asset = shown.get("/v1/assets?name=red").json()["assets"][0]
    assert asset["path"] == str(archive / "pictures" / "red.png")
    assert shown.get("/v1/collections").json()["collections"][0]["roots"] == [{"name": "archive", "path": str(archive)}]
    hidden = start(replace(indexed, show_paths="others"))
    for address in ("assets", "assets/1", "collections", "failures", "status", "index-jobs"):
        assert str(archive.parent) not in hidden.get(f"/v1/{address}").text


def test_media_come_whole_in_parts_and_not_at_all(http, archive, find):
    asset, content = find("low.wav"), (archive / "tones" / "low.wav").read_bytes()
    address = asset["links"]["media"]
    whole = http.get(address)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "audio/wav")
    assert whole.headers["x-content-type-options"] == "nosniff"
    etag = whole.headers["etag"]
    for given, start, end in (
        ("0-9", 0, 10),
        ("5-", 5, None),
        ("-7", -7, None),
        ("0-999999999", 0, None),
        ("-999999999", 0, None),
    ):
        part = http.get(address, headers={"Range": f"bytes={given}"})
        assert (part.status_code, part.content) == (206, content[start:end]), given
        assert part.headers["content-range"].endswith(f"/{len(content)}")
    for odd in ("bytes=9-5", "bytes=a-b", "bytes=-", "chapters=1-2", "bytes=0-1,4-5", "bytes", "bytes=٣-٤".encode()):
        assert http.get(address, headers={"Range": odd}).content == content
    for beyond in (f"bytes={len(content)}-", "bytes=999999999-", "bytes=-0"):
        response = http.get(address, headers={"Range": beyond})
        assert_problem(response, 416, "range")
        assert response.headers["content-range"] == f"bytes */{len(content)}"
    assert http.get(address, headers={"If-None-Match": f'"x", W/{etag}'}).status_code == 304
    assert http.get(address, headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
    assert http.get(address, headers={"Range": "bytes=0-3", "If-Range": '"other"'}).content == content
    head = http.head(address)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(content)))
    assert http.get(address, params={"download": 1}).headers["content-disposition"] == "attachment; filename*=UTF-8''low.wav"


def test_nothing_that_is_served_can_run(http, archive, settings, encoder, find):
    evil = "<html><body><script>alert(1)</script>Some words to find.</body></html>"
    (archive / "texts" / "evil.html").write_text(evil)
    (archive / "texts" / 'quo"te\r\nX-Evil: 1.txt').write_text("Words.\n")
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    response = http.get(find("evil.html")["links"]["media"])
    assert response.headers["content-type"].startswith("text/plain")
    assert "sandbox" in response.headers["content-security-policy"]
    odd = http.get(http.get("/v1/assets?name=quo").json()["assets"][0]["links"]["media"])
    assert odd.status_code == 200
    assert "x-evil" not in odd.headers


def test_a_name_that_is_no_text_is_shown_all_the_same(http, archive, settings, encoder):
    with open(os.fsencode(archive / "texts") + b"/caf\xe9.txt", "w") as file:
        file.write("Coffee.\n")
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    asset = http.get("/v1/assets?limit=1").json()["assets"][0]
    assert asset["name"] == "caf\ufffd.txt"
    assert http.get(asset["links"]["media"]).content == b"Coffee.\n"


def test_a_file_that_vanished_or_changed_is_told_and_found_again_elsewhere(http, archive, find, settings, encoder):
    address = find("red.png")["links"]["media"]
    file = archive / "pictures" / "red.png"
    content = file.read_bytes()
    file.write_bytes(content + b"more")
    assert_problem(http.get(address), 409, "changed")
    file.unlink()
    assert_problem(http.get(address), 410, "vanished")
    assert_problem(http.get(address.replace("media", "thumbnail")), 410, "vanished")
    (archive / "texts" / "copy.png").write_bytes(content)
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    assert http.get(address).content == content


def test_a_thumbnail_keeps_shape_and_colour_and_is_made_once(http, find, monkeypatch):
    made = []
    monkeypatch.setattr(previews, "jpeg", lambda picture, real=previews.jpeg: made.append(1) or real(picture))
    address = find("red.png")["links"]["thumbnail"]
    threads = [threading.Thread(target=http.get, args=(address,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    response = http.get(address)
    assert len(made) == 1
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (320, 240)
    assert near(colour(response.content), (255, 0, 0))
    assert http.get(address, headers={"If-None-Match": response.headers["etag"]}).status_code == 304


def test_a_thumbnail_for_which_there_is_no_room_is_told_and_leaves_nothing(http, find, settings, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert_problem(http.get(find("red.png")["links"]["thumbnail"]), 507, "disk-full")
    assert list(cache.pictures(settings.home)) == []


def test_a_picture_that_lies_on_its_side_is_set_upright(http, archive, settings, encoder, find):
    picture = Image.new("RGB", (80, 40), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 0, 40, 40))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(archive / "pictures" / "turned.jpg", exif=exif, quality=95)
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    content = http.get(find("turned.jpg")["links"]["thumbnail"]).content
    assert Image.open(io.BytesIO(content)).size == (160, 320)
    assert near(colour(content, (0.5, 0.2)), (0, 0, 255))
    assert near(colour(content, (0.5, 0.8)), (255, 0, 0))


def test_sizes_are_few(http, find, settings):
    address = find("blue.png")["links"]["thumbnail"]
    for size in (16, 100, 160):
        assert Image.open(io.BytesIO(http.get(address, params={"size": size}).content)).width == 160
    assert len(list((settings.home / "cache").glob("*/*"))) == 1
    assert_problem(http.get(address, params={"size": 100_000}), 422, "validation")


def test_frames_and_sheets_of_a_video(http, archive, clip, settings, encoder, find):
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    address = find("clip.mp4")["links"]["thumbnail"]
    assert near(colour(http.get(address, params={"t": 0.5}).content), (255, 0, 0))
    assert near(colour(http.get(address, params={"t": 2.5}).content), (0, 0, 255))
    assert near(colour(http.get(address, params={"t": 1e6}).content), (0, 0, 255))
    assert near(colour(http.get(address, params={"t": 1.49}).content), (255, 0, 0))
    assert near(colour(http.get(address, params={"t": 1.51}).content), (0, 0, 255))
    preview = find("clip.mp4")["links"]["preview"]
    plan = http.get(preview, params={"info": 1}).json()
    assert (plan["count"], plan["columns"], plan["rows"], plan["width"], plan["height"]) == (6, 5, 2, 192, 128)
    sheet = http.get(preview).content
    assert Image.open(io.BytesIO(sheet)).size == (960, 256)
    assert near(colour(sheet, (0.1, 0.25)), (255, 0, 0))
    assert near(colour(sheet, (0.9, 0.25)), (0, 0, 255))
    hit = http.post("/v1/search", json={"query": [{"text": "blue"}], "targets": ["video"], "k": 1}).json()["hits"][0]
    assert hit["links"]["moment"].endswith("/media#t=1.5,3")
    assert near(colour(http.get(hit["links"]["thumbnail"]).content), (0, 0, 255))


def test_waves_of_sounds_and_no_picture_of_a_text(http, find):
    tone, text = find("low.wav"), find("sea.md")
    for link, size in (("thumbnail", (320, 120)), ("preview", (1280, 160))):
        response = http.get(tone["links"][link])
        assert response.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(response.content)).size == size
    assert text["links"]["thumbnail"] is None
    assert_problem(http.get(f"/v1/assets/{text['id']}/thumbnail"), 404, "no-picture")
    assert_problem(http.get(f"/v1/assets/{text['id']}/preview"), 404, "no-preview")


def test_a_playlist_in_a_videos_place_makes_ffmpeg_read_nothing_else(http, archive, clip, settings, encoder, find):
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    address, status = find("clip.mp4")["links"]["thumbnail"], clip.stat()
    playlist = f"#EXTM3U\n#EXTINF:1,\n{clip}.other\n#EXT-X-ENDLIST\n".encode()
    clip.rename(f"{clip}.other")
    clip.write_bytes(playlist + b"#" * (status.st_size - len(playlist)))
    os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert_problem(http.get(address), 422, "media")


def test_kept_pictures_tell_whose_they_are(http, find, settings):
    red = find("red.png")
    assert http.get(red["links"]["thumbnail"], params={"size": 320}).status_code == 200
    digest = http.get(f"/v1/assets/{red['id']}").json()["sha256"]
    (kept,) = cache.pictures_of(settings.home, digest)
    assert kept == cache.picture(settings.home, digest, "image-320", "jpg")
    assert cache.digest_of(kept) == digest
    assert list(cache.pictures(settings.home)) == [kept]


def test_the_cache_of_pictures_keeps_to_its_quota(start, indexed, monkeypatch):
    from search.api import thumbnails

    monkeypatch.setattr(thumbnails, "SWEEP_EVERY", 1)
    http = start(replace(indexed, cache_bytes=3_000))
    for asset in http.get("/v1/assets?modality=image").json()["assets"]:
        assert http.get(asset["links"]["thumbnail"]).status_code == 200
    assert sum(file.stat().st_size for file in (indexed.home / "cache").glob("*/*")) <= 3_000


@pytest.mark.parametrize(
    "address", ["/livez", "/v1/status", "/v1/docs", "/v1/assets/1", "/v1/nothing", "/v1/assets/1/media", "/else"]
)
def test_every_answer_says_what_a_browser_may_do_with_it(http, address):
    headers = http.get(address).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0] or address == "/v1/docs"
    assert policy.startswith(("default-src", "sandbox"))


@pytest.mark.parametrize(
    ("name", "options"), [("live.webm", {"live": "1"}), ("piece.mkv", {"output_ts_offset": "3600"}), ("joined.ts", {})]
)
def test_a_film_is_as_long_as_what_was_decoded(http, archive, settings, encoder, find, name, options):
    """Its header tells nothing, or the clock's end, or the length of one of two recordings."""
    path = write_video(archive / name, [("red", 2.0), ("blue", 2.0)], **options)
    wanted = 4000
    if name == "joined.ts":
        path.write_bytes(path.read_bytes() * 2)
        wanted = 8000
    run.index(settings, run.RunRequest([archive]), encoder=encoder)
    film = find(name)
    assert film["duration_ms"] == pytest.approx(wanted, abs=50)
    first, *_ = http.get(f"/v1/assets/{film['id']}/segments").json()["segments"]
    begins = "3600," if name == "piece.mkv" else "0,"
    assert first["span"]["start_ms"] == 0
    assert (
        first["links"]["moment"].partition("#t=")[2].startswith(begins)
    )  # fragments count as Chromium does, on the file's clock
    plan = http.get(film["links"]["preview"], params={"info": 1}).json()
    assert plan["count"] == wanted // 500
    sheet = Image.open(io.BytesIO(http.get(film["links"]["preview"]).content))
    last = divmod(plan["count"] - 1, plan["columns"])
    middle = ((last[1] + 0.5) * plan["width"] / sheet.width, (last[0] + 0.5) * plan["height"] / sheet.height)
    assert near(colour(http.get(film["links"]["preview"]).content, middle), COLOURS["blue"])
    assert near(colour(http.get(film["links"]["thumbnail"], params={"t": wanted / 1000 - 0.2}).content), COLOURS["blue"])
    for longest, found in ((wanted + 200, True), (wanted - 200, False)):
        question = {"query": [{"text": "blue"}], "targets": ["video"], "k": 20, "filter": {"longest_ms": longest}}
        answer = http.post("/v1/search", json=question)
        assert answer.status_code == 200, answer.text
        assert (name in [hit["asset"]["name"] for hit in answer.json()["hits"]]) is found


def test_an_asset_is_found_by_its_content_and_by_where_it_lies(still):
    (red,) = still.get("/v1/assets", params={"name": "red.png"}).json()["assets"]
    assert [one["id"] for one in still.get("/v1/assets", params={"sha256": red["sha256"]}).json()["assets"]] == [red["id"]]
    assert still.get("/v1/assets", params={"sha256": "0" * 64}).json()["assets"] == []
    assert [one["id"] for one in still.get("/v1/assets", params={"path": "pictures/red.png"}).json()["assets"]] == [red["id"]]
    (hit,) = still.post("/v1/search", json={"query": [{"text": "red"}], "targets": ["image"], "k": 1}).json()["hits"]
    assert hit["asset"]["sha256"] == red["sha256"]
    assert still.get(f"/v1/segments/{red['segment']}").json()["asset"]["id"] == red["id"]


@pytest.mark.parametrize(
    "address", ["/v1/assets?modalty=audio", "/v1/status?x=1", "/v1/assets/1/thumbnail?t=1&sise=160", "/v1/uploads?nam=a"]
)
def test_a_misspelt_parameter_is_told_everywhere(still, address):
    answer = still.post(address, content=b"") if "uploads" in address else still.get(address)
    assert_problem(answer, 422, "validation")
    assert "there is no such parameter" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("where", [{"collections": ["defualt"]}, {"under": "no/such/folder"}])
def test_a_filter_that_names_nothing_is_told(still, where):
    answer = still.post("/v1/search", json={"query": [{"text": "red"}], "filter": where})
    assert answer.status_code == 422
    assert answer.json()["remedy"]


def test_problems_have_a_schema_under_their_own_media_type(still):
    told = still.get("/v1/openapi.json").json()
    reference = {"$ref": "#/components/schemas/Trouble"}
    answers = [
        (status, answer["content"])
        for path in told["paths"].values() for operation in path.values() for status, answer in operation["responses"].items()
        if status == "default" or status >= "400"
    ]  # fmt: skip
    assert len(answers) > 60
    assert all(content == {"application/problem+json": {"schema": reference}} for _, content in answers)
    assert told["components"]["schemas"]["Mistake"]["required"] == ["where", "message"]


def test_embeddings_have_the_shape_that_openai_clients_read(still):
    picture = base64.b64encode((Path(still.settings.roots) / "pictures" / "red.png").read_bytes()).decode()
    told = still.post("/v1/embeddings", json={"model": "", "input": ["red", {"image": picture}, "blue"]}).json()
    red, shown, blue = (np.array(one["embedding"]) for one in told["data"])
    assert [one["index"] for one in told["data"]] == [0, 1, 2]
    assert np.isclose(np.linalg.norm(red), 1, atol=1e-5)
    assert red @ shown > blue @ shown
    packed = still.post(
        "/v1/embeddings", json={"model": told["model"], "input": "red", "encoding_format": "base64", "user": "me"}
    ).json()
    assert np.allclose(np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4"), red, atol=1e-6)
    assert_problem(still.post("/v1/embeddings", json={"input": []}), 422, "validation")
    assert_problem(still.post("/v1/embeddings", json={"input": "a", "dimensions": 7}), 422, "input")
    assert_problem(still.post("/v1/embeddings", json={"input": "a", "model": "none"}), 422, "unknown-name")
