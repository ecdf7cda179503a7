"""The files of an ImageBind model: sizes and weights, looked through before anything is loaded, and loaded tower by tower."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from search.encoders.imagebind.towers import TOWERS, Size, Sizes, Tower, tower
from search.errors import ModelMissing

NAMES = ("imagebind_huge.safetensors", "model.safetensors")
"""What the file may be called: as the official one, or as the hub calls such files."""
_LARGEST = 1 << 14
"""No width, dimension or number of blocks is larger."""
_FLOATS = ("F64", "F32", "F16", "BF16")
UNUSED = ("modality_postprocessors.", "modality_preprocessors.text.mask")
"""How keys begin that are passed over: factors of length, which unit vectors do not have, and a mask that follows from its use."""
_CONVERT = (
    'Convert it elsewhere, once, with: python -c "import torch, safetensors.torch as s; '
    "s.save_file({k: v.contiguous() for k, v in torch.load('imagebind_huge.pth', weights_only=True).items()}, 'imagebind_huge.safetensors')\""
)


class Weights:
    """The weights in a folder. What is wrong with them, shows at once."""

    def __init__(self, folder: Path) -> None:
        """Look the files through.

        Raises:
            ModelMissing: a file is not there, is damaged, or holds other weights than those of the sizes.
        """
        self.sizes = read_sizes(folder / "config.json")
        self.path = _find(folder)
        try:
            self._file: Any = safe_open(self.path, "pt")
        except (SafetensorError, OSError) as error:
            raise _broken(f"{self.path} is damaged or cut short: {error}.") from error
        self._check()

    def tower(self, name: str) -> Tower:
        """A tower with its weights.

        Raises:
            ModelMissing: the file cannot be read any more.
        """
        with torch.device("meta"):
            built = tower(name, self.sizes)
        try:
            state = {key: self._file.get_tensor(key) for key in built.state_dict()}
        except (SafetensorError, OSError) as error:
            raise _broken(f"{self.path} cannot be read: {error}.") from error
        built.load_state_dict(state, assign=True)
        return built

    def _check(self) -> None:
        """Compare the keys and shapes of the file with those of the towers."""
        with torch.device("meta"):
            wanted = {key: list(weight.shape) for name in TOWERS for key, weight in tower(name, self.sizes).state_dict().items()}
        found = {key for key in self._file.keys() if not key.startswith(UNUSED)}  # noqa: SIM118 - it is no dict
        if missing := sorted(wanted.keys() - found):
            raise _broken(f"{self.path} lacks {missing[0]}" + (f" and {len(missing) - 1} more weights." if missing[1:] else "."))
        if strange := sorted(found - wanted.keys()):
            raise _broken(f"{self.path} holds {strange[0]}, which no model of these sizes has.")
        for key, shape in wanted.items():
            weight = self._file.get_slice(key)
            if weight.get_shape() != shape or weight.get_dtype() not in _FLOATS:
                raise _broken(f"{key} in {self.path} is {weight.get_dtype()} {weight.get_shape()}, not floats of shape {shape}.")


def read_sizes(file: Path) -> Sizes:
    """The sizes in a file such as ``{"dim": 64, "vision": {"width": 32, "blocks": 2, "heads": 4}, …}``; what is left out is as in huge.

    Raises:
        ModelMissing: the file cannot be read, or its sizes cannot be.
    """
    if not file.exists():
        return Sizes()
    try:
        told = json.loads(file.read_bytes())
        return _sizes(told)
    except (OSError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise _broken(f"{file} gives no sizes of an ImageBind model: {error}.") from error


def _sizes(told: dict[str, Any]) -> Sizes:
    given: dict[str, Any] = {name: Size(**value) if name in TOWERS else value for name, value in told.items()}
    sizes = Sizes(**given)
    for name in TOWERS:
        size: Size = getattr(sizes, name)
        numbers = {"dim": sizes.dim} | {one.name: getattr(size, one.name) for one in fields(Size)}
        if bad := [key for key, number in numbers.items() if type(number) is not int or not 0 < number <= _LARGEST]:
            raise ValueError(f"{bad[0]} of {name} is {numbers[bad[0]]!r}")
        if size.width % size.heads:
            raise ValueError(f"the width of {name} is not a multiple of its heads")
    return sizes


def _find(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    if pickles := sorted(path for path in folder.glob("*") if path.suffix in (".pth", ".pt", ".bin", ".ckpt")):
        raise ModelMissing(f"{pickles[0]} is not loaded: a pickle can run any code when it is loaded.", remedy=_CONVERT)
    raise _broken(f"{folder / NAMES[0]} is not there.")


def _broken(message: str) -> ModelMissing:
    return ModelMissing(message, remedy="Fetch the model again with: sensorium models pull imagebind:huge")
