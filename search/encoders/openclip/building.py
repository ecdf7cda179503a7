"""Models of open_clip built from the files of a folder, which are not trusted."""

from __future__ import annotations

import json
import tempfile
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import open_clip
from open_clip.tokenizer import get_clean_fn
from open_clip.transform import PreprocessCfg

from search.encoders import weights
from search.encoders.openclip import CONFIG
from search.encoders.token_ids import BytePairs, HubTokenizer, Tokenizer
from search.encoders.weights import broken
from search.errors import ModelMissing
from search.models import Model
from search.types import Needs

FITS: dict[str, Literal["crop", "squash", "pad"]] = {"shortest": "crop", "squash": "squash", "longest": "pad"}
"""What open_clip calls ``resize_mode`` -> ``Needs.fit``."""

FILTERS: dict[str, Literal["bicubic", "bilinear"]] = {"bicubic": "bicubic", "bilinear": "bilinear", "random": "bicubic"}
"""What open_clip calls ``interpolation`` -> ``Needs.filter``."""

_ROBERTA = {
    "model_type": "roberta", "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
}  # fmt: skip
_XLM = _ROBERTA | {"model_type": "xlm-roberta", "vocab_size": 250002}
_NLLB = {
    "model_type": "m2m_100", "vocab_size": 256206, "d_model": 1024, "encoder_layers": 12, "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096, "decoder_layers": 1, "max_position_embeddings": 1024, "scale_embedding": True,
}  # fmt: skip
TOWERS: dict[str, dict[str, Any]] = {
    "roberta-base": _ROBERTA,
    "xlm-roberta-base": _XLM,
    "xlm-roberta-large": _XLM
    | {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "facebook/nllb-200-distilled-600M": _NLLB,
    "facebook/nllb-200-distilled-1.3B": _NLLB | {"encoder_layers": 24, "encoder_ffn_dim": 8192},
}
"""Shapes of the text towers that published checkpoints name without bringing their configuration along. A decoder is never used."""


def configuration(model: Model) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The file that describes the model, with its architecture and preprocessing, including defaults."""
    file, (architecture, _, tag) = model.folder / CONFIG, model.rest.partition("/")
    listed = open_clip.get_pretrained_cfg(architecture, tag)
    if listed and not file.exists():  # a repository may leave to open_clip what it knows itself
        config = open_clip.get_model_config(architecture) | {"quick_gelu": listed.get("quick_gelu", False)}
    else:
        content = weights.read_json(file)
        config, listed = content.get("model_cfg"), content.get("preprocess_cfg") or {}
        parts = {"embed_dim": int, "vision_cfg": dict, "text_cfg": dict}
        if not isinstance(config, dict) or not all(isinstance(config.get(name), kind) for name, kind in parts.items()):
            raise broken(f"{file} describes no model of open_clip: its model_cfg must have {', '.join(parts)}.")
    return file, config, asdict(PreprocessCfg()) | {name: value for name, value in listed.items() if value is not None}


def needs_of(file: Path, preprocessing: dict[str, Any], size: Any, batch: int) -> Needs:  # noqa: ANN401  int or (height, width)
    """The needs of the towers, after checking that all preprocessing options in ``file`` are supported."""
    height, width = (size, size) if isinstance(size, int) else size
    fit, interpolation = FITS.get(str(preprocessing["resize_mode"])), FILTERS.get(str(preprocessing["interpolation"]))
    black = fit != "pad" or preprocessing["fill_color"] == 0
    if fit is None or interpolation is None or height != width or not black or not _is_rgb(preprocessing):
        known = f"resize_mode {', '.join(FITS)}; interpolation {', '.join(FILTERS)}; square pictures in RGB, padded with black"
        raise broken(f"{file} asks for pictures that cannot be made. Known: {known}.")
    return Needs(size=height, fit=fit, rate=0, filter=interpolation, batch=batch)


def _is_rgb(preprocessing: dict[str, Any]) -> bool:
    """Whether mean and deviation are three numbers each."""
    parts = [preprocessing["mean"], preprocessing["std"]]
    return all(isinstance(part, list | tuple) and [isinstance(one, int | float) for one in part] == [True] * 3 for part in parts)


def build(folder: Path, file: Path, config: dict[str, Any]) -> Any:  # noqa: ANN401  open_clip has no types
    """The model that ``config`` describes, without weights."""
    config = deepcopy(config)
    vision, text = config["vision_cfg"], config["text_cfg"]
    custom = config.pop("custom_text", False) or "hf_model_name" in text
    kind = (open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP) if custom else open_clip.CLIP
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    with tempfile.TemporaryDirectory() as scratch:
        if "hf_model_name" in text:
            text |= {"hf_model_name": _tower(folder, text["hf_model_name"], Path(scratch)), "hf_model_pretrained": False}
        try:
            return kind(**config)
        except Exception as error:
            raise ModelMissing(
                f"{file} describes no model that open_clip {open_clip.__version__} can build: {error}",
                remedy="Update open-clip-torch, or put the file there as it was published.",
            ) from error


def _tower(folder: Path, name: str, scratch: Path) -> str:
    """A folder with the configuration of the hub's text tower of that name. The hub itself is never contacted."""
    if name in TOWERS:
        (scratch / "config.json").write_text(json.dumps(TOWERS[name]))
        return str(scratch)
    if "model_type" not in weights.read_json(folder / "config.json"):
        raise broken(f"{folder / 'config.json'} does not describe the text tower {name}.")
    return str(folder)


def fill(model: Any, file: Path, config: Path) -> None:  # noqa: ANN401  open_clip has no types
    """Load the weights in ``file``. open_clip alone would adapt weights of another size to fit."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, shape in weights.shapes(file).items():
        of = wanted.get(name, wanted.get(f"text.{name}", shape))
        if of != shape and not name.startswith("logit_"):
            raise broken(f"{file} does not fit {config}: {name} is {shape}, and should be {of}.")
    try:
        open_clip.load_checkpoint(model, str(file))
    except Exception as error:
        raise broken(f"{file} does not fit {config}: {error}") from error


def tokenizer_of(folder: Path, file: Path, config: dict[str, Any]) -> Tokenizer:
    """The tokenizer with which the text tower of ``config`` was trained."""
    context, hub = config.get("context_length", 77), bool(config.get("hf_tokenizer_name"))
    options = dict(config.get("tokenizer_kwargs") or {})
    clean, strip = options.pop("clean", "whitespace" if hub else "lower"), options.pop("strip_sep_token", False)
    if options or config.get("tokenizer_mode") or clean not in ("canonicalize", "lower", "whitespace"):
        raise broken(f"{file} asks for a way to read text that is not known, in tokenizer_kwargs or tokenizer_mode.")
    return HubTokenizer(folder, context, get_clean_fn(clean), strip_separator=strip) if hub else BytePairs(context, clean)
