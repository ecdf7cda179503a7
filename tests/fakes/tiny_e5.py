"""Tiny models of the e5 family with seeded random weights, in a folder as the hub lays them out: safetensors, or an export to ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.fakes.tiny_tokenizer import write_tokenizer

DIM, WORDS = 32, 200


def write(folder: Path, *, seed: int = 0, kind: str = "xlm-roberta") -> Path:
    """Write a model into ``folder``, which is made; returns it."""
    import torch
    from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

    make, of = {"xlm-roberta": (XLMRobertaConfig, XLMRobertaModel), "bert": (BertConfig, BertModel)}[kind]
    torch.manual_seed(seed)
    config = make(
        vocab_size=WORDS, hidden_size=DIM, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=66, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    of(config).save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


def export(folder: Path, *, seed: int = 0) -> Path:
    """Write one whose states are the embeddings of its tokens alone, as a graph of ONNX; returns the folder."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    (folder / "onnx").mkdir(parents=True)
    config = {"model_type": "bert", "hidden_size": DIM, "vocab_size": WORDS, "max_position_embeddings": 64}
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, WORDS)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", DIM])
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    graph = helper.make_graph(nodes, "e5", inputs, [states], [numpy_helper.from_array(table(seed), "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "onnx" / "model.onnx")
    return folder


def table(seed: int = 0) -> np.ndarray:
    """What the export makes of each token: (WORDS, DIM)."""
    return np.random.default_rng(seed).normal(size=(WORDS, DIM)).astype(np.float32)
