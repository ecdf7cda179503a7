"""Tiny open_clip models with seeded random weights, in a folder as open_clip lays it out on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from tests.fakes.tiny_tokenizer import write_tokenizer

DIM, WORDS = 32, 200
_VISION = {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
_TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
_HUB = {"hf_tokenizer_name": "tiny/words", "vocab_size": WORDS}
_CAUSAL = {"pool_type": "eos", "eos_id": 2}
_LAST = {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
_HALVES = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clip": ({"vision_cfg": _VISION, "text_cfg": _TEXT, "quick_gelu": True}, {}),
    "mobileclip": (
        {"vision_cfg": _VISION, "text_cfg": _TEXT | {"no_causal_mask": True}, "custom_text": True},
        {"interpolation": "bilinear", "mean": [0, 0, 0], "std": [1, 1, 1]},
    ),
    "siglip": (
        {
            "vision_cfg": _VISION,
            "text_cfg": _TEXT | _HUB | _LAST | {"tokenizer_kwargs": {"clean": "canonicalize"}},
            "custom_text": True,
            "init_logit_bias": -10,
        },
        {"resize_mode": "squash", **_HALVES},
    ),
    "worldwide": ({"vision_cfg": _VISION, "text_cfg": _TEXT | _HUB | _CAUSAL}, {"resize_mode": "longest"}),
    "coca": (
        {
            "vision_cfg": _VISION | {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
            "text_cfg": _TEXT | {"embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {
                "context_length": 24,
                "vocab_size": 49408,
                "width": 32,
                "heads": 2,
                "layers": 1,
                "attn_pooler_heads": 2,
            },
            "custom_text": True,
        },
        {},
    ),
    "hf": (
        {
            "vision_cfg": _VISION,
            "text_cfg": {
                "hf_model_name": "tiny/tower",
                "hf_tokenizer_name": "tiny/words",
                "hf_pooler_type": "mean_pooler",
                "context_length": 24,
            },
        },
        {},
    ),
}
"""Kind of model -> ``model_cfg`` and ``preprocess_cfg``."""

_TOWER = {
    "model_type": "xlm-roberta", "vocab_size": WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 1, "pad_token_id": 1,
}  # fmt: skip


def write(folder: Path, *, seed: int = 0, variant: str = "clip") -> Path:
    """Write a model of a kind into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    model, preprocessing = VARIANTS[variant]
    model = {"embed_dim": DIM, **model}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": preprocessing}))
    if "hf_tokenizer_name" in model["text_cfg"]:
        write_tokenizer(folder, WORDS)
    if variant == "hf":
        (folder / "config.json").write_text(json.dumps(_TOWER))
    generator = torch.Generator().manual_seed(seed)
    tensors = reference(folder).state_dict()  # some are left as the memory was
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.normal_(0, 0.2, generator=generator)
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


def reference(folder: Path, weights: Path | None = None) -> torch.nn.Module:
    """What open_clip itself makes of the folder; ``weights``: those that it loads, else random ones."""
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"] |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    kind = (open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP) if custom else open_clip.CLIP
    model = kind(**config).eval()
    if weights is not None:
        open_clip.load_checkpoint(model, str(weights))
    return model
