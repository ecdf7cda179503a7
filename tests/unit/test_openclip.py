"""The openclip family against open_clip itself, on tiny models of every kind of text tower."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from search import encoders
from search.encoders import GrainedEncoder, openclip
from search.encoders.device import DeviceRunner
from search.encoders.openclip import building
from search.errors import ModelMissing, UnknownName
from search.models import Models, ModelSource
from search.types import Modality
from tests.fakes import tiny_openclip

SHORT = ["a red flower", "blue", "", "two dogs, one cat & a word7"]
LONG = "a green valley with a river in it " * 6


def load(folder: Path):
    return encoders.load(f"openclip:{folder}", Models(folder.parent), "cpu")


@pytest.fixture(scope="module", params=sorted(tiny_openclip.VARIANTS))
def folder(request, tmp_path_factory) -> Path:
    return tiny_openclip.write(tmp_path_factory.mktemp("models") / request.param, variant=request.param)


@pytest.fixture(scope="module")
def encoder(folder):
    return load(folder)


@pytest.fixture(scope="module")
def reference(folder):
    return tiny_openclip.reference(folder, folder / openclip.WEIGHTS)


@pytest.fixture
def clip(tmp_path) -> Path:
    return tiny_openclip.write(tmp_path / "clip")


def of_kind(name: str):
    return pytest.mark.parametrize("folder", [name], indirect=True)


def tokens(folder: Path, texts: list[str]) -> torch.Tensor:
    return open_clip.get_tokenizer(f"local-dir:{folder}")(texts)


def normal(features: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(features, dim=-1).detach().numpy()


def test_pictures_have_the_vectors_that_open_clip_gives(folder, encoder, reference):
    pictures = np.random.default_rng(3).integers(0, 256, (11, 64, 64, 3), np.uint8)
    said = json.loads((folder / openclip.CONFIG).read_text())["preprocess_cfg"]
    transform = image_transform_v2(PreprocessCfg(size=64, **said), is_train=False)
    theirs = reference.encode_image(torch.stack([transform(Image.fromarray(picture)) for picture in pictures]))
    assert np.allclose(encoder.encode(Modality.IMAGE, list(pictures)), normal(theirs), atol=1e-5)


def test_texts_have_the_vectors_that_open_clip_gives_untrimmed(folder, encoder, reference):
    theirs = reference.encode_text(tokens(folder, SHORT))
    assert np.allclose(encoder.encode(Modality.TEXT, SHORT), normal(theirs), atol=1e-5)


@pytest.mark.parametrize(
    ("folder", "longest"),
    [("clip", 5), ("worldwide", 12), ("hf", 12), ("mobileclip", 24), ("siglip", 24), ("coca", 24)],
    indirect=["folder"],
)
def test_a_batch_is_padded_to_its_longest_text_where_padding_means_nothing(folder, longest, monkeypatch):
    seen, encoder = [], load(folder)
    embedding = next(part for part in encoder._tower.modules() if isinstance(part, torch.nn.Embedding))
    embedding.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    encoder.encode(Modality.TEXT, ["blue", "a red flower"])
    assert seen == [longest]


def test_a_text_longer_than_the_context_is_the_mean_of_its_pieces_by_their_length(encoder):
    pieces = encoder._tokenizer.pieces([LONG])
    assert len(pieces.ids) > 2
    vectors = np.concatenate([encoder._runner.run(encoder._read, [ids[None]]) for ids in pieces.ids])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mean = (vectors * pieces.lengths[:, None]).sum(0)
    found = encoder.encode(Modality.TEXT, ["blue", LONG, "red"])
    assert np.allclose(found[1], mean / np.linalg.norm(mean), atol=1e-5)
    assert np.allclose(found[2], encoder.encode(Modality.TEXT, ["red"])[0], atol=1e-5)


@of_kind("clip")
def test_pieces_hold_every_token_of_a_text_once(encoder):
    pieces = encoder._tokenizer.pieces([LONG, "blue"])
    inner = [row[1 : length - 1].tolist() for row, length in zip(pieces.ids, pieces.lengths, strict=True)]
    assert [token for row in inner[:-1] for token in row] == open_clip.SimpleTokenizer().encode(LONG)
    assert pieces.owners.tolist() == [0] * (len(inner) - 1) + [1]


@pytest.mark.parametrize("folder", ["clip", "mobileclip", "worldwide"], indirect=True)
def test_the_words_of_a_text_end_with_the_text_as_a_whole(folder, encoder, reference):
    assert isinstance(encoder, GrainedEncoder)
    for text in ("a red flower", LONG):
        words = encoder.words(text)
        pieces = encoder._tokenizer.pieces([text])
        assert len(words) == pieces.lengths.sum() - 2 * len(pieces.ids) + 1  # neither start nor end of each, and the whole
        assert np.allclose(np.linalg.norm(words, axis=1), 1, atol=1e-5)
        assert np.allclose(words[-1], encoder.encode(Modality.TEXT, [text])[0], atol=1e-5)


@of_kind("clip")
def test_a_word_has_the_vector_of_the_text_tower_s_output_at_its_place(folder, encoder, reference):
    outputs = []
    reference.ln_final.register_forward_hook(lambda _, __, output: outputs.append(output))
    reference.encode_text(tokens(folder, ["a red flower"]))
    theirs = normal(outputs[0][0, 1:5] @ reference.text_projection)
    assert np.allclose(encoder.words("a red flower"), theirs, atol=1e-5)


@pytest.mark.parametrize("folder", ["siglip", "hf", "coca"], indirect=True)
def test_a_tower_without_an_end_token_says_that_it_has_no_words(encoder):
    with pytest.raises(ValueError, match="no vectors of words"):
        encoder.words("a red flower")


@of_kind("clip")
def test_the_frames_of_a_shot_have_the_vectors_of_pictures(encoder):
    rng = np.random.default_rng(5)
    shots = [rng.integers(0, 256, (count, 64, 64, 3), np.uint8) for count in (2, 1, 4)]
    parts = encoder.frames(shots)
    assert [len(part) for part in parts] == [2, 1, 4]
    assert np.allclose(
        np.concatenate(parts), encoder.encode(Modality.IMAGE, [frame for shot in shots for frame in shot]), atol=1e-5
    )
    assert encoder.frames([]) == []


def test_an_encoder_wants_pictures_as_its_configuration_says(folder, encoder):
    wanted = {"siglip": ("squash", "bicubic"), "mobileclip": ("crop", "bilinear"), "worldwide": ("pad", "bicubic")}
    assert (encoder.needs.fit, encoder.needs.filter) == wanted.get(folder.name, ("crop", "bicubic"))
    assert (encoder.needs.size, encoder.needs.rate) == (64, 0)


def test_importing_the_family_loads_no_framework():
    code = "import sys, search.encoders.openclip; print([m for m in ('torch', 'open_clip', 'transformers', 'safetensors') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Where weights come from.


@pytest.mark.parametrize(("architecture", "tag"), open_clip.list_pretrained())
def test_every_checkpoint_has_a_source_or_a_reason_why_not(architecture, tag):
    name, filed = f"{architecture}/{tag}", open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]
    if filed.endswith(".bin"):
        with pytest.raises(ModelMissing, match="pickle") as caught:
            openclip.source(name)
        assert "openclip:FOLDER" in caught.value.remedy
        return
    found = openclip.source(name)
    assert isinstance(found, ModelSource)
    assert f"{found.repository}/" == filed
    assert openclip.CONFIG in found.files
    assert not any(name.endswith((".bin", ".pt", ".pth")) for name in found.files)


@pytest.mark.parametrize(
    ("name", "near"),
    [("ViT-B-23/openai", "ViT-B-32"), ("ViT-B-32/openia", "openai"), ("ViT-B-32", "laion2b_s34b_b79k"), ("", "Known")],
)
def test_an_unknown_model_or_checkpoint_lists_near_names(name, near):
    with pytest.raises(UnknownName) as caught:
        openclip.source(name)
    assert near in caught.value.remedy


def test_a_checkpoint_that_is_not_on_the_hub_says_where_its_pickle_is(monkeypatch):
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"url": "https://example.org/a.pt"})
    with pytest.raises(ModelMissing, match=r"example\.org/a\.pt"):
        openclip.source("ViT-B-32/openai")


def test_a_folder_without_a_configuration_takes_that_of_the_checkpoint_s_name(tmp_path):
    from search.models import Model

    file, config, preprocessing = building.configuration(Model("openclip:ViT-B-32/openai", tmp_path, "1"))
    assert (config["embed_dim"], config["quick_gelu"], preprocessing["resize_mode"]) == (512, True, "shortest")
    assert file.parent == tmp_path


@pytest.mark.parametrize("name", sorted(building.TOWERS))
def test_text_towers_that_published_models_name_are_built_without_the_hub(name, tmp_path, monkeypatch):
    narrow = {"vocab_size": 50, "num_hidden_layers": 1, "encoder_layers": 1}
    monkeypatch.setitem(building.TOWERS, name, building.TOWERS[name] | narrow)
    text = {"hf_model_name": name, "hf_tokenizer_name": name, "hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"}
    config = {"embed_dim": 32, "vision_cfg": tiny_openclip._VISION, "text_cfg": text}
    model = building.build(tmp_path, tmp_path / openclip.CONFIG, config)
    assert model.encode_text(torch.tensor([[0, 5, 2, 1]])).shape == (1, 32)


# What is wrong with a folder is told.


def change(folder: Path, **parts) -> None:
    file = folder / openclip.CONFIG
    content = json.loads(file.read_text())
    for name, value in parts.items():
        content["model_cfg"][name] = content["model_cfg"][name] | value if isinstance(value, dict) else value
    file.write_text(json.dumps(content))


def refusal(folder: Path, match: str) -> ModelMissing:
    with pytest.raises(ModelMissing, match=match) as caught:
        load(folder)
    assert caught.value.remedy
    assert str(folder) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "part",
    [
        {"vision_cfg": {"timm_model_name": "vit_of_tomorrow"}},
        {"text_cfg": {"heads_of_state": 3}},
        {"grand_cfg": 1},
        {"vision_cfg": {"width": "wide"}},
    ],
)
def test_an_unknown_architecture_is_refused(clip, part):
    change(clip, **part)
    refusal(clip, openclip.CONFIG)


@pytest.mark.parametrize(
    "part",
    [
        {"embed_dim": 48},
        {"text_cfg": {"width": 16}},
        {"text_cfg": {"context_length": 30}},
        {"vision_cfg": {"image_size": 96}},
        {"text_cfg": {"layers": 3}},
        {"text_cfg": {"layers": 1}},
    ],
)
def test_weights_of_another_size_than_the_configuration_s_are_refused(clip, part):
    change(clip, **part)
    refusal(clip, openclip.WEIGHTS)


def test_an_embed_dim_that_the_towers_do_not_give_is_refused(tmp_path):
    folder = tiny_openclip.write(tmp_path / "none")
    change(folder, text_cfg={"proj_type": "none", "width": 32})
    tensors = load_file(folder / openclip.WEIGHTS)
    del tensors["text_projection"]
    tensors["visual.proj"] = tensors["visual.proj"][:, :16].contiguous()
    save_file(tensors, folder / openclip.WEIGHTS)
    change(folder, embed_dim=16)
    refusal(folder, "embed_dim 16")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_cfg": 3}', '{"model_cfg": {"embed_dim": 3}}', "\ufeff\x00"])
def test_a_configuration_that_is_none_is_refused(clip, content):
    (clip / openclip.CONFIG).write_text(content)
    refusal(clip, openclip.CONFIG)


@pytest.mark.parametrize(
    "wish",
    [
        {"resize_mode": "stretch"},
        {"resize_mode": []},
        {"interpolation": "nearest"},
        {"resize_mode": "longest", "fill_color": 255},
        {"mean": [0.5]},
        {"std": "wide"},
    ],
)
def test_preprocessing_that_cannot_be_done_is_refused(clip, wish):
    content = json.loads((clip / openclip.CONFIG).read_text())
    (clip / openclip.CONFIG).write_text(json.dumps(content | {"preprocess_cfg": wish}))
    refusal(clip, openclip.CONFIG)


@pytest.mark.parametrize(
    "wish", [{"tokenizer_kwargs": {"clean": "thoroughly"}}, {"tokenizer_kwargs": {"lower": 1}}, {"tokenizer_mode": "clips"}]
)
def test_a_way_to_read_text_that_is_not_known_is_refused(clip, wish):
    change(clip, text_cfg=wish)
    refusal(clip, openclip.CONFIG)


def test_a_missing_tokenizer_is_told(tmp_path):
    folder = tiny_openclip.write(tmp_path / "siglip", variant="siglip")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    refusal(folder, "tokenizer")


@pytest.mark.parametrize("words", [500, 100])
def test_the_tokenizer_of_another_model_is_refused(tmp_path, words):
    from tests.fakes.tiny_tokenizer import write_tokenizer

    folder = tiny_openclip.write(tmp_path / "siglip", variant="siglip")
    write_tokenizer(folder, words)
    refusal(folder, f"{words} tokens")


def test_a_damaged_tokenizer_is_told(tmp_path):
    folder = tiny_openclip.write(tmp_path / "siglip", variant="siglip")
    (folder / "tokenizer.json").write_text("{")
    refusal(folder, "tokenizer")


@pytest.mark.parametrize("damage", ["cut", "head", "nan", "rename", "empty"])
def test_damaged_weights_are_refused(clip, damage):
    file = clip / openclip.WEIGHTS
    content, tensors = file.read_bytes(), load_file(file)
    if damage == "nan":
        tensors["visual.proj"][0, 0] = float("nan")
        save_file(tensors, file)
    elif damage == "rename":
        tensors["visual.projection"] = tensors.pop("visual.proj")
        save_file(tensors, file)
    else:
        file.write_bytes({"cut": content[:-100], "head": content[:9] + b"x" + content[10:], "empty": b""}[damage])
    refusal(clip, openclip.WEIGHTS)


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pt", "weights.pth"])
def test_a_pickle_is_never_loaded(clip, name):
    shutil.move(clip / openclip.WEIGHTS, clip / name)
    assert "safetensors" in refusal(clip, "pickle").remedy


def test_missing_weights_are_told(clip):
    (clip / openclip.WEIGHTS).unlink()
    refusal(clip, openclip.WEIGHTS)


@pytest.fixture
def halved(monkeypatch):
    """Runners in the precision of a GPU."""
    begin = DeviceRunner.__init__

    def init(self, *arguments) -> None:
        begin(self, *arguments)
        self.dtype = torch.bfloat16

    monkeypatch.setattr(DeviceRunner, "__init__", init)


def test_the_precision_of_a_gpu_changes_little(folder, encoder, halved):
    rough = load(folder)
    pictures = list(np.random.default_rng(3).integers(0, 256, (3, 64, 64, 3), np.uint8))
    for modality, content in (
        (Modality.TEXT, [*SHORT, LONG]),
        (Modality.IMAGE, pictures),
        (Modality.VIDEO, [np.stack(pictures)]),
    ):
        found = rough.encode(modality, content)
        assert found.dtype == np.float32
        assert (found * encoder.encode(modality, content)).sum(1).min() > 0.98
