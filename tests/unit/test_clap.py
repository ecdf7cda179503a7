"""The clap family against transformers' own CLAP, on tiny models with and without fusion."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel, ClapProcessor

from search import encoders
from search.encoders import clap
from search.encoders.clap.encoder import spectrograms
from search.encoders.device import DeviceRunner
from search.errors import ModelMissing, UnknownName
from search.models import Models
from search.types import Modality
from tests.fakes import tiny_clap
from tests.fakes.tiny_tokenizer import write_tokenizer

TEXTS = ["a dog barks", "rain", "", "the sound of a word7"]
RATE = 48_000


def load(folder: Path):
    return encoders.load(f"clap:{folder}", Models(folder.parent), "cpu")


@pytest.fixture(scope="module", params=["unfused", "fused"])
def folder(request, tmp_path_factory) -> Path:
    return tiny_clap.write(tmp_path_factory.mktemp("clap") / "model", fusion=request.param == "fused")


@pytest.fixture(scope="module")
def encoder(folder):
    return load(folder)


@pytest.fixture(scope="module")
def reference(folder):
    return ClapModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def processor(folder):
    return ClapProcessor(ClapFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


@pytest.fixture(scope="module")
def sounds():
    rng, times = np.random.default_rng(1), np.arange(5 * RATE) / RATE
    hum = np.sin(440 * 2 * np.pi * times)
    return [
        part.astype(np.float32)
        for part in (rng.uniform(-0.5, 0.5, 5 * RATE), hum, hum[:700], np.zeros(9 * RATE), rng.normal(0, 0.1, 2 * RATE + 1))
    ]


@pytest.fixture
def model(tmp_path) -> Path:
    return tiny_clap.write(tmp_path / "clap")


@torch.inference_mode()
def test_texts_have_the_vectors_that_transformers_gives(encoder, reference, processor):
    theirs = reference.get_text_features(**processor(text=TEXTS, padding=True, return_tensors="pt")).pooler_output
    assert np.allclose(encoder.encode(Modality.TEXT, TEXTS), theirs.numpy(), atol=1e-5)


@torch.inference_mode()
def test_sounds_have_the_vectors_that_transformers_gives(encoder, reference, processor, sounds):
    features = processor(audio=sounds, sampling_rate=RATE, return_tensors="pt")["input_features"]
    theirs = reference.get_audio_features(features, is_longer=torch.zeros(len(sounds), 1, dtype=torch.bool)).pooler_output
    assert np.allclose(encoder.encode(Modality.AUDIO, sounds), theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("padding", ["repeat", "repeatpad", "pad"])
@pytest.mark.parametrize("truncation", ["fusion", "rand_trunc"])
def test_spectrograms_equal_those_of_transformers(sounds, truncation, padding):
    extractor = ClapFeatureExtractor(truncation=truncation, padding=padding)
    theirs = extractor(sounds, sampling_rate=RATE, return_tensors="np")["input_features"]
    assert np.allclose(spectrograms(sounds, extractor), theirs, atol=1e-3)  # decibels


def test_a_sound_longer_than_the_window_has_one_vector_for_ever(encoder):
    long = np.random.default_rng(2).uniform(-0.5, 0.5, 14 * RATE).astype(np.float32)
    found = encoder.encode(Modality.AUDIO, [long, long[: 10 * RATE], long])
    assert np.allclose(found, found[0], atol=1e-6)


def test_no_sound_at_all_is_silence(encoder):
    found = encoder.encode(Modality.AUDIO, [np.empty(0, np.float32), np.zeros(100, np.float32)])
    assert np.allclose(found[0], found[1], atol=1e-6)


def test_a_text_longer_than_captions_were_is_read_to_its_end(encoder):
    text = "rain on a roof " * 20
    assert len(encoder._tokenizer.pieces([text]).ids) > 1
    one, other = encoder.encode(Modality.TEXT, [text, text + "and a dog barks"])
    assert not np.allclose(one, other, atol=1e-6)


def test_an_encoder_wants_sound_and_no_pictures(encoder):
    assert (encoder.needs.size, encoder.needs.rate) == (0, RATE)
    assert encoder.space.accepts == {Modality.AUDIO, Modality.TEXT}
    assert (encoder.space.family, encoder.space.dim) == ("clap", tiny_clap.DIM)


def test_importing_the_family_loads_no_framework():
    code = "import sys, search.encoders.clap; print([m for m in ('torch', 'transformers', 'safetensors') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_draws_nothing_on_the_screen(model, capfd):
    load(model)
    assert capfd.readouterr() == ("", "")


def test_a_repository_is_the_source_of_its_files():
    found = clap.source("laion/clap-htsat-unfused")
    assert found.repository == "laion/clap-htsat-unfused"
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= {*found.files}


@pytest.mark.parametrize("name", ["", "clap-htsat-unfused", "a/b/c", "laion/"])
def test_what_names_no_repository_lists_those_that_are_known(name):
    with pytest.raises(UnknownName) as caught:
        clap.source(name)
    assert "laion/" in caught.value.remedy


# What is wrong with a folder is told.


def refusal(folder: Path, match: str) -> ModelMissing:
    with pytest.raises(ModelMissing, match=match) as caught:
        load(folder)
    assert caught.value.remedy
    assert str(folder) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "part",
    [
        {"projection_dim": 48},
        {"text_config": {"hidden_size": 16}},
        {"text_config": {"num_hidden_layers": 1}},
        {"text_config": {"num_hidden_layers": 3}},
        {"text_config": {"hidden_size": "wide"}},
        {"audio_config": {"patch_embeds_hidden_size": 8}},
        {"audio_config": {"enable_fusion": True}},
    ],
)
def test_weights_of_another_size_than_the_configuration_s_are_refused(model, part):
    tiny_clap.configure(model, **part)
    refusal(model, clap.WEIGHTS)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_type": "clip"}'])
def test_a_configuration_that_is_none_is_refused(model, content):
    (model / clap.CONFIG).write_text(content)
    refusal(model, clap.CONFIG)


@pytest.mark.parametrize("damage", ["cut", "head", "nan", "less", "more"])
def test_damaged_weights_are_refused(model, damage):
    file = model / clap.WEIGHTS
    content, tensors = file.read_bytes(), load_file(file)
    if damage in ("cut", "head"):
        file.write_bytes(content[:-100] if damage == "cut" else content[:9] + b"x" + content[10:])
    else:
        if damage == "nan":
            tensors["text_projection.linear1.weight"][0, 0] = float("nan")
        elif damage == "less":
            del tensors["text_projection.linear1.weight"]
        else:
            tensors["text_projection.linear9.weight"] = torch.zeros(3)
        save_file(tensors, file)
    refusal(model, clap.WEIGHTS)


def test_weights_of_an_older_transformers_are_used(model):
    file = model / clap.WEIGHTS
    tensors = load_file(file)
    del tensors["text_model.embeddings.token_type_ids"]
    save_file(tensors, file)
    load(model)


def test_a_pickle_is_never_loaded(model):
    shutil.move(model / clap.WEIGHTS, model / "pytorch_model.bin")
    assert "safetensors" in refusal(model, "pickle").remedy


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_a_missing_file_is_told(model, name):
    (model / name).unlink()
    if name == "tokenizer.json":
        (model / "tokenizer_config.json").unlink()
    refusal(model, name)


def test_a_damaged_feature_extractor_is_told(model):
    (model / clap.EXTRACTOR).write_text(json.dumps({"feature_size": "many"}))
    refusal(model, clap.EXTRACTOR)


def test_the_tokenizer_of_another_model_is_refused(model):
    write_tokenizer(model, 300)
    refusal(model, "300 tokens")


def test_the_precision_of_a_gpu_changes_little(folder, encoder, sounds, monkeypatch):
    begin = DeviceRunner.__init__

    def init(self, *arguments) -> None:
        begin(self, *arguments)
        self.dtype = torch.bfloat16

    monkeypatch.setattr(DeviceRunner, "__init__", init)
    rough = load(folder)
    for modality, content in ((Modality.TEXT, TEXTS), (Modality.AUDIO, sounds)):
        assert (rough.encode(modality, content) * encoder.encode(modality, content)).sum(1).min() > 0.98
