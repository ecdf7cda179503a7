# /// script
# requires-python = ">=3.11"
# dependencies = ["sensorium", "numpy", "onnx>=1.19", "onnxruntime>=1.23", "pillow"]
# ///
"""Make the graph of windows: what is appended to the bytes of the picture graph, so that it also tells what its windows show.

    python windows.py --captions FLICKR8K --weights ../weights

``FLICKR8K`` is as ``scene.py`` wants it. A window is an average pool of 3 x 3 cells of the last feature map, every two cells; its vector is the concept half of the
picture graph over that pool, less the mean over windows of pictures that the towers were trained on. Nodes and weights are those of the picture graph, by name: the script
finds the map, the pooling and the concept half by the shape of the graph, whatever its precision is. After a change of the picture graph, run it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from held_out import split_pictures
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sources import captions, picture
from stamped import stamp

CELLS, SIDE, STEP = 9, 3, 2
"""Cells of the map along a side; of a window; and from one window to the next."""

PICTURES = 256
"""Pictures whose windows give the mean."""

BATCH = 8


def corners() -> list[tuple[int, int]]:
    """The upper left cells of the windows, (column, row), in the order of the rows of a picture's codes."""
    along = range(0, CELLS - SIDE + 1, STEP)
    return [(left, top) for top in along for left in along]


def pools() -> NDArray[np.float32]:
    """What averages a map's cells (81, 1280) over each window: (16, 81)."""
    found = np.zeros((len(corners()), CELLS, CELLS), np.float32)
    for row, (left, top) in zip(found, corners(), strict=True):
        row[top : top + SIDE, left : left + SIDE] = 1 / SIDE**2
    return found.reshape(len(found), -1)


def producer(model: onnx.ModelProto, tensor: str) -> NodeProto:
    """The node that makes a tensor."""
    return next(node for node in model.graph.node if tensor in node.output)


def above(model: onnx.ModelProto, tensor: str) -> Iterator[NodeProto]:
    """The nodes on which a tensor depends, nearest first."""
    made = {name: node for node in model.graph.node for name in node.output}
    waiting, seen = [tensor], set[str]()
    while waiting:
        node = made.get(waiting.pop(0))
        if node is not None and node.output[0] not in seen:
            seen.add(node.output[0])
            yield node
            waiting += node.input


def tap(model: onnx.ModelProto) -> tuple[str, str, str]:
    """The names of the last feature map, of its mean over all cells, and of the concept half at unit length."""
    halves = next(node for node in above(model, "vectors") if node.op_type == "Concat")
    concept = next(name for name in producer(model, halves.input[1]).input if producer(model, name).op_type != "Constant")
    pool = next(node for node in above(model, concept) if node.op_type in ("ReduceMean", "GlobalAveragePool"))
    return pool.input[0], pool.output[0], concept


def below(model: onnx.ModelProto, start: str, end: str) -> list[NodeProto]:
    """Copies of the nodes between two tensors, with names of their own; what does not depend on ``start`` is shared."""
    wanted = {node.output[0] for node in above(model, end)}
    ours, copies = {start: "windows/pooled"}, []
    for node in model.graph.node:
        if node.output[0] in wanted and any(name in ours for name in node.input):
            copy = NodeProto()
            copy.CopyFrom(node)
            copy.name = f"windows/{node.name}"
            copy.input[:] = [ours.get(name, name) for name in node.input]
            copy.output[:] = [f"windows/{name}" for name in node.output]
            ours |= {name: f"windows/{name}" for name in node.output}
            copies.append(copy)
    return copies


def graft(model: onnx.ModelProto, mean: NDArray[np.float32]) -> onnx.ModelProto:
    """What is appended: nodes from the map to ``windows`` (n, 16, 384), less ``mean`` (384,)."""
    cells, pooled, concept = tap(model)
    whole = producer(model, pooled)
    nodes, constants = [], {"windows/pools": pools(), "windows/mean": mean, "windows/rows": np.array([-1, 1280], np.int64)}
    if whole.op_type == "GlobalAveragePool":  # (n, 1280, 9, 9)
        constants["windows/flat"] = np.array([0, 1280, CELLS * CELLS], np.int64)
        nodes.append(helper.make_node("Reshape", [cells, "windows/flat"], ["windows/flattened"]))
        nodes.append(helper.make_node("Transpose", ["windows/flattened"], ["windows/cells"], perm=[0, 2, 1]))
        cells = "windows/cells"
    nodes.append(helper.make_node("MatMul", ["windows/pools", cells], ["windows/averages"]))
    nodes.append(helper.make_node("Reshape", ["windows/averages", "windows/rows"], ["windows/pooled"]))
    nodes += below(model, pooled, concept)
    constants["windows/each"] = np.array([-1, len(corners()), mean.size], np.int64)
    nodes.append(helper.make_node("Reshape", [f"windows/{concept}", "windows/each"], ["windows/concepts"]))
    nodes.append(helper.make_node("Sub", ["windows/concepts", "windows/mean"], ["windows"]))
    made = onnx.ModelProto()
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    made.graph.output.append(helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["n", len(corners()), mean.size]))
    return made


def mean_of(graph: bytes, added: bytes, paths: list[Path]) -> NDArray[np.float32]:
    """The mean window vector (384,) of pictures."""
    session = ort.InferenceSession(graph + added, providers=["CPUExecutionProvider"])
    total = [
        session.run(["windows"], {"pixels": np.stack([picture(path) for path in paths[start : start + BATCH]])})[0]
        for start in range(0, len(paths), BATCH)
    ]
    return np.concatenate(total).mean(axis=(0, 1)).astype(np.float32)


def main() -> None:
    """Write the graph and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("captions", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    nodes = (given.weights / "vision.onnx").read_bytes()
    graph = (given.weights / "vision.weights.onnx").read_bytes() + nodes  # protobuf merges concatenated messages
    model, (paths, _) = onnx.load_from_string(nodes), captions(given.captions)
    some = [paths[at] for at in split_pictures(len(paths))[0][:PICTURES]]
    plain = graft(model, np.zeros(384, np.float32)).SerializeToString()
    (given.weights / "windows.onnx").write_bytes(graft(model, mean_of(graph, plain, some)).SerializeToString())
    stamp(given.weights)


if __name__ == "__main__":
    main()
