"""Models exported to ONNX by ``search.encoders.export``. They need no framework, and run several times as fast on a CPU.

The name is ``onnx:FOLDER``. The graphs include pre- and postprocessing: pixels go in as uint8 (n, size, size, 3), token ids as
int64 (n, t), and unit vectors come out. ``export.json`` holds the origin of the export, how it compared with the original, and
each file's SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from search.encoders import Content
from search.encoders.wording import TextTokens
from search.errors import ModelMissing
from search.models import Model, ModelSource
from search.types import Modality, Needs, Space, Vectors

FILES = ("vision.onnx", "text.onnx", "tokenizer.json")
"""What an export holds besides ``export.json``."""

BATCH_ITEMS = 8
"""Items in one run of a graph: on a CPU larger batches only cost memory."""


def source(rest: str) -> ModelSource:
    """An export is made on this machine. Raises ModelMissing, which says how to make it."""
    raise ModelMissing(f"The export {rest} is not here.", remedy="Make it from a model with: sensorium models export NAME")


def load(model: Model, device: str) -> OnnxEncoder:  # noqa: ARG001  exports are made for the CPU
    """The encoder of an export."""
    return OnnxEncoder(model)


class OnnxEncoder:
    """Encoder of an export: texts, images and videos. A graph is loaded on first use of its modality.

    A run uses one thread. Callers use one thread per core, which is faster than one run on all cores.
    """

    def __init__(self, model: Model) -> None:
        """Raises ModelMissing if a file is missing or not the one that was exported."""
        self.folder = model.folder
        self._sheet = sheet = read_sheet(model.folder / "export.json")
        _check(model, sheet["sha256"])
        accepts = frozenset({Modality.IMAGE, Modality.VIDEO, Modality.TEXT})
        self.space = Space(model.name, "onnx", sheet["name"], model.revision, sheet["dim"], accepts)
        self.needs = Needs(sheet["size"], sheet["fit"], rate=0, filter=sheet["filter"], batch=BATCH_ITEMS)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim). A video is the mean of its frames, a long text that of its pieces."""
        if modality not in self.space.accepts:
            raise ValueError(f"the space {self.space.name} accepts no {modality}")
        if modality is Modality.VIDEO:
            return self._videos(cast("Sequence[NDArray[np.uint8]]", batch))
        return self._texts(batch) if modality is Modality.TEXT else self._images(batch)

    def _videos(self, shots: Sequence[NDArray[np.uint8]]) -> Vectors:
        frames = self._images([frame for shot in shots for frame in shot])
        return self._means(frames, [len(shot) for shot in shots])

    def _images(self, batch: Sequence[Any]) -> Vectors:
        size = self._together("vision")
        vectors = np.empty((len(batch), self.space.dim), np.float32)
        for start in range(0, len(batch), size):
            vectors[start : start + size] = self._see(np.stack(batch[start : start + size]))
        return vectors

    def _texts(self, batch: Sequence[Any]) -> Vectors:
        """Run pieces of similar length together, so that there is little padding."""
        texts = [self._tokens(str(text)) for text in batch]
        pieces, size = [piece for text in texts for piece in text], self._together("text")
        vectors = np.empty((len(pieces), self.space.dim), np.float32)
        order = sorted(range(len(pieces)), key=lambda number: len(pieces[number]))
        for start in range(0, len(order), size):
            some = order[start : start + size]
            vectors[some] = self._read(self._padded([pieces[number] for number in some]))
        return self._means(vectors, [len(text) for text in texts])

    def _padded(self, pieces: list[list[int]]) -> NDArray[np.int64]:
        length = max(map(len, pieces)) if self._sheet["trimmed"] else self._sheet["context"]
        ids = np.full((len(pieces), length), self._sheet["pad"], np.int64)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = piece
        return ids

    def _means(self, parts: Vectors, lengths: list[int]) -> Vectors:
        """The means, at unit length, of consecutive groups of rows of ``parts``, with the sizes ``lengths``."""
        means = [part.mean(axis=0) for part in np.split(parts, np.cumsum(lengths)[:-1])] if lengths else []
        vectors = np.asarray(means, np.float32).reshape(len(lengths), self.space.dim)
        return cast("Vectors", vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))

    def _together(self, tower: str) -> int:
        """The batch size of a tower. In int8 the activations of a batch share a scale, so a vector would depend on its
        neighbours."""
        return 1 if self._sheet["precision"][tower] == "int8" else BATCH_ITEMS

    def _see(self, pixels: NDArray[np.uint8]) -> Vectors:
        return cast("Vectors", self._vision.run(["vectors"], {"pixels": pixels})[0])

    def _read(self, ids: NDArray[np.int64]) -> Vectors:
        return cast("Vectors", self._text.run(["vectors"], {"ids": ids})[0])

    @cached_property
    def _vision(self) -> ort.InferenceSession:
        return session(self.folder / "vision.onnx")

    @cached_property
    def _text(self) -> ort.InferenceSession:
        return session(self.folder / "text.onnx")

    @cached_property
    def _tokens(self) -> TextTokens:
        content = (self.folder / "tokenizer.json").read_text("utf-8")
        return TextTokens(content, self._sheet["context"], self._sheet["clean"])


def session(file: Path) -> ort.InferenceSession:
    """A graph, ready to run on the thread that calls it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def read_sheet(file: Path) -> dict[str, Any]:
    """The content of ``export.json``; raises ModelMissing if it cannot be read."""
    try:
        sheet: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _broken(f"{file} cannot be read: {error}.") from error
    return sheet


def _check(model: Model, sha256: dict[str, str]) -> None:
    for name in FILES:
        if name not in model.sha256:
            raise _broken(f"{model.folder / name} is not here.")
        if model.sha256[name] != sha256[name]:
            raise _broken(f"{model.folder / name} is not the file that was exported: its SHA-256 differs.")


def _broken(message: str) -> ModelMissing:
    return ModelMissing(message, remedy="Export the model again with: sensorium models export NAME")
