"""Reading a model's files, and checking them before a framework uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from search.errors import ModelMissing

PICKLES = {".bin", ".ckpt", ".pkl", ".pt", ".pth"}
"""Endings of weights that are Python pickles."""

_CONVERT = (
    'python -c "import torch, safetensors.torch as s; '
    "s.save_file({{k: v.clone() for k, v in torch.load('{pickle}', weights_only=True).items()}}, '{name}')\""
)

TOKENIZER = (
    "added_tokens.json", "merges.txt", "sentencepiece.bpe.model", "special_tokens_map.json", "spiece.model", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
)  # fmt: skip
"""Files that a tokenizer of the hub may consist of."""

PRETRAINED = (
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors",
    *TOKENIZER,
)  # fmt: skip
"""Files of a model that writes texts, besides what prepares its input; weights may come in several."""


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelMissing: the file is not there, or holds something else.
    """
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise broken(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise broken(f"{file} holds no JSON object.")
    return content


def find(folder: Path, name: str) -> Path:
    """The safetensors file of a folder: ``name``, or else the only one.

    Raises:
        ModelMissing: there is none. A pickle does not count, since loading it can run code.
    """
    files = sorted(folder.glob("*.safetensors"))
    if folder / name in files:
        return folder / name
    if len(files) == 1:
        return files[0]
    if files:
        raise broken(f"{folder} holds several safetensors files and none of them is {name}.")
    pickles = [path.name for path in sorted(folder.iterdir()) if path.suffix in PICKLES]
    if pickles:
        raise ModelMissing(
            f"{folder / pickles[0]} is a pickle, which can run any code when it is loaded, and so is never read.",
            remedy=f"Convert it to safetensors on a machine that you can lose, and put {name} into the folder: "
            + _CONVERT.format(pickle=pickles[0], name=name),
        )
    raise broken(f"{folder / name} is not there.")


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The tensors of a safetensors file and their shapes, after checking that all values are numbers.

    Raises:
        ModelMissing: the file is cut short or altered.
    """
    from safetensors import SafetensorError, safe_open

    found: dict[str, tuple[int, ...]] = {}
    try:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  it is no mapping
                tensor = opened.get_tensor(name)
                if tensor.is_floating_point() and not tensor.isfinite().all():
                    raise broken(f"{file} was altered: {name} holds values that are not finite numbers.")
                found[name] = tuple(tensor.shape)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise broken(f"{file} is cut short or altered: {error}.") from error
    return found


def broken(message: str) -> ModelMissing:
    """The error for an invalid file; ``message`` names it."""
    return ModelMissing(message, remedy="Fetch the model again, or put the file there as it was published.")
