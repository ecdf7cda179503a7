"""Archives in buckets, on a real S3 server: moto's, in threads of this process."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.delete import What, delete
from indexer.run import RunRequest, index, prune
from indexer.verify import verify
from search.errors import InputError, ObjectsAway
from search.media import objects
from search.media.objects import FsspecBucket, Objects, Stored
from search.query.algebra import Term
from search.query.engine import Engine
from search.store import Database
from search.types import Filter, Modality
from tests.buckets import KEY, SECRET, serving

ROOT = "s3://holiday/2024"


@pytest.fixture(scope="module")
def s3():
    with serving() as server:
        yield server


@pytest.fixture
def bucket(s3, archive, monkeypatch):
    """The archive in a bucket: the same files under a prefix, beside another prefix that begins like it."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    files = {f"2024/{path.relative_to(archive)}": path.read_bytes() for path in sorted(archive.rglob("*")) if path.is_file()}
    s3.fill("holiday", files | {"2024b/other.txt": b"It is not under that prefix.", "2024/": b""})
    s3.asked.clear()
    yield files
    s3.refuse = 0
    s3.drop("holiday")


@pytest.fixture
def found(settings):
    """Paths of what the archive holds, with their states."""

    def paths(state="present"):
        with closing(Database(settings.database)) as database, database.reading() as connection:
            rows = connection.exec_driver_sql(f"SELECT path FROM location WHERE state = '{state}' ORDER BY path").scalars()
            return [os.fsdecode(path) for path in rows]

    return paths


def test_a_bucket_is_indexed_searched_and_deleted_from_like_a_folder(settings, bucket, s3, archive, encoder, found, tmp_path):
    summary = index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    local = replace(settings, home=tmp_path / "of files")
    files = index(local, RunRequest([archive]), encoder=encoder)
    assert (summary.scan.new, summary.progress.done, summary.progress.segments) == (
        files.scan.new, files.progress.done, files.progress.segments,
    )  # fmt: skip
    assert all(path.startswith(f"{ROOT}/") for path in found())
    gets = [path for method, path in s3.asked if method == "GET" and path.count("/") > 2]
    assert len(gets) == len(set(gets)) == len(bucket)  # each was fetched once, to be hashed and decoded
    with Engine(settings, encoder=encoder) as engine:
        answer = engine.search(Term("red", Modality.TEXT), Filter(under=(f"{ROOT}/pictures/red.png",)), k=5)
        assert [hit.segment.path for hit in answer.hits] == [f"{ROOT}/pictures/red.png"]
    again = index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    assert (again.scan.unchanged, again.scan.hashed_bytes, again.progress.done) == (summary.scan.files, 0, 0)
    assert all(check.ok for check in verify(settings, deep=True))
    kept = {path.name for path in (settings.home / "objects").iterdir()}
    digest = hashlib.sha256(bucket["2024/pictures/red.png"]).hexdigest()
    assert digest in kept
    assert oct((settings.home / "objects").stat().st_mode)[-3:] == "700"
    assert oct((settings.home / "objects" / digest).stat().st_mode)[-3:] == "600"
    assert delete(settings, What(paths=[Path(f"{ROOT}/pictures/red.png")])).files == 1
    assert {path.name for path in (settings.home / "objects").iterdir()} == kept - {digest}
    s3.client.delete_object(Bucket="holiday", Key="2024/pictures/red.png")


def test_names_that_differ_in_case_or_slashes_only_are_files_of_their_own(settings, bucket, s3, encoder, found):
    keys = ("2024/A.txt", "2024/a.txt", "2024/in//a.txt", "2024/in/a.txt", "2024/ä %20#?.txt")
    for key in keys:
        s3.client.put_object(Bucket="holiday", Key=key, Body=f"The text of {key}, alone.".encode())
    index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    assert {f"s3://holiday/{key}" for key in keys} <= set(found())


def test_an_object_that_changes_is_read_again_and_never_half(settings, bucket, s3, encoder, monkeypatch):
    old, new = b"The words that stood here first.", b"The words that stand here now, and no others."
    s3.client.put_object(Bucket="holiday", Key="2024/note.txt", Body=old)
    look = objects.Objects.open
    changed = []

    def open_(self, path, digest, size):
        if path.endswith(b"note.txt") and not changed:  # after it was scanned, and before it is decoded
            changed.append(path)
            (settings.home / "objects" / digest.hex()).unlink()
            s3.client.put_object(Bucket="holiday", Key="2024/note.txt", Body=new)
        return look(self, path, digest, size)

    monkeypatch.setattr(objects.Objects, "open", open_)
    monkeypatch.setattr("indexer.run.SETTLE_SECONDS", 0)
    summary = index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    assert changed
    assert summary.progress.failed == 0
    with closing(Database(settings.database)) as database, database.reading() as connection:
        texts = set(connection.exec_driver_sql("SELECT text FROM segment").scalars())
    assert new.decode() in texts
    assert old.decode() not in texts


def test_throttling_is_waited_out_and_an_outage_ends_the_run_with_a_word(settings, bucket, s3, encoder, monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    s3.refuse = 3
    assert index(settings, RunRequest([Path(ROOT)]), encoder=encoder).scan.files == len(bucket)
    s3.client.put_object(Bucket="holiday", Key="2024/late.txt", Body=b"It came late.")
    s3.refuse = 10_000
    with pytest.raises(ObjectsAway, match="s3://holiday is away: it answered with status 503"):
        Objects(settings).fetch(Stored(b"s3://holiday/2024/late.txt", 13, 0, 0))
    s3.refuse = 0
    assert index(settings, RunRequest([Path(ROOT)]), encoder=encoder).scan.new == 1


def test_a_bucket_that_is_gone_is_away_and_comes_back(settings, bucket, s3, encoder, found):
    index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    before = found()
    s3.drop("holiday")
    gone = index(settings, RunRequest([Path(ROOT)], prune=True), encoder=encoder)
    assert (gone.scan.away_roots, gone.scan.missing, gone.kept_away) == (1, 0, len(before))
    assert (found(), found("away")) == ([], before)
    with pytest.raises(InputError, match="are away"):
        prune(settings, None)
    s3.fill("holiday", bucket)
    back = index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    assert (found(), back.progress.done) == (before, 0)


def test_wrong_credentials_are_told_and_stand_nowhere(settings, bucket, encoder, monkeypatch, caplog):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", wrong := "AKIAWRONGWRONGWRONG1")
    caplog.set_level("DEBUG")
    with pytest.raises(ObjectsAway, match="may not be read: the credentials were found and do not open it") as error:
        index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    place = Objects(settings)
    place.is_empty(ROOT.encode())
    told = f"{error.value} {error.value.remedy} {place!r} {vars(place)} {caplog.text}".encode()
    everywhere = told + b"".join(path.read_bytes() for path in settings.home.rglob("*") if path.is_file())
    assert not [one for one in (wrong, KEY, SECRET) if one.encode() in everywhere]


def test_what_is_kept_stays_under_its_bound_and_the_last_used_stays(settings, bucket, s3):
    for number in range(8):
        s3.client.put_object(Bucket="holiday", Key=f"big/{number}", Body=bytes([number]) * 100_000)
    place = Objects(replace(settings, object_bytes=350_000))
    digests = []
    for stored in place.list(b"s3://holiday/big"):
        digests.append(place.fetch(stored))
        assert sum(path.stat().st_size for path in (settings.home / "objects").iterdir()) <= 450_000
        os.utime(settings.home / "objects" / digests[-1].hex(), ns=(len(digests), len(digests)))
        if len(digests) > 1:  # so the first is used again and again
            os.close(place.open(b"s3://holiday/big/0", digests[0], 100_000))
    assert (settings.home / "objects" / digests[0].hex()).exists()
    assert not (settings.home / "objects" / digests[1].hex()).exists()
    os.close(place.open(b"s3://holiday/big/1", digests[1], 100_000))  # fetched anew


def test_nothing_is_asked_for_offline_and_nothing_outside_of_the_roots(settings, bucket, s3, encoder):
    with pytest.raises(InputError, match="the setting offline is on"):
        index(replace(settings, offline=True), RunRequest([Path(ROOT)]), encoder=encoder)
    index(replace(settings, home=settings.home / "other"), RunRequest([Path(ROOT)], "some"), encoder=encoder)
    s3.asked.clear()
    summary = index(settings, RunRequest([Path(ROOT)], confined=True), encoder=encoder)
    assert summary.scan.files == 0
    assert not [path for _, path in s3.asked if path.startswith("/holiday/2024/")]  # no object was looked at


def test_the_service_shows_media_of_a_bucket_and_takes_jobs_under_its_roots_alone(start, settings, bucket, s3, encoder):
    index(settings, RunRequest([Path(ROOT)]), encoder=encoder)
    http = start(replace(settings, roots=ROOT))
    found = {one["name"]: one["id"] for one in http.get("/v1/assets").json()["assets"]}
    content = bucket["2024/pictures/red.png"]
    media = f"/v1/assets/{found['red.png']}/media"
    assert http.get(media, headers={"Range": "bytes=8-19"}).content == content[8:20]
    assert http.get(media).content == content
    assert http.get(f"/v1/assets/{found['red.png']}/thumbnail").headers["content-type"] == "image/jpeg"
    job = http.post("/v1/index-jobs", json={"paths": ["s3://elsewhere/2024"]})
    assert (job.status_code, job.json()["type"].rpartition("/")[2]) == (403, "outside-roots")
    assert http.post("/v1/index-jobs", json={"paths": [f"{ROOT}/tones"]}).status_code == 202
    for path in (settings.home / "objects").iterdir():
        path.unlink()
    s3.drop("holiday")
    gone = http.get(media)
    assert (gone.status_code, gone.json()["type"].rpartition("/")[2]) == (503, "objects-away")
    s3.fill("holiday", bucket)


def test_other_storage_goes_through_fsspec(settings, tmp_path):
    """With the file system in memory that fsspec brings."""
    store = FsspecBucket("memory", "box")
    store._files.pipe({"/box/a/1.txt": b"one", "/box/a/b/2.txt": b"two" * 3, "/box/c.txt": b"three"})
    listed = list(store.list("a/"))
    assert [(key, size) for key, size, *_ in listed] == [("a/1.txt", 3), ("a/b/2.txt", 9)]
    size, tag, chunks = store.read("a/b/2.txt", 3, 0, "")
    assert (size, tag, b"".join(chunks)) == (9, listed[1][3], b"twotwo")
    with pytest.raises(InputError, match="gs:// needs the package gcsfs"):
        FsspecBucket("gs", "box")
    with pytest.raises(InputError, match="may hold a key"):
        Objects(settings).look(b"https://somewhere/a.jpg?key=secret")
