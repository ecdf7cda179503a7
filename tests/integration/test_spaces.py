"""Several spaces in one archive: filled selectively, searched side by side, switched, compared and dropped."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from indexer.delete import What, delete
from indexer.pipeline import Progress
from indexer.repair import repair
from indexer.run import RunRequest, index, indexer
from indexer.scan import Tally
from indexer.verify import verify
from search import encoders, readers
from search.errors import InputError, QueryError, UnknownName
from search.index import Generations
from search.index.generations import folder_name
from search.query import Blend, Engine, Term
from search.query.calibration import MIN_SAMPLE, NOTHING, file_of, save
from search.query.open_spaces import ALL, RETRY_SECONDS
from search.store import Database, Readers, Spaces, SqlStore
from search.types import MEDIA, Channel, Filter, Modality
from tests.fakes.partial import PICTURES, SOUNDS, Grained, Partial, Shelf
from tests.fakes.reader import FakeReader
from tests.media_samples import films
from tests.waiting import until
from ui.cli import app

RED, LOW = Term("red", Modality.TEXT), Term("low", Modality.TEXT)


@pytest.fixture
def shelf(monkeypatch) -> Shelf:
    shelf = Shelf(
        whole=Partial("whole", MEDIA), eyes=Partial("eyes", PICTURES, twist=3), ears=Partial("ears", SOUNDS, twist=5),
        grained=Grained("grained", PICTURES, twist=2),
    )  # fmt: skip
    monkeypatch.setattr(encoders, "load", shelf)
    monkeypatch.setenv("SENSORIUM_SPACE", "whole")
    return shelf


@pytest.fixture
def home(shelf, settings, archive, monkeypatch):
    """An archive whose first space is ``whole``."""
    from dataclasses import replace

    films(archive / "films")
    index(replace(settings, space="whole"), RunRequest([archive]))
    monkeypatch.delenv("SENSORIUM_SPACE")
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    return settings


@pytest.fixture
def spaces(home) -> Spaces:
    return Spaces(Database(home.database))


def run(*arguments: str, code: int = 0):
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if code == 0 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def add(name: str, *options: str) -> dict:
    return json.loads(run("spaces", "add", name, "--encoder", name, "--json", *options).stdout.splitlines()[-1])


def names(hits) -> list[str]:
    return [hit.segment.path.rpartition("/")[2] for hit in hits]


def test_the_first_space_is_the_default_and_takes_in_everything(home, spaces):
    (entry,) = spaces.all()
    assert (entry.name, entry.encoder, entry.default) == ("whole", "whole", True)
    assert set(entry.modalities) == MEDIA
    assert spaces.missing(entry) == 0


def test_a_second_space_shares_the_segments_and_gets_vectors_of_its_own(home, spaces, shelf):
    store = SqlStore(Database(home.database))
    before, shelf.encoders["whole"].encoded = store.counts()["segments"], 0
    done = add("eyes")
    assert store.counts()["segments"] == before
    assert shelf.encoders["whole"].encoded == 0
    pictures = sum(count for kind, count in before.items() if kind in ("image/visual", "video/visual", "text/text"))
    assert done["vectors"] == pictures
    assert done["failed"] == 0
    assert not [check for check in verify(home, deep=True) if not check.ok]


def test_an_encoder_of_sound_takes_the_sound_of_videos_and_no_pictures(home, spaces):
    add("ears")
    kinds = {str(kind) for kind in spaces.find("ears").kinds if not kind.read}
    assert kinds == {"audio/sound", "video/sound", "text/text"}
    with Engine(home) as engine:
        hits = engine.search(LOW, spaces=["ears"], k=50).hits
        assert hits
        assert {hit.segment.channel for hit in hits} <= {Channel.SOUND, Channel.TEXT}
        assert {hit.space for hit in hits} == {"ears"}


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (["--only", "image"], {"image/visual"}),
        (["--channel", "text"], {"text/text"}),
        (["--only", "image,video", "--channel", "visual"], {"image/visual", "video/visual"}),
    ],
)
def test_a_space_takes_in_what_it_is_told_to_and_only_that(home, spaces, shelf, options, kinds):
    shelf.encoders["eyes"].encoded = 0
    done = add("eyes", *options)
    store = SqlStore(Database(home.database))
    counts = store.counts()["segments"]
    assert {str(kind) for kind in spaces.find("eyes").kinds if not kind.read} == kinds
    assert done["vectors"] == shelf.encoders["eyes"].encoded == sum(counts.get(kind, 0) for kind in kinds)


def test_a_space_of_one_collection_leaves_the_others_alone_and_follows_it(home, spaces, archive, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("A red leaf.")
    index(home, RunRequest([other], "other"))
    assert add("eyes", "--collection", "other")["vectors"] == 1
    (other / "b.txt").write_text("A green leaf.")
    (archive / "c.txt").write_text("A blue leaf.")
    index(home, RunRequest([other], "other"))
    index(home, RunRequest([archive]))
    with Engine(home) as engine:
        assert sorted(names(engine.search(RED, spaces=["eyes"], k=50).hits)) == ["a.txt", "b.txt"]
    run("spaces", "add", "ears", "--encoder", "ears", "--collection", "nowhere", code=1)


def test_new_files_go_into_every_space(home, spaces, archive):
    add("eyes")
    (archive / "new.txt").write_text("A magenta balloon.")
    index(home, RunRequest([archive]))
    asked = Term("magenta", Modality.TEXT)
    with Engine(home) as engine:
        for name in ("whole", "eyes"):
            assert "new.txt" in names(engine.search(asked, spaces=[name], k=3).hits)


def test_several_spaces_are_searched_together(home, spaces):
    add("eyes")
    add("ears")
    with Engine(home) as engine:
        alone = {name: engine.search(RED, spaces=[name], k=50) for name in ("whole", "eyes", "ears")}
        together = engine.search(RED, spaces=[ALL], k=50)
        assert set(names(together.hits)) == set().union(*(names(answer.hits) for answer in alone.values()))
        assert names(together.hits)[0] == names(alone["whole"].hits)[0]
        assert {hit.space for hit in together.hits} <= {"whole", "eyes", "ears"}
        scores = [hit.score for hit in together.hits]
        assert all(hit.confidence is None for hit in together.hits)  # no space of the test is calibrated
        assert len(scores) == len(alone["whole"].hits)
        page = engine.search(RED, spaces=[ALL], k=5, offset=5).hits
        assert [hit.segment.id for hit in page] == [hit.segment.id for hit in together.hits[5:10]]


def test_what_spaces_gave_adds_up_to_the_score(home):
    with Engine(home) as engine:
        hits = engine.search(RED, k=5, spaces=[ALL]).hits
        for hit, why in zip(hits, engine.why(RED, [hit.segment.id for hit in hits], spaces=[ALL]), strict=True):
            assert why.meaning == pytest.approx(sum(one.evidence for one in why.spaces) / len(why.spaces) ** 0.5)
            assert why.score == pytest.approx(hit.score, abs=1e-4)


def test_spaces_that_bring_no_calibration_share_one_scale_however_little_they_hold(home, spaces):
    add("eyes")
    add("grained")
    seen = Filter(channels=(Channel.VISUAL,))
    with Engine(home) as engine:
        alone = [
            {hit.segment.id: hit.score for hit in engine.search(RED, seen, spaces=[name], k=50, group="segment").hits}
            for name in ("whole", "eyes", "grained")
        ]
        together = engine.search(RED, seen, spaces=[ALL], k=50, group="segment").hits
    assert 1 < len(together) < MIN_SAMPLE
    for hit in together:
        own = [scores[hit.segment.id] for scores in alone if hit.segment.id in scores]
        assert hit.score == pytest.approx(sum(own) / len(own) ** 0.5, abs=1e-3)
    scores = [hit.score for hit in together]
    assert scores == sorted(scores, reverse=True)


def test_a_space_that_does_not_know_a_term_sits_out_or_says_so(home, spaces, archive):
    add("eyes")
    tone = Term(archive / "tones" / "low.wav", Modality.AUDIO)
    with Engine(home) as engine:
        assert {hit.space for hit in engine.search(tone, spaces=["eyes", "whole"]).hits} == {"whole"}
        assert {hit.space for hit in engine.search(Blend(((1, RED), (1, tone))), spaces=[ALL]).hits} == {"whole"}
        with pytest.raises(QueryError, match="knows no audio"):
            engine.search(tone, spaces=["eyes"])
        with pytest.raises(UnknownName, match="eye"):
            engine.search(RED, spaces=["eye"])


def test_the_default_is_switched_while_an_engine_serves(home, spaces):
    add("eyes", "--later")
    with Engine(home) as engine:
        assert engine.search(RED).hits[0].space == "whole"
        assert not spaces.size(spaces.find("eyes").key).complete
        run("spaces", "switch", "eyes")
        assert spaces.size(spaces.find("eyes").key).complete
        seen = []
        until(lambda: seen.append(engine.search(RED).hits[0].space) or seen[-1] == "eyes")
        assert set(seen) <= {"whole", "eyes"}
        run("spaces", "switch", "whole")
        engine.follow()
        assert engine.search(RED).hits[0].space == "whole"


def test_a_default_whose_model_is_gone_does_not_take_over_and_is_tried_again_after_a_while(home, spaces, shelf, monkeypatch):
    add("eyes")
    asked = []

    def load(name):
        asked.append(name)
        return shelf(name)

    with Engine(home, load=load) as engine:
        gone, now = shelf.encoders.pop("eyes"), [time.monotonic()]
        monkeypatch.setattr(
            "search.query.open_spaces.time", SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter)
        )
        run("spaces", "switch", "eyes")
        assert engine.search(RED).hits[0].space == "whole"
        until(lambda: engine.search(RED).hits[0].space == "whole" and asked == ["whole", "eyes"])
        for _ in range(5):
            assert engine.search(RED).hits[0].space == "whole"
        assert asked == ["whole", "eyes"]
        now[0] += RETRY_SECONDS
        shelf.encoders["eyes"] = gone
        until(lambda: engine.search(RED).hits[0].space == "eyes")
        assert engine.search(RED).hits[0].space == "eyes"


def test_a_dropped_space_takes_only_its_own_along(home, spaces):
    add("eyes")
    folder = home.home / "index" / folder_name(spaces.find("eyes").key, "eyes")
    assert folder.is_dir()
    with Engine(home) as engine:
        before = engine.search(RED, k=50).hits
        assert engine.search(RED, spaces=["eyes"]).hits
        run("spaces", "drop", "whole", "--yes", code=1)
        told = json.loads(run("spaces", "drop", "eyes", "--dry-run", "--json").stdout)
        assert told["vectors"] == spaces.size(spaces.find("eyes").key).vectors
        assert told["database_bytes"] > 0
        assert told["index_bytes"] > 0
        run("spaces", "drop", "eyes", code=1)  # asked without a terminal
        run("spaces", "drop", "eyes", "--yes")
        assert [entry.name for entry in spaces.all()] == ["whole"]
        assert not folder.exists()
        assert engine.search(RED, k=50).hits == before
        with pytest.raises(UnknownName):
            engine.search(RED, spaces=["eyes"])
    assert not [check for check in verify(home, deep=True) if not check.ok]
    add("eyes")  # and it can come back


def test_what_a_drop_that_was_cut_short_left_on_the_disk_is_told_and_goes(home, spaces, archive):
    """Vectors of what is deleted later would stay there."""
    add("eyes")
    entries = {entry.name: entry for entry in spaces.all()}
    index_of = {name: home.home / "index" / folder_name(entry.key, name) for name, entry in entries.items()}
    kept = {name: file_of(home.home, entry.space) for name, entry in entries.items()}
    for clean in (
        lambda: index(home, RunRequest([archive])),
        lambda: repair(home),
        lambda: delete(home, What(paths=[archive / "films"])),
    ):
        for name in entries:
            save(home.home, entries[name].space, NOTHING)
        index_of["eyes"].mkdir(exist_ok=True)
        (index_of["eyes"] / "vectors.faiss").touch()
        if len(spaces.all()) > 1:
            spaces.drop("eyes")  # as where it was killed before it came to the files
        assert [check.name for check in verify(home) if not check.ok] == ["every index belongs to a space"]
        clean()
        assert not index_of["eyes"].exists()
        assert not kept["eyes"].exists()
        assert index_of["whole"].is_dir()
        assert kept["whole"].exists()
        assert not [check for check in verify(home, deep=True) if not check.ok]


def test_what_readers_read_outlives_the_only_space_that_embeds_it(home, spaces, monkeypatch):
    run("spaces", "add", "words", "--encoder", "whole")
    run("spaces", "switch", "words")
    run("spaces", "drop", "whole", "--yes")  # now one space alone embeds what is read
    monkeypatch.setattr(readers, "load", lambda *_: FakeReader())
    run("readers", "add", "fake")
    run("spaces", "add", "eyes", "--encoder", "eyes", "--only", "image", "--channel", "visual")
    run("spaces", "switch", "eyes", "--now")
    store = Readers(Database(home.database))
    states, passages = store.size(1)
    assert passages > 0
    run("spaces", "drop", "words", "--yes")
    assert store.size(1) == (states, passages)
    run("spaces", "add", "words", "--encoder", "whole")
    with Engine(home) as engine:
        said = engine.search(LOW, Filter(channels=(Channel.SPEECH,)), spaces=["words"])
    print([(h.segment.path, h.segment.channel, h.score) for h in said.hits], [(k, len(i)) for k, i in []])
    assert any(hit.segment.path.endswith("low.wav") for hit in said.hits)
    assert not [check for check in verify(home, deep=True) if not check.ok]


def test_readings_that_have_lost_their_passages_are_told_and_read_again(home, monkeypatch):
    reader = FakeReader()
    monkeypatch.setattr(readers, "load", lambda *_: reader)
    run("readers", "add", "fake")
    database = Database(home.database)
    before = Readers(database).size(1)
    with database.writing() as connection:
        connection.execute(text("DELETE FROM segment WHERE id = (SELECT max(id) FROM segment WHERE reader_id = 1)"))
    lost = [check for check in verify(home) if not check.ok]
    assert "every reading holds its passages" in [check.name for check in lost]
    repair(home)
    index(home, RunRequest(()))
    assert Readers(database).size(1) == before
    assert not [check for check in verify(home, deep=True) if not check.ok]


@pytest.mark.parametrize("name", ["", " ", "..", ".", "all", "-x", "a\nb", "a\u202eb", " a", "a" * 201])
def test_names_that_no_space_can_have_are_refused(home, spaces, name):
    run("spaces", "add", "--encoder", "eyes", "--", name, code=1)
    assert [entry.name for entry in spaces.all()] == ["whole"]


def test_spaces_with_similar_names_do_not_share_a_folder(home, spaces):
    for name in ("a/b", "a_b", "../x"):
        run("spaces", "add", name, "--encoder", "eyes")
    assert not [check for check in verify(home, deep=True) if not check.ok]
    run("spaces", "drop", "a/b", "--yes")
    run("spaces", "drop", "../x", "--yes")
    assert (home.home / "sensorium.db").exists()
    with Engine(home) as engine:
        assert engine.search(RED, spaces=["a_b"]).hits
        assert engine._open.named(["a_b"])[0].live.damage is None
    assert not [check for check in verify(home, deep=True) if not check.ok]


def test_the_index_of_an_older_home_is_taken_over(home, spaces):
    """Folders were named after the space alone."""
    entry = spaces.find("whole")
    folder = home.home / "index"
    (folder / folder_name(entry.key, "whole")).rename(folder / "whole")
    assert Generations(folder, entry.key + 1, "another", entry.space.dim).current() is None
    assert Generations(folder, entry.key, "whole", entry.space.dim).current() is not None
    assert not (folder / "whole").exists()


def test_a_watch_that_began_before_a_space_was_added_fills_it_too(home, spaces, archive):
    with indexer(home) as running:
        key, roots = running.intake.collection("default", [os.fsencode(archive)]), [os.fsencode(archive)]
        assert running.bring(key, roots, lambda *_: None, Tally(), Progress())
        run("spaces", "add", "eyes", "--encoder", "eyes", "--later")
        (archive / "new.png").write_bytes((archive / "pictures" / "red.png").read_bytes() + b"\0")
        assert running.bring(key, roots, lambda *_: None, Tally(), Progress())
        running.tidy()
        eyes = spaces.find("eyes")
        assert spaces.size(eyes.key).complete
        assert spaces.missing(eyes) == 0
        run("spaces", "drop", "eyes", "--yes")
        (archive / "newer.png").write_bytes((archive / "pictures" / "red.png").read_bytes() + b"\0\0")
        assert running.bring(key, roots, lambda *_: None, Tally(), Progress())
        running.tidy()
        assert not (home.home / "index" / folder_name(eyes.key, "eyes")).exists()
    assert not [check for check in verify(home, deep=True) if not check.ok]


def test_what_a_run_took_in_for_other_spaces_is_queued_by_the_next(home, spaces, archive):
    add("eyes")
    (archive / "new.png").write_bytes((archive / "pictures" / "red.png").read_bytes() + b"\0")
    index(home, RunRequest([archive], spaces=["whole"]))
    assert spaces.missing(spaces.find("eyes")) == 1
    index(home, RunRequest(()))
    assert spaces.missing(spaces.find("eyes")) == 0
    assert spaces.size(spaces.find("eyes").key).complete


def test_sounds_of_older_archives_are_embedded_again_and_never_mixed_with_levelled_ones(home, spaces, shelf, archive):
    entry, database = spaces.find("whole"), Database(home.database)
    held = dict(SqlStore(database).vectors(entry.key, entry.space.dim, SqlStore(database).ids(entry.key)))
    with database.writing() as connection:
        connection.execute(text("UPDATE space SET revision = '1' WHERE name = 'whole'"))  # as before sound was levelled
    assert not spaces.find("whole").space.levelled
    with pytest.raises(InputError, match="embedded at the loudness") as caught:
        Engine(home)
    assert "sensorium index" in caught.value.remedy
    heard = "SELECT count(DISTINCT asset_id) FROM segment WHERE channel = 'sound'"
    with database.reading() as connection:
        sounding = connection.execute(text(heard)).scalar_one()
    assert spaces.renew() == sounding > 1
    assert spaces.renew() == 0
    assert spaces.size(entry.key).units["pending"] == sounding
    index(home, RunRequest([archive]))
    assert spaces.find("whole").space == entry.space
    assert spaces.size(entry.key).complete
    again = SqlStore(database).vectors(entry.key, entry.space.dim, SqlStore(database).ids(entry.key))
    assert len(again) == len(held)
    assert [check for check in verify(home, deep=True) if not check.ok] == []


def test_another_revision_under_the_same_name_is_refused_and_changes_nothing(home, spaces, shelf, archive):
    before = spaces.size(spaces.find("whole").key)
    shelf.encoders["whole"] = Partial("whole", MEDIA, revision="2")
    with pytest.raises(InputError, match=r"revision 1.*revision 2") as caught:
        Engine(home)
    assert "spaces add" in caught.value.remedy
    (archive / "new.txt").write_text("A magenta balloon.")  # something to encode
    with pytest.raises(InputError, match="revision"):
        index(home, RunRequest([archive]))
    after = spaces.size(spaces.find("whole").key)
    assert after.vectors == before.vectors
    assert after.units in (before.units, before.units | {"pending": 1})  # it may stop before the new file is queued


def test_a_space_without_its_model_waits_and_the_others_go_on(home, spaces, shelf, archive):
    add("eyes")
    gone = shelf.encoders.pop("eyes")
    (archive / "new.txt").write_text("A magenta balloon.")
    summary = index(home, RunRequest([archive]))
    assert list(summary.absent) == ["eyes"]
    assert summary.progress.done == 1
    assert spaces.size(spaces.find("eyes").key).units["pending"] == 1
    assert run("index", str(archive), code=5).exit_code == 5
    shelf.encoders["eyes"] = gone
    assert not index(home, RunRequest([archive])).absent
    assert spaces.size(spaces.find("eyes").key).complete


def test_a_model_is_loaded_only_when_there_is_something_to_encode(home, spaces, shelf, archive):
    add("eyes")
    shelf.loaded.clear()
    index(home, RunRequest([archive]))
    assert "eyes" not in shelf.loaded


def test_what_cannot_be_read_stands_in_the_ledger_once(home, spaces, archive):
    (archive / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    index(home, RunRequest([archive]))
    add("eyes")
    store = SqlStore(Database(home.database))
    assert len([line for line in store.failures() if line.path.endswith("broken.png")]) == 1
    coverage = store.coverage(spaces.find("eyes").key)["default"]
    assert (coverage.failed, coverage.waiting) == (1, 0)


def test_two_spaces_are_compared_side_by_side(home, spaces, tmp_path):
    add("eyes")
    (tmp_path / "asked.txt").write_text("green\n\nblue\n")
    told = json.loads(run("spaces", "diff", "whole", "eyes", "red", "--queries", str(tmp_path / "asked.txt"), "--json").stdout)
    assert [one["query"] for one in told["queries"]] == ["red", "green", "blue"]
    assert 0 < told["overlap"] <= 1
    shown = run("spaces", "diff", "whole", "eyes", "red").stdout
    assert "red.png" in shown
    run("spaces", "diff", "whole", "eyes", code=1)


def test_a_list_says_what_each_space_holds(home, spaces):
    add("ears")
    told = json.loads(run("spaces", "list", "--json").stdout)["spaces"]
    assert [(one["name"], one["default"], one["missing"]) for one in told] == [("whole", True, 0), ("ears", False, 0)]
    assert "ears" in run("spaces", "list").stdout


def test_shots_keep_their_frames_and_are_reranked(home, spaces):
    add("grained", "--only", "video", "--channel", "visual")
    store, entry = SqlStore(Database(home.database)), spaces.find("grained")
    with Engine(home) as engine:
        videos = Filter(modalities=(Modality.VIDEO,))
        plain = engine.search(RED, videos, spaces=["grained"], group="segment").hits
        ids = [hit.segment.id for hit in plain]
        assert len(ids) == 6
        import numpy as np

        frames = store.frames(entry.key, entry.space.dim, np.array(ids, np.int64))
        assert set(frames) == set(ids)
        assert all(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-2) for rows in frames.values())
        finer = engine.search(RED, videos, spaces=["grained"], group="segment", rerank=True).hits
        assert {hit.segment.id for hit in finer} == set(ids)
        assert [hit.score for hit in finer] == [hit.score for hit in plain]
        assert {hit.segment.path.rpartition("/")[2] for hit in finer[:2]} == {"sunset.mp4", "garden.mp4"}
        with pytest.raises(QueryError, match="single text"):
            engine.search(Blend(((1, RED), (1, LOW))), spaces=["grained"], rerank=True)
        with pytest.raises(QueryError, match="words and frames"):
            engine.search(RED, rerank=True)


def test_an_archive_of_the_former_pocket_revision_is_searched_and_moves_to_the_newer_one(settings, archive, monkeypatch):
    from dataclasses import replace

    index(replace(settings, space="pocket:1"), RunRequest([archive]))
    monkeypatch.setenv("SENSORIUM_HOME", str(settings.home))
    spaces = Spaces(Database(settings.database))
    (old,) = spaces.all()
    assert (old.name, old.encoder, old.space.revision) == ("pocket", "pocket:1", "1")
    run("index", str(archive))
    assert [entry.name for entry in spaces.all()] == ["pocket"]  # a later run goes on with the revision that is there
    listed = run("spaces", "list")
    assert "sensorium spaces upgrade pocket" in listed.stderr
    assert json.loads(run("spaces", "list", "--json").stdout)["spaces"][0]["newer"] == "pocket"
    query = Term("a red picture", Modality.TEXT)
    with Engine(settings) as engine:
        before = engine.search(query).hits
        assert {hit.space for hit in before} == {"pocket"}
        told = run("spaces", "upgrade", "--later")
        assert "spaces switch pocket:2" in told.stderr
        assert {hit.space for hit in engine.search(query).hits} == {"pocket"}
        told = run("spaces", "upgrade")
        assert "spaces drop pocket" in told.stdout
        until(lambda: {hit.space for hit in engine.search(query).hits} == {"pocket:2"})
        after = engine.search(query).hits
        assert {hit.segment.id for hit in after} == {hit.segment.id for hit in before}
        run("spaces", "drop", "pocket", "--yes")
        assert [hit.segment.id for hit in engine.search(query).hits] == [hit.segment.id for hit in after]
    (new,) = spaces.all()
    assert (new.name, new.encoder, new.space.revision, new.default) == ("pocket:2", "pocket", "2", True)
    assert all(check.ok for check in verify(settings, deep=True))
    run("spaces", "upgrade", code=1)
