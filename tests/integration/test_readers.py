"""Readers in an archive: resumable for each alone, their passages found by meaning, what they cannot read in the ledger."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from indexer import reading
from indexer import run as run_
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import encoders, readers
from search.errors import InputError, ModelMissing, QueryError, ReaderHangs
from search.media.metadata import sidecars
from search.query import Engine, Term
from search.store import Database, Readers, SqlStore, queue
from search.types import Channel, Filter, Modality
from tests.fakes.partial import Shelf
from tests.fakes.reader import FakeReader
from tests.media_samples import films
from tests.unit.test_media_written import rdf, write_subtitled
from ui.cli import app


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(settings, request, monkeypatch):
    """Settings of a home on either database; whatever was opened of it is closed in the end."""
    opened, init = [], Database.__init__
    monkeypatch.setattr(Database, "__init__", lambda self, url: opened.append(self) or init(self, url))
    yield settings if request.param == "sqlite" else replace(settings, database_url=request.getfixturevalue("postgres_url"))
    for database in opened:
        database.close()


@pytest.fixture
def reader(monkeypatch) -> FakeReader:
    reader = FakeReader()
    monkeypatch.setattr(readers, "load", lambda *_: reader)
    return reader


def begin(settings, archive, encoder, monkeypatch) -> None:
    """Index the archive into the fake space, and have the command line find it."""
    index(settings, RunRequest([archive]), encoder=encoder)
    monkeypatch.setattr(encoders, "load", Shelf(fake=encoder))
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    monkeypatch.setenv("SENSORIUM_DATABASE_URL", settings.database_url)


@pytest.fixture
def home(settings, archive, encoder, monkeypatch, reader):
    """An archive with the fake space."""
    begin(settings, archive, encoder, monkeypatch)
    return settings


def run(*arguments: str, code: int = 0):
    done = CliRunner().invoke(app, list(arguments))
    if code == 0 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def add(*options: str) -> dict:
    return json.loads(run("readers", "add", "fake", "--json", *options).stdout.splitlines()[-1])


def names(answer) -> set[str]:
    return {hit.segment.path.rpartition("/")[2] for hit in answer.hits}


def test_a_reader_reads_what_is_there_and_its_words_are_found(home, encoder, reader):
    before = encoder.encoded
    done = add()
    assert done["assets"] == {"done": reader.count}
    assert done["passages"] > 0
    assert encoder.encoded - before == done["passages"]  # nothing else is embedded again
    with Engine(home, encoder=encoder) as engine:
        said = engine.search(Term("low", Modality.TEXT), Filter(channels=(Channel.SPEECH,)), k=3)
        assert "low.wav" in names(said)
        assert {hit.segment.channel for hit in said.hits} == {Channel.SPEECH}
        written = engine.search(Term("red", Modality.TEXT), Filter(channels=(Channel.OCR,), modalities=(Modality.IMAGE,)), k=1)
        assert names(written) == {"red.png"}
    assert all(check.ok for check in verify(home, deep=True))


def test_reading_tells_how_far_it_is(home, reader, monkeypatch):
    monkeypatch.setattr(reading, "RECOUNT_SECONDS", 0.0)
    add("--later")
    waiting = Readers(Database(home.database)).size(1)[0]["pending"]
    told = []
    index(home, RunRequest((), report=lambda _, done, __: told.append((done.reader, done.to_read, done.behind))))
    of_it = [(total, behind) for name, total, behind in told if name == "fake"]
    assert {total for total, _ in of_it} == {waiting}
    assert of_it[-1][1] == waiting
    assert told[-1][0] == ""  # what was read is embedded afterwards


def test_what_no_reader_has_read_is_told_with_the_reason(home, reader, monkeypatch):
    def unread() -> dict[str, str]:
        told = json.loads(run("failures", "--unread", "--json").stdout)
        files = {(one["path"].rpartition("/")[2], one["channel"]): one["why"] for one in told["unread_files"]}
        assert sum(one["assets"] for one in told["unread"]) == len(files)
        return files

    before = unread()
    assert before["low.wav", "speech"] == before["red.png", "ocr"] == "none"
    assert ("red.png", "speech") not in before
    assert sum(one.duration_ms for one in Readers(Database(home.database)).unread() if one.channel is Channel.SPEECH) > 0
    assert "sensorium readers add" in run("failures", "--unread").stdout
    add("--later")
    assert set(unread().values()) == {"waiting"}
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader(fails_on="red"))
    index(home, RunRequest(()))
    after = unread()
    assert after["red.png", "ocr"] == "failed"
    assert set(after) < set(before)
    assert set(after.values()) == {"failed"}


def test_a_second_run_reads_nothing_and_new_files_are_read(home, encoder, reader, archive):
    add()
    before = reader.count
    index(home, RunRequest([archive]))
    assert reader.count == before
    (archive / "new.png").write_bytes((archive / "pictures" / "red.png").read_bytes() + b"\0")
    summary = index(home, RunRequest([archive]))
    assert (reader.count, summary.progress.read) == (before + 1, 1)


def test_a_reader_that_fails_on_a_file_goes_on_with_the_next(home, encoder, monkeypatch):
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader(fails_on="red"))
    done = add()
    assert done["assets"]["failed"] >= 1
    assert done["assets"]["done"] > 1
    failures = [line for line in SqlStore(Database(home.database)).failures() if line.reason == "reader"]
    assert any(line.path.endswith("red.png") for line in failures)
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader())
    run("retry", "--reason", "reader")
    assert not [line for line in SqlStore(Database(home.database)).failures() if line.reason == "reader"]


def test_a_reader_without_weights_waits_and_the_rest_goes_on(home, encoder, archive, monkeypatch):
    add("--later")

    def missing(*_):
        raise ModelMissing("The model fake is not here.", remedy="Fetch it.")

    monkeypatch.setattr(readers, "load", missing)
    (archive / "new.txt").write_text("A magenta balloon.")
    summary = index(home, RunRequest([archive]))
    assert (list(summary.absent), summary.progress.done) == (["fake"], 1)
    assert run("index", str(archive), code=5)
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader())
    assert index(home, RunRequest([archive])).progress.read > 0


def test_weights_that_go_missing_amid_reading_lose_nothing(home, encoder, archive, monkeypatch):
    add("--later")
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader(absent=True))
    assert list(index(home, RunRequest([archive])).absent) == ["fake"]
    counts, _ = Readers(Database(home.database)).size(1)
    assert set(counts) == {"pending"}


def test_a_reader_that_hangs_on_a_file_ends_the_run_and_the_next_one_goes_on_behind_it(home, archive, monkeypatch):
    class Hanging(FakeReader):
        def _see(self, cut):
            passage = super()._see(cut)
            if passage.text == "red":
                threading.Event().wait()
            return passage

    add("--later")
    monkeypatch.setattr(readers, "load", lambda *_: Hanging())
    monkeypatch.setattr(reading, "HANGS_SECONDS", 3.0)
    monkeypatch.setattr(reading, "LEAVE_SECONDS", 0.5)
    for number in range(3):
        summary = index(home, RunRequest([archive]))
        if not summary.absent:
            break
        assert isinstance(summary.absent["fake"], ReaderHangs), number
    counts, _ = Readers(Database(home.database)).size(1)
    assert counts["failed"] == number
    assert set(counts) == {"done", "failed"}
    failures = [line for line in SqlStore(Database(home.database)).failures() if line.reason == "reader"]
    assert all("no sign of life" in line.detail for line in failures)
    assert any(line.path.endswith("red.png") for line in failures)


def test_another_revision_reads_everything_again_and_replaces_what_was_read(home, encoder, monkeypatch):
    first = add()
    newer = FakeReader("2")
    monkeypatch.setattr(readers, "load", lambda *_: newer)
    again = add()
    assert again["passages"] == first["passages"]
    assert newer.count == sum(again["assets"].values())
    with Engine(home, encoder=encoder) as engine:
        assert "low.wav" in names(engine.search(Term("low", Modality.TEXT), Filter(channels=(Channel.SPEECH,)), k=3))
    assert all(check.ok for check in verify(home, deep=True))


def test_removing_a_reader_takes_its_passages_and_nothing_else(home, encoder, archive):
    store = SqlStore(Database(home.database))
    before = store.counts()["segments"]
    add()
    with Engine(home, encoder=encoder) as engine:
        assert engine.search(Term("low", Modality.TEXT), Filter(channels=(Channel.SPEECH,))).hits
        run("readers", "remove", "fake", code=1)
        run("readers", "remove", "fake", "--yes")
        assert store.counts()["segments"] == before
        assert not engine.search(Term("low", Modality.TEXT), Filter(channels=(Channel.SPEECH,))).hits
    assert all(check.ok for check in verify(home, deep=True))


def test_what_was_read_is_kept_with_its_source_language_and_words(home, encoder):
    add()
    import sqlalchemy as sa

    from search.store import tables as t

    with Database(home.database).reading() as connection:
        rows = connection.execute(sa.select(t.segment).where(t.segment.c.reader_id > 0)).all()  # 0: names of files
    assert {row.source for row in rows} == {"fake"}
    assert {row.language for row in rows} == {"en"}
    detail = json.loads(rows[0].detail)
    (start, end, *_), *_ = detail["words"]
    assert rows[0].text[start:end] in rows[0].text.split()
    assert rows[0].confidence == 1


def test_a_spoken_question_is_asked_by_its_words_and_by_its_sound(home, encoder, archive):
    add()
    asked = Term(archive / "tones" / "low.wav", Modality.AUDIO)
    with Engine(home, encoder=encoder) as engine:
        answer = engine.spoken(asked, k=20)
        assert answer.heard.split() == ["low"] * 4
        channels = {hit.segment.channel for hit in answer.hits if hit.segment.path.endswith("low.wav")}
        assert channels == {Channel.SOUND, Channel.SPEECH}
        assert [hit.rank for hit in answer.hits] == list(range(1, len(answer.hits) + 1))
        assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)
        with pytest.raises(QueryError, match="single recording"):
            engine.spoken(Term("low", Modality.TEXT))
    told = json.loads(run("search", "--audio", str(archive / "tones" / "low.wav"), "--spoken", "--json").stdout)
    assert told["heard"].startswith("low")


def test_a_recorded_question_is_ranked_as_it_is_searched(home, encoder, archive):
    add()
    asked = Term(archive / "tones" / "low.wav", Modality.AUDIO)
    with Engine(home, encoder=encoder) as engine:
        searched = [hit.segment.asset for hit in engine.spoken(asked, k=50, group="asset").hits]
        ranked = engine.rank(asked, k=50, spoken=True).tolist()
        assert ranked[:3] == searched[:3]  # those behind score alike
        assert sorted(ranked) == sorted(searched)
        assert set(engine.rank(asked, k=3).tolist()) != set(ranked[:3])  # what sounds alike alone


def test_a_spoken_question_wants_a_reader(home, encoder, archive):
    with Engine(home, encoder=encoder) as engine, pytest.raises(InputError, match="no reader of speech"):
        engine.spoken(Term(archive / "tones" / "low.wav", Modality.AUDIO))


def test_a_list_says_what_readers_have_read(home, encoder):
    add()
    told = json.loads(run("readers", "list", "--json").stdout)
    assert told["readers"][0]["name"] == "fake"
    assert told["languages"]["en"] == told["readers"][0]["passages"]
    assert "fake" in run("readers", "list").stdout


def test_subtitles_beside_a_film_are_read_and_read_again_when_they_change(settings, archive, encoder, monkeypatch):
    film = films(archive / "films") / "sea.mp4"
    begin(settings, archive, encoder, monkeypatch)
    told = json.loads(run("readers", "add", "written", "--json").stdout.splitlines()[-1])
    before = told["passages"]
    for number, words in enumerate(("magenta balloons", "cyan water")):
        film.with_suffix(".en.srt").write_text(f"1\n00:00:00,500 --> 00:00:01,500\n{words}\n")
        index(settings, RunRequest([archive]))
        assert Readers(Database(settings.database)).size(1)[1] == before + 1, number
        with Engine(settings, encoder=encoder) as engine:
            hit, *_ = engine.search(Term(words, Modality.TEXT), Filter(channels=(Channel.SPEECH,))).hits
            assert (hit.segment.path, hit.segment.span.start, hit.segment.text) == (str(film), 500, words)
    film.with_suffix(".en.srt").unlink()
    index(settings, RunRequest([archive]))
    assert Readers(Database(settings.database)).size(1)[1] == before


def test_subtitle_tracks_that_no_reader_has_read_are_told(settings, archive, encoder, monkeypatch):
    film = write_subtitled(archive / "film.mkv", [("subrip", "ger", [(500, 1000, b"magenta balloons")])])
    begin(settings, archive, encoder, monkeypatch)

    def told() -> list[tuple[str, int]]:
        some = json.loads(run("failures", "--unread", "--json").stdout)
        assert [one["path"] for one in some["unread_files"] if one["why"] == "subtitles"] in ([], [str(film)])
        return [(one["channel"], one["assets"]) for one in some["unread"] if one["why"] == "subtitles"]

    assert told() == [("speech", 1)]
    assert "1 file has subtitles that are not read (0:04). Add a reader: `sensorium readers add written`." in " ".join(
        run("status").stdout.split()
    )
    run("readers", "add", "written")
    assert told() == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_is_not_what_was_scanned_is_scanned_again_before_it_is_read(home, archive, encoder, monkeypatch, gone):
    """A reader that is added to an archive meets the files as they are now, since no folder is scanned before."""
    monkeypatch.setattr(run_, "SETTLE_SECONDS", 0.0)
    file = archive / "pictures" / "red.png"
    if gone:
        file.unlink()
    else:
        Image.new("RGB", (60, 40), "blue").save(file)
    add()
    with Engine(home, encoder=encoder) as engine:
        wanted = Filter(channels=(Channel.OCR,), modalities=(Modality.IMAGE,))
        seen = {
            hit.segment.path.rpartition("/")[2]: hit.segment.text
            for hit in engine.search(Term("blue", Modality.TEXT), wanted, k=20).hits
        }
    assert seen.get("red.png") == (None if gone else "blue")
    assert seen["blue.png"] == "blue"
    if not gone:
        assert all(check.ok for check in verify(home, deep=True))


def test_films_are_read_after_photographs_if_there_is_one_reader_at_a_time(settings, archive, encoder, reader, monkeypatch):
    (archive / "tones").rename(archive / "a")  # comes first
    begin(settings, archive, encoder, monkeypatch)
    add("--later")
    largest = max(path.stat().st_size for path in (archive / "pictures").iterdir())
    for module in (reading, queue):
        monkeypatch.setattr(module, "LARGE_BYTES", largest + 1)
    read, order = reader.read, []
    monkeypatch.setattr(reader, "read", lambda info, cuts: order.append(info.modality) or read(info, cuts))
    index(replace(settings, readers=1), RunRequest(()))
    assert order == [Modality.IMAGE] * 8 + [Modality.AUDIO] * 3


def test_a_run_with_nothing_to_do_changes_nothing(home, archive, reader):
    add()
    store = SqlStore(Database(home.database))
    before = store.version()
    assert index(home, RunRequest([archive, archive / "tones"])).progress.read == 0  # the second is new as a root
    assert store.version() == before + 1
    assert index(home, RunRequest([archive, archive / "tones"], prune=True)).progress.read == 0
    assert store.version() == before + 1


def test_a_run_looks_at_the_sidecars_of_what_it_scans_alone(settings, archive, encoder, monkeypatch):
    film = films(archive / "films") / "sea.mp4"
    begin(settings, archive, encoder, monkeypatch)
    told = json.loads(run("readers", "add", "written", "--json").stdout.splitlines()[-1])
    looked: list[str] = []
    fingerprint = sidecars.fingerprint
    monkeypatch.setattr(sidecars, "fingerprint", lambda path: looked.append(path.name) or fingerprint(path))
    film.with_suffix(".xmp").write_bytes(rdf("", 'photoshop:Headline="Magenta balloons"'))
    for paths in ([], [archive / "tones"], [archive / "pictures" / "red.png"]):
        index(settings, RunRequest(paths))
        assert film.name not in looked
    assert sorted(looked) == sorted([*(path.name for path in (archive / "tones").iterdir()), "red.png"])
    assert index(settings, RunRequest([film])).progress.read == 1
    assert Readers(Database(settings.database)).size(1)[1] == told["passages"] + 1
    assert index(settings, RunRequest([archive])).progress.read == 0


def test_of_a_film_that_lies_in_two_places_the_sidecars_are_those_of_one(settings, archive, encoder, monkeypatch):
    film = films(archive / "films") / "sea.mp4"
    film.with_suffix(".en.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\ncyan water\n")
    (archive / "again").mkdir()
    shutil.copy(film, archive / "again")
    begin(settings, archive, encoder, monkeypatch)
    run("readers", "add", "written")
    assert [index(settings, RunRequest([archive])).progress.read for _ in range(2)] == [0, 0]
    with Engine(settings, encoder=encoder) as engine:

        def hits() -> list[str]:
            asked = Term('"cyan water"', Modality.TEXT), Filter(channels=(Channel.SPEECH,))
            return [hit.segment.path for hit in engine.search(*asked).hits]

        assert hits() == []  # it is read at the first place, and there nothing lies beside it
        (archive / "again" / film.name).unlink()
        assert index(settings, RunRequest([archive])).progress.read == 1
        assert hits() == [str(film)]
        film.rename(film.with_stem("ocean"))
        assert index(settings, RunRequest([archive])).progress.read == 1
        assert hits() == []
