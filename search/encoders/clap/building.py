"""CLAP built from the files of a folder, which are not trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel
from transformers.utils import logging

from search.encoders import weights
from search.encoders.clap import CONFIG, EXTRACTOR, WEIGHTS
from search.encoders.weights import broken

_MADE = ("position_ids", "token_type_ids", "relative_position_index", "num_batches_tracked")
"""Endings of tensors that a model makes itself, and that files of some versions of transformers hold."""


def extractor(folder: Path) -> Any:  # noqa: ANN401  transformers has no types
    """The object that makes spectrograms of sound.

    Raises:
        ModelMissing: its file is missing or has invalid values.
    """
    file = folder / EXTRACTOR
    if not file.exists() and not (folder / "processor_config.json").exists():
        raise broken(f"{file} is not there: the sound of this model cannot be prepared.")
    try:
        return ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise broken(f"{file} cannot be used: {error}") from error


def build(folder: Path) -> Any:  # noqa: ANN401  transformers has no types
    """The model with its weights. transformers alone would initialise missing ones at random.

    Raises:
        ModelMissing: the configuration or the weights are not there, are damaged, or do not fit each other.
    """
    config, file = weights.read_json(folder / CONFIG), weights.find(folder, WEIGHTS)
    if config.get("model_type") != "clap":
        raise broken(f"{folder / CONFIG} describes a model of the kind {config.get('model_type')!r}, and not clap.")
    weights.shapes(file)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # or it draws one of its own over ours
    try:
        given = {"config": ClapConfig.from_dict(config), "state_dict": load_file(file), "output_loading_info": True}
        model, told = cast("Any", ClapModel).from_pretrained(None, **given)
    except Exception as error:
        raise broken(f"{file} does not fit {folder / CONFIG}: {error}") from error
    wrong = [str(name) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in sorted(told[kind])]
    wrong = [name for name in wrong if not name.endswith(_MADE)]
    if wrong:
        raise broken(f"{file} does not fit {folder / CONFIG}: {', '.join(wrong[:3])}.")
    return model
