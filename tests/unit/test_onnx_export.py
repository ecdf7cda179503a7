"""Exports to ONNX say what the original says, and are refused where they do not."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from search import encoders
from search.encoders import export as exporting
from search.encoders.export import export
from search.encoders.wording import TextTokens
from search.errors import ExportRefused, InputError, ModelMissing, UnknownName
from search.ondemand.trial import calibration as read_calibration
from search.settings import Settings
from search.types import Modality, Needs
from tests.fakes.exports import CONFIG, calibration, write_model
from tests.media_samples import picture

graphs = pytest.importorskip("search.encoders.graphs", reason="needs the extra export")

TEXTS = ["a red flower", "two dogs in the snow", "x", "word " * 60, "ünïcode 漢字 🐘", ""]

ODD = [
    "'s", "'T", "'LL", "&amp;", "&eacute;", "&EACUTE;", "&#233;", "&lt;", "<b>", "“", "’", "ﬁ", "Ǆ", "ſ", "'ſ", "ﬅ", "Ａ", "ﾊﾟ", "ｱ", "\t", "\n",
    "\u3000", "\x00", "\x1b[31m", "\x85", "\ud800", "\u200d", "😀", "👍🏽", "漢字", "İ", "ß", "Σ", "É", "e\u0301", "한", "1", "42", "²", "½", "٣", "_",
    "...", "!!", "&#xD800;", "the", "Dog", "x" * 30, "\xa0", "\u2028", "\ufeff", "\u212a", "&copy", "don't", "&AMP;", "नमस्ते", "ไทย", "שלום", " ", " ",
]  # fmt: skip
"""What a text is made of that is hard to cut: escapes, look-alikes, control characters, many scripts."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("openclip") / "model")


@pytest.fixture(scope="module")
def original(model):
    return graphs.read(model)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "fp32"
    export(model, folder, calibration())
    return folder


@pytest.fixture(scope="module")
def encoder(exported):
    return encoders.load(f"onnx:{exported}")


@pytest.fixture
def traced(exported, monkeypatch) -> None:
    """Another export of the model begins with the graphs that torch made of it for the first one, which takes most of the time."""
    monkeypatch.setattr(graphs, "_export", lambda tower, file, *_: shutil.copy(exported / file.name, file))


def test_vectors_of_pictures_are_those_that_open_clip_makes(model, encoder):
    import open_clip
    import torch

    clip, transform = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    pixels = np.stack(calibration().images[:11])
    mean, std = (torch.tensor(step).view(3, 1, 1) for step in (transform.transforms[-1].mean, transform.transforms[-1].std))
    with torch.inference_mode():
        expected = clip.eval().encode_image((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std, normalize=True)
    assert np.allclose(encoder.encode(Modality.IMAGE, list(pixels)), expected.numpy(), atol=1e-4)


def test_vectors_of_texts_are_those_that_open_clip_makes_whatever_their_length(model, encoder):
    import open_clip
    import torch

    clip, tokenizer = open_clip.create_model(f"local-dir:{model}").eval(), open_clip.get_tokenizer(f"local-dir:{model}")
    texts = [text for text in TEXTS if len(text) < 100]
    with torch.inference_mode():
        expected = clip.encode_text(tokenizer(texts), normalize=True)
    assert np.allclose(encoder.encode(Modality.TEXT, texts), expected.numpy(), atol=1e-4)


def test_a_text_longer_than_the_context_is_the_mean_of_its_pieces(encoder):
    words = [
        f"{word} {number}"
        for number, word in enumerate(["red", "green", "blue", "white", "black", "grey", "pink", "brown", "teal", "gold"])
    ]
    pieces = [" ".join(words[start : start + 9]) for start in (0, 9)]  # two tokens a word: 18 beside the two marks
    whole = encoder.encode(Modality.TEXT, [" ".join(words)])[0]
    mean = encoder.encode(Modality.TEXT, pieces).mean(axis=0)
    assert np.allclose(whole, mean / np.linalg.norm(mean), atol=1e-4)


def test_strange_texts_are_cut_into_the_tokens_of_open_clip(original, monkeypatch):
    import ftfy
    import open_clip

    guessing = ftfy.fix_text  # what is left out here are its guesses at text that was decoded wrongly
    monkeypatch.setattr(open_clip.tokenizer.ftfy, "fix_text", lambda text: guessing(text, fix_encoding=False))
    known, tokens, rng = open_clip.tokenizer.SimpleTokenizer(), TextTokens(original.tokenizer, 1000, "lower"), random.Random(1)
    assigned = [
        letter for letter in map(chr, range(0x20, 0x3100)) if unicodedata.category(letter) != "Cn"
    ]  # in every version of Unicode
    for _ in range(600):
        text = "".join(rng.choice(ODD if rng.random() < 0.9 else assigned) for _ in range(rng.randrange(20)))
        assert tokens(text) == [[known.sot_token_id, *known.encode(text), known.eot_token_id]], repr(text)


def test_a_text_cannot_end_itself_early(original):
    (ids,) = TextTokens(original.tokenizer, 77, "lower")("a cat <end_of_text> a dog")
    assert ids.count(ids[-1]) == 1


def test_int8_says_how_it_compares_and_its_vectors_do_not_depend_on_their_neighbours(model, traced, tmp_path, monkeypatch):
    monkeypatch.setattr(
        exporting, "MAX_RECALL_LOSS", 1
    )  # random weights find nothing, and what they find by chance they may lose
    report = export(model, tmp_path / "int8", calibration(), "int8", least=0.5)
    assert report.precision == {"vision": "int8", "text": "int8"}
    assert set(report.agreement) == {"text->image", "image->image"}
    assert set(report.recall) == {"R@1", "R@5", "R@10"}
    assert json.loads((tmp_path / "int8" / "export.json").read_text())["report"]["agreement"] == report.agreement
    encoder = encoders.load(f"onnx:{tmp_path / 'int8'}")
    for modality, some in ((Modality.IMAGE, calibration().images[:9]), (Modality.TEXT, TEXTS)):
        alone = np.concatenate([encoder.encode(modality, [one]) for one in some])
        assert np.array_equal(encoder.encode(modality, some), alone)


def test_an_export_that_finds_less_is_refused_with_both_figures_and_leaves_nothing_behind(model, traced, tmp_path, monkeypatch):
    shrink = graphs._shrink

    def spoil(file):
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(file)
        for weight in graph.graph.initializer:
            if (values := numpy_helper.to_array(weight)).ndim == 2 and np.isfinite(values).all():
                noise = np.random.default_rng(0).normal(0, 3 * values.std() + 1e-9, values.shape)
                weight.CopyFrom(numpy_helper.from_array((values + noise).astype(values.dtype), weight.name))
        onnx.save(graph, file)
        return shrink(file)

    monkeypatch.setattr(graphs, "_shrink", spoil)
    with pytest.raises(ExportRefused, match=r"image->image .*% of the first 10 are the original's, 99.5% are wanted") as caught:
        export(model, tmp_path / "out", calibration(), "int8")
    assert caught.value.report.agreement["image->image"] < 0.9
    assert list(tmp_path.iterdir()) == []


def test_recall_may_not_drop_by_more_than_half_a_point_whatever_agreement_is_wanted():
    report = exporting.Report("int8", {}, 200, 200, {"text->image": 1.0}, {"R@1": (0.5, 0.496), "R@5": (0.7, 0.69)}, {})
    assert exporting._failed(report, 0) == ["R@5 is 69.0%, the original's 70.0%"]


def test_convolutional_towers_stay_fp32_in_int8_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "MAX_RECALL_LOSS", 1)
    towers = {**CONFIG, "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}}
    report = export(write_model(tmp_path / "model", towers), tmp_path / "out", calibration(), "int8", least=0.5)
    assert report.precision == {"vision": "fp32", "text": "int8"}
    assert "vision stays fp32" in report.notes[0]


def test_towers_that_read_padding_get_the_whole_context_and_tokens_of_their_own_tokenizer(tmp_path):
    import open_clip
    import torch

    own = {
        "no_causal_mask": True,
        "pool_type": "last",
        "vocab_size": 40,
        "hf_tokenizer_name": "anything",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    model = write_model(tmp_path / "model", {**CONFIG, "custom_text": True, "text_cfg": {**CONFIG["text_cfg"], **own}})
    vocabulary = {
        word: number
        for number, word in enumerate(["[?]", "[pad]", "[end]", *["red", "green", "blue", "dog", "cat", "house", "tree"]])
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[?]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A [end]", special_tokens=[("[end]", 2)])
    tokenizer.save(str(model / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[pad]", "unk_token": "[?]"}
    (model / "tokenizer_config.json").write_text(json.dumps(names))
    export(model, tmp_path / "out", calibration())
    texts = ["a red, RED dog", "the tree_house", ""]
    with torch.inference_mode():
        clip, cut = open_clip.create_model(f"local-dir:{model}").eval(), open_clip.get_tokenizer(f"local-dir:{model}")
        expected = clip.encode_text(cut(texts), normalize=True)
    assert np.allclose(encoders.load(f"onnx:{tmp_path / 'out'}").encode(Modality.TEXT, texts), expected.numpy(), atol=1e-4)


def test_too_few_pictures_or_no_texts_are_refused_before_anything_is_read(tmp_path):
    on = calibration()
    for few in (calibration(count=49), replace(on, texts=[], pairs=[])):
        with pytest.raises(InputError, match="calibration set"):
            export(tmp_path / "nowhere", tmp_path / "out", few)


def test_an_unknown_precision_a_folder_that_exists_and_a_folder_without_a_model_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="int4"):
        export(tmp_path, tmp_path / "out", calibration(), "int4")
    with pytest.raises(InputError, match="exists already"):
        export(tmp_path, tmp_path, calibration())
    with pytest.raises(InputError, match="holds no model of OpenCLIP"):
        export(tmp_path, tmp_path / "out", calibration())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "search.encoders.graphs")
    monkeypatch.delattr(encoders, "graphs")
    with pytest.raises(ModelMissing) as caught:
        exporting.needs(tmp_path)
    assert "sensorium[export]" in caught.value.remedy


def test_an_operator_that_cannot_be_exported_is_named(model, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(
        torch.nn.functional, "normalize", lambda values, dim: torch.linalg.matrix_exp(values[:, :4].T @ values[:, :4])
    )
    with pytest.raises(InputError, match=r"cannot be exported: .*matrix_exp"):
        export(model, tmp_path / "out", calibration())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flip", "remove"])
@pytest.mark.parametrize("name", ["vision.onnx", "text.onnx", "tokenizer.json", "export.json"])
def test_altered_or_missing_files_are_never_loaded(exported, tmp_path, name, damage):
    shutil.copytree(exported, tmp_path / "export")
    file = tmp_path / "export" / name
    content = bytearray(file.read_bytes())
    content[:1] = b"\xff"
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(ModelMissing, match=name) as caught:
        encoders.load(f"onnx:{tmp_path / 'export'}")
    assert "models export" in caught.value.remedy


def test_an_export_needs_no_framework(exported):
    code = (
        "import sys; from search import encoders; from search.types import Modality\n"
        f"encoders.load({f'onnx:{exported}'!r}).encode(Modality.TEXT, ['a cat'])\n"
        "print([name for name in ('torch', 'open_clip', 'transformers', 'onnx', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_calibration_set_is_read_with_its_texts_and_without_what_cannot_be_decoded(tmp_path):
    for name in ("a", "b", "c"):
        picture("red").save(tmp_path / f"{name}.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (tmp_path / "broken.txt").write_text("never read")
    (tmp_path / "a.txt").write_text("a red square\n\nit is red\n")
    (tmp_path / "c.txt").write_text("the last one")
    found = read_calibration(tmp_path, Needs(64, "crop", 0), Settings(home=tmp_path))
    assert [image.shape for image in found.images] == [(64, 64, 3)] * 3
    assert (found.texts, found.pairs) == (["a red square", "it is red", "the last one"], [0, 0, 2])
