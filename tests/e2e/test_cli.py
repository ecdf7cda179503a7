"""The command as people and programs run it: a process of its own, on real files, with the real pocket space."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Ran, forked, real
from tests.fakes.hub import hub, unreachable, weights

__all__ = ["hub"]  # a fixture

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
FILES = (
    "images/cat-portrait.jpg", "images/husky.jpg", "images/espresso-cup.jpg", "images/rowing-boats-sunset.jpg",
    "images/rooster.png", "images/fire-engine.jpg", "images/heron.gif", "images/jetty.avif",
    "sounds/dog-bark.ogg", "sounds/rooster-crowing.wav", "sounds/rain.m4a", "sounds/drum-loop.wav",
    "videos/street.mp4", "videos/storm.webm",
    "texts/coffee-at-home.md", "texts/caring-for-cats.pdf", "texts/string-instruments.html", "texts/museum-guide.vtt",
)  # fmt: skip


def sensorium(*arguments: object, home: Path | None = None, cwd: Path | None = None, run=forked, **environment: str) -> Ran:
    env = os.environ | {"SENSORIUM_HOME": str(home or "/nonexistent/home"), "PYTHONPATH": str(SAMPLE.parents[1])} | environment
    return run(*arguments, env=env, cwd=cwd)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> tuple[Path, Path]:
    """A home, and the archive that it indexed."""
    place = tmp_path_factory.mktemp("e2e")
    for file in FILES:
        (place / "archive" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE / file, place / "archive" / file)
    done = sensorium("index", place / "archive", "--json", home=place / "home", run=real)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "summary"
    assert events[-1]["progress"]["done"] == len(FILES)
    return place / "home", place / "archive"


def found(done: Ran) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [Path(hit["asset"]["path"]).name for hit in json.loads(done.stdout)["hits"]]


@pytest.mark.parametrize(
    ("asked", "target", "expected"),
    [
        (["a", "dog"], "image", "husky.jpg"),
        (["a dog barking"], "audio", "dog-bark.ogg"),
        (["a red fire truck"], "video", "street.mp4"),
        (["how to brew an espresso"], "text", "coffee-at-home.md"),
        (["--image", "images/espresso-cup.jpg"], "text", "coffee-at-home.md"),
        (["--image", "images/husky.jpg"], "audio", "dog-bark.ogg"),
        (["--image", "images/fire-engine.jpg"], "video", "street.mp4"),
        (["--audio", "sounds/rooster-crowing.wav"], "image", "rooster.png"),
        (["--audio", "sounds/rain.m4a"], "video", "storm.webm"),
        (["--video", "videos/street.mp4"], "image", "fire-engine.jpg"),
    ],
)
def test_questions_across_media_find_what_a_person_expects(indexed, asked, target, expected):
    home, archive = indexed
    assert expected in found(sensorium("search", *asked, "--in", target, "-k", "2", "--json", home=home, cwd=archive))


def test_a_hit_has_the_shape_that_programs_rely_on(indexed):
    home, _ = indexed
    answer = json.loads(sensorium("search", "fire", "engine", "--in", "video", "--json", home=home, run=real).stdout)
    assert set(answer) >= {"hits", "generation", "timings_ms"}
    hit = answer["hits"][0]
    assert set(hit) == {
        "rank",
        "score",
        "confidence",
        "channel",
        "space",
        "asset",
        "span",
        "stretch",
        "segment",
        "judged",
        "evidence",
        "steps",
        "box",
    }
    assert set(hit["asset"]) == {"id", "modality", "path", "date"}
    assert 0 <= hit["span"]["start_ms"] < hit["span"]["end_ms"] <= 12_100


def test_the_moment_is_where_the_shot_is(indexed):
    """The fire engine is the second of three shots of four seconds."""
    home, _ = indexed
    answer = json.loads(
        sensorium("search", "a fire engine", "--channel", "visual", "--in", "video", "-k", "1", "--json", home=home).stdout
    )
    span = answer["hits"][0]["span"]
    assert abs(span["start_ms"] - 4000) < 500
    assert abs(span["end_ms"] - 8000) < 500


def test_a_table_for_people_goes_to_stdout_and_the_rest_to_stderr(indexed):
    home, _ = indexed
    done = sensorium("search", "a husky dog", "--in", "image", home=home, run=real)
    assert "husky.jpg" in done.stdout
    assert "segments searched" in done.stderr
    assert "segments searched" not in done.stdout


def test_similar_leaves_the_file_itself_out(indexed):
    home, archive = indexed
    first = json.loads(sensorium("search", "--image", "images/husky.jpg", "-k", "1", "--json", home=home, cwd=archive).stdout)[
        "hits"
    ][0]
    assert "husky.jpg" not in found(sensorium("similar", first["segment"], "--json", home=home))


def test_running_again_finds_nothing_to_do(indexed):
    home, archive = indexed
    done = sensorium("index", archive, "--json", home=home)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["scan"]["unchanged"], summary["progress"]["done"]) == (len(FILES), 0)


@pytest.mark.parametrize("command", [["status"], ["failures"], ["verify", "--deep"], ["doctor"], ["models"], ["models", "list"]])
def test_every_report_speaks_to_people_and_to_programs(indexed, command):
    home, _ = indexed
    for done in (sensorium(*command, home=home), sensorium(*command, "--json", home=home)):
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


def test_evaluation_counts_what_stands_in_the_first_k(indexed, tmp_path):
    home, archive = indexed
    lines = [
        {"query": {"text": "a husky dog"}, "targets": ["image"], "relevant": ["images/husky.jpg"]},
        {
            "query": {"image": "images/espresso-cup.jpg"},
            "targets": ["image"],
            "under": "images",
            "relevant": ["images/espresso-cup.jpg"],
        },
        {"query": {"text": "a husky dog"}, "targets": ["image"], "under": "sounds", "relevant": ["images/husky.jpg"]},
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("\n".join(json.dumps(line) for line in lines))
    done = sensorium("eval", manifest, "--json", home=home, cwd=archive)
    assert done.returncode == 0, done.stderr
    directions = json.loads(done.stdout)["directions"]
    assert directions["image->image"] == {
        "queries": 1,
        "R@1": 1.0,
        "R@5": 1.0,
        "R@10": 1.0,
        "MRR": 1.0,
        "nDCG@10": 1.0,
        "median_rank": 1,
    }
    assert directions["text->image"]["queries"] == 2
    assert directions["text->image"]["R@1"] == 0.5
    assert "trained on" not in done.stderr
    lines[0]["relevant"] = ["Flickr-8k/Images/husky.jpg"]
    manifest.write_text(json.dumps(lines[0]))
    done = sensorium("eval", manifest, "--json", home=home, cwd=archive)
    assert "pocket was trained on Flickr8k: its figures here are too good, unless" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["search"], 2, "no terms"),
        (["search", "x", "--in", "smell"], 2, "smell"),
        (["search", "x", "--in", "imagee"], 2, "image"),
        (["search", "x", "--channel", "nose"], 2, "nose"),
        (["search", "x", "--collection", "nowhere"], 2, "nowhere"),
        (["search", "--segment", "999999"], 2, "999999"),
        (["search", "--image", "missing.jpg"], 2, "missing.jpg"),
        (["search", "--image", "sounds/rain.m4a"], 2, "--audio"),
        (["search", "x", "--weights", "1,2"], 2, "2 numbers"),
        (["search", "x", "--text", "x", "--weights", "1,-1"], 2, "cancel"),
        (["search", "x", "--since", "yesterday"], 2, "2024-05-31"),
        (["search", "x", "-k", "0"], 2, "k is 0"),
        (["search", "x", "--nonsense"], 2, "nonsense"),
        (["search", "x", "--under", "/nowhere/at/all"], 3, "Nothing found"),
        (["index", "/nowhere/at/all"], 2, "not there"),
        (["eval", "missing.jsonl"], 2, "missing.jsonl"),
        (["similar", "999999"], 2, "999999"),
    ],
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(indexed, arguments, code, says):
    home, archive = indexed
    done = sensorium(*arguments, home=home, cwd=archive)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_home_says_what_to_do(tmp_path):
    for command in (["search", "x"], ["status"], ["verify"], ["failures"], ["db", "rebuild"], ["db", "prune"]):
        done = sensorium(*command, home=tmp_path / "empty", run=real if command == ["status"] else forked)
        assert done.returncode == 1, command
        assert "sensorium index" in done.stderr
    assert not (tmp_path / "empty").exists()


def test_an_unknown_model_lists_the_known_ones(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    done = sensorium("index", tmp_path / "a.txt", home=tmp_path / "home", SENSORIUM_SPACE="pockett")
    assert done.returncode == 2
    assert "pocket" in done.stderr


def test_some_failed_files_are_an_exit_code_of_their_own(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "empty.jpg").touch()
    (tmp_path / "media" / "note.txt").write_text("A note about boats.")
    done = sensorium("index", tmp_path / "media", home=tmp_path / "home")
    assert done.returncode == 4
    assert "1 indexed" in done.stdout
    listed = sensorium("failures", home=tmp_path / "home")
    assert "empty.jpg" in listed.stdout
    assert "Copy it again" in listed.stdout


def test_output_that_is_cut_off_is_no_error(indexed):
    home, _ = indexed
    command = f"{sys.executable} -m ui.cli search cat --json | head -c 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=os.environ | {"SENSORIUM_HOME": str(home)}, check=False
    )
    assert "Traceback" not in done.stderr


def test_help_names_every_command():
    done = sensorium("--help", run=real)
    for command in (
        "index",
        "search",
        "similar",
        "status",
        "failures",
        "verify",
        "demo",
        "doctor",
        "eval",
        "bench",
        "db",
        "models",
    ):
        assert f"  {command} " in done.stdout


def test_failures_are_told_with_their_remedies_and_tried_again_on_request(indexed, tmp_path):
    home = tmp_path / "home"
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "broken.png").write_bytes(b"no picture")
    assert sensorium("index", tmp_path / "media", home=home).returncode == 4
    told = json.loads(sensorium("failures", "--json", home=home).stdout)
    assert [(one["reason"], one["count"]) for one in told["reasons"]] == [("undecodable", 1)]
    assert told["coverage"]["default"]["failed"] == 1
    done = sensorium("retry", tmp_path / "media", "--json", home=home)
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["retried"]) == (4, 1)
    assert json.loads(sensorium("retry", "--reason", "too_slow", "--json", home=home).stdout.splitlines()[-1])["retried"] == 0
    wrong = sensorium("retry", "--reason", "undecodabel", home=home)
    assert (wrong.returncode, "undecodable" in wrong.stderr) == (2, True)


def test_deleting_asks_first_and_leaves_the_files(indexed, tmp_path):
    home, media = tmp_path / "home", tmp_path / "media"
    media.mkdir()
    shutil.copy(indexed[1] / "images" / "husky.jpg", media)
    sensorium("index", media, home=home)
    assert "1 asset with" in sensorium("delete", media, "--dry-run", home=home).stdout
    assert sensorium("delete", media, home=home).returncode == 2
    assert json.loads(sensorium("delete", media, "--yes", "--json", home=home).stdout)["assets"] == 1
    assert (media / "husky.jpg").exists()
    assert sensorium("search", "husky", home=home).returncode == 3


def test_watching_follows_a_folder_and_stops_when_told_to(indexed, tmp_path):
    home, media = tmp_path / "home", tmp_path / "media"
    media.mkdir()
    command = [sys.executable, "-m", "ui.cli", "watch", str(media), "--settle", "0.2", "--json", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        rounds = (json.loads(line) for line in process.stdout if '"round"' in line)
        assert next(rounds)["progress"]["done"] == 0
        shutil.copy(indexed[1] / "images" / "husky.jpg", media)
        assert next(rounds)["progress"]["done"] == 1
        process.terminate()
        assert process.wait() == 130
    assert found(sensorium("search", "a husky", "--json", home=home)) == ["husky.jpg"]


def test_workers_share_the_files_and_their_counts_are_told_together(tmp_path):
    media, home = tmp_path / "media", tmp_path / "home"
    for file in FILES[:14]:
        (media / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE / file, media / file)
    (media / "broken.png").write_bytes(b"no picture")
    done = sensorium("index", media, "--workers", "2", "--json", home=home)
    assert (done.returncode, done.stderr) == (4, "")
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["scan"]["files"], told["progress"]["done"], told["progress"]["failed"]) == (15, 14, 1)
    assert told["progress"]["failures"] == {"undecodable": 1}
    assert not told["stopped"]
    assert sensorium("verify", home=home).returncode == 0
    assert json.loads(sensorium("status", "--json", home=home).stdout)


def test_bench_tells_what_the_encoder_does_by_medium(tmp_path, monkeypatch):
    monkeypatch.setenv("SENSORIUM_ENCODERS", "1")  # one thread, one batch
    told = json.loads(sensorium("bench", "--seconds", "0.01", "--json").stdout)
    assert set(told) == {"space", "threads", "encode_per_second", "scan_ms"}
    told = json.loads(sensorium("bench", "encode", "--space", "pocket", "--seconds", "0.01", "--json").stdout)
    assert set(told["per_second"]) == {"images", "frames", "audio_seconds", "texts"}
    assert (told["device"], told["batch"], min(told["per_second"].values()) > 0) == ("cpu", 8, True)
    assert "audio seconds" in sensorium("bench", "encode", "--seconds", "0.01").stdout
    assert sensorium("bench", "encode", "--space", "pockett").returncode == 2


def test_bench_ingest_measures_a_folder_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("SENSORIUM_ENCODERS", "1")
    media, home = tmp_path / "media", tmp_path / "home"
    media.mkdir()
    for file in ("images/husky.jpg", "sounds/dog-bark.ogg"):
        shutil.copy(SAMPLE / file, media)
    done = sensorium("bench", "ingest", media, "--seconds", "0.01", "--json", home=home, TMPDIR=str(tmp_path))
    told = json.loads(done.stdout)
    assert (told["files"], told["failed"]) == (2, 0)
    assert set(told["per_second"]) == {"images", "audio_seconds"}
    assert told["of_encoder"] > 0
    assert set(told["busy"]) == set(told["stages"]) == {"decode", "encode", "store"}
    assert all(stage["seconds"] > 0 and stage["limit"] > 0 for stage in (*told["stages"].values(), told["cores"]))
    lowest = min(told["stages"], key=lambda name: told["stages"][name]["limit"])
    assert told["binds"] in {lowest, "neither"}
    assert told["cores"]["seconds"] >= 0.99 * sum(stage["seconds"] for stage in told["stages"].values())
    assert not list(tmp_path.rglob("sensorium.db"))
    assert "binds" in sensorium("bench", "ingest", media, "--seconds", "0.01").stdout
    assert sensorium("bench", "ingest", tmp_path / "away").returncode == 2
    (media / "empty").mkdir()
    assert sensorium("bench", "ingest", media / "empty", "--seconds", "0.01").returncode == 2


# Models, of a family that another package brings: that is how a process of its own learns of it.


@pytest.fixture
def run(hub, tmp_path):
    """Runs the command with the family `fake`, whose models the hub has."""
    told = tmp_path / "site" / "family-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Name: family\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[sensorium.encoders]\nfake = tests.fakes.family\n")
    hub.repositories["maker/small"] = {"model.safetensors": weights(), "config.json": b"{}"}
    path = f"{SAMPLE.parents[1]}{os.pathsep}{told.parent}"

    def go(*arguments: object, **environment: str) -> Ran:
        done = sensorium(*arguments, home=tmp_path / "home", cwd=tmp_path, **{"PYTHONPATH": path} | environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return go


def test_a_model_is_pulled_used_and_removed(run, tmp_path):
    (tmp_path / "note.txt").write_text("A red flower.")
    missing = run("index", "note.txt", SENSORIUM_SPACE="fake:small")
    assert (missing.returncode, "sensorium models pull fake:small" in missing.stderr) == (5, True)
    pulled = run("models", "pull", "fake:small", "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert run("index", "note.txt", SENSORIUM_SPACE="fake:small").returncode == 0
    listed = {row["name"]: row for row in json.loads(run("models", "--json").stdout)["models"]}
    assert listed["fake:small"]["here"]
    assert not listed["imagebind:huge"]["here"]
    assert json.loads(run("models", "info", "fake:small", "--json").stdout)["damage"] == ""
    refused = run("models", "remove", "fake:small")
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert json.loads(run("models", "remove", "fake:small", "--force", "--json").stdout)["bytes"] > 5_000
    assert run("models", "remove", "fake:small").returncode == 5


def test_a_damaged_model_stops_what_needs_it_and_the_doctor_finds_it(run, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights())
    assert run("models", "import", folder).returncode == 2
    assert run("models", "import", folder, "--name", "fake:small").returncode == 0
    file = next((tmp_path / "home" / "models").rglob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1])
    (tmp_path / "note.txt").write_text("A red flower.")
    stopped = run("index", "note.txt", SENSORIUM_SPACE="fake:small")
    assert (stopped.returncode, "model.safetensors has" in stopped.stderr) == (5, True)
    mend = f"sensorium models import {folder} --name fake:small"
    assert mend in stopped.stderr
    told = run("doctor")
    assert (told.returncode, mend in told.stdout) == (1, True)


def test_a_notice_is_never_accepted_by_silence(run):
    asked = run("models", "pull", "fake:noncommercial")
    assert (asked.returncode, "For research alone" in asked.stderr, "--accept" in asked.stderr) == (5, True, True)
    assert run("models", "pull", "fake:noncommercial", "--accept").returncode == 0
    assert run("models", "pull", "fake:noncommercial").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pull", "fake:small", "--revision", "nowhere"], 5, "no revision 'nowhere'"),
        (["pull", "fake:smal"], 2, "small"),
        (["pull", "fakir:small"], 2, "fake"),
        (["pull", "pocket"], 2, "comes from no hub"),
        (["accept", "fake:small"], 5, "models pull fake:small"),
        (["info", "fakir:small"], 2, "fake"),
        (["import", "nowhere.tar", "--name", "fake:small"], 2, "nowhere.tar"),
    ],
)
def test_a_mistake_with_models_gets_a_sentence_and_its_exit_code(run, arguments, code, says):
    done = run("models", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr


def test_what_cannot_be_fetched_is_exit_code_five(run, hub):
    offline = run("models", "pull", "fake:small", SENSORIUM_OFFLINE="1")
    assert (offline.returncode, "SENSORIUM_OFFLINE=0 sensorium models pull fake:small" in offline.stderr) == (5, True)
    away = run("models", "pull", "fake:small", HF_ENDPOINT=unreachable())
    assert (away.returncode, "cannot be reached" in away.stderr) == (5, True)
    hub.repositories.clear()
    unknown = run("models", "pull", "fake:small")
    assert (unknown.returncode, "maker/small" in unknown.stderr) == (5, True)
