"""Translators, on tiny models of three kinds that are taught a few words."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from typer.testing import CliRunner

from search.encoders.device import DeviceRunner
from search.errors import InputError, ModelMissing, UnknownName
from search.models import Models
from search.ondemand import languages, translate
from search.ondemand.translate import pieces
from tests.fakes import tiny_seamless
from ui import cli, model_list

TEXT = "red. water.\n\n  dog."
GERMAN = "rot. wasser.\n\n  hund."
FRENCH = "rouge. eau.\n\n  chien."


def load(folder: Path):
    return translate.load(f"seamless:{folder}", Models(folder.parent), "cpu")


@pytest.fixture(scope="module", params=tiny_seamless.KINDS)
def folder(request, tmp_path_factory) -> Path:
    return tiny_seamless.write(tmp_path_factory.mktemp(request.param) / request.param, request.param)


@pytest.fixture(scope="module")
def translator(folder):
    return load(folder)


@pytest.fixture(scope="module")
def seamless(tmp_path_factory) -> Path:
    return tiny_seamless.write(tmp_path_factory.mktemp("one") / "model")


@pytest.fixture
def model(seamless, tmp_path) -> Path:
    return Path(shutil.copytree(seamless, tmp_path / "model"))


def test_a_text_is_translated_with_its_lines_and_sentences_in_place(translator):
    found = translator.translate(TEXT, "de", "en")
    assert (found.text, found.language, found.original, found.model) == (GERMAN, "de", "en", translator.name)
    assert 0.5 < found.confidence <= 1
    assert translator.translate(TEXT, "fr").text == FRENCH


def test_languages_have_codes_and_names_and_regions(translator):
    for name in ("de", "DE", "deu", "German", "german", "de-AT", "de_DE"):
        assert translator.translate("red.", name).language == "de"


@pytest.mark.parametrize(("asked", "near"), [("germn", "German"), ("klingon", "de"), ("it", "fr"), ("", "en")])
def test_an_unknown_language_lists_those_that_are_known(translator, asked, near):
    with pytest.raises(UnknownName) as caught:
        translator.translate("red.", asked)
    assert near in caught.value.remedy
    with pytest.raises(UnknownName):
        translator.translate("red.", "de", asked)


def test_into_its_own_language_a_text_stays_as_it_is(translator):
    found = translator.translate(TEXT, "en")
    assert (found.text, found.confidence) == (TEXT, 1.0)
    assert translator.translate(" \n", "de").text == " \n"


@torch.inference_mode()
def test_a_sentence_becomes_what_transformers_makes_of_it(folder, translator):
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokenizer.src_lang = tiny_seamless.code(folder.name, "eng")
    inputs = tokenizer(["green."], return_tensors="pt")
    code = tiny_seamless.code(folder.name, "deu")
    aim = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(code)} if folder.name == "nllb" else {"tgt_lang": code}
    made = model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=30, **aim)
    assert translator.translate("green.", "de").text == tokenizer.decode(made[0], skip_special_tokens=True)


def test_a_long_text_is_translated_to_its_end(translator):
    found = translator.translate("dog. " * 50 + "water.", "de")
    assert found.text == "hund. " * 50 + "wasser."


def test_two_languages_in_turn_do_not_mix(translator):
    assert [translator.translate("red.", to).text for to in ("de", "fr", "de")] == ["rot.", "rouge.", "rot."]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One two. Three four!", ["One two.", "Three four!"]),
        ("Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ("一つ。二つ。", ["一つ。", "二つ。"]),
        ("a line\nanother line", ["a line", "another line"]),
        ("", []),
        ("   ", [""]),
        ("word " * 20, ["word word word word", "word word word word"] + ["word word word word"] * 3),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ],
)
def test_texts_are_cut_at_the_ends_of_sentences_and_nothing_is_lost(text, parts):
    found = pieces(text, 20)
    assert [words for words, _ in found] == parts
    assert "".join(words + space for words, space in found) == text
    assert max([len(words) for words, _ in found], default=0) <= 20


def test_codes_of_every_style_are_understood():
    assert languages.codes(["deu", "cmn", "cmn_Hant", "xyz"]) == {"de": "deu", "zh": "cmn"}
    assert languages.codes(["eng_Latn", "zho_Hans", "zho_Hant", "arb_Arab"]) == {
        "en": "eng_Latn",
        "zh": "zho_Hans",
        "ar": "arb_Arab",
    }
    assert languages.codes(["en_XX", "de_DE"]) == {"en": "en_XX", "de": "de_DE"}
    assert languages.codes(["__en__", "__de__", "<s>"]) == {"en": "__en__", "de": "__de__"}
    assert all(re_name.isalpha() for re_name in languages.NAMES.values())


# Loading


def test_importing_the_module_loads_no_framework():
    code = (
        "import sys, search.ondemand.translate; print([m for m in ('torch', 'transformers', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_draws_nothing_on_the_screen(folder, capfd):
    load(folder).translate("red.", "de")
    assert capfd.readouterr() == ("", "")


def test_no_model_and_a_model_that_is_not_here_are_told(tmp_path):
    with pytest.raises(InputError) as caught:
        translate.load("", Models(tmp_path))
    assert "SENSORIUM_TRANSLATOR" in caught.value.remedy
    with pytest.raises(ModelMissing) as missing:
        translate.load("seamless:facebook/seamless-m4t-v2-large", Models(tmp_path))
    assert missing.value.exit_code == 5
    assert "sensorium models pull seamless:facebook/seamless-m4t-v2-large" in missing.value.remedy
    with pytest.raises(UnknownName):
        translate.load("clap:laion/clap-htsat-fused", Models(tmp_path))


def test_models_know_where_they_come_from():
    found = model_list.source_of("seamless:facebook/seamless-m4t-v2-large")
    assert (found.repository, found.licence) == ("facebook/seamless-m4t-v2-large", "cc-by-nc-4.0")
    assert "commercial" in found.notice
    assert model_list.source_of("caption:microsoft/git-base-coco").repository == "microsoft/git-base-coco"
    assert model_list.source_of("clap:laion/clap-htsat-fused").repository == "laion/clap-htsat-fused"
    with pytest.raises(UnknownName, match="translation model"):
        model_list.source_of("seamless:large")


def refusal(folder: Path, match: str) -> ModelMissing:
    with pytest.raises(ModelMissing, match=match) as caught:
        load(folder)
    assert caught.value.remedy
    assert str(folder) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_told(model, name):
    (model / name).unlink()
    if name == "tokenizer.json":
        (model / "tokenizer_config.json").unlink()
        refusal(model, "tokenizer.json is not there")
    else:
        refusal(model, name)


@pytest.mark.parametrize("damage", ["cut", "nan", "less", "more"])
def test_damaged_weights_are_refused(model, damage):
    file = model / "model.safetensors"
    content, tensors = file.read_bytes(), load_file(file)
    name = "text_decoder.layers.0.ffn.fc1.weight"
    if damage == "cut":
        file.write_bytes(content[:-100])
    else:
        if damage == "nan":
            tensors[name][0, 0] = math.nan
        elif damage == "less":
            del tensors[name]
        else:
            tensors["text_decoder.more"] = torch.zeros(3)
        save_file(tensors, file, metadata={"format": "pt"})
    refusal(model, "model.safetensors")


def test_a_model_without_languages_is_no_translator(model):
    content = json.loads((model / "generation_config.json").read_text())
    del content["text_decoder_lang_to_code_id"]
    (model / "generation_config.json").write_text(json.dumps(content))
    refusal(model, "no two languages")


def test_the_precision_of_a_gpu_changes_no_word(seamless, monkeypatch):
    begin = DeviceRunner.__init__

    def init(self, *arguments) -> None:
        begin(self, *arguments)
        self.dtype = torch.bfloat16

    monkeypatch.setattr(DeviceRunner, "__init__", init)
    assert load(seamless).translate(TEXT, "de").text == GERMAN


# The command


@pytest.fixture
def run(tmp_path, seamless, monkeypatch):
    monkeypatch.setenv("SENSORIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SENSORIUM_TRANSLATOR", str(seamless))
    monkeypatch.setenv("SENSORIUM_DEVICE", "cpu")
    return lambda *arguments: CliRunner().invoke(cli.app, ["translate", *map(str, arguments)])


def test_the_command_prints_the_translation_and_says_who_wrote_it(run, seamless):
    told = run("red.", "--to", "de", "--from", "en")
    assert told.exit_code == 0, told.output
    assert told.stdout == "rot.\n"
    assert told.stderr == f"seamless:{seamless} translated this from English into German (may be wrong).\n"


def test_as_json_it_says_so_too(run, seamless):
    told = json.loads(run("red.", "--to", "French", "--json").stdout)
    confidence = told.pop("confidence")
    assert told == {"text": "rouge.", "language": "fr", "translated_from": "en", "written_by": f"seamless:{seamless}"}
    assert 0.5 < confidence <= 1


def test_without_a_text_or_a_model_the_command_says_what_to_do(run, monkeypatch):
    assert isinstance(run("--to", "de").exception, InputError)
    assert isinstance(run("red", "--segment", 3, "--to", "de").exception, InputError)
    monkeypatch.setenv("SENSORIUM_TRANSLATOR", "seamless:facebook/seamless-m4t-v2-large")
    told = run("red", "--to", "de").exception
    assert (type(told), told.exit_code) == (ModelMissing, 5)
    monkeypatch.delenv("SENSORIUM_TRANSLATOR")
    assert run("red", "--to", "de").exception.exit_code == 2


def test_a_segment_is_translated_by_its_number(run, settings, archive, encoder):
    from indexer.run import RunRequest, index
    from search.store import Catalogue, Database
    from search.store.catalogue import AssetFilter

    (archive / "texts" / "dog.txt").write_text("red. water.")
    index(replace(settings), RunRequest([archive]), encoder=encoder)
    catalogue = Catalogue(Database(settings.database))
    (dog,) = catalogue.page(AssetFilter(name="dog.txt"), before=None, limit=2)
    (segment,) = catalogue.segments(dog.id, limit=2)
    assert run("--segment", segment.id, "--to", "de").stdout == "rot. wasser.\n"
    assert isinstance(run("--segment", 10**6, "--to", "de").exception, InputError)
