"""The six towers of ImageBind in torch, with the official names of their weights.

A tower cuts its input into tokens (``Stem``), runs them through a transformer (``Trunk``) and projects one of them into the joint
space. The parameters have the names in ``imagebind_huge.pth``, so that its state dict can be loaded directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from search.encoders.imagebind.fbank import MEL_BINS

SIDE_PIXELS = 224
"""Pixels of a side of every picture."""
CONTEXT, VOCABULARY = 77, 49_408
"""Tokens of a text, and how many there are."""
MEL_FRAMES = 204
"""Frames of the spectrogram of a clip of sound."""
READINGS, AXES = 2_000, 6
"""Readings of motion, and numbers in each."""
_PATCH, _DEEP_PATCH = 14, 16
"""Pixels of a patch of a picture, and of one of depth or heat."""
_MEL_PATCH, _MEL_STRIDE = 16, 10
_READINGS_PER_TOKEN = 8
"""Readings of motion in a token."""


@dataclass(frozen=True, slots=True)
class TowerSize:
    """The size of one tower."""

    width: int
    blocks: int
    heads: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a model; by default those of ``imagebind_huge``."""

    dim: int = 1024
    vision: TowerSize = TowerSize(1280, 32, 16)
    text: TowerSize = TowerSize(1024, 24, 16)
    audio: TowerSize = TowerSize(768, 12, 12)
    depth: TowerSize = TowerSize(384, 12, 8)
    thermal: TowerSize = TowerSize(768, 12, 12)
    imu: TowerSize = TowerSize(512, 6, 8)


TOWERS = ("vision", "text", "audio", "depth", "thermal", "imu")


def tower(name: str, sizes: Sizes) -> Tower:
    """A tower with uninitialised weights."""
    size: TowerSize = getattr(sizes, name)
    stem = {"vision": _vision, "text": TextStem, "audio": _audio, "depth": _depth, "thermal": _thermal, "imu": Motion}[name]
    return Tower(name, stem(size.width), size, sizes.dim)


class Tower(nn.Module):
    """From input (n, …) to vectors (n, dim), not yet of unit length."""

    def __init__(self, name: str, stem: nn.Module, size: TowerSize, dim: int) -> None:
        super().__init__()
        between = {"text": 0, "imu": 2}.get(name, 1)  # what the official head does there, selection and dropout, has no weights
        norm, projection = nn.LayerNorm(size.width, eps=1e-6), nn.Linear(size.width, dim, bias=False)
        head: nn.Module = nn.Sequential(norm, *(nn.Identity() for _ in range(between)), projection)
        trunk = Trunk(size, normed=name == "vision", biased=name not in ("vision", "text"))
        self.name = name
        self.modality_preprocessors = nn.ModuleDict({name: stem})
        self.modality_trunks = nn.ModuleDict({name: trunk})
        self.modality_heads = nn.ModuleDict({name: nn.ModuleDict({"proj": head}) if name == "text" else head})

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights and inputs. Pieces of texts are int64."""
        return next(self.parameters()).dtype

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """As ``forward``."""
        found: torch.Tensor = super().__call__(inputs)
        return found

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Vectors of the first token, the class token."""
        tokens = self.modality_trunks[self.name](self.modality_preprocessors[self.name](inputs))
        found: torch.Tensor = self.modality_heads[self.name](tokens[:, 0])
        return found

    def read(self, pieces: torch.Tensor) -> torch.Tensor:
        """Vectors of texts (n, CONTEXT), from the token that ends each text. It has the highest number; tokens after it have no
        effect."""
        ends = pieces.argmax(dim=-1)
        pieces = pieces[:, : int(ends.max()) + 1]
        tokens = self.modality_trunks[self.name](self.modality_preprocessors[self.name](pieces), causal=True)
        head = self.modality_heads[self.name].get_submodule("proj")
        found: torch.Tensor = head(tokens[torch.arange(len(tokens), device=tokens.device), ends])
        return found


class Trunk(nn.Module):
    """A transformer with pre-normalisation. ``normed``: normalise once more at the beginning; ``biased``: see ``Attention``."""

    def __init__(self, size: TowerSize, *, normed: bool, biased: bool) -> None:
        super().__init__()
        self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(size.width, eps=1e-6) if normed else nn.Identity())
        self.blocks = nn.ModuleList(Block(size.width, size.heads, biased=biased) for _ in range(size.blocks))

    def forward(self, tokens: torch.Tensor, *, causal: bool = False) -> torch.Tensor:
        """Tokens (n, length, width); ``causal``: a token does not see later ones."""
        tokens = self.pre_transformer_layer(tokens)
        for block in self.blocks:
            tokens = block(tokens, causal=causal)
        return tokens


class Block(nn.Module):
    """Attention followed by an MLP."""

    def __init__(self, width: int, heads: int, *, biased: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads, biased=biased)
        self.norm_1, self.norm_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, tokens: torch.Tensor, *, causal: bool) -> torch.Tensor:
        """Tokens (n, length, width)."""
        tokens = tokens + self.attn(self.norm_1(tokens), causal=causal)
        seen: torch.Tensor = self.mlp["fc2"](gelu(self.mlp["fc1"](self.norm_2(tokens))))
        return tokens + seen


class Attention(nn.Module):
    """Attention in ``heads``, with the weight names of ``nn.MultiheadAttention``. ``biased``: one extra key and value are learnt."""

    def __init__(self, width: int, heads: int, *, biased: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight, self.in_proj_bias = nn.Parameter(torch.zeros(3 * width, width)), nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.bias_k = nn.Parameter(torch.zeros(1, 1, width)) if biased else None
        self.bias_v = nn.Parameter(torch.zeros(1, 1, width)) if biased else None

    def forward(self, tokens: torch.Tensor, *, causal: bool) -> torch.Tensor:
        """Tokens (n, length, width)."""
        queries, keys, values = linear(tokens, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:
            keys = torch.cat([keys, self.bias_k.expand(len(keys), -1, -1)], dim=1)
            values = torch.cat([values, self.bias_v.expand(len(values), -1, -1)], dim=1)
        queries, keys, values = (
            each.reshape(*each.shape[:2], self.heads, -1).transpose(1, 2) for each in (queries, keys, values)
        )
        mixed = scaled_dot_product_attention(queries, keys, values, is_causal=causal)
        found: torch.Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return found


class Stem(nn.Module):
    """Patches of pictures, clips or spectrograms to tokens, after a class token.

    ``name`` and ``proj`` are the official names of the patch projection; ``norm``: the tokens are normalised.
    """

    def __init__(self, name: str, proj: nn.Module, patches: int, width: int, *, norm: bool) -> None:
        super().__init__()
        patching = nn.ModuleDict({"proj": proj})
        if norm:
            patching["norm_layer"] = nn.LayerNorm(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": torch.zeros(1, 1 + patches, width)})
        self.name = name
        self.add_module(name, patching)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Tokens (n, 1 + patches, width)."""
        patching = cast("nn.ModuleDict", self.get_submodule(self.name))
        tokens = patching["proj"](inputs).flatten(2).transpose(1, 2)
        if "norm_layer" in patching:
            tokens = patching["norm_layer"](tokens)
        positions: torch.Tensor = self.pos_embedding_helper["pos_embed"]
        return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + positions


class TextStem(nn.Module):
    """Word pieces (n, up to CONTEXT) to tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, CONTEXT, width))

    def forward(self, pieces: torch.Tensor) -> torch.Tensor:
        """Tokens (n, as many, width)."""
        tokens: torch.Tensor = self.token_embedding(pieces) + self.pos_embed[:, : pieces.shape[1]]
        return tokens


class Motion(nn.Module):
    """Readings (n, AXES, READINGS) to tokens, eight readings each, after a class token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + READINGS // _READINGS_PER_TOKEN, width))
        self.imu_stem = nn.ModuleDict(
            {"proj": nn.Linear(AXES * _READINGS_PER_TOKEN, width, bias=False), "norm_layer": nn.LayerNorm(width)}
        )

    def forward(self, readings: torch.Tensor) -> torch.Tensor:
        """Tokens (n, 1 + READINGS / 8, width)."""
        beats = readings.unfold(-1, _READINGS_PER_TOKEN, _READINGS_PER_TOKEN).transpose(1, 2).flatten(2)
        tokens = self.imu_stem["norm_layer"](self.imu_stem["proj"](beats))
        return torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.pos_embed


def _vision(width: int) -> Stem:
    """Clips (n, 3, 2, SIDE, SIDE)."""
    kernel = (2, _PATCH, _PATCH)
    projection = nn.Sequential(nn.Identity(), nn.Conv3d(3, width, kernel, kernel, bias=False))  # the first made clips of pictures
    return Stem("rgbt_stem", projection, (SIDE_PIXELS // _PATCH) ** 2, width, norm=False)


def _audio(width: int) -> Stem:
    """Spectrograms (n, 1, BINS, MEL_FRAMES)."""
    patches = ((MEL_BINS - _MEL_PATCH) // _MEL_STRIDE + 1) * ((MEL_FRAMES - _MEL_PATCH) // _MEL_STRIDE + 1)
    return Stem("rgbt_stem", nn.Conv2d(1, width, _MEL_PATCH, _MEL_STRIDE, bias=False), patches, width, norm=True)


def _depth(width: int) -> Stem:
    return _deep("depth_stem", width)


def _thermal(width: int) -> Stem:
    return _deep("rgbt_stem", width)


def _deep(name: str, width: int) -> Stem:
    """Pictures of one channel (n, 1, SIDE, SIDE)."""
    projection = nn.Conv2d(1, width, _DEEP_PATCH, _DEEP_PATCH, bias=False)
    return Stem(name, projection, (SIDE_PIXELS // _DEEP_PATCH) ** 2, width, norm=True)
