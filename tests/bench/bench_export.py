"""Exports of a ViT-B-32 against the original in torch: what a second brings, and whether both find the same.

Weights are random, so recall itself says nothing here, and the agreement is a lower bound: untrained vectors lie so close together that rankings
turn on little. All of them take turns, round by round, so that a machine whose speed drifts does not decide. Torch has both cores to
itself; an export gets two threads, as indexing gives it, through the encoder itself: texts are cut into tokens in that time.
"""

from __future__ import annotations

import csv
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
from PIL import Image

from search import encoders
from search.encoders import Encoder
from search.encoders.export import ExportSample, Report, export
from search.types import Modality
from tests.bench.report import Figure, Skipped, given, seconds

SIZE, ROUNDS, THREADS, PICTURES = 224, 7, 2, 100
LEAST = {Modality.IMAGE: 2.5, Modality.TEXT: 4.0}
"""How many times the speed of torch int8 has, at least: pictures run one at a time, so that vectors do not depend on their neighbours."""


def run() -> Iterator[Figure]:
    on = _calibration()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(folder / "model")
        exports: dict[str, Encoder] = {}
        for precision in ("fp32", "int8"):
            began = time.perf_counter()
            with patch("search.encoders.export.MAX_RECALL_LOSS", 1):
                report = export(folder / "model", folder / precision, on, precision, least=0)
            yield Figure(f"{precision}, exported and compared", time.perf_counter() - began, "s")
            yield from _kept(report)
            exports[precision] = encoders.load(f"onnx:{folder / precision}")
        yield from _rates(folder / "model", exports, on)


def _kept(report: Report) -> Iterator[Figure]:
    for way, share in report.agreement.items():
        yield Figure(f"{report.asked}, {way}: of the first ten, the original's", share, "")
    for name, (old, new) in report.recall.items():
        yield Figure(f"{report.asked}, {name} over the original's {old:.2f}", new, "")
    yield Figure(f"{report.asked}, both graphs", sum(report.bytes.values()) / 1e6, "MB")


def _rates(model: Path, exports: dict[str, Encoder], on: ExportSample) -> Iterator[Figure]:
    """Pictures and texts a second: medians of the rounds, the first of which warms up."""
    for modality, content in ((Modality.IMAGE, list(on.images[:32])), (Modality.TEXT, list(on.texts[:64]))):
        ways = {f"torch, {size} at once": _torch(model, modality, content, size) for size in (8, 32)}
        ways |= {name: _threads(encoder, modality, content) for name, encoder in exports.items()}
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS + 1):
            for name, way in ways.items():
                taken[name].append(seconds(way))
        rates = {name: len(content) / median(some[1:]) for name, some in taken.items()}
        for name, rate in rates.items():
            yield Figure(f"{modality}s, {name}", rate, "a second")
        fastest = max(rate for name, rate in rates.items() if name.startswith("torch"))
        yield Figure(f"{modality}s, int8 over torch", rates["int8"] / fastest, "times", least=LEAST[modality])


def _threads(encoder: Encoder, modality: Modality, content: list) -> Callable[[], object]:
    parts = [content[start::THREADS] for start in range(THREADS)]
    executor = ThreadPoolExecutor(THREADS)
    return lambda: list(executor.map(lambda part: encoder.encode(modality, part), parts))


def _torch(folder: Path, modality: Modality, content: list, size: int) -> Callable[[], object]:
    """Eager, in inference mode, on tensors that are ready: what OpenCLIP's own examples do."""
    import open_clip
    import torch

    torch.set_num_threads(THREADS)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    if modality is Modality.IMAGE:
        ready, function = torch.from_numpy(np.stack(content)).permute(0, 3, 1, 2).float() / 255, model.encode_image
    else:
        ready, function = open_clip.tokenize(content), model.encode_text

    def work() -> None:
        with torch.inference_mode():
            for part in ready.split(size):
                function(part, normalize=True)

    return work


def _calibration() -> ExportSample:
    """The first photographs of Flickr8k, each with its first caption."""
    folder, captions = given("flickr8k"), {}
    with (folder / "captions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image"], row["caption"])
    names = list(captions)[:PICTURES]
    return ExportSample(
        [_picture(folder / "images" / name) for name in names], [captions[name] for name in names], range(len(names))
    )


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _write_model(folder: Path) -> None:
    try:
        import open_clip
        import torch
        from safetensors.torch import save_file
    except ModuleNotFoundError as error:
        raise Skipped(f"{error.name} is not installed: pip install 'sensorium[export]'") from error
    folder.mkdir()
    torch.manual_seed(0)
    save_file(dict(open_clip.create_model("ViT-B-32").state_dict()), folder / "open_clip_model.safetensors")
    preprocess = {
        "size": SIZE, "mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD,
        "interpolation": "bicubic", "resize_mode": "shortest",
    }  # fmt: skip
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
