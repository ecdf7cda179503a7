"""Tiny SAM and SAM 2, in folders as transformers lays them out on the hub. Their weights are random and seeded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoConfig,
    Sam2VideoModel,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from tests.fakes.teaching import seeded

KINDS = ("sam", "sam2", "sam2_video")
SIDE = 128
HEADS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 32}


def write(folder: Path, kind: str, *, seed: int = 0) -> Path:
    """Write a model of a kind into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    with seeded(seed):
        model, processor = {"sam": _sam, "sam2": _sam2, "sam2_video": _sam2_video}[kind]()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generator, tensors, seen = torch.Generator().manual_seed(seed), {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen:  # shared with another one, under whose name it is kept
            continue
        seen.add(tensor.data_ptr())
        if tensor.is_floating_point() and "norm" not in name and "bias" not in name:
            tensor.normal_(0.0, 0.3, generator=generator)
        tensors[name] = tensor.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _sam() -> tuple[Any, Any]:
    config = SamConfig(
        vision_config={
            "hidden_size": 32, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 16,
            "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 64, "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config=HEADS,
    )  # fmt: skip
    return SamModel(config), SamProcessor(
        SamImageProcessor(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE})
    )


def _sam2() -> tuple[Any, Any]:
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [SIDE, SIDE], "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 2, 2, 2], "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [2, 2],
    }  # fmt: skip
    config = Sam2Config(
        vision_config={
            "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 32, "num_feature_levels": 3,
            "backbone_feature_sizes": [[SIDE // 4] * 2, [SIDE // 8] * 2, [SIDE // 16] * 2],
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config=HEADS,
    )  # fmt: skip
    return Sam2Model(config), Sam2Processor(
        Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}, mask_size={"height": SIDE // 4, "width": SIDE // 4})
    )


def _sam2_video() -> tuple[Any, Any]:
    """What the repositories of SAM 2 hold: the model for videos, which has more parts."""
    pictured, processor = _sam2()
    of = pictured.config
    memory = {
        f"memory_{name}": 32
        for name in (
            "attention_hidden_size",
            "attention_feed_forward_hidden_size",
            "encoder_hidden_size",
            "encoder_output_channels",
        )
    }
    config = Sam2VideoConfig(
        vision_config=of.vision_config, prompt_encoder_config=of.prompt_encoder_config.to_dict(), mask_decoder_config=of.mask_decoder_config.to_dict(),
        image_size=SIDE, memory_attention_num_layers=1, memory_attention_rope_feat_sizes=[8, 8], mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32, memory_fuser_intermediate_dim=32, memory_fuser_num_layers=1, **memory,
    )  # fmt: skip
    return Sam2VideoModel(config), processor
