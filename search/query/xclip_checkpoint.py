"""The trained weights of X-CLIP (Ma et al. 2022), by their names in the checkpoints of the authors' code, from a safetensors file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.encoders import lacking
from search.errors import ModelMissing

SIDES = {
    "global_mat_weight": "dim",
    "word_logit_weight": "words",
    "frame_logit_weight": "frames",
    "local_mat_weight": "dim",
    "frame_mat_weight": "frames",
    "word_mat_weight": "words",
    "frame_mat_weight2": "frames",
    "word_mat_weight2": "words",
}
"""The square matrices, each with what its side counts; the first of each sort says how many there are."""

SCALE = "clip.logit_scale"
"""Logarithm of what similarities are multiplied by."""

POSITIONS = "frame_position_embeddings.weight"
BLOCKS = "transformerClip.resblocks."
"""With the positions, the temporal transformer; a checkpoint with ``sim_header`` meanP has neither."""

HEAD = 64
"""Width of a head of the temporal transformer."""

_OTHERS = {"lstm_visual.": "seqLSTM", "similarity_dense.": "tightTransf"}
"""What betrays the headers that are not done here."""

_CONVERT = """Convert it once, where you would run a program from the same source: python -c "import torch, safetensors.torch as s; \
w = torch.load('{path}', 'cpu', weights_only=True); s.save_file({{k: v.float().contiguous() for k, v in w.items()}}, 'xclip.safetensors')\""""


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read and check the tensors of a file, without those of CLIP's towers.

    Raises:
        ModelMissing: the file is not here, is damaged or a pickle, or lacks something; or safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise lacking("openclip", error) from error
    try:
        opened: Any = safe_open(path, framework="np")
        with opened as file:
            keys = [key for key in file.keys() if key.startswith((*SIDES, *_OTHERS, SCALE, POSITIONS, BLOCKS))]  # noqa: SIM118
            for key in keys:  # numpy has no other kinds
                if (kind := file.get_slice(key).get_dtype()) not in {"F16", "F32", "F64"}:
                    raise ModelMissing(f"{path} holds {key} as {kind}.", remedy="Convert it to 32 bits: tensor.float().")
            tensors = {key: np.asarray(file.get_tensor(key), np.float32) for key in keys}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    _check(path, tensors)
    return tensors


def layers(keys: Iterable[str]) -> int:
    """The number of blocks in the temporal transformer."""
    return len({key.removeprefix(BLOCKS).partition(".")[0] for key in keys if key.startswith(BLOCKS)})


def _unreadable(path: Path, error: Exception) -> ModelMissing:
    """The error for a file that is not a complete safetensors file."""
    if not path.is_file():
        return ModelMissing(f"There is no file {path}.", remedy="Name a safetensors file with the weights of X-CLIP.")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[8:] != b"{"):  # torch's two kinds of pickles
        return ModelMissing(
            f"{path} is a pickle, which can run any program while it is read, and is not opened.",
            remedy=_CONVERT.format(path=path),
        )
    return ModelMissing(f"{path} is not a whole safetensors file: {error}.", remedy="Copy it again from where it came from.")


def _check(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Raises ``ModelMissing`` with the first tensor that is missing, does not fit the shapes of the others, or is not finite."""
    remedy = "Use a checkpoint of the authors' code, trained with --sim_header seqTransf or meanP, with all its tensors."
    for prefix, header in _OTHERS.items():
        if any(key.startswith(prefix) for key in tensors):
            raise ModelMissing(f"{path} holds {prefix}* and so was trained with the header {header}.", remedy=remedy)
    for key, shape in _expected(tensors).items():
        if key not in tensors:
            raise ModelMissing(f"{path} lacks {key}.", remedy=remedy)
        if (found := tensors[key].shape) != shape or 0 in found:
            raise ModelMissing(f"{path} holds {key} of shape {found}, where the others ask for {shape}.", remedy=remedy)
        if key == POSITIONS and found[1] % HEAD:
            raise ModelMissing(f"{path} holds {key} of a width that is no multiple of {HEAD}: {found[1]}.", remedy=remedy)
        if not np.isfinite(tensors[key]).all():
            raise ModelMissing(f"{path} holds numbers in {key} that are not finite.", remedy=remedy)


def _expected(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, tuple[int, ...]]:
    """The shape that each tensor should have."""

    def rows(key: str) -> int:
        return next(iter(tensors[key].shape), 0) if key in tensors else 0

    sides = {what: rows(key) for key, what in list(SIDES.items())[:3]}
    shapes: dict[str, tuple[int, ...]] = {key: (sides[what], sides[what]) for key, what in SIDES.items()} | {SCALE: ()}
    if POSITIONS in tensors or layers(tensors):
        shapes[POSITIONS] = (max(rows(POSITIONS), sides["frames"]), sides["dim"])
        for layer in range(max(layers(tensors), 1)):
            shapes |= {f"{BLOCKS}{layer}.{name}": shape for name, shape in _block(sides["dim"]).items()}
    return shapes


def _block(dim: int) -> dict[str, tuple[int, ...]]:
    """The shapes of a block's tensors."""
    linear = {
        "attn.in_proj_": (3 * dim, dim),
        "attn.out_proj.": (dim, dim),
        "mlp.c_fc.": (4 * dim, dim),
        "mlp.c_proj.": (dim, 4 * dim),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (wide, deep) in linear.items():
        shapes |= {f"{name}weight": (wide, deep), f"{name}bias": (wide,)}
    return shapes | {f"{name}.{what}": (dim,) for name in ("ln_1", "ln_2") for what in ("weight", "bias")}
