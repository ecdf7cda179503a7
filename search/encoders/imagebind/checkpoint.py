"""The files of an ImageBind model: sizes and weights. All are checked before loading; towers are loaded one by one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from search.encoders.imagebind.towers import TOWERS, Sizes, Tower, TowerSize, tower
from search.encoders.weights import broken, find, read_json

CONFIG, NAME = "config.json", "imagebind_huge.safetensors"
"""The sizes, and the weights; these may also be called otherwise, as the hub does, if there are no others."""
UNUSED = ("modality_postprocessors.", "modality_preprocessors.text.mask")
"""How keys begin that are passed over: factors of length, which unit vectors do not have, and a mask that follows from its use."""
_LARGEST = 1 << 14
"""No width, dimension or number of blocks is larger."""
_FLOATS = ("F64", "F32", "F16", "BF16")


class ImageBindWeights:
    """The weights in a folder. Names and shapes are checked at once, the values when a tower is loaded."""

    def __init__(self, folder: Path) -> None:
        """Check the files.

        Raises:
            ModelMissing: a file is missing, damaged, or holds other weights than those for the sizes.
        """
        self.sizes = read_sizes(folder / CONFIG)
        self.path = find(folder, NAME)
        try:
            self._file: Any = safe_open(self.path, "pt")
        except (SafetensorError, OSError) as error:
            raise broken(f"{self.path} is damaged or cut short: {error}.") from error
        self._check()

    def tower(self, name: str) -> Tower:
        """A tower with its weights.

        Raises:
            ModelMissing: the file can no longer be read, or was changed.
        """
        with torch.device("meta"):
            built = tower(name, self.sizes)
        try:
            state = {key: self._file.get_tensor(key) for key in built.state_dict()}
        except (SafetensorError, OSError) as error:
            raise broken(f"{self.path} cannot be read: {error}.") from error
        if bad := next((key for key, weight in state.items() if not weight.isfinite().all()), None):
            raise broken(f"{self.path} was altered: {bad} holds values that are not finite numbers.")
        built.load_state_dict(state, assign=True)
        return built

    def _check(self) -> None:
        """Compare the keys and shapes of the file with those of the towers."""
        with torch.device("meta"):
            wanted = {key: list(weight.shape) for name in TOWERS for key, weight in tower(name, self.sizes).state_dict().items()}
        found = {key for key in self._file.keys() if not key.startswith(UNUSED)}  # noqa: SIM118 - it is no dict
        if missing := sorted(wanted.keys() - found):
            raise broken(f"{self.path} lacks {missing[0]}" + (f" and {len(missing) - 1} more weights." if missing[1:] else "."))
        if strange := sorted(found - wanted.keys()):
            raise broken(f"{self.path} holds {strange[0]}, which no model of these sizes has.")
        for key, shape in wanted.items():
            weight = self._file.get_slice(key)
            if weight.get_shape() != shape or weight.get_dtype() not in _FLOATS:
                raise broken(f"{key} in {self.path} is {weight.get_dtype()} {weight.get_shape()}, not floats of shape {shape}.")


def read_sizes(file: Path) -> Sizes:
    """The sizes in a file such as ``{"dim": 64, "vision": {"width": 32, "blocks": 2, "heads": 4}, …}``. Missing values are those
    of huge.

    Raises:
        ModelMissing: the file cannot be read, or its sizes are impossible.
    """
    if not file.exists():
        return Sizes()
    try:
        return _sizes(read_json(file))
    except (ValueError, TypeError) as error:
        raise broken(f"{file} gives no sizes of an ImageBind model: {error}.") from error


def _sizes(told: dict[str, Any]) -> Sizes:
    given: dict[str, Any] = {name: TowerSize(**value) if name in TOWERS else value for name, value in told.items()}
    sizes = Sizes(**given)
    for name in TOWERS:
        size: TowerSize = getattr(sizes, name)
        numbers = {"dim": sizes.dim} | {one.name: getattr(size, one.name) for one in fields(TowerSize)}
        if bad := [key for key, number in numbers.items() if type(number) is not int or not 0 < number <= _LARGEST]:
            raise ValueError(f"{bad[0]} of {name} is {numbers[bad[0]]!r}")
        if size.width % size.heads:
            raise ValueError(f"the width of {name} is not a multiple of its heads")
    return sizes
