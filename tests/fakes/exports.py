"""A model in OpenCLIP's hub layout, tiny and with seeded random weights, and what an export of it is tried on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from search import encoders
from search.encoders import Encoder
from search.encoders.export import ExportSample, export
from tests.fakes.made_once import made_once

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
"""The smallest that has everything: patches, two blocks a tower, and OpenCLIP's own vocabulary."""

PREPROCESS = {"size": 64, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25), "interpolation": "bicubic", "resize_mode": "shortest"}


def write_model(folder: Path, config: dict | None = None) -> Path:
    """Write a model with random weights of seed 0 into a new folder."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = config or CONFIG
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    kind = open_clip.model.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
    model = kind(**{name: part for name, part in config.items() if name != "custom_text"})
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": PREPROCESS}))
    return folder


def calibration(size: int = 64, count: int = 60) -> ExportSample:
    """Pictures of noise in many scales and colours, each with a text of its own."""
    rng = np.random.default_rng(3)
    images = []
    for number in range(count):
        coarse = rng.integers(0, 256, (2 ** (number % 6 + 1),) * 2 + (3,), np.uint8)
        images.append(np.kron(coarse, np.ones((size // len(coarse),) * 2 + (1,), np.uint8)))
    words = ["red", "green", "blue", "dog", "cat", "house", "tree", "water", "night", "street"]
    texts = [" ".join(rng.choice(words, number % 9 + 2)) for number in range(count)]
    return ExportSample(images, texts, range(count))


@made_once
def write_export(folder: Path) -> Path:
    """Write the tiny model and its export into ``folder``, as ``model`` and ``export``."""
    export(write_model(folder / "model"), folder / "export", calibration())
    return folder


def build(folder: Path) -> Encoder:
    """An export of the tiny model, loaded by its name."""
    return encoders.load(f"onnx:{write_export(folder) / 'export'}")
