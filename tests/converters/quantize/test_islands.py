"""What stays float among integers on a CPU because eight bits cost it more than they save."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekit.converters.graph_onnx import from_model
from edgekit.converters.lower.tflite import legalise
from edgekit.converters.quantize.floats.islands import islands
from edgekit.converters.quantize.rules.schemes import DIALECTS

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def graph(nodes, shape, constants):
    """A graph of nodes (op, inputs, output, attributes) from the input 'x' to the last output."""
    protos = [helper.make_node(op, ins, [out], name=out, **attributes) for op, ins, out, attributes in nodes]
    proto = helper.make_graph(
        protos,
        "test",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=nodes[-1][2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return from_model(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


BLOCK = [
    ("MatMul", ["x", "w"], "before", {}),
    ("Add", ["x", "before"], "residual", {}),
    ("LayerNormalization", ["residual", "scale", "bias"], "norm", {}),
    ("MatMul", ["norm", "w"], "q", {}),
    ("Transpose", ["norm"], "k", {"perm": [0, 2, 1]}),
    ("MatMul", ["q", "k"], "scores", {}),
    ("Mul", ["scores", "temperature"], "cooler", {}),
    ("Softmax", ["cooler"], "attention", {}),
    ("MatMul", ["attention", "norm"], "mixed", {}),
    ("MatMul", ["mixed", "w"], "y", {}),
]


@pytest.fixture(scope="module")
def block():
    constants = {"w": normal(8, 8), "scale": normal(8), "bias": normal(8), "temperature": np.float32([0.3])}
    return legalise(graph(BLOCK, (1, 5, 8), constants), edgetpu=False).graph


def test_a_normalisation_is_float_from_its_mean_to_its_bias(block):
    inside = {node.name for node in block.nodes if node.name.startswith("norm")}
    assert len(inside) == 9 and inside <= islands(block)


def test_what_runs_past_a_block_into_a_normalisation_is_float(block):
    assert "residual" in islands(block)


def test_products_of_computed_matrices_their_weights_and_what_stands_between_are_float(block):
    assert {"scores", "cooler", "attention", "mixed"} <= islands(block)


def test_products_with_weights_are_not(block):
    heavy = {node.name for node in block.nodes if node.op == "Gemm"}
    assert len(heavy) == 3 and not heavy & islands(block)


@pytest.mark.parametrize(("kernel", "kept"), [(5, False), (7, True)])
def test_depthwise_convolutions_wider_than_five_are_float(kernel, kept):
    nodes = [("Conv", ["x", "k"], "y", {"group": 4})]
    found = islands(graph(nodes, (1, 4, 9, 9), {"k": normal(4, 1, kernel, kernel)}))
    assert found == ({"y"} if kept else set())


def test_a_wide_convolution_that_is_not_depthwise_is_not():
    assert not islands(graph([("Conv", ["x", "k"], "y", {})], (1, 4, 9, 9), {"k": normal(4, 4, 7, 7)}))


def test_a_classifiers_softmax_and_a_pooling_mean_are_not():
    nodes = [
        ("ReduceMean", ["x"], "mean", {"axes": [2, 3], "keepdims": 0}),
        ("Gemm", ["mean", "w"], "logits", {}),
        ("Softmax", ["logits"], "y", {}),
    ]
    assert not islands(graph(nodes, (1, 4, 9, 9), {"w": normal(4, 3)}))


def test_a_root_of_something_else_is_not():
    nodes = [("Abs", ["x"], "a", {}), ("Sqrt", ["a"], "r", {}), ("Mul", ["r", "r"], "y", {})]
    assert not islands(graph(nodes, (3, 4), {}))


def test_only_tflite_on_a_cpu_keeps_them():
    assert [name for name, dialect in DIALECTS.items() if dialect.float_islands] == ["tflite", "tflite-16x8"]
