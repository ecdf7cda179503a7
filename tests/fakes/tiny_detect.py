"""Tiny models that find things by words, in folders as transformers lays them out on the hub. Their weights are random and seeded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import processors
from transformers import (
    AutoTokenizer,
    DetrImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    OmDetTurboConfig,
    OmDetTurboForObjectDetection,
    OmDetTurboProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
)

from tests.fakes.teaching import seeded
from tests.fakes.tiny_tokenizer import write_tokenizer

KINDS = ("owlv2", "omdet-turbo", "grounding-dino", "mm-grounding-dino")
WORDS, SIDE = 200, 64
LABELS = ("red", "green ball", "blue")
NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SWIN = {
    "model_type": "swin",
    "image_size": SIDE,
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 2, 4],
    "window_size": 2,
    "patch_size": 2,
}


def write(folder: Path, kind: str, *, seed: int = 0) -> Path:
    """Write a model of a kind into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    more = (
        {"model_max_length": 16}
        if kind == "owlv2"
        else {"model_max_length": 77}
        if kind == "omdet-turbo"
        else {"model_max_length": 512}
    )
    write_tokenizer(folder, WORDS, ["red", "green", "ball", "blue", "."], **more)
    with seeded(seed):
        model, processor = _MAKERS[kind](AutoTokenizer.from_pretrained(folder))
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generator, tensors, seen = torch.Generator().manual_seed(seed), {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen:  # shared with another one, under whose name it is kept
            continue
        seen.add(tensor.data_ptr())
        if tensor.is_floating_point() and "norm" not in name.lower() and "bias" not in name and "running" not in name:
            tensor.normal_(0.0, 0.3, generator=generator)
        tensors[name] = tensor.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _owlv2(tokenizer: Any) -> tuple[Any, Any]:
    ends = processors.TemplateProcessing("</s> $A </s>", special_tokens=[("</s>", 2)])
    tokenizer.backend_tokenizer.post_processor = ends  # OWLv2 takes labels that begin with token 0 for padding
    config = Owlv2Config(
        text_config=NARROW
        | {"vocab_size": WORDS, "max_position_embeddings": 16, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
        vision_config=NARROW | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    return Owlv2ForObjectDetection(config), Owlv2Processor(Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer)


def _omdet_turbo(tokenizer: Any) -> tuple[Any, Any]:
    config = OmDetTurboConfig(
        text_config=NARROW
        | {
            "hidden_size": 64,
            "model_type": "clip_text_model",
            "vocab_size": WORDS,
            "max_position_embeddings": 77,
            "projection_dim": 32,
            "eos_token_id": 2,
            "bos_token_id": 0,
            "pad_token_id": 1,
        },
        backbone_config=SWIN | {"out_indices": [2, 3, 4]},
        image_size=SIDE,
        num_queries=20,
        text_projection_in_dim=64,
        text_projection_out_dim=64,
        task_encoder_hidden_dim=32,
        class_embed_dim=64,
        encoder_hidden_dim=32,
        vision_features_channels=[32, 32, 32],
        encoder_in_channels=[16, 32, 64],
        apply_layernorm_after_vision_backbone=False,
        encoder_attention_heads=2,
        encoder_dim_feedforward=32,
        decoder_hidden_dim=32,
        decoder_num_heads=2,
        decoder_num_layers=2,
        decoder_dim_feedforward=32,
        decoder_num_points=2,
    )
    return OmDetTurboForObjectDetection(config), OmDetTurboProcessor(
        DetrImageProcessor(size={"height": SIDE, "width": SIDE}, do_pad=False), tokenizer
    )


_DINO = {
    "backbone_config": SWIN | {"out_indices": [2, 3, 4]},
    "num_queries": 20,
    "encoder_layers": 1,
    "encoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_layers": 2,
    "decoder_ffn_dim": 32,
    "decoder_attention_heads": 2,
    "d_model": 32,
    "encoder_n_points": 2,
    "decoder_n_points": 2,
    "num_feature_levels": 4,
}


def _grounding(config: Any, model: Any, tokenizer: Any) -> tuple[Any, Any]:
    text = NARROW | {"model_type": "bert", "vocab_size": WORDS, "max_position_embeddings": 300, "pad_token_id": 1}
    extractor = GroundingDinoImageProcessor(size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    return model(config(text_config=text, **_DINO)), GroundingDinoProcessor(extractor, tokenizer)


_MAKERS = {
    "owlv2": _owlv2,
    "omdet-turbo": _omdet_turbo,
    "grounding-dino": lambda tokenizer: _grounding(GroundingDinoConfig, GroundingDinoForObjectDetection, tokenizer),
    "mm-grounding-dino": lambda tokenizer: _grounding(MMGroundingDinoConfig, MMGroundingDinoForObjectDetection, tokenizer),
}
