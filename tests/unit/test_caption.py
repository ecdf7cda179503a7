"""The caption family, on tiny models in the layouts that the hub has; BLIP's are taught three colours, the others write nonsense."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, BlipForConditionalGeneration

from search import readers
from search.encoders.device import DeviceRunner
from search.encoders.generation import GeneratedText, repeats
from search.errors import ModelMissing, UnknownName
from search.models import Model, Models
from search.readers import Reader, caption
from search.readers.caption import building
from search.readers.caption.reader import Captioner, sentence
from search.readers.caption.writer import Asked
from search.types import Channel, Cut, Gap, Info, Modality, Span
from tests.fakes import tiny_caption
from tests.fakes.tiny_caption import COLOURS, QUESTION, SIZE, picture
from tests.fakes.tiny_tokenizer import write_tokenizer

STILL = Info(Modality.IMAGE, "png", 64, 48)
FILM = Info(Modality.VIDEO, "mp4", 64, 48, 60_000)


def load(folder: Path):
    return readers.load(f"caption:{folder}", Models(folder.parent), "cpu")


def writer_of(folder: Path):
    return caption.writer_of(Models(folder.parent).find(f"caption:{folder}"), "cpu")


@pytest.fixture(scope="module")
def blip(tmp_path_factory) -> Path:
    return tiny_caption.write(tmp_path_factory.mktemp("blip") / "model")


@pytest.fixture(scope="module")
def vqa(tmp_path_factory) -> Path:
    return tiny_caption.write(tmp_path_factory.mktemp("vqa") / "model", "blip-vqa")


@pytest.fixture(scope="module")
def reader(blip):
    return load(blip)


@pytest.fixture(scope="module", params=["git", "florence2", "idefics3"])
def other(request, tmp_path_factory) -> Path:
    return tiny_caption.write(tmp_path_factory.mktemp(request.param) / request.param, request.param)


@pytest.fixture
def model(blip, tmp_path) -> Path:
    return Path(shutil.copytree(blip, tmp_path / "model"))


def still(colour: str) -> Cut:
    return Cut(Channel.VISUAL, Modality.IMAGE, None, picture(colour))


def shot(start: int, *colours: str, seconds: int = 2) -> Cut:
    frames = np.stack([picture(colour) for colour in colours])
    return Cut(Channel.VISUAL, Modality.VIDEO, Span(start, start + seconds * 1000), frames)


def noise(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8) for seed in range(count)]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_still_is_described_by_what_is_in_it(reader, colour):
    (found,) = reader.read(STILL, [still(colour)])
    assert (found.channel, found.span, found.text) == (Channel.CAPTION, None, f"a {colour} picture")
    assert (found.language, found.source) == ("en", f"written by {reader.name}")
    assert 0.5 < found.confidence <= 1


def test_of_a_shot_its_middle_frame_is_described_with_the_shot_s_time(reader):
    cuts = [shot(0, "red", "green", "blue"), Gap("no_sound", "none"), shot(2_000, "blue"), shot(4_000, "green", "red", "green")]
    found = [(one.span, one.text) for one in reader.read(FILM, cuts)]
    assert found == [
        (Span(0, 2_000), "a green picture"), (Span(2_000, 4_000), "a blue picture"), (Span(4_000, 6_000), "a red picture")
    ]  # fmt: skip


def test_shots_on_end_with_the_same_caption_share_a_passage(reader):
    cuts = [shot(0, "red"), shot(2_000, "red"), shot(4_000, "blue"), shot(8_000, "blue"), shot(10_000, "red")]
    found = [(one.span, one.text) for one in reader.read(FILM, cuts)]
    assert found == [
        (Span(0, 4_000), "a red picture"), (Span(4_000, 6_000), "a blue picture"), (Span(8_000, 10_000), "a blue picture"),
        (Span(10_000, 12_000), "a red picture"),
    ]  # fmt: skip


def test_what_is_no_picture_is_passed_over(reader):
    sound = Cut(Channel.SOUND, Modality.AUDIO, Span(0, 1000), np.zeros(16_000, np.float32))
    assert list(reader.read(FILM, [sound, Gap("no_picture", "none")])) == []


def test_a_long_video_is_read_a_few_shots_at_a_time(reader):
    taken = []

    def cuts():
        for number in range(100):
            taken.append(number)
            yield shot(2_000 * number, "red" if number % 2 else "blue")

    found = reader.read(FILM, cuts())
    next(found)
    assert len(taken) == reader.needs.batch
    assert len(list(found)) == 99


def test_a_batch_says_what_each_would_alone(reader):
    pictures = [picture(colour, shade) for colour in COLOURS for shade in (-9, 0, 9)]
    together = reader._writer.describe(pictures)
    for one, alone in zip(together, [reader._writer.describe([image])[0] for image in pictures], strict=True):
        assert one.text == alone.text
        assert math.isclose(one.confidence, alone.confidence, rel_tol=1e-4)


@torch.inference_mode()
def test_the_confidence_is_the_mean_probability_of_the_tokens(blip, reader):
    model, processor = BlipForConditionalGeneration.from_pretrained(blip).eval(), AutoProcessor.from_pretrained(blip)
    inputs = processor(images=[picture("red")], return_tensors="pt")
    made = model.generate(
        **inputs, do_sample=False, max_new_tokens=48, return_dict_in_generate=True, output_logits=True
    )  # fmt: skip
    tokens = made.sequences[0, -len(made.logits) :]
    logs = [float(step[0].log_softmax(-1)[token]) for step, token in zip(made.logits, tokens, strict=True)]
    (found,) = reader.read(STILL, [still("red")])
    assert math.isclose(found.confidence, math.exp(sum(logs) / len(logs)), rel_tol=1e-4)


@torch.inference_mode()
def test_other_kinds_write_what_transformers_writes(other):
    writer, kind = writer_of(other), other.name
    pictures = noise(3)
    found = writer.describe(pictures)
    model, processor = AutoModelForImageTextToText.from_pretrained(other).eval(), AutoProcessor.from_pretrained(other)
    texts: dict[str, object] = {"git": {}, "florence2": {"text": ["<CAPTION>"]}}.get(kind, {})
    for one, image in zip(found, pictures, strict=True):
        if kind == "idefics3":
            said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": building.SENTENCE}]}]
            prompt = processor.apply_chat_template(said, add_generation_prompt=True)
            processor.image_processor.size = {"longest_edge": SIZE}  # not blown up and made small again
            inputs = processor(text=[prompt], images=[[image]], return_tensors="pt", do_image_splitting=False)
        else:
            inputs = processor(images=[image], **texts, return_tensors="pt")
        made = model.generate(**inputs, do_sample=False, max_new_tokens=48, num_beams=1)[0]
        begun = inputs["input_ids"].shape[1] if kind == "idefics3" else 0
        assert one.text == " ".join(processor.tokenizer.decode(made[begun:], skip_special_tokens=True).split())
        assert 0 < one.confidence < 1
    assert len({one.text for one in found}) > 1


@pytest.mark.parametrize("kind", ["blip-2", "paligemma", "qwen2_vl"])
def test_further_kinds_write_and_answer_alike_alone_and_in_a_batch(kind, tmp_path):
    writer = writer_of(tiny_caption.write(tmp_path / "model", kind))
    pictures = noise(3)
    found = writer.describe(pictures)
    assert [one.text for one in found] == [writer.describe([image])[0].text for image in pictures]
    assert all(0 < one.confidence < 1 for one in found)
    asked = [Asked((image,), "which colour is it") for image in pictures]
    assert [one.text for one in writer.answer(asked)] == [writer.answer([one])[0].text for one in asked]


def test_every_kind_is_a_reader(other, reader):
    for one in (reader, load(other)):
        assert isinstance(one, Reader)
        assert (one.channels, one.reads) == ({Channel.CAPTION}, {Modality.IMAGE, Modality.VIDEO})
        assert (one.needs.size, one.needs.rate) == (SIZE, 0)


def test_pictures_come_as_the_model_wants_them(other, reader):
    assert reader.needs.fit == "squash"
    assert load(other).needs.fit == {"git": "crop"}.get(other.name, "squash")


def test_a_model_that_takes_any_shape_gets_any_shape(tmp_path):
    reader = load(tiny_caption.write(tmp_path / "model", "qwen2_vl"))
    assert (reader.needs.size, reader.needs.fit) == (building.NATIVE, "pad")
    frames = np.random.default_rng(1).integers(0, 255, (2, building.NATIVE, building.NATIVE, 3), np.uint8)
    cuts = [Cut(Channel.VISUAL, Modality.VIDEO, Span(0, 2000), frames), Cut(Channel.VISUAL, Modality.IMAGE, None, frames[0])]
    assert all(isinstance(one.text, str) for one in reader.read(Info(Modality.VIDEO, "mp4", 64, 20), cuts))


def test_a_model_that_takes_any_shape_sees_no_black_edges(reader):
    seen = []

    class Writer:
        needs = replace(reader.needs, size=64, fit="pad")
        language = "en"

        def describe(self, pictures):
            seen.extend(pictures)
            return [GeneratedText("a picture", 0.5)] * len(pictures)

    padded = np.zeros((64, 64, 3), np.uint8)
    padded[8:56] = 200
    reader = Captioner(Model("caption:any", Path(), "1"), Writer())
    assert list(reader.read(STILL, [Cut(Channel.VISUAL, Modality.IMAGE, None, padded)]))
    assert seen[0].shape == (48, 64, 3)
    assert seen[0].min() == 200


# Questions


def test_a_model_that_answers_is_asked(vqa):
    writer = writer_of(vqa)
    asked = [Asked((picture(colour),), QUESTION) for colour in COLOURS]
    assert [one.text for one in writer.answer(asked)] == list(COLOURS)
    assert (writer.describes, writer.answers, writer.several) == (False, True, False)


def test_a_model_that_only_answers_is_no_reader(vqa):
    with pytest.raises(ModelMissing, match="answers questions"):
        load(vqa)


def test_a_question_changes_the_answer_and_several_frames_are_one_question(other):
    writer = writer_of(other)
    images = noise(3)
    assert writer.answers
    one, two = (writer.answer([Asked((images[0],), question)])[0] for question in ("which colour", "it it it word7"))
    assert one.confidence != two.confidence
    assert writer.several == (other.name == "idefics3")
    if writer.several:
        assert writer.answer([Asked(tuple(images), "which")])[0].text != writer.answer([Asked((images[0],), "which")])[0].text


def test_a_question_cannot_speak_for_the_model(other):
    writer = writer_of(other)
    told = writer._words(Asked((noise(1)[0],), "which <image> colour </s> is <end_of_utterance> it <unk>"))
    assert not {"</s>", "<unk>"} & {*told.split()}
    if writer.several:  # a chat, whose template has one of each
        assert told.count("<image>") == told.count("<end_of_utterance>") == 1


# What models write


@pytest.mark.parametrize(
    ("text", "circles"),
    [
        ("a man in a red shirt", False),
        ("a dog and a cat and a bird", False),
        ("a dog and a dog and a dog and a dog", True),
        ("the the the", True),
        ("very very good", False),
        ("aaaaaaaaaaaaaaaaaaa", True),
        ("a bus at 10000", False),
        ("", False),
    ],
)
def test_a_text_that_goes_round_in_circles_is_known(text, circles):
    assert repeats(text) == circles


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("A dog runs. It is brown. The sky", "A dog runs."),
        ("Mt. Everest at dawn. It is cold.", "Mt. Everest at dawn."),
        ("a dog runs", "a dog runs"),
        ("犬が走る。空は青い。", "犬が走る。"),
        ("", ""),
        (" . ,", ""),
        ("a red and a red and a red and a", ""),
    ],
)
def test_a_caption_is_one_sentence(written, kept):
    assert sentence(GeneratedText(written, 0.5)) == kept


def test_nonsense_is_no_passage(reader, monkeypatch):
    monkeypatch.setattr(reader._writer, "describe", lambda pictures: [GeneratedText("red red red red", 0.9)] * len(pictures))
    assert list(reader.read(STILL, [still("red")])) == []


# Loading


def test_importing_the_family_loads_no_framework():
    code = "import sys, search.readers.caption; print([m for m in ('torch', 'transformers', 'safetensors') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_draws_nothing_on_the_screen(model, capfd):
    load(model)
    assert capfd.readouterr() == ("", "")


def test_a_repository_is_the_source_of_its_files():
    found = readers.source("caption:Salesforce/blip-image-captioning-base")
    assert found.repository == "Salesforce/blip-image-captioning-base"
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= {*found.files}


@pytest.mark.parametrize("name", ["blip", "a/b/c", "Salesforce/"])
def test_what_names_no_repository_lists_those_that_are_known(name):
    with pytest.raises(UnknownName) as caught:
        caption.source(name)
    assert "Salesforce/" in caught.value.remedy


def test_a_model_that_is_not_here_is_told_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(ModelMissing) as caught:
        readers.load("caption:microsoft/git-base-coco", Models(tmp_path), "cpu")
    assert "sensorium models pull caption:microsoft/git-base-coco" in caught.value.remedy
    with pytest.raises(UnknownName):
        readers.load("caption", Models(tmp_path), "cpu")


def test_weights_in_several_files_are_read(model):
    tensors = load_file(model / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: tensors[name] for name in some}, model / file, metadata={"format": "pt"})
    (model / "model.safetensors").unlink()
    listed = {name: file for file, some in parts.items() for name in some}
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    assert [one.text for one in load(model).read(STILL, [still("red")])] == ["a red picture"]
    (model / "model-00002-of-00002.safetensors").unlink()
    refusal(model, "model-00002")


# What is wrong with a folder is told.


def refusal(folder: Path, match: str) -> ModelMissing:
    with pytest.raises(ModelMissing, match=match) as caught:
        load(folder)
    assert caught.value.remedy
    assert str(folder) in str(caught.value)
    return caught.value


def configure(folder: Path, **parts: object) -> None:
    content = json.loads((folder / "config.json").read_text())
    for name, value in parts.items():
        content[name] = content.get(name, {}) | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "part",
    [
        {"text_config": {"hidden_size": 16}},
        {"text_config": {"num_hidden_layers": 3}},
        {"vision_config": {"num_hidden_layers": 1}},
    ],
)
def test_weights_of_another_size_than_the_configuration_s_are_refused(model, part, capfd):
    configure(model, **part)
    refusal(model, "model.safetensors")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_type": "clip"}', '{"model_type": "of_somebody"}'])
def test_a_configuration_that_is_none_is_refused(model, content):
    (model / "config.json").write_text(content)
    refusal(model, "config.json")


def test_code_of_a_repository_is_never_run(model):
    (model / "code.py").write_text("raise SystemExit('it ran')")
    configure(model, auto_map={"AutoConfig": "code.C", "AutoModelForImageTextToText": "code.M"}, model_type="theirs")
    refusal(model, "config.json")


@pytest.mark.parametrize("damage", ["cut", "head", "nan", "less", "more"])
def test_damaged_weights_are_refused(model, damage, capfd):
    file = model / "model.safetensors"
    content, tensors = file.read_bytes(), load_file(file)
    name = "text_decoder.bert.encoder.layer.0.output.dense.weight"
    if damage in ("cut", "head"):
        file.write_bytes(content[:-100] if damage == "cut" else content[:9] + b"x" + content[10:])
    else:
        if damage == "nan":
            tensors[name][0, 0] = float("nan")
        elif damage == "less":
            del tensors[name]
        else:
            tensors["text_decoder.more"] = torch.zeros(3)
        save_file(tensors, file, metadata={"format": "pt"})
    refusal(model, "model.safetensors")


def test_a_pickle_is_never_loaded(model):
    shutil.move(model / "model.safetensors", model / "pytorch_model.bin")
    assert "safetensors" in refusal_of_pickle(model).remedy


def refusal_of_pickle(folder: Path) -> ModelMissing:
    with pytest.raises(ModelMissing, match="pickle") as caught:
        load(folder)
    return caught.value


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_a_missing_file_is_told(model, name):
    if name == "preprocessor_config.json":
        (model / "processor_config.json").unlink()
    else:
        (model / name).unlink()
    if name == "tokenizer.json":
        (model / "tokenizer_config.json").unlink()
    refusal(model, name)


def test_the_tokenizer_of_another_model_is_refused(model):
    write_tokenizer(model, 900)
    refusal(model, "900 tokens")


def test_how_a_model_is_spoken_to_must_be_known(tmp_path):
    folder = tiny_caption.write(tmp_path / "chat", "idefics3")
    (folder / "chat_template.jinja").unlink()
    refusal(folder, "chat template")


def test_sizes_that_cannot_be_made_are_told(tmp_path):
    class Extractor:
        size = {"height": 384, "width": 512}  # noqa: RUF012

    with pytest.raises(ModelMissing, match="cannot be made"):
        building.needs_of(tmp_path, Extractor(), on_gpu=False)


def test_the_precision_of_a_gpu_changes_no_word(blip, reader, monkeypatch):
    begin = DeviceRunner.__init__

    def init(self, *arguments) -> None:
        begin(self, *arguments)
        self.dtype = torch.bfloat16

    monkeypatch.setattr(DeviceRunner, "__init__", init)
    rough = load(blip)
    for colour in COLOURS:
        (one,), (other,) = rough.read(STILL, [still(colour)]), reader.read(STILL, [still(colour)])
        assert one.text == other.text
        assert abs(one.confidence - other.confidence) < 0.05
