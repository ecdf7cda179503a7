# /// script
# requires-python = ">=3.11"
# dependencies = ["sensorium", "numpy", "onnx", "onnxruntime", "pillow"]
# ///
"""Write the picture graph of the pocket space in static int8, over the weights of the one in float32, and compare both.

    python quantise.py --captions FLICKR8K --weights ../weights

Of the convolutional network, convolutions, sums and ReLU6 up to the pooling are quantised (as QuantizeLinear and DequantizeLinear,
per channel); pooling, classes and heads stay as they are. Scales of activations are those of 160 pictures that the training sees;
they are constants of the graph, so a picture's vector does not depend on its neighbours. The result, ``vision.int8.onnx``, holds
only nodes and scales: convolutions take the int8 weights that ``vision.weights.onnx`` stores. The same inputs give the same bytes.
It takes two minutes on one core, and as many for the report.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from export import split
from features import read_captions
from held_out import split_pictures
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from PIL import Image
from report import compare, encode_texts, ort, session, whole
from stamped import stamp

CALIBRATED = 160
"""Pictures from which the scales of activations are taken: the last that the training sees."""

QUANTISED = ("Conv", "Add", "Clip")
"""Operators in int8. Without the sums and ReLU6, each convolution would go back to float32, and each scale be wider than needed."""

GRID = "/vision/_swish_1/Clip_output_0"
"""The feature map before pooling, up to which everything is quantised."""

VANISHING = 1e-6
"""The share of a layer's largest weight below which a weight may change."""

SIZE, BATCH, ROUNDS = 260, 8, 7


class Pictures(CalibrationDataReader):  # type: ignore[misc]  # of a library without types
    """Gives the calibration its pictures one by one."""

    def __init__(self, paths: list[Path]) -> None:
        self._rest: Iterator[Path] = iter(paths)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next picture, or None after the last."""
        path = next(self._rest, None)
        return None if path is None else {"pixels": squashed(path)[None]}


def squashed(path: Path) -> NDArray[np.uint8]:
    """A picture as the tower wants it."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def quantise(folder: Path, paths: list[Path]) -> None:
    """Write ``vision.int8.onnx`` beside the weights in ``folder``, calibrated on the pictures ``paths``."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, quantised = Path(scratch, "float.onnx"), Path(scratch, "int8.onnx")
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # widens weights, folds padding
        options.optimized_model_filepath = str(plain)
        options.log_severity_level = 3
        ort.InferenceSession(whole(folder, "vision.onnx"), options, providers=["CPUExecutionProvider"])
        network = [
            node.name
            for node in onnx.load(str(plain)).graph.node
            if node.name.startswith("/vision/") and node.op_type in QUANTISED
        ]
        quantize_static(
            plain, quantised, Pictures(paths), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(QUANTISED), nodes_to_quantize=network,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        stored = onnx.load(str(folder / "vision.weights.onnx"))
        graph = joined(onnx.load(str(quantised)), onnx.load(str(folder / "vision.onnx")), stored)
    (folder / "vision.int8.onnx").write_bytes(graph.SerializeToString())
    (folder / "vision.weights.onnx").write_bytes(stored.SerializeToString())


def joined(quantised: onnx.ModelProto, plain: onnx.ModelProto, stored: onnx.ModelProto) -> onnx.ModelProto:
    """The nodes of the quantised network up to the feature map, then those of the plain graph, with only those tensors that
    ``stored`` lacks.

    A channel whose weights are nothing beside its bias gets a larger scale, since biases in 32 bits share it. ``stored`` takes
    over such scales: what changes is below the precision of float32.
    """
    weights = {weight.name: weight for weight in stored.graph.initializer}
    made = {weight.name: weight for weight in quantised.graph.initializer}
    last = f"{GRID}_DequantizeLinear_Output"
    taken = {*weights, GRID}
    names = {output: f"int8/{output}" for node in quantised.graph.node for output in node.output if output in taken}
    for name, weight in made.items():
        of = name.removesuffix("_quantized")
        if name.endswith(".weight_quantized") and (same := weights.get(f"{of}.int8")):
            share(weight, made[f"{of}_scale"], same, weights[f"{of}.scale"])
            names[name] = same.name
    above, below = before(quantised, last), before(plain, GRID)
    needed = before(plain, plain.graph.output[0].name) - below
    result = onnx.ModelProto(ir_version=plain.ir_version, opset_import=plain.opset_import)
    result.graph.name = plain.graph.name
    result.graph.input.extend(plain.graph.input)
    result.graph.output.extend(plain.graph.output)
    for node in (quantised.graph.node[at] for at in sorted(above)):
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [GRID if name == last else names.get(name, name) for name in node.output]
        if node.op_type == "DequantizeLinear" and node.input[2] in made and not numpy_helper.to_array(made[node.input[2]]).any():
            del node.input[2]  # zero, unless it is told
        result.graph.node.append(node)
    result.graph.node.extend(plain.graph.node[at] for at in sorted(needed))
    read = {name for node in result.graph.node for name in node.input}
    known = {*weights, *(name for node in result.graph.node for name in node.output)}
    result.graph.initializer.extend(weight for name, weight in made.items() if name in read - known)
    return result


def share(weight: onnx.TensorProto, scale: onnx.TensorProto, stored: onnx.TensorProto, stored_scale: onnx.TensorProto) -> None:
    """Store a quantised weight with its scale in the place of what was stored, which it must equal."""
    values, scales = numpy_helper.to_array(weight), numpy_helper.to_array(scale)
    before, before_scales = numpy_helper.to_array(stored), numpy_helper.to_array(stored_scale)
    same = (values == before).all(axis=(1, 2, 3))
    scales = np.where(same, before_scales.ravel(), scales).astype(np.float32).reshape(before_scales.shape)
    change = np.abs(values * scales - before * before_scales).max()
    if change > VANISHING * np.abs(before * before_scales).max():
        raise ValueError(f"{stored.name} would change by {change}")
    stored.CopyFrom(numpy_helper.from_array(values, stored.name))
    stored_scale.CopyFrom(numpy_helper.from_array(scales, stored_scale.name))


def before(model: onnx.ModelProto, tensor: str) -> set[int]:
    """The indices of the nodes that a tensor is computed by."""
    maker = {name: at for at, node in enumerate(model.graph.node) for name in node.output}
    found, ahead = set[int](), [tensor]
    while ahead:
        at = maker.get(ahead.pop())
        if at is not None and at not in found:
            found.add(at)
            ahead += model.graph.node[at].input
    return found


def report(folder: Path, paths: list[Path], texts: list[str], own: NDArray[np.int64]) -> None:
    """Print pictures a core-second, cosines and recall of both graphs, and of archives of which each made a half."""
    graphs = {name: session(whole(folder, name)) for name in ("vision.onnx", "vision.int8.onnx")}
    pixels = np.stack([squashed(path) for path in paths])
    rates: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(ROUNDS):  # in turns, so that a machine whose speed drifts does not decide
        for name, graph in graphs.items():
            began = time.process_time()
            for start in range(0, 8 * BATCH, BATCH):
                graph.run(None, {"pixels": pixels[start : start + BATCH]})
            rates[name].append(8 * BATCH / (time.process_time() - began))
    medians = {name: float(np.median(some)) for name, some in rates.items()}
    print("pictures a core-second:", ", ".join(f"{name} {rate:.1f}" for name, rate in medians.items()))
    vectors = {
        name: np.concatenate([graph.run(None, {"pixels": pixels[at : at + BATCH]})[0] for at in range(0, len(pixels), BATCH)])
        for name, graph in graphs.items()
    }
    plain, quantised = vectors.values()
    cosines = (plain * quantised).sum(axis=1)
    print(f"cosine: mean {cosines.mean():.4f}, first percentile {np.percentile(cosines, 1):.4f}, least {cosines.min():.4f}")
    alone = np.concatenate([graphs["vision.int8.onnx"].run(None, {"pixels": pixels[at : at + 1]})[0] for at in range(32)])
    print(f"one picture alone and among its neighbours: largest difference {np.abs(alone - quantised[:32]).max():.1e}")
    asked = encode_texts(folder, texts)
    halves = np.where((np.arange(len(pixels)) % 2 == 0)[:, None], plain, quantised)
    for name, pictures in (*vectors.items(), ("half of each", halves)):
        print(name)
        compare(pictures, asked, own, 384)


def main() -> None:
    """Quantise, stamp, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path(__file__).parent.parent / "weights")
    given = parser.parse_args()
    if not (given.weights / "vision.weights.onnx").exists():
        split(given.weights / "vision.onnx", given.weights / "vision.weights.onnx")
    data = read_captions(given.captions)
    train, held_out = split_pictures(len(data.pictures))
    quantise(given.weights, [data.pictures[at] for at in train[-CALIBRATED:]])
    stamp(given.weights)
    captions = np.flatnonzero(np.isin(data.picture, held_out))
    row = {int(picture): at for at, picture in enumerate(held_out)}
    own = np.array([row[int(data.picture[caption])] for caption in captions])
    report(given.weights, [data.pictures[at] for at in held_out], [data.captions[at] for at in captions], own)


if __name__ == "__main__":
    main()
