"""A tiny ImageBind: the real layout and the real loading code, with seeded random weights of some 4 million numbers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from search.encoders import Encoder, imagebind
from search.encoders.imagebind.checkpoint import read_sizes
from search.encoders.imagebind.towers import TOWERS, Sizes, tower
from search.models import Model

SIZES = {"dim": 64} | {name: {"width": 32, "blocks": 2, "heads": 4} for name in TOWERS}


def build(folder: Path) -> Encoder:
    """Write a model into ``folder``, and load it."""
    write(folder)
    return imagebind.load(model(folder), "cpu")


def model(folder: Path) -> Model:
    return Model("imagebind:tiny", folder, "tiny")


def write(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(SIZES))
    save_file(weights(read_sizes(folder / "config.json")), folder / "imagebind_huge.safetensors")


def weights(sizes: Sizes) -> dict[str, torch.Tensor]:
    """Random weights by their official names, large enough that inputs tell in the vectors."""
    generator = torch.Generator().manual_seed(7)
    shapes = {key: weight.shape for name in TOWERS for key, weight in tower(name, sizes).state_dict().items()}
    return {
        key: torch.randn(shape, generator=generator) * 0.2 + ("norm" in key and key.endswith("weight"))
        for key, shape in shapes.items()
    }
