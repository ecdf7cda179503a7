"""Tiny CLAP models with seeded random weights, in a folder as transformers lays it out on the hub."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from tests.fakes.made_once import made_once
from tests.fakes.tiny_tokenizer import write_tokenizer

DIM, WORDS = 24, 200


@made_once
def write(folder: Path, *, seed: int = 0, fusion: bool = False) -> Path:
    """Write a model into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {
        "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 90, "projection_dim": DIM,
    }  # fmt: skip
    audio = {
        "depths": [1, 1], "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 16, "hidden_size": 32, "num_hidden_layers": 2,
        "projection_dim": DIM, "enable_fusion": fusion, "enable_patch_layer_norm": True,
    }  # fmt: skip
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=DIM)
    config.save_pretrained(folder)
    ClapFeatureExtractor(truncation="fusion" if fusion else "rand_trunc").save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    generator, tensors = torch.Generator().manual_seed(seed), ClapModel(config).state_dict()
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim and not name.endswith("running_var"):
            tensor.normal_(0, 0.2, generator=generator)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder


def configure(folder: Path, **parts: object) -> None:
    """Change the configuration of a folder."""
    content = json.loads((folder / "config.json").read_text())
    for name, value in parts.items():
        content[name] = content[name] | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(content))
