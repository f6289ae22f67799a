"""Operators that stand for a whole block arrive as the plain ones that every stage knows, and compute what ONNX says they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.composites import COMPOSITES
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.lower.opset import at_opset
from edgekit.converters.lower.tflite.lower import lower
from edgekit.converters.optimise import optimise
from edgekit.core.errors import InputError
from edgekit.runtimes.onnxruntime import execute

RANDOM = np.random.default_rng(7)
LOWER_LEFT = np.tril(np.ones((5, 5), bool))


@dataclass(frozen=True, kw_only=True)
class Block:
    """One composite node, the shapes of what it reads, and its constants."""

    op: str
    inputs: Mapping[str, tuple[int, ...]]
    opset: int = 23
    constants: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


QKV = {"q": (2, 4, 5, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8)}
CASES = {
    "attention": Block(op="Attention", inputs=QKV),
    "attention, scaled by hand": Block(op="Attention", inputs=QKV, attributes={"scale": 0.25}),
    "attention to what came before": Block(op="Attention", inputs=QKV, attributes={"is_causal": 1}),
    "attention over a longer memory": Block(op="Attention", inputs={**QKV, "k": (2, 4, 7, 8), "v": (2, 4, 7, 6)}),
    "attention with a mask that is added": Block(
        op="Attention", inputs=QKV, constants={"mask": RANDOM.normal(size=(5, 5)).astype(np.float32)}
    ),
    "attention with a mask that allows": Block(op="Attention", inputs=QKV, constants={"mask": LOWER_LEFT}),
    "attention with a mask that is given": Block(op="Attention", inputs={**QKV, "mask": (2, 1, 5, 5)}),
    "attention of heads side by side": Block(
        op="Attention",
        inputs={"q": (1, 5, 32), "k": (1, 5, 32), "v": (1, 5, 32)},
        attributes={"q_num_heads": 4, "kv_num_heads": 4},
    ),
    "attention of heads that share keys": Block(
        op="Attention", inputs={"q": (1, 4, 5, 8), "k": (1, 2, 5, 8), "v": (1, 2, 5, 8)}
    ),
    "attention with bounded scores": Block(op="Attention", inputs=QKV, attributes={"softcap": 2.0}),
    "rotary embedding": Block(
        op="RotaryEmbedding",
        inputs={"x": (1, 4, 5, 8)},
        constants={key: RANDOM.normal(size=(1, 5, 4)).astype(np.float32) for key in ("cos", "sin")},
    ),
    "rotary embedding, interleaved, of a part": Block(
        op="RotaryEmbedding",
        inputs={"x": (1, 4, 5, 8)},
        constants={key: RANDOM.normal(size=(1, 5, 2)).astype(np.float32) for key in ("cos", "sin")},
        attributes={"interleaved": 1, "rotary_embedding_dim": 4},
    ),
    "mean and variance normalised": Block(op="MeanVarianceNormalization", opset=13, inputs={"x": (2, 4, 5, 3)}),
    "swish": Block(op="Swish", opset=24, inputs={"x": (1, 5, 8)}),
    "swish, steeper": Block(op="Swish", opset=24, inputs={"x": (1, 5, 8)}, attributes={"alpha": 1.7}),
    "swiglu": Block(op="SwiGLU", opset=28, inputs={"gate": (1, 5, 8), "value": (1, 5, 8)}),
}
OURS = {name: block for name, block in CASES.items() if onnx.defs.onnx_opset_version() >= block.opset}


def model_of(block: Block) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(block.op, [*block.inputs, *block.constants], ["y"], name="the_block", **block.attributes)],
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in block.inputs.items()],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(value, name) for name, value in block.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", block.opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize("name", OURS)
def test_a_block_computes_the_same_in_plain_operators(name: str, tmp_path: Path) -> None:
    block, path = OURS[name], tmp_path / "block.onnx"
    model = model_of(block)
    path.write_bytes(model.SerializeToString())
    graph = optimise(load(path).graph)
    feed = {key: RANDOM.normal(size=shape).astype(np.float32) for key, shape in block.inputs.items()}
    (expected,) = ReferenceEvaluator(model).run(None, feed)
    assert not COMPOSITES & {node.op for node in graph.nodes}
    np.testing.assert_allclose(execute(to_bytes(at_opset(graph, 17)))(feed)["y"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OURS)
def test_a_block_has_a_tflite_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / "block.onnx"
    path.write_bytes(model_of(OURS[name]).SerializeToString())
    assert lower(optimise(load(path).graph), precision="fp32", quantization=None, edgetpu=False).files


@pytest.mark.parametrize(
    ("name", "left"),
    [("attention", ["MatMul", "MatMul", "Mul", "Mul", "Softmax", "Transpose"]), ("swish", ["Mul", "Sigmoid"])],
)
def test_nothing_is_left_of_how_a_block_is_spelt_out(name: str, left: list[str], tmp_path: Path) -> None:
    path = tmp_path / "block.onnx"
    path.write_bytes(model_of(CASES[name]).SerializeToString())
    assert sorted(node.op for node in optimise(load(path).graph).nodes) == left


def test_a_block_that_cannot_be_spelt_out_is_named(tmp_path: Path) -> None:
    block = Block(op="Attention", inputs={"q": (1, 5, 32), "k": (1, 5, 32), "v": (1, 5, 32)})
    path = tmp_path / "block.onnx"
    path.write_bytes(model_of(block).SerializeToString())
    with pytest.raises(InputError, match=r"op Attention at 'the_block' of .* could not be unfolded"):
        load(path)


def with_past(path: Path, *, causal: int) -> tuple[onnx.ModelProto, Mapping[str, Any]]:
    """An attention that adds to keys and values of before, without a mask."""
    shapes = {"q": (1, 2, 4, 8), "k": (1, 2, 6, 8), "v": (1, 2, 6, 8), "past_k": (1, 2, 3, 8), "past_v": (1, 2, 3, 8)}
    reads, writes = ["q", "k", "v", "", "past_k", "past_v"], ["y", "all_k", "all_v"]
    graph = helper.make_graph(
        [helper.make_node("Attention", reads, writes, name="a", is_causal=causal)],
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in writes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.save(model, path)
    return model, {name: RANDOM.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("causal", [0, 1])
def test_attention_with_past_keys_computes_what_onnx_runtime_computes(causal: int, tmp_path: Path) -> None:
    model, feed = with_past(tmp_path / "past.onnx", causal=causal)
    expected, found = execute(model.SerializeToString())(feed), execute(to_bytes(load(tmp_path / "past.onnx").graph))(feed)
    for name, want in expected.items():
        np.testing.assert_allclose(found[name], want, atol=1e-5)
