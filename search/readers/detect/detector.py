"""What finds things in pictures by words, one class for each kind of model. Preparation and what is made of boxes are transformers' own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from search.encoders.device import DeviceRunner
from search.errors import InputError
from search.types import Picture

SAME_BOX = 0.5
"""Two boxes with one label whose intersection over union is larger are of one thing."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes in a picture, best first: left, top, right and bottom in pixels (n, 4), within the picture; scores 0..1 (n,); and positions of
    labels (n,)."""

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


class Detector:
    """A model that looks for labels. Threads may call ``find`` at the same time."""

    threshold: ClassVar[float]
    """The score from which on a box counts, as transformers has it for this kind."""
    longest: ClassVar[int] = 1 << 30
    """Tokens that all labels of one look may have."""

    def __init__(self, runner: DeviceRunner, model: Any, processor: Any, labels: Sequence[str]) -> None:  # noqa: ANN401  transformers has no types
        """Raises InputError: a label is longer than the model can read."""
        self._runner, self._processor, self.labels = runner, processor, tuple(labels)
        self._model: Any = runner.place(model)
        self._parts = self._split()

    @property
    def looks(self) -> int:
        """How often each picture is looked at: more than once if the model cannot read all labels at once."""
        return len(self._parts)

    def find(self, pictures: Sequence[Picture]) -> list[Boxes]:
        """The things in pictures (H, W, 3)."""
        return self._runner.each(self._look, pictures, 1)

    def raw(self, picture: Picture, labels: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All boxes above the threshold, as the model gives them: corners in pixels (n, 4), scores (n,), positions of labels (n,)."""
        raise NotImplementedError

    def _look(self, pictures: Sequence[Picture]) -> list[Boxes]:
        return [self._in(picture) for picture in pictures]

    def _in(self, picture: Picture) -> Boxes:
        height, width = picture.shape[:2]
        found = []
        for start, part in self._parts:
            corners, scores, labels = self.raw(picture, part)
            found.append((corners.float(), scores.float(), labels + start))
        corners, scores, labels = (torch.cat(some) for some in zip(*found, strict=True))
        corners = torch.stack([corners[:, side].clamp(0, (width, height)[side % 2]) for side in range(4)], dim=1)
        there = ((corners[:, 2:] - corners[:, :2]) > 0).all(dim=1)  # some lie in the padding alone, or have no extent
        corners, scores, labels = corners[there], scores[there], labels[there]
        kept = batched_nms(corners, scores, labels, SAME_BOX)
        return Boxes(corners[kept].cpu().numpy(), scores[kept].cpu().numpy(), labels[kept].cpu().numpy().astype(np.int64))

    def _split(self) -> list[tuple[int, tuple[str, ...]]]:
        """The labels of each look, with the position of the first."""
        parts: list[tuple[int, list[str]]] = []
        used = 0
        for at, (label, size) in enumerate(zip(self.labels, self._sizes(), strict=True)):
            if size > self.longest:
                raise InputError(f"The label {label[:40]!r} is longer than this model can read.", remedy="Say it in fewer words.")
            if not parts or used + size > self.longest:
                parts.append((at, []))
                used = 0
            parts[-1][1].append(label)
            used += size
        return [(at, tuple(some)) for at, some in parts]

    def _sizes(self) -> list[int]:
        """How many tokens each label takes, with what stands behind it."""
        return [len(ids) + 1 for ids in self._processor.tokenizer(list(self.labels), add_special_tokens=False)["input_ids"]]

    def _prepared(self, picture: Picture, **text: Any) -> Any:  # noqa: ANN401
        """A picture, and words beside it, as the model takes them."""
        # else it would guess from a side of three pixels that it is that of the colours
        prepared = self._processor(images=picture, input_data_format="channels_last", return_tensors="pt", **text).to(
            self._runner.device
        )
        prepared["pixel_values"] = prepared["pixel_values"].to(self._runner.dtype)
        return prepared


class Owlv2(Detector):
    """OWLv2. Labels are encoded once, however many pictures follow."""

    threshold = 0.1

    def __init__(self, runner: DeviceRunner, model: Any, processor: Any, labels: Sequence[str]) -> None:  # noqa: ANN401
        super().__init__(runner, model, processor, labels)
        self._length = model.config.text_config.max_position_embeddings
        with torch.inference_mode():
            self._asked = torch.cat([self._encoded(labels[start : start + 64]) for start in range(0, len(labels), 64)])

    def _encoded(self, labels: Sequence[str]) -> torch.Tensor:
        told = self._processor.tokenizer(
            list(labels), padding="max_length", truncation=True, max_length=self._length, return_tensors="pt"
        ).to(self._runner.device)
        found = self._model.owlv2.get_text_features(input_ids=told["input_ids"], attention_mask=told["attention_mask"])
        vectors: torch.Tensor = getattr(found, "pooler_output", found)
        return vectors

    def raw(self, picture: Picture, labels: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``Detector.raw``; ``labels`` are all of them, since one look has room for any number."""
        cells, _ = self._model.image_embedder(pixel_values=self._prepared(picture)["pixel_values"])
        features = cells.flatten(1, 2)
        logits, _ = self._model.class_predictor(features, self._asked[None, : len(labels)])
        corners = self._model.box_predictor(features, cells)
        (found,) = self._processor.image_processor.post_process_object_detection(
            _Told(logits.float(), corners.float()), threshold=self.threshold, target_sizes=[picture.shape[:2]]
        )
        return found["boxes"], found["scores"], found["labels"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What transformers makes boxes of: logits (1, n, labels) and centres with sizes (1, n, 4), 0..1."""

    logits: torch.Tensor
    pred_boxes: torch.Tensor


class OmDetTurbo(Detector):
    """OmDet-Turbo."""

    threshold = 0.3
    longest = 70
    """The task names all labels of a look, in 77 tokens with what stands around them."""

    def raw(self, picture: Picture, labels: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``Detector.raw``."""
        told = self._model(**self._prepared(picture, text=[list(labels)]))
        (found,) = self._processor.post_process_grounded_object_detection(
            told, threshold=self.threshold, nms_threshold=SAME_BOX, target_sizes=[picture.shape[:2]]
        )
        return found["boxes"], found["scores"], found["labels"]


class GroundingDino(Detector):
    """Grounding DINO, and MM-Grounding-DINO. A box is scored by each token of the text; of a label its best token counts."""

    threshold = 0.25
    longest = 250
    """It reads 256 tokens, with those at the ends."""

    def raw(self, picture: Picture, labels: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As ``Detector.raw``."""
        labels = [label.replace(".", " ") for label in labels]  # a full stop ends a label
        told = self._model(**self._prepared(picture, text=[labels]))
        shares = told.logits[0].float().sigmoid()
        scores, best = torch.stack(
            [shares[:, some].max(dim=1).values if some else shares.new_zeros(len(shares)) for some in self._tokens(labels)], dim=1
        ).max(dim=1)
        height, width = picture.shape[:2]
        middle, size = told.pred_boxes[0].float().split(2, dim=1)
        corners = torch.cat([middle - size / 2, middle + size / 2], dim=1) * shares.new_tensor([width, height, width, height])
        above = scores > self.threshold
        return corners[above], scores[above], best[above]

    def _tokens(self, labels: Sequence[str]) -> list[list[int]]:
        """The positions of each label's tokens in the text that transformers makes of them."""
        text, ends = "", []
        for label in labels:
            text += f" {label.strip().lower()}" if text else label.strip().lower()
            ends.append(len(text))
            text += "."
        offsets = self._processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        found, start = [], 0
        for end in ends:
            found.append([at for at, (first, last) in enumerate(offsets) if start <= first < last <= end])
            start = end + 1
        return found


DETECTORS: dict[str, type[Detector]] = {
    "owlv2": Owlv2, "omdet-turbo": OmDetTurbo, "grounding-dino": GroundingDino, "mm-grounding-dino": GroundingDino,
}  # fmt: skip
"""By the kind of model."""
