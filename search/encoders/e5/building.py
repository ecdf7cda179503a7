"""E5 built from the files of a folder, which are not trusted: on torch from safetensors, or else as an ONNX Runtime graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from search.encoders import weights
from search.encoders.e5 import CONFIG
from search.encoders.onnx import session
from search.encoders.weights import broken
from search.types import Ids, Vectors

if TYPE_CHECKING:
    import torch

GRAPHS = ("onnx/model.onnx", "model.onnx")
"""Where an export to ONNX stands in a repository."""

MAX_TOKENS = 512
"""Tokens of a text in training, start and end among them."""

_RESERVED = {"bert": 0, "xlm-roberta": 2}
"""Kinds of models that are averaged over a text's tokens, and how many of their positions no token has."""

Means = Callable[[Ids], Vectors]
"""From tokens (n, t), padded at the end, to the means (n, dim) of what a model makes of each."""


def configuration(folder: Path) -> dict[str, Any]:
    """The configuration of the model in a folder.

    Raises:
        ModelMissing: there is none, or it is of another kind.
    """
    config = weights.read_json(folder / CONFIG)
    if config.get("model_type") not in _RESERVED:
        raise broken(f"{folder / CONFIG} describes a model of the kind {config.get('model_type')!r}, and not one of E5's.")
    wanted = ("hidden_size", "vocab_size", "max_position_embeddings")
    if not all(isinstance(config.get(name), int) and config[name] > 0 for name in wanted):
        raise broken(f"{folder / CONFIG} does not say {', '.join(wanted)}.")
    return config


def context(config: dict[str, Any]) -> int:
    """How many tokens the model reads at once."""
    return min(MAX_TOKENS, int(config["max_position_embeddings"]) - _RESERVED[config["model_type"]])


def build(folder: Path, device: str, padding: int) -> Means:
    """The model with its weights; ``padding`` is the padding token.

    Raises:
        ModelMissing: the weights are missing, damaged, or do not fit; or there is no such device.
    """
    graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
    if graph is not None and not any(folder.glob("*.safetensors")):
        return _Graph(graph, padding)
    return _on_torch(folder, device, padding)


class _Graph:
    """An export. It reads one text at a time, since in int8 the activations of a batch share a scale."""

    def __init__(self, file: Path, padding: int) -> None:
        self._file, self._padding = file, padding
        try:
            self._session = session(file)
        except Exception as error:  # whatever ONNX Runtime raises of a file that is none
            raise broken(f"{file} cannot be used: {error}") from error
        self._inputs = {one.name for one in self._session.get_inputs()}

    def __call__(self, ids: Ids) -> Vectors:
        return np.concatenate([self._mean(row[row != self._padding][None]) for row in ids])

    def _mean(self, ids: Ids) -> Vectors:
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        try:
            states, *_ = self._session.run(None, {name: given[name] for name in self._inputs})
        except Exception as error:
            raise broken(f"{self._file} cannot be asked as E5 is: {error}") from error
        if states.ndim != 3:
            raise broken(f"{self._file} gives something else than a vector for each token.")
        return cast("Vectors", states.mean(axis=1, dtype=np.float32))


def _on_torch(folder: Path, device: str, padding: int) -> Means:
    from transformers import AutoModel

    from search.encoders import pretrained
    from search.encoders.device import DeviceRunner

    runner = DeviceRunner(device)
    model = cast("Any", runner.place(pretrained.build(AutoModel, folder, pretrained.configuration(folder))))

    def read(ids: torch.Tensor) -> torch.Tensor:
        """The padding is masked, and as much of it as all texts have is cut off."""
        mask = ids != padding
        longest = int(mask.any(0).nonzero().max()) + 1
        ids, mask = ids[:, :longest], mask[:, :longest]
        states = model(ids, attention_mask=mask.long()).last_hidden_state.float()
        mask = mask[:, :, None]
        return cast("torch.Tensor", (states * mask).sum(1) / mask.sum(1))

    return lambda ids: runner.run(read, [ids])
