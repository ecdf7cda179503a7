"""Pulling models from a hub: whole, after a kill, over bad lines, and from hubs that refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from search.errors import DiskFull, InputError, ModelMissing
from search.models import Models, ModelSource
from search.models import hub as pulling
from search.models.hub import pull
from tests.fakes.hub import hub, turn_to, unreachable, weights
from tests.waiting import LONG

__all__ = ["hub"]  # a fixture

NAME, REPOSITORY = "fake:small", "maker/small"
SOURCE = ModelSource(REPOSITORY, ("*.safetensors", "*.json"))
BIG = 3 << 20


@pytest.fixture
def models(tmp_path) -> Models:
    return Models(tmp_path / "models")


@pytest.fixture(autouse=True)
def files(hub, monkeypatch) -> dict[str, bytes]:
    monkeypatch.setattr(time, "sleep", lambda *_: None)  # the library waits a second before it goes on with what was cut off
    content = {
        "model.safetensors": weights(BIG), "config.json": b'{"dim": 8}', "README.md": b"# Small",
        "pytorch_model.bin": b"\x80\x02}q\x00.", "code.py": b"raise SystemExit", "big/tokenizer.json": b"{}" + b" " * 3_000,
    }  # fmt: skip
    hub.repositories[REPOSITORY] = content
    return content


def test_what_was_pulled_is_what_the_hub_has(hub, models, files):
    told = []
    manifest = pull(models, NAME, SOURCE, report=lambda *numbers: told.append(numbers))
    model = models.find(NAME)
    assert set(model.sha256) == {"model.safetensors", "config.json", "big/tokenizer.json"}
    assert all((model.folder / name).read_bytes() == files[name] for name in model.sha256)
    assert (manifest.revision, manifest.licence, model.revision) == (hub.commit(REPOSITORY), "mit", manifest.space)
    assert told[-1] == (manifest.bytes, manifest.bytes)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_neither_telemetry_nor_a_cache_leaves_this_machine_or_the_folder(hub, models, tmp_path):
    pull(models, NAME, SOURCE)
    assert {path.name for path in tmp_path.iterdir()} == {"models"}
    assert all("torch/" not in told["user-agent"] and "agent/" not in told["user-agent"] for told in hub.headers)
    assert not [path for _, path, _ in hub.asked if "harness" in path or "telemetry" in path]


def test_a_token_goes_to_the_hub_and_to_nobody_else(hub, models, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(models, NAME, SOURCE)
    sent = {told["path"].split("/")[1] for told in hub.headers if told.get("authorization") == "Bearer hf_secret"}
    assert sent == {"api", "maker"}
    assert "hf_secret" not in "".join(path.read_text("latin-1") for path in models.folder.rglob("*.json"))


def test_a_model_that_is_here_and_whole_is_not_fetched_again(hub, models):
    before = pull(models, NAME, SOURCE)
    hub.asked.clear()
    assert pull(models, NAME, SOURCE) == before
    assert [path for _, path, _ in hub.asked] == [f"/api/models/{REPOSITORY}/revision/main"]


def test_a_new_revision_takes_over_what_did_not_change(hub, models, files):
    old = pull(models, NAME, SOURCE)
    files["config.json"] = b'{"dim": 16}'
    hub.asked.clear()
    new = pull(models, NAME, SOURCE)
    assert new.space != old.space
    assert not hub.ranges("model.safetensors")
    assert (models.find(NAME).folder / "config.json").read_bytes() == b'{"dim": 16}'
    assert len([path for path in models.place(NAME).iterdir() if path.is_dir()]) == 1


def test_a_damaged_file_is_fetched_again_and_no_other(hub, models, files):
    pull(models, NAME, SOURCE)
    broken = models.find(NAME).folder / "model.safetensors"
    content = bytearray(broken.read_bytes())
    content[BIG // 2] ^= 1
    broken.write_bytes(content)
    with pytest.raises(ModelMissing, match=r"model\.safetensors") as caught:
        models.find(NAME)
    assert f"sensorium models pull {NAME}" in caught.value.remedy
    hub.asked.clear()
    pull(models, NAME, SOURCE)
    assert (models.find(NAME).folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert not hub.ranges("tokenizer.json")


def test_a_line_that_breaks_again_and_again_is_gone_on_with(hub, models, files):
    hub.cut = [1 << 20, 70_000, 1 << 20]
    pull(models, NAME, SOURCE)
    assert (models.find(NAME).folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    begun = [int(part[6:-1]) for part in hub.ranges("model.safetensors") if part]
    assert len(begun) == 3
    assert begun == sorted(begun)


def test_a_line_that_stays_broken_leaves_what_came_for_the_next_time(hub, models):
    hub.cut = [2 << 20] + [0] * 6
    with pytest.raises(ModelMissing, match="cut off") as caught:
        pull(models, NAME, SOURCE)
    assert "what came is kept" in caught.value.remedy
    hub.asked.clear()
    hub.cut = []
    pull(models, NAME, SOURCE)
    assert hub.ranges("model.safetensors") == [f"bytes={2 << 20}-"]


def test_what_an_earlier_pull_left_of_another_file_is_thrown_away(hub, models, files):
    hub.cut = [2 << 20] + [0] * 6
    with pytest.raises(ModelMissing):
        pull(models, NAME, SOURCE)
    hub.cut = []
    files["model.safetensors"] = weights(BIG, seed=1)
    pull(models, NAME, SOURCE)
    assert (models.find(NAME).folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_bytes_that_the_hash_denies_are_never_taken(hub, models):
    hub.lie = True
    with pytest.raises(ModelMissing, match="its hash differs"):
        pull(models, NAME, SOURCE)
    with pytest.raises(ModelMissing, match="not here"):
        models.find(NAME)
    hub.lie = False
    pull(models, NAME, SOURCE)
    models.find(NAME)


PULL = """
import sys
from pathlib import Path
from search.models import Models, ModelSource
from search.models.hub import pull
pull(Models(Path(sys.argv[1])), "fake:small", ModelSource("maker/small", ("*.safetensors", "*.json")))
"""


def start(models: Models) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PULL, str(models.folder)], env=os.environ, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("old", [False, True])
def test_a_pull_that_is_killed_amid_a_file_goes_on_where_it_was(hub, models, files, monkeypatch, old):
    monkeypatch.undo()  # waiting is meant here
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    if old:
        hub.repositories[REPOSITORY] = {"model.safetensors": weights(9_000), "config.json": b"{}"}
        with start(models) as process:
            assert process.wait(LONG) == 0
        hub.repositories[REPOSITORY] = files
    hub.asked.clear()
    hub.slow = 0.05
    draft = models.place(NAME) / "next" / "model.safetensors"
    with start(models) as process:
        deadline = time.monotonic() + LONG
        while not draft.exists() or draft.stat().st_size < 1 << 20:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    came = draft.stat().st_size
    assert 0 < came < BIG
    if old:
        assert (models.find(NAME).folder / "model.safetensors").stat().st_size < BIG
    else:
        with pytest.raises(ModelMissing):
            models.find(NAME)
    hub.slow = 0.0
    with start(models) as process:
        assert process.wait(LONG) == 0
    assert hub.ranges("model.safetensors") == ["", f"bytes={came}-"]
    assert (models.find(NAME).folder / "model.safetensors").read_bytes() == files["model.safetensors"]


@pytest.mark.parametrize("step", ["rename", "replace"])
def test_a_kill_between_the_steps_of_publishing_leaves_the_old_model_or_the_new_one(hub, models, files, monkeypatch, step):
    old = pull(models, NAME, SOURCE)
    files["model.safetensors"] = weights(BIG, seed=1)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("search.models.ModelManifest.write" if step == "rename" else "shutil.rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            pull(models, NAME, SOURCE)
    found = models.find(NAME)
    assert (found.revision == old.space) == (step == "rename")
    hub.asked.clear()
    pull(models, NAME, SOURCE)
    assert not hub.ranges("model.safetensors")
    assert (models.find(NAME).folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert len([path for path in models.place(NAME).iterdir() if path.is_dir()]) == 1 + (step == "replace")


def test_two_who_pull_the_same_model_fetch_it_once(hub, models):
    threads = [threading.Thread(target=pull, args=(models, NAME, SOURCE)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.ranges("model.safetensors") == [""]
    models.find(NAME)


@pytest.mark.parametrize(
    ("misbehave", "says", "do"),
    [
        ({"/api/": (401, "GatedRepo")}, "does not give", "HF_TOKEN"),
        ({"/api/": (403, "GatedRepo")}, "does not give", "HF_TOKEN"),
        ({"/cdn/": 403}, "does not give", "HF_TOKEN"),
        ({"/api/": 401}, "only to some", "HF_TOKEN"),
        ({"/api/": (404, "RepoNotFound")}, "knows no maker/small", "Check the name"),
        ({"/api/": (404, "RevisionNotFound")}, "no revision 'main'", "branch"),
        ({"/resolve/": (404, "EntryNotFound")}, "no longer there", "pull fake:small"),
        ({"/api/": 503}, "503", "pull fake:small"),
        ({"/cdn/": 500}, "500", "pull fake:small"),
        ({"/api/": (200, "")}, "no hub", "HF_ENDPOINT"),
    ],
)
def test_a_hub_that_refuses_is_understood(hub, models, misbehave, says, do):
    hub.misbehave = misbehave
    with pytest.raises(ModelMissing, match=says) as caught:
        pull(models, NAME, SOURCE)
    assert do in caught.value.remedy
    assert caught.value.exit_code == 5


def test_a_hub_that_is_not_there_is_told_apart(hub, models, monkeypatch, tmp_path):
    turn_to(unreachable(), monkeypatch, tmp_path)
    with pytest.raises(ModelMissing, match="cannot be reached"):
        pull(models, NAME, SOURCE)


def test_nothing_is_asked_of_anybody_when_offline(hub, tmp_path):
    models = Models(tmp_path / "models", offline=True)
    for do in (lambda: pull(models, NAME, SOURCE), lambda: models.find(NAME)):
        with pytest.raises(ModelMissing) as caught:
            do()
        assert f"SENSORIUM_OFFLINE=0 sensorium models pull {NAME}" in caught.value.remedy
    assert not hub.asked


def test_a_revision_is_pinned_to_its_commit(hub, models, files):
    commit = hub.commit(REPOSITORY)
    assert pull(models, NAME, SOURCE, revision=commit).revision == commit
    with pytest.raises(ModelMissing, match="no revision 'nowhere'"):
        pull(models, NAME, SOURCE, revision="nowhere")


def test_pickles_are_refused_by_name_and_by_content(hub, models, files):
    del files["model.safetensors"]
    with pytest.raises(ModelMissing, match=r"pytorch_model\.bin is a pickle") as caught:
        pull(models, NAME, SOURCE)
    assert ".safetensors" in caught.value.remedy
    files["model.safetensors"] = b"\x80\x04\x95" + bytes(5_000)
    with pytest.raises(ModelMissing, match=r"model\.safetensors is a pickle"):
        pull(models, NAME, SOURCE)
    del files["model.safetensors"], files["pytorch_model.bin"]
    with pytest.raises(ModelMissing, match="no weights"):
        pull(models, NAME, SOURCE)


def test_weights_named_like_a_pickle_are_fetched_only_where_the_family_reads_them_as_another_format(hub, models, files):
    del files["model.safetensors"]
    files["model.bin"] = b"\x06\0\0\0\x0c\0WhisperSpec\0" + bytes(5_000)
    with pytest.raises(ModelMissing, match="is a pickle"):
        pull(models, NAME, ModelSource(REPOSITORY, ("*",)))
    source = ModelSource(REPOSITORY, ("*",), weights="model.bin")
    pull(models, NAME, source)
    assert set(models.find(NAME).sha256) == {"model.bin", "config.json", "big/tokenizer.json"}
    files["model.bin"] = b"\x80\x04\x95" + bytes(5_000)
    with pytest.raises(ModelMissing, match=r"model\.bin is a pickle"):
        pull(models, NAME, source)


@pytest.mark.parametrize("name", ["../model.safetensors", "/tmp/model.safetensors", "a/../../model.safetensors"])
def test_a_name_that_leads_out_of_the_folder_is_refused(hub, models, files, name):
    files[name] = weights()
    with pytest.raises(ModelMissing):
        pull(models, NAME, SOURCE)
    assert not list(models.folder.rglob("*.safetensors"))


def test_a_notice_is_accepted_once(hub, models, files):
    source = ModelSource(REPOSITORY, SOURCE.files, licence="CC-BY-NC-4.0", notice="For research alone.")
    with pytest.raises(ModelMissing, match="For research alone") as caught:
        pull(models, NAME, source)
    assert "--accept" in caught.value.remedy
    assert not hub.asked
    pull(models, NAME, source, accepted=True)
    assert models.find(NAME).licence == "CC-BY-NC-4.0"
    files["config.json"] = b"{}"
    pull(models, NAME, source)
    models.find(NAME)
    models.accept(NAME)
    with pytest.raises(ModelMissing, match="Not even for research"):
        pull(models, NAME, ModelSource(REPOSITORY, SOURCE.files, notice="Not even for research."))


def test_a_notice_can_be_accepted_by_pulling_what_is_here_already(hub, models):
    pull(models, NAME, SOURCE)
    source = ModelSource(REPOSITORY, SOURCE.files, notice="For research alone.")
    hub.asked.clear()
    pull(models, NAME, source, accepted=True)
    assert not hub.ranges("model.safetensors")
    assert models.get(NAME).accepted
    models.find(NAME)


def test_a_disk_without_room_is_told_before_and_amid(hub, models, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pulling, "MARGIN_BYTES", 1 << 60)
        with pytest.raises(DiskFull, match="are to come"):
            pull(models, NAME, SOURCE)
    with monkeypatch.context() as patch:
        patch.setattr(pulling, "http_get", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DiskFull, match="no room left"):
            pull(models, NAME, SOURCE)


def test_a_folder_that_cannot_be_written_to_is_named(hub, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        pull(Models(tmp_path / "file"), NAME, SOURCE)


def test_a_repository_that_cannot_be_one_is_a_mistake(models):
    with pytest.raises(InputError, match="no name of a repository"):
        pull(models, NAME, ModelSource("a b/c d/e", ("*",)))


def test_the_manifest_says_where_everything_came_from(hub, models):
    pull(models, NAME, SOURCE)
    told = json.loads((models.place(NAME) / "manifest.json").read_text())
    assert set(told) == {"name", "source", "revision", "licence", "notice", "accepted", "pulled_at", "folder", "files"}
    assert (told["name"], told["source"]) == (NAME, REPOSITORY)
    assert set(told["files"]["config.json"]) == {"sha256", "bytes"}
