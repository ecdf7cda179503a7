"""Tiny TIPSv2 models with seeded random weights, in a folder as transformers lays it out on the hub."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Tipsv2Config, Tipsv2Model

from tests.fakes.tiny_tokenizer import write_tokenizer

DIM, WORDS, SIDE = 24, 200, 28


def write(folder: Path, *, seed: int = 0) -> Path:
    """Write a model into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {
        "vocab_size": WORDS, "hidden_size": DIM, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16,
        "pad_token_id": 1,
    }  # fmt: skip
    vision = {
        "hidden_size": DIM,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": SIDE,
        "patch_size": 14,
    }
    config = Tipsv2Config(text_config=text, vision_config=vision)
    config.save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    generator, tensors = torch.Generator().manual_seed(seed), Tipsv2Model(config).state_dict()
    for tensor in tensors.values():
        if tensor.is_floating_point() and tensor.ndim:
            tensor.normal_(0, 0.2, generator=generator)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return folder
