"""The encoder of the openclip family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from search.encoders import Content
from search.encoders.device import DeviceRunner, unit
from search.encoders.token_ids import Tokenizer, by_length
from search.types import Modality, Needs, Space, Vectors


class OpenClipEncoder:
    """Encoder of one open_clip model. It can also return the parts of its vectors (``GrainedEncoder``).

    Where tokens after the end token have no effect, a batch of texts is padded to its longest text, not to the context. This
    holds for CLIP's causal towers that pool the end token, and for towers of the hub, which mask their padding. Others were
    trained with the padding and get the whole context: SigLIP and CLIPA pool the last place, MobileCLIP2 attends to the padding,
    CoCa puts its class token after it.
    """

    def __init__(
        self,
        space: Space,
        needs: Needs,
        runner: DeviceRunner,
        model: Any,  # noqa: ANN401  open_clip has no types
        tokenizer: Tokenizer,
        norm: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        """``model``: one of open_clip's; ``norm``: mean and standard deviation of the channels (R, G, B) of pictures in [0, 1]."""
        self.space, self.needs = space, needs
        self._runner, self._tokenizer, self._model = runner, tokenizer, cast("Any", runner.place(model))
        self._mean, self._std = (torch.tensor(part, device=runner.device).view(-1, 1, 1) for part in norm)
        tower = self._tower = getattr(model, "text", model)
        self._pool = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
        self._ends = self._pool in ("argmax", "eos") and getattr(tower, "cls_emb", None) is None
        self._causal = self._ends and tower.attn_mask is not None
        self._padding = tower.config.pad_token_id if hasattr(tower, "config") else None

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim)."""
        if modality not in self.space.accepts:
            raise ValueError(f"the space {self.space.name} accepts no {modality}")
        if not batch:
            return np.empty((0, self.space.dim), np.float32)
        if modality is Modality.TEXT:
            return self._texts(cast("Sequence[str]", batch))
        pictures = cast("Sequence[NDArray[np.uint8]]", batch)
        return self._pictures(np.stack(pictures)) if modality is Modality.IMAGE else self._videos(pictures)

    def probe(self) -> tuple[int, int]:
        """The dimension of the towers' outputs: for text, and for pictures."""
        blank = np.zeros((1, self.needs.size, self.needs.size, 3), np.uint8)
        return self._texts([""]).shape[1], self._pictures(blank).shape[1]

    def frames(self, shots: Sequence[NDArray[np.uint8]]) -> list[Vectors]:
        """For each shot (frames, size, size, 3) the vectors (frames, dim) of its frames, of unit length."""
        if not shots:
            return []
        return np.split(self._pictures(np.concatenate(shots)), np.cumsum([len(shot) for shot in shots])[:-1])

    def words(self, text: str) -> Vectors:
        """Vectors (words, dim) of a text's tokens in the joint space, of unit length, the last for the text as a whole.

        Raises:
            ValueError: the architecture makes no such vectors.
        """
        if not self._ends:
            raise ValueError(f"the space {self.space.name} has no vectors of words: its text tower does not pool an end token")
        whole, rows = self.encode(Modality.TEXT, [text]), []
        for ids in self._tokenizer.pieces([text]).ids:
            outputs = self._runner.run(self._outputs, [ids[None]])[0]
            last = int(self._last(ids))
            rows.append(unit(outputs[int(ids[0] in self._tokenizer.special) : last]))
        return np.concatenate([*rows, whole])

    def _videos(self, shots: Sequence[NDArray[np.uint8]]) -> Vectors:
        return unit(np.stack([frames.mean(0) for frames in self.frames(shots)]))

    def _pictures(self, pictures: NDArray[np.uint8]) -> Vectors:
        return unit(self._runner.run(self._see, [pictures]))

    def _texts(self, texts: Sequence[str]) -> Vectors:
        pieces = self._tokenizer.pieces(texts)
        vectors = by_length(pieces, lambda ids: self._runner.run(self._read, [ids]))
        return unit(pieces.mean(unit(vectors), len(texts)))

    def _see(self, pixels: torch.Tensor) -> torch.Tensor:
        """From (n, size, size, 3) uint8 to (n, dim). Normalisation happens where it is cheapest."""
        scaled = pixels.permute(0, 3, 1, 2).float() / 255
        return cast("torch.Tensor", self._model.encode_image(((scaled - self._mean) / self._std).to(self._runner.dtype)))

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        """From (n, context) tokens to (n, dim)."""
        if self._causal:
            last = self._last(ids)
            return self._outputs(ids[:, : int(last.max()) + 1])[torch.arange(len(ids), device=ids.device), last]
        if self._padding is not None:
            ids = ids[:, : int((ids != self._padding).any(0).nonzero().max()) + 1]
        return cast("torch.Tensor", self._model.encode_text(ids))

    def _outputs(self, ids: torch.Tensor) -> torch.Tensor:
        """From (n, length) tokens to the tower's output for each in the joint space: (n, length, dim)."""
        tower, length = self._tower, ids.shape[1]
        inside = tower.token_embedding(ids) + tower.positional_embedding[:length]
        mask = tower.attn_mask[:length, :length] if self._causal else None
        outputs = tower.ln_final(tower.transformer(inside, attn_mask=mask))
        projection = tower.text_projection
        if projection is None:
            return cast("torch.Tensor", outputs)
        return cast("torch.Tensor", projection(outputs) if callable(projection) else outputs @ projection)

    def _last(self, ids: Any) -> Any:  # noqa: ANN401  an array or a tensor, and so is what it gives
        """The position of the end token in ``ids`` (…, length), as open_clip finds it."""
        if self._pool == "argmax":
            return ids.argmax(-1)
        tower = self._tower
        return (1 * (ids == getattr(tower, "eos_id", getattr(tower, "text_eos_id", None)))).argmax(-1)
