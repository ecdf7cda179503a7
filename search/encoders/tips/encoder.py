"""The encoder of the tips family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from search.encoders import Content
from search.encoders.device import DeviceRunner, unit
from search.encoders.token_ids import HubTokenizer, by_length
from search.types import Modality, Needs, Space, Vectors

ACCEPTS = frozenset({Modality.IMAGE, Modality.VIDEO, Modality.TEXT})


class TipsEncoder:
    """Encoder of one TIPSv2 model. Threads may call ``encode`` at the same time."""

    def __init__(self, space: Space, needs: Needs, runner: DeviceRunner, model: Any, tokenizer: HubTokenizer) -> None:  # noqa: ANN401
        """``model`` is transformers' ``Tipsv2Model``."""
        self.space, self.needs = space, needs
        self._runner, self._tokenizer, self._model = runner, tokenizer, cast("Any", runner.place(model))

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim). That of a shot is the mean of its frames'."""
        if modality not in self.space.accepts:
            raise ValueError(f"the space {self.space.name} accepts no {modality}")
        if not batch:
            return np.empty((0, self.space.dim), np.float32)
        if modality is Modality.TEXT:
            return self._texts(cast("Sequence[str]", batch))
        pictures = cast("Sequence[NDArray[np.uint8]]", batch)
        if modality is Modality.IMAGE:
            return unit(self._runner.run(self._see, [np.stack(pictures)]))
        frames = unit(self._runner.run(self._see, [np.concatenate(pictures)]))
        starts = np.cumsum([0, *(len(shot) for shot in pictures[:-1])])
        return unit(np.add.reduceat(frames, starts))  # unit length makes a mean of a sum

    def _texts(self, texts: Sequence[str]) -> Vectors:
        pieces = self._tokenizer.pieces(texts)
        pieces = replace(pieces, lengths=np.maximum(pieces.lengths, 1))  # an empty text has no token at all
        vectors = by_length(pieces, lambda ids: self._runner.run(self._read, [ids]))
        return unit(pieces.mean(unit(vectors), len(texts)))

    def _see(self, pixels: torch.Tensor) -> torch.Tensor:
        """From (n, size, size, 3) uint8 to (n, dim)."""
        scaled = (pixels.permute(0, 3, 1, 2).float() / 255).to(self._runner.dtype)
        return cast("torch.Tensor", self._model.get_image_features(pixel_values=scaled).pooler_output)

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """From (n, context) tokens to (n, dim). Padding is masked; padding that all texts share is cut off."""
        mask = ids != self._tokenizer.padding
        mask[:, 0] = True
        longest = int(mask.any(0).nonzero().max()) + 1
        ids, mask = ids[:, :longest], mask[:, :longest]
        return cast("torch.Tensor", self._model.get_text_features(input_ids=ids, attention_mask=mask.long()).pooler_output)
