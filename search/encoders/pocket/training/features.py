"""Features of the captioned pictures from the frozen encoders, computed once and kept in a cache folder."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from backbones import SIZE, Text, Vision, text_folder
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tokenizers import Tokenizer

TOKENS = 32
"""Word pieces of a caption that are kept for training: the longest caption has 44, one in a thousand more than 32."""


@dataclass(frozen=True)
class Captions:
    """Pictures in the order of their names; ``picture[j]`` is the picture of ``captions[j]``."""

    pictures: list[Path]
    captions: list[str]
    picture: NDArray[np.int64]

    def of(self, picture: int) -> NDArray[np.int64]:
        """The captions of a picture."""
        return np.flatnonzero(self.picture == picture)


def read_captions(folder: Path) -> Captions:
    """``captions.csv`` (image, caption) and ``images/`` below ``folder``."""
    pictures = sorted((folder / "images").iterdir())
    at = {path.name: index for index, path in enumerate(pictures)}
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["image"] in at]
    return Captions(pictures, [row["caption"] for row in rows], np.array([at[row["image"]] for row in rows]))


def plain(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    """The picture as it is."""
    return picture


def flipped(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    """The picture in a mirror."""
    return ImageOps.mirror(picture)


def cropped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random part of 45-100% of the area, sides in a ratio of e^-.5 to e^.5, mirrored half the time."""
    (width, height), area, ratio = picture.size, rng.uniform(0.45, 1.0), np.exp(rng.uniform(-0.25, 0.25))
    w, h = min(width, int(width * area**0.5 * ratio)), min(height, int(height * area**0.5 / ratio))
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    part = picture.crop((x, y, x + w, y + h))
    return ImageOps.mirror(part) if rng.random() < 0.5 else part


VIEWS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "plain": plain, "flip": flipped, "crop1": cropped, "crop2": cropped,
}  # fmt: skip


def picture_features(data: Captions, cache: Path) -> NDArray[np.float32]:
    """The mean of the last feature map for every view of every picture: (views, pictures, 1280)."""
    rows = []
    for number, (name, change) in enumerate(VIEWS.items()):
        file = cache / f"{name}.npy"
        if not file.exists():
            np.save(file, _pooled(data.pictures, change, np.random.default_rng(number)))
        rows.append(np.load(file))
    return np.stack(rows)


@torch.inference_mode()
def _pooled(
    paths: list[Path], change: Callable[[Image.Image, np.random.Generator], Image.Image], rng: np.random.Generator
) -> NDArray[np.float32]:
    vision, rows = Vision(), []
    for start in range(0, len(paths), 16):
        batch = []
        for path in paths[start : start + 16]:
            with Image.open(path) as picture:
                changed = change(picture.convert("RGB"), rng).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
                batch.append(np.asarray(changed))
        rows.append(vision(torch.from_numpy(np.stack(batch)))[0].mean(dim=1).numpy())
    return np.concatenate(rows)


@torch.inference_mode()
def text_features(data: Captions, cache: Path) -> tuple[NDArray[np.float16], NDArray[np.bool_], NDArray[np.float32]]:
    """MiniLM's token states (captions, 32, 384), their mask (captions, 32) and the mean over all tokens (captions, 384)."""
    files = [cache / f"{name}.npy" for name in ("tokens", "tmask", "tmean")]
    if not all(file.exists() for file in files):
        net, tokenizer = Text(), tokenize(256)
        states = np.zeros((len(data.captions), TOKENS, 384), np.float16)
        masks = np.zeros((len(data.captions), TOKENS), np.bool_)
        means = np.zeros((len(data.captions), 384), np.float32)
        order = sorted(range(len(data.captions)), key=lambda index: len(data.captions[index]))
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            encoded = tokenizer.encode_batch([data.captions[row] for row in rows])
            mask = torch.tensor([item.attention_mask for item in encoded])
            hidden = net(torch.tensor([item.ids for item in encoded]), mask)
            kept = min(TOKENS, hidden.shape[1])
            means[rows] = ((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).numpy()
            states[rows, :kept], masks[rows, :kept] = hidden[:, :kept].numpy(), mask[:, :kept].bool().numpy()
        for file, array in zip(files, (states, masks, means), strict=True):
            np.save(file, array)
    tokens, mask, mean = (np.load(file) for file in files)
    return tokens, mask, mean


def tokenize(length: int) -> Tokenizer:
    """MiniLM's tokenizer, cutting at ``length`` word pieces and padding to the longest of a batch."""
    tokenizer = Tokenizer.from_file(str(text_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding()
    return tokenizer
