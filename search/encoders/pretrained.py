"""Models of transformers built from the files of a folder. The files are not trusted, and may not contain code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.utils import logging

from search.encoders import weights
from search.encoders.weights import broken
from search.errors import ModelMissing

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"

_MADE = ("position_ids", "token_type_ids", "relative_position_index", "num_batches_tracked")
"""Name endings of tensors that a model computes itself. Files of some versions of transformers contain them."""

_SPARE = 0.9
"""The least share of a model's vocabulary that its tokenizer must have: published models have up to a twentieth of spare rows."""

_LOCAL = {"local_files_only": True, "trust_remote_code": False}


def configuration(folder: Path) -> Any:  # noqa: ANN401  transformers has no types
    """The configuration of the model in a folder.

    Raises:
        ModelMissing: there is none, or its kind is not built into transformers.
    """
    file = folder / CONFIG
    weights.read_json(file)
    try:
        return AutoConfig.from_pretrained(folder, **_LOCAL)
    except Exception as error:
        raise broken(f"{file} cannot be used: {_first(error)}") from error


def part(kind: Any, folder: Path, files: Iterable[str], what: str) -> Any:  # noqa: ANN401
    """A tokenizer or processor, made by transformers' ``kind`` from any of ``files``. ``what`` names the task that is impossible
    without it, for the error.

    Raises:
        ModelMissing: none of the files is there, they cannot be used, or a package that they need is not installed.
    """
    names = list(files)
    if not any((folder / name).exists() for name in names):
        raise broken(f"{folder / names[0]} is not there: {what}.")
    try:
        with _quiet():
            return kind.from_pretrained(folder, **_LOCAL)
    except ImportError as error:
        raise ModelMissing(
            f"The model in {folder} needs a package that is not installed: {_first(error)}", remedy="Install the package."
        ) from error
    except Exception as error:
        raise broken(f"{folder / names[0]} cannot be used: {_first(error)}") from error


def build(kind: Any, folder: Path, config: Any) -> Any:  # noqa: ANN401
    """The model with its weights, of transformers' class ``kind``. transformers alone would initialise missing weights at random.

    Raises:
        ModelMissing: the configuration or the weights are not there, are damaged, or do not fit each other.
    """
    files = _files(folder)
    for file in files:
        weights.shapes(file)
    try:
        with _quiet():
            model, told = kind.from_pretrained(folder, config=config, use_safetensors=True, output_loading_info=True, **_LOCAL)
    except Exception as error:
        raise broken(f"{files[0]} does not fit {folder / CONFIG}: {_first(error)}") from error
    spare = tuple(
        getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    )  # parts of larger models that this one does without
    wrong = [_name(entry) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for entry in sorted(told[kind])]
    wrong = [name for name in wrong if not name.endswith(_MADE) and not name.startswith(spare)]
    if wrong:
        raise broken(f"{files[0]} does not fit {folder / CONFIG}: {', '.join(wrong[:3])}.")
    return model


def check_vocabulary(folder: Path, tokens: int, rows: int) -> None:
    """Raise ModelMissing if a tokenizer with ``tokens`` tokens cannot belong to a model with ``rows`` rows."""
    if not _SPARE * rows <= tokens <= rows:
        raise broken(f"The tokenizer in {folder} knows {tokens} tokens, and the model {rows}: it is that of another model.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Stop transformers from drawing its own progress bars over ours, and from reporting what is checked here."""
    said: Any = logging
    before = said.get_verbosity()
    said.disable_progress_bar()
    said.set_verbosity_error()
    try:
        yield
    finally:
        said.set_verbosity(before)


def _files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        if (file := weights.find(folder, WEIGHTS)).name != WEIGHTS:
            raise broken(f"{folder / WEIGHTS} is not there.")
        return [file]
    listed = weights.read_json(folder / INDEX).get("weight_map")
    names = sorted(set(listed.values())) if isinstance(listed, dict) and listed else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise broken(f"{folder / INDEX} lists no files of weights.")
    return [folder / name for name in names]


def _name(entry: Any) -> str:  # noqa: ANN401  a name, or one with the shapes that differ
    return str(entry if isinstance(entry, str) else entry[0])


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
