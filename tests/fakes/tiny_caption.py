"""Tiny models that write about pictures, in folders as transformers lays them out on the hub.

BLIP's are taught three colours, which takes a second; the others have seeded random weights, and write nonsense, but always the same, and
other nonsense for another picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForQuestionAnswering,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    SiglipImageProcessor,
)

from tests.fakes.made_once import made_once
from tests.fakes.teaching import seeded
from tests.fakes.tiny_tokenizer import write_tokenizer

SIZE, WORDS = 32, 240
IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
COLOURS = {"red": (230, 20, 20), "green": (20, 200, 30), "blue": (30, 30, 220)}
QUESTION = "which colour is it"
KINDS = ("blip", "blip-vqa", "git", "florence2", "idefics3", "blip-2", "paligemma", "qwen2_vl")
NARROW = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@made_once
def write(folder: Path, kind: str = "blip", *, seed: int = 0) -> Path:
    """Write a model of a kind into ``folder``, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    image = {"extra_special_tokens": {"image_token": "<image>"}} if kind == "florence2" else {}
    write_tokenizer(folder, WORDS, [*COLOURS, "picture", *QUESTION.split()], model_max_length=512, **image)
    with seeded(seed):
        model, processor = _MAKERS[kind](AutoTokenizer.from_pretrained(folder))
        if kind.startswith("blip"):
            _teach(model, processor)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generator, tensors, seen = torch.Generator().manual_seed(seed), {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen:  # shared with another one, under whose name it is kept
            continue
        seen.add(tensor.data_ptr())
        if not kind.startswith("blip") and tensor.is_floating_point() and not name.endswith(("running_var", "running_mean")):
            tensor.normal_(1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0, 0.5, generator=generator)
        tensors[name] = tensor.contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def picture(colour: str, shade: int = 0, size: int = SIZE) -> Any:
    """A picture (size, size, 3) of a colour, a little lighter by ``shade``."""
    return np.broadcast_to(np.clip(np.array(COLOURS[colour]) + shade, 0, 255).astype(np.uint8), (size, size, 3)).copy()


def _teach(model: Any, processor: Any) -> None:
    """Have BLIP say ``a red picture`` of red pictures, or ``red`` where it is asked which colour it is."""
    asks = isinstance(model, BlipForQuestionAnswering)
    said = processor.tokenizer([colour if asks else f"a {colour} picture" for colour in COLOURS], return_tensors="pt").input_ids
    batches = []
    for shade in (-10, -5, 0, 5, 10):
        pictures = [picture(colour, shade) for colour in COLOURS]
        inputs = processor(images=pictures, text=[QUESTION if asks else ""] * len(COLOURS), return_tensors="pt")
        inputs["labels"] = said
        if not asks:
            inputs["input_ids"], inputs["attention_mask"] = said, torch.ones_like(said)
        batches.append(inputs)
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for step in range(80):
        loss = model(**batches[step % len(batches)]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def _blip_config() -> BlipConfig:
    text = NARROW | IDS | {"vocab_size": WORDS, "encoder_hidden_size": 32, "projection_dim": 16, "max_position_embeddings": 128}
    return BlipConfig(
        text_config=text | {"sep_token_id": 2}, vision_config=NARROW | {"image_size": SIZE, "patch_size": 8}, projection_dim=16
    )


def _blip(tokenizer: Any) -> tuple[Any, Any]:
    processor = BlipProcessor(BlipImageProcessor(size={"height": SIZE, "width": SIZE}), tokenizer)
    return BlipForConditionalGeneration(_blip_config()), processor


def _blip_vqa(tokenizer: Any) -> tuple[Any, Any]:
    return BlipForQuestionAnswering(_blip_config()), _blip(tokenizer)[1]


def _git(tokenizer: Any) -> tuple[Any, Any]:
    config = GitConfig(
        vision_config=NARROW | {"image_size": SIZE, "patch_size": 8},
        vocab_size=WORDS,
        max_position_embeddings=160,
        **NARROW,
        **IDS,
    )
    extractor = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    return GitForCausalLM(config), GitProcessor(extractor, tokenizer)


def _florence2(tokenizer: Any) -> tuple[Any, Any]:
    text = IDS | {
        "model_type": "bart", "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 160,
        "decoder_start_token_id": 2, "forced_eos_token_id": 2,
    }  # fmt: skip
    vision = {
        "embed_dim": [8, 16], "depths": [1, 1], "num_heads": [1, 2], "num_groups": [1, 2], "patch_size": [7, 3], "patch_stride": [4, 2],
        "patch_padding": [3, 1], "patch_prenorm": [False, True], "window_size": 4, "projection_dim": 32,
    }  # fmt: skip
    config = Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id, is_encoder_decoder=True
    )
    extractor = CLIPImageProcessor(size={"height": SIZE, "width": SIZE}, do_center_crop=False, image_seq_length=17)
    processor = Florence2Processor(extractor, tokenizer, num_additional_image_tokens=1)
    return Florence2ForConditionalGeneration(config), processor


def _idefics3(tokenizer: Any) -> tuple[Any, Any]:
    more = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer.add_special_tokens({"additional_special_tokens": more})
    text = (
        NARROW
        | IDS
        | {"model_type": "llama", "vocab_size": len(tokenizer), "num_key_value_heads": 2, "max_position_embeddings": 512}
    )
    config = Idefics3Config(
        text_config=text, vision_config=NARROW | {"image_size": SIZE, "patch_size": 8}, scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    extractor = Idefics3ImageProcessor(size={"longest_edge": 4 * SIZE}, max_image_size={"longest_edge": SIZE})
    return Idefics3ForConditionalGeneration(config), Idefics3Processor(
        extractor, tokenizer, image_seq_len=4, chat_template=TEMPLATE
    )


def _blip2(tokenizer: Any) -> tuple[Any, Any]:
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = IDS | {
        "model_type": "opt", "vocab_size": len(tokenizer), "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 256,
    }  # fmt: skip
    config = Blip2Config(
        vision_config=NARROW | {"image_size": SIZE, "patch_size": 8}, num_query_tokens=4, text_config=text,
        qformer_config=NARROW | {"vocab_size": 100, "encoder_hidden_size": 32},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    extractor = BlipImageProcessor(size={"height": SIZE, "width": SIZE})
    return Blip2ForConditionalGeneration(config), Blip2Processor(extractor, tokenizer, num_query_tokens=4)


def _paligemma(tokenizer: Any) -> tuple[Any, Any]:
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    extractor = SiglipImageProcessor(size={"height": SIZE, "width": SIZE})
    extractor.image_seq_length = 16
    processor = PaliGemmaProcessor(extractor, tokenizer)  # which adds some thousand tokens for places
    vision = NARROW | {"model_type": "siglip_vision_model", "image_size": SIZE, "patch_size": 8, "projection_dim": 32}
    text = NARROW | IDS | {"model_type": "gemma", "vocab_size": len(tokenizer), "num_key_value_heads": 1, "head_dim": 16}
    config = PaliGemmaConfig(
        vision_config=vision, text_config=text, projection_dim=32, image_token_index=tokenizer.convert_tokens_to_ids("<image>")
    )
    return PaliGemmaForConditionalGeneration(config), processor


def _qwen2_vl(tokenizer: Any) -> tuple[Any, Any]:
    marks = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer.add_tokens(marks, special_tokens=True)
    start, end, image, video = tokenizer.convert_tokens_to_ids(marks)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = Qwen2VLConfig(
        text_config=NARROW | IDS | {"vocab_size": len(tokenizer), "num_key_value_heads": 2, "rope_parameters": rope},
        vision_config={
            "depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 14, "spatial_merge_size": 2,
        },
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
    )  # fmt: skip
    template = TEMPLATE.replace("<image>", "".join((marks[0], marks[2], marks[1])))
    extractor = Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=112 * 112)
    processor = Qwen2VLProcessor(extractor, tokenizer, Qwen2VLVideoProcessor(), chat_template=template)
    return Qwen2VLForConditionalGeneration(config), processor


_MAKERS = {
    "blip": _blip,
    "blip-vqa": _blip_vqa,
    "git": _git,
    "florence2": _florence2,
    "idefics3": _idefics3,
    "blip-2": _blip2,
    "paligemma": _paligemma,
    "qwen2_vl": _qwen2_vl,
}
