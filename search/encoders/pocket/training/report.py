"""The table of the model card: recall between captions and held-out pictures, by the exported files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import numpy as np
import onnxruntime as ort
from features import Captions
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer


def session(model: Path | bytes) -> ort.InferenceSession:
    """A single-threaded session, as the program uses it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def whole(folder: Path, name: str) -> bytes:
    """A picture graph with its weights: ``vision.onnx`` or ``vision.int8.onnx``."""
    return (folder / "vision.weights.onnx").read_bytes() + (folder / name).read_bytes()


def encode_texts(folder: Path, texts: list[str]) -> NDArray[np.float32]:
    """Joint vectors (n, dim) of texts, one at a time as the program does it."""
    graph, tokenizer = session(folder / "text.onnx"), Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    rows = []
    for item in tokenizer.encode_batch(texts):
        ids = np.array([item.ids], np.int64)
        rows.append(graph.run(None, {"ids": ids, "mask": np.ones_like(ids)})[0])
    return np.concatenate(rows)


def encode_pictures(folder: Path, paths: list[Path], size: int) -> NDArray[np.float32]:
    """Joint vectors (n, dim) of pictures, squashed to ``size``."""
    graph, rows = session(whole(folder, "vision.onnx")), []
    for start in range(0, len(paths), 8):
        batch = [
            np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
            for path in paths[start : start + 8]
        ]
        rows.append(graph.run(None, {"pixels": np.stack(batch)})[0])
    return np.concatenate(rows)


def table(folder: Path, data: Captions, held_out: NDArray[np.int64]) -> None:
    """Print R@1, R@5 and R@10 in both directions, for each half alone and for both, and the milliseconds of one item."""
    space = json.loads((folder / "manifest.json").read_bytes())["space"]
    captions = np.flatnonzero(np.isin(data.picture, held_out))
    began = time.perf_counter()
    pictures = encode_pictures(folder, [data.pictures[index] for index in held_out], space["image"]["size"])
    middle = time.perf_counter()
    texts = encode_texts(folder, [data.captions[index] for index in captions])
    ended = time.perf_counter()
    row = {int(picture): index for index, picture in enumerate(held_out)}
    own = np.array([row[int(data.picture[caption])] for caption in captions])
    print(f"{len(held_out)} held-out pictures, {len(captions)} captions: recall at 1, 5, 10 in %")
    compare(pictures, texts, own, space["scene"])
    print(f"milliseconds on one core: image {(middle - began) / len(held_out) * 1e3:.1f}, ", end="")
    print(f"text {(ended - middle) / len(captions) * 1e3:.1f}")


def compare(pictures: NDArray[np.float32], texts: NDArray[np.float32], own: NDArray[np.int64], cut: int) -> None:
    """Print the recalls; ``own`` is the picture of each text, and ``cut`` the dimensions of the scene half."""
    for name, part in (("scene", slice(0, cut)), ("concept", slice(cut, None)), ("both", slice(None))):
        scores = _unit(texts[:, part]) @ _unit(pictures[:, part]).T
        print(f"{name:8} text -> image {_recall(scores, own)}   image -> text {_recall_back(scores.T, own)}")


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _recall(scores: NDArray[np.float32], own: NDArray[np.int64]) -> str:
    rank = (scores > np.take_along_axis(scores, own[:, None], axis=1)).sum(axis=1)
    return _shares(rank)


def _recall_back(scores: NDArray[np.float32], own: NDArray[np.int64]) -> str:
    """Pictures finding captions: the best of a picture's five counts."""
    best = np.array([scores[row, own == row].max() for row in range(len(scores))])
    return _shares((scores > best[:, None]).sum(axis=1))


def _shares(rank: NDArray[np.int64]) -> str:
    return " / ".join(f"{100 * float(np.mean(rank < k)):.1f}" for k in (1, 5, 10))
