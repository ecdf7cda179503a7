"""Models of the e5 family from a hub or a folder, against transformers' own, on tiny ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from search import encoders
from search.errors import ModelMissing, UnknownName
from search.models import Models
from search.types import Modality
from tests.fakes import tiny_e5

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

TEXTS = ["a dog barks", "rain", "", "the sound of a word7"]


def load(folder: Path):
    return encoders.load(f"e5:{folder}", Models(folder.parent), "cpu")


@pytest.fixture(scope="module", params=["xlm-roberta", "bert"])
def folder(request, tmp_path_factory) -> Path:
    return tiny_e5.write(tmp_path_factory.mktemp("e5") / "model", kind=request.param)


def test_vectors_are_means_over_the_tokens_of_prefixed_texts(folder):
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    encoder = load(folder)
    for prefix, found in (("passage: ", encoder.encode(Modality.TEXT, TEXTS)), ("query: ", encoder.ask(TEXTS))):
        for text, vector in zip(TEXTS, found, strict=True):
            with torch.inference_mode():
                given = tokenizer([prefix + text], return_tensors="pt")
                states = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
            mean = states[0].mean(0).numpy()
            assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_the_end_of_a_long_text_counts(folder):
    encoder = load(folder)
    long = "a dog barks " * 40
    one, other = encoder.encode(Modality.TEXT, [long + "rain", long + "word7 word8 word9"])
    assert not np.allclose(one, other, atol=1e-4)
    assert np.linalg.norm([one, other], axis=1) == pytest.approx(1, abs=1e-5)


def test_an_export_runs_without_torch(tmp_path, monkeypatch):
    folder = tiny_e5.export(tmp_path / "export")
    monkeypatch.setattr("search.encoders.e5.building._on_torch", None)
    encoder = load(folder)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(TEXTS, encoder.ask(TEXTS), strict=True):
        mean = tiny_e5.table()[tokenizer(f"query: {text}")["input_ids"]].mean(axis=0)
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_what_is_no_such_model_is_refused(folder, tmp_path):
    other = tiny_e5.write(tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    for change, said in (
        ({"model_type": "mistral"}, "not one of E5's"),
        ({"hidden_size": None}, "does not say"),
        ({"vocab_size": 5000}, "that of another model"),
        ({"num_hidden_layers": 3}, "does not fit"),
    ):
        (other / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelMissing, match=said):
            load(other)
    (other / "config.json").write_text(json.dumps(config))
    (other / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelMissing, match="altered"):
        load(other)
    (other / "model.safetensors").unlink()
    (other / "model.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelMissing, match="cannot be used"):
        load(other)
    (other / "model.onnx").unlink()
    with pytest.raises(ModelMissing, match="is not there"):
        load(other)


def test_a_repository_is_a_source_and_one_that_wants_a_task_is_not():
    source = encoders.source("e5:intfloat/multilingual-e5-base")
    assert source.repository == "intfloat/multilingual-e5-base"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(source.files)
    for name in ("e5:base", "e5:intfloat/multilingual-e5-large-instruct"):
        with pytest.raises(UnknownName, match="no e5 model"):
            encoders.source(name)
