"""The encoder of the clap family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from search.encoders import Content
from search.encoders.device import DeviceRunner, unit
from search.encoders.token_ids import Tokenizer, by_length
from search.types import Modality, Needs, Sound, Space, Vectors


def spectrograms(sounds: Sequence[Sound], extractor: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """Log-mel spectrograms (n, 1 or 4, frames, mels) in decibels, equal to those of transformers' ``ClapFeatureExtractor``.

    transformers works frame by frame and takes three times as long. Of a sound longer than the window it takes a random part;
    this function takes the first. It also marks one sound of a batch as longer than it is.
    """
    fused, size, hop = extractor.truncation == "fusion", extractor.fft_window_size, extractor.hop_length
    mels = extractor.mel_filters if fused else extractor.mel_filters_slaney
    hann = np.hanning(size + 1)[:-1]
    rows = []
    for sound in sounds:
        padded = np.pad(_filled(sound, extractor.nb_max_samples, extractor.padding), size // 2, "reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        waves = np.fft.rfft(frames * hann)
        rows.append(10 * np.log10(np.maximum((waves.real**2 + waves.imag**2) @ mels, 1e-10), dtype=np.float32))
    return np.repeat(np.stack(rows)[:, None], 4 if fused else 1, axis=1)


def _filled(sound: Sound, samples: int, how: str) -> NDArray[np.float64]:
    """A sound brought to ``samples``: repeated as in the model's training, then followed by silence."""
    filled = np.asarray(sound[:samples] if len(sound) else [0], np.float64)
    if how in ("repeat", "repeatpad"):
        filled = np.tile(filled, samples // len(filled) + (how == "repeat"))[:samples]
    return np.pad(filled, (0, samples - len(filled)))


class ClapEncoder:
    """Encoder of one CLAP model."""

    def __init__(
        self,
        space: Space,
        needs: Needs,
        runner: DeviceRunner,
        model: Any,  # noqa: ANN401  transformers has no types
        tokenizer: Tokenizer,
        extractor: Any,  # noqa: ANN401
    ) -> None:
        """``model`` and ``extractor`` are transformers' ``ClapModel`` and ``ClapFeatureExtractor``."""
        self.space, self.needs = space, needs
        self._runner, self._tokenizer, self._extractor = runner, tokenizer, extractor
        self._padding = model.config.text_config.pad_token_id
        self._model = cast("Any", runner.place(model))

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim)."""
        if modality not in self.space.accepts:
            raise ValueError(f"the space {self.space.name} accepts no {modality}")
        if not batch:
            return np.empty((0, self.space.dim), np.float32)
        if modality is Modality.TEXT:
            return self._texts(cast("Sequence[str]", batch))
        return self._sounds(cast("Sequence[Sound]", batch))

    def _texts(self, texts: Sequence[str]) -> Vectors:
        pieces = self._tokenizer.pieces(texts)
        vectors = by_length(pieces, lambda ids: self._runner.run(self._read, [ids]))
        return unit(pieces.mean(unit(vectors), len(texts)))

    def _sounds(self, sounds: Sequence[Sound]) -> Vectors:
        return unit(self._runner.run(self._hear, [spectrograms(sounds, self._extractor)]))

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """From (n, context) tokens to (n, dim). Padding is masked; padding that all texts share is cut off."""
        mask = ids != self._padding
        longest = int(mask.any(0).nonzero().max()) + 1
        ids, mask = ids[:, :longest], mask[:, :longest]
        return cast("torch.Tensor", self._model.get_text_features(ids, attention_mask=mask.long()).pooler_output)

    def _hear(self, features: torch.Tensor) -> torch.Tensor:
        """From (n, 1 or 4, frames, mels) decibels to (n, dim). None is longer than the window."""
        longer = torch.zeros(len(features), 1, dtype=torch.bool, device=features.device)
        return cast(
            "torch.Tensor", self._model.get_audio_features(features.to(self._runner.dtype), is_longer=longer).pooler_output
        )
