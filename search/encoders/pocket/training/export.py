"""Export to ONNX: small files that run at full speed on ONNX Runtime, and the manifest that names their hashes."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when the library is loaded

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

OPSET = 17


def export_vision(tower: nn.Module, file: Path) -> None:
    """float32 arithmetic over weights that are stored small."""
    example = torch.zeros(2, 260, 260, 3, dtype=torch.uint8)
    export(tower, (example,), file, {"pixels": {0: "n"}, "vectors": {0: "n"}})
    store_small(file)


def export_text(tower: nn.Module, file: Path) -> None:
    """Dynamic int8 for every matrix product and for the table of word pieces."""
    ids = torch.tensor([[101, 1037, 3899, 102], [101, 4937, 102, 0]])
    axes = {"ids": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}, "vectors": {0: "n"}}
    whole = file.with_suffix(".float.onnx")
    export(tower, (ids, (ids > 0).long()), whole, axes)
    quantize_dynamic(whole, file, per_channel=True, weight_type=QuantType.QInt8)
    whole.unlink()


def export(tower: nn.Module, example: tuple[torch.Tensor, ...], file: Path, axes: dict[str, dict[int, str]]) -> None:
    """Write a tower to ONNX, with ``axes`` naming inputs, output and their dynamic dimensions."""
    names = [name for name in axes if name != "vectors"]
    with torch.inference_mode():
        torch.onnx.export(
            tower, example, str(file), input_names=names, output_names=["vectors"], dynamic_axes=axes,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def store_small(file: Path) -> None:
    """Rewrite float32 weights so that they take less room and are widened once, when ONNX Runtime folds constants at loading.

    Matrices and convolutions become int8 with a scale for each output; other weights of at least 1,024 numbers become float16.
    """
    model = onnx.load(str(file))
    nodes = []
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < 1024 or np.abs(values).max() > 6e4:
            continue
        name = weight.name
        if values.ndim == 4 or (values.ndim == 2 and values.size >= 100_000):
            # Outputs stand first, but for x @ W, which has them in columns.
            axis = 0 if _is_product(model, name) else tuple(range(1, values.ndim))
            scale = np.abs(values).max(axis=axis, keepdims=True) / 127 + 1e-12
            weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8"))
            model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
            nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]))
        else:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(file))


def split(file: Path, weights: Path) -> None:
    """Move the weights of a model into a file of their own. Their bytes and those of ``file``, one after the other, are the model:
    protobuf merges messages that follow each other. So several graphs can stand on the same weights."""
    model, stored = onnx.load(str(file)), onnx.ModelProto()
    stored.graph.initializer.extend(model.graph.initializer)
    del model.graph.initializer[:]
    weights.write_bytes(stored.SerializeToString())
    file.write_bytes(model.SerializeToString())


def rename(file: Path, names: dict[str, str], prefix: str = "") -> onnx.ModelProto:
    """The model in ``file`` with its tensors named by ``names``; other tensors, and all nodes, have ``prefix`` before their names."""
    model = onnx.load(str(file))
    for node in model.graph.node:
        node.name = node.name and prefix + node.name
        for held in (node.input, node.output):
            held[:] = [name and names.get(name, prefix + name) for name in held]
    for weight in (*model.graph.initializer, *model.graph.output):
        weight.name = names.get(weight.name, prefix + weight.name)
    return model


def graft(file: Path, names: dict[str, str]) -> None:
    """Make of a model what can be appended to the bytes of another: its nodes, weights and outputs, on tensors that the other has.

    Protobuf merges messages that follow each other: of a field that repeats, such as these three, it keeps all.
    """
    model, grafted = rename(file, names, "grafted/"), onnx.ModelProto()
    for field in ("node", "initializer", "output"):
        getattr(grafted.graph, field).extend(getattr(model.graph, field))
    file.write_bytes(grafted.SerializeToString())


def _is_product(model: onnx.ModelProto, name: str) -> bool:
    return any(node.op_type == "MatMul" and name in node.input for node in model.graph.node)
