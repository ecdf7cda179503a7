"""Conversion of a model in OpenCLIP's hub layout to two ONNX graphs: the part of an export that needs torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import open_clip
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from open_clip.transformer import ResidualAttentionBlock, text_global_pool
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import nn
from torch.nn import functional

from search.encoders.onnx import session
from search.encoders.wording import CLEANERS
from search.errors import InputError
from search.types import Vectors

OPSET = 20
"""The first that has Gelu as one operator; ONNX Runtime has had time to run it well."""

MAX_GRAPH_BYTES = 2_000_000_000
"""Bytes of weights that a graph in one file can hold, which protobuf limits."""

PATTERN = r"(?i)'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""OpenCLIP's word pattern, without the start and end marks. A text that contains such a mark is read as letters, and cannot end
itself early."""


@dataclass(frozen=True, slots=True)
class Original:
    """A model to be exported: its towers in their exported form, its tokenizer as the content of a tokenizer.json, and the
    entries for ``export.json``."""

    model: Any
    vision: Vision
    text: nn.Module
    tokenizer: str
    sheet: dict[str, Any]

    def see(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Unit vectors (n, dim) of pictures (n, size, size, 3), as OpenCLIP computes them."""
        return _run(self.vision, pixels)

    def read(self, ids: NDArray[np.int64]) -> Vectors:
        """Unit vectors (n, dim) of token ids (n, context), as OpenCLIP computes them."""
        return _run(WholeText(self.model), ids)


class Vision(nn.Module):
    """Pixels uint8 (n, H, W, 3) to unit vectors (n, dim)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: Any, preprocess: dict[str, Any]) -> None:  # noqa: ANN401 - open_clip has no types
        super().__init__()
        mean, std = (torch.tensor(preprocess[name]).view(3, 1, 1) for name in ("mean", "std"))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", mean / std, persistent=False)
        self.tower = model.visual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The vectors. Channels are reordered while they are bytes, which is less data to move."""
        pictures = pixels.permute(0, 3, 1, 2).float() * self.scale - self.shift
        return functional.normalize(self.tower(pictures), dim=-1)


class TrimmedText(nn.Module):
    """Ids int64 (n, t), t up to the context, to unit vectors (n, dim): for towers in which a token sees only earlier ones."""

    def __init__(self, tower: Any, pool: str, end: int | None) -> None:  # noqa: ANN401 - open_clip has no types
        super().__init__()
        self.tower, self.pool, self.end = tower, pool, end

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors. Tokens after the end token do not change them."""
        tower, length = self.tower, ids.shape[1]
        states = tower.token_embedding(ids) + tower.positional_embedding[:length]
        states = tower.ln_final(tower.transformer(states, attn_mask=tower.attn_mask[:length, :length]))
        pooled = text_global_pool(states, ids, self.pool, eos_token_id=self.end)
        projection = tower.text_projection
        if projection is not None:
            pooled = projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
        return functional.normalize(pooled, dim=-1)


class WholeText(nn.Module):
    """Ids int64 (n, context) to unit vectors (n, dim): for towers that also read padding."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - open_clip has no types
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors."""
        return cast("torch.Tensor", self.model.encode_text(ids, normalize=True))


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` as used in a block of OpenCLIP, in a third of the operators to which it is normally exported."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.weight, self.bias = attention.in_proj_weight, attention.in_proj_bias
        self.out, self.heads = attention.out_proj, attention.num_heads

    def forward(
        self, states: torch.Tensor, *_: torch.Tensor, attn_mask: torch.Tensor | None = None, **__: object
    ) -> tuple[torch.Tensor, None]:
        """States (n, t, width) after attention."""
        count, length, width = states.shape
        parts = functional.linear(states, self.weight, self.bias).chunk(3, dim=-1)
        query, key, value = (part.reshape(count, length, self.heads, -1).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        return self.out(seen.transpose(1, 2).reshape(count, length, width)), None


def read(folder: Path) -> Original:
    """Read a model from a folder in OpenCLIP's hub layout.

    Raises:
        InputError: the folder is not in that layout, or the model needs something that exports do not support.
    """
    model, config, preprocess = _model(folder)
    text_config = config["text_cfg"]
    tower = getattr(model, "text", model)
    pool = text_config.get("pool_type", "argmax")
    trimmed = getattr(tower, "attn_mask", None) is not None and pool in ("argmax", "eos") and not text_config.get("embed_cls")
    options = dict(text_config.get("tokenizer_kwargs") or {})
    clean = options.pop("clean", "whitespace" if text_config.get("hf_tokenizer_name") else "lower")
    if options or text_config.get("tokenizer_mode") or clean not in CLEANERS:
        raise InputError(f"{folder} asks for a way to cut texts into tokens that exports do not know: {options or clean}.")
    height, width = (size, size) if isinstance(size := preprocess["size"], int) else size
    if height != width or preprocess["interpolation"] not in ("bicubic", "bilinear"):
        raise InputError(
            f"{folder} wants pictures of {width} x {height} pixels, {preprocess['interpolation']}; exports know only squares."
        )
    tokenizer, pad, end = _tokenizer(folder, text_config)
    end = text_config.get("eos_id", 2) if pool == "eos" else end
    sheet = {
        "dim": config["embed_dim"], "size": height, "fit": {"shortest": "crop", "squash": "squash", "longest": "pad"}[preprocess["resize_mode"]],
        "filter": preprocess["interpolation"], "context": model.context_length, "pad": pad, "end": end,
        "trimmed": trimmed, "clean": clean,
    }  # fmt: skip
    text = TrimmedText(tower, pool, end) if trimmed else WholeText(model)
    return Original(model, Vision(model, preprocess).eval(), text.eval(), tokenizer, sheet)


def write(original: Original, folder: Path, precision: str) -> dict[str, str]:
    """Write both graphs into ``folder``. Returns the precision of each: ``int8`` if requested and useful.

    Raises:
        InputError: torch cannot export a tower; the error names the operator.
    """
    size, context = original.sheet["size"], original.sheet["context"]
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    known = min(1000, Tokenizer.from_str(original.tokenizer).get_vocab_size())
    ids = np.random.default_rng(0).integers(1, known, (4, context), np.int64)
    if original.sheet["end"] is not None:
        ids[:, -1] = original.sheet["end"]
    count, length = torch.export.Dim("n", min=1, max=1024), torch.export.Dim("t", min=2, max=context)
    trimmed = original.sheet["trimmed"]
    short = ids[:, -min(8, context - 1) :] if trimmed else ids
    with _lightened(original.model):
        _export(original.vision, folder / "vision.onnx", "pixels", pixels, {0: count})
        _export(original.text, folder / "text.onnx", "ids", short, {0: count, 1: length} if trimmed else {0: count})
    padded = np.pad(short, ((0, 0), (0, context - short.shape[1])), constant_values=original.sheet["pad"])
    for number in (1, 3):
        _compare(folder / "vision.onnx", "pixels", pixels[:number], original.see(pixels[:number]))
        _compare(folder / "text.onnx", "ids", ids[:number], original.read(ids[:number]))
        _compare(folder / "text.onnx", "ids", short[:number], original.read(padded[:number]))
    return {tower: _shrink(folder / f"{tower}.onnx") if precision == "int8" else "fp32" for tower in ("vision", "text")}


def _run(tower: nn.Module, batch: NDArray[Any]) -> Vectors:
    with torch.inference_mode():
        return cast("Vectors", tower(torch.from_numpy(batch)).numpy())


def _model(folder: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The model in a folder, its configuration, and its picture preprocessing."""
    try:
        config = json.loads((folder / "open_clip_config.json").read_bytes())["model_cfg"]
        with _quiet():
            model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True).eval().requires_grad_(False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{folder} holds no model of OpenCLIP that can be loaded: {str(error).splitlines()[0]}",
            remedy="It needs open_clip_config.json, open_clip_model.safetensors and the tokenizer's files.",
        ) from error
    return model, config, dict(model.visual.preprocess_cfg)


def _tokenizer(folder: Path, config: dict[str, Any]) -> tuple[str, int, int | None]:
    """The content of tokenizer.json (the model's own or an equivalent of OpenCLIP's), and the ids of padding and of the end."""
    if config.get("hf_tokenizer_name"):
        try:
            content = (folder / "tokenizer.json").read_text("utf-8")
            padding = json.loads((folder / "tokenizer_config.json").read_bytes())["pad_token"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{folder} lacks what the export's tokenizer is made of: {error!r}.") from error
        pad = Tokenizer.from_str(content).token_to_id(padding if isinstance(padding, str) else padding["content"])
        if pad is None:
            raise InputError(f"The tokenizer in {folder} does not know {padding}, with which it says texts are padded.")
        return content, pad, None
    known = open_clip.tokenizer.SimpleTokenizer()
    start, end = ("<start_of_text>", known.sot_token_id), ("<end_of_text>", known.eot_token_id)
    tokenizer = Tokenizer(models.BPE(known.encoder, list(known.bpe_ranks), end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start[0]} $A {end[0]}", special_tokens=[start, end])
    return str(tokenizer.to_str()), 0, known.eot_token_id


@contextmanager
def _lightened(model: nn.Module) -> Iterator[None]:
    """Replace the attention of the model's blocks by one with fewer operators, during the export."""
    blocks = [
        block
        for block in model.modules()
        if isinstance(block, ResidualAttentionBlock) and isinstance(block.attn, nn.MultiheadAttention) and block.attn.batch_first
    ]
    before = [block.attn for block in blocks]
    for block in blocks:
        block.attn = SelfAttention(block.attn)
    try:
        yield
    finally:
        for block, attention in zip(blocks, before, strict=True):
            block.attn = attention


def _export(tower: nn.Module, file: Path, name: str, example: NDArray[Any], axes: dict[int, Any]) -> None:
    if sum(weight.numel() * weight.element_size() for weight in tower.parameters()) > MAX_GRAPH_BYTES:
        raise InputError(
            f"The model is too large to export: {file.name} cannot hold more than {MAX_GRAPH_BYTES / 1e9:.0f} GB of weights."
        )
    try:
        with _quiet(), torch.inference_mode():
            torch.onnx.export(
                tower, (torch.from_numpy(example[:2]),), str(file), input_names=[name], output_names=["vectors"], dynamic_shapes=(axes,),
                opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(
            f"This model cannot be exported: {_reason(error)}", remedy="Use it as it is, with its own framework."
        ) from error


def _reason(error: BaseException) -> str:
    """The innermost error of a chain, which names the operator, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _compare(file: Path, name: str, batch: NDArray[Any], expected: Vectors) -> None:
    difference = float(np.abs(session(file).run(["vectors"], {name: batch})[0] - expected).max())
    if not difference < 1e-3:
        raise InputError(
            f"The export of this model is wrong: {file.name} differs by {difference:.2g} at the shape {batch.shape}."
        )


def _shrink(file: Path) -> str:
    """Quantise the matrix products of a transformer. Small convolutional nets are not quantised: in int8 they are slower."""
    graph = onnx.load(file).graph
    if sum(node.op_type == "Conv" for node in graph.node) > 1:  # one cuts a picture into patches
        return "fp32"
    products = [node.name for node in graph.node if node.op_type == "MatMul"]
    whole = file.rename(file.with_suffix(".whole"))
    with _quiet():
        quantize_dynamic(
            whole, file, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8,
            nodes_to_exclude=products[-1:],  # the projection of one row: it takes no time, and nothing after it evens its errors out
        )  # fmt: skip
    whole.unlink()
    return "int8"


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages of torch and onnxruntime about their own code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
