"""Segmenters: models of transformers that tell which pixels belong to what is pointed at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForMaskGeneration, Sam2Processor, SamProcessor

from search.encoders import pretrained
from search.encoders.device import DeviceRunner
from search.encoders.pretrained import CONFIG
from search.encoders.weights import broken
from search.models import Model
from search.types import MaskPrompt, Picture

PROCESSORS = {"sam": SamProcessor, "sam2": Sam2Processor, "sam2_video": Sam2Processor}
"""What prepares pictures, by kind of model. Repositories of SAM 2 describe the model for videos, of which the one for pictures is a part."""

KEPT_PICTURES = 16
"""Pictures whose features are kept: so a further click costs a hundredth of the first. Those of SAM 2 take 8 MB each in float32, and a picture 1 MB."""


def load(model: Model, device: str) -> Segmenter:
    """Load a segmenter from the files of ``model``.

    Raises:
        ModelMissing: a file is missing or is not what it should be, or the device is not there.
    """
    runner = DeviceRunner(device)
    config = pretrained.configuration(model.folder)
    if config.model_type not in PROCESSORS:
        raise broken(
            f"{model.folder / CONFIG} describes a model of the kind {config.model_type!r}, which makes no masks from clicks."
        )
    names = ("processor_config.json", "preprocessor_config.json")
    processor = pretrained.part(
        PROCESSORS[config.model_type], model.folder, names, "the pictures of this model cannot be prepared"
    )
    return Segmenter(model.name, runner, pretrained.build(AutoModelForMaskGeneration, model.folder, config), processor)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture (H, W, 3) and its features."""

    picture: Picture
    features: Any


class Segmenter:
    """Makes masks of what is pointed at. Threads may share it; the model runs for one at a time."""

    def __init__(self, name: str, runner: DeviceRunner, model: Any, processor: Any) -> None:  # noqa: ANN401  transformers has no types
        self.name = name
        self._runner, self._processor = runner, processor
        self._model: Any = runner.place(model)
        self._kept: OrderedDict[Hashable, _Seen] = OrderedDict()
        self._keeping = threading.Lock()

    def mask(self, key: Hashable, look: Callable[[], Picture], prompt: MaskPrompt) -> tuple[Picture, NDArray[np.uint8], float]:
        """A picture (H, W, 3), the mask (H, W) of what ``prompt`` points at in it, 0 or 1, and how well the model believes that it fits, 0..1.

        The picture of a ``key`` is the same each time; ``look`` gives it when it is not known.
        """
        seen = self._seen(key, look)
        ((mask, share),) = self._runner.each(lambda some: [self._cut(seen, one) for one in some], [prompt], 1)
        return seen.picture, mask, share

    def _seen(self, key: Hashable, look: Callable[[], Picture]) -> _Seen:
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = look()
        (features,) = self._runner.each(self._features, [picture], 1)
        with self._keeping:
            found = self._kept[key] = _Seen(picture, features)
            while len(self._kept) > KEPT_PICTURES:
                self._kept.popitem(last=False)
        return found

    def _features(self, pictures: Any) -> list[Any]:  # noqa: ANN401
        prepared = self._prepared(pictures[0])
        return [self._model.get_image_embeddings(prepared["pixel_values"].to(self._runner.dtype))]

    def _cut(self, seen: _Seen, prompt: MaskPrompt) -> tuple[NDArray[np.uint8], float]:
        height, width = seen.picture.shape[:2]
        points = [[x * width / 100, y * height / 100] for x, y in (*prompt.on, *prompt.beside)]
        given: dict[str, Any] = {}
        if points:
            given |= {"input_points": [[points]], "input_labels": [[[1] * len(prompt.on) + [0] * len(prompt.beside)]]}
        if prompt.box:
            left, top, wide, high = prompt.box
            corners = [left * width, top * height, (left + wide) * width, (top + high) * height]
            given["input_boxes"] = [[[side / 100 for side in corners]]]
        prepared = self._prepared(seen.picture, **given)
        asked = {name: prepared[name] for name in given}
        asked = {name: told.to(self._runner.dtype) if told.is_floating_point() else told for name, told in asked.items()}
        # one click may mean a part or the whole, for which the model has several masks
        several = len(points) == 1 and not prompt.box
        told = self._model(image_embeddings=seen.features, multimask_output=several, **asked)
        sizes = [prepared[name] for name in ("original_sizes", "reshaped_input_sizes") if name in prepared]
        masks = self._processor.post_process_masks(told.pred_masks.float(), *sizes)[0][0]
        best = int(told.iou_scores[0, 0].argmax())  # they are not sorted
        mask = masks[best].to(torch.uint8).cpu().numpy()
        return mask, float(told.iou_scores[0, 0, best].clamp(0, 1))

    def _prepared(self, picture: Picture, **given: Any) -> Any:  # noqa: ANN401
        return self._processor(images=picture, input_data_format="channels_last", return_tensors="pt", **given).to(
            self._runner.device
        )
