"""int16x8: activations of sixteen bits, weights of eight, in LiteRT's own kernels; what they cannot do is float, and said."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgekit.converters.graph import Graph
from edgekit.converters.lower.base import Lowered
from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.lower.tflite.program import Operator, Tensor
from edgekit.converters.lower.tflite.versions import version
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

RNG = np.random.default_rng(8)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def positive(*shape):
    return np.abs(normal(*shape))


SHAPE = (1, 8, 6, 6)
OPERATORS = {
    "Conv": ([("Conv", ["x", "k", "b"], ["y"], {"pads": [1, 1, 1, 1]})], {"k": normal(16, 8, 3, 3), "b": normal(16)}),
    "Conv with a clamp": ([("Conv", ["x", "k"], ["c"], {}), ("Relu", ["c"], ["y"], {})], {"k": normal(4, 8, 3, 3)}),
    "depthwise": ([("Conv", ["x", "k"], ["y"], {"group": 8, "strides": [2, 2]})], {"k": normal(8, 1, 3, 3)}),
    "ConvTranspose": ([("ConvTranspose", ["x", "k", "b"], ["y"], {"strides": [2, 2]})], {"k": normal(8, 4, 2, 2), "b": normal(4)}),
    "Gemm": ([("Flatten", ["x"], ["f"], {}), ("Gemm", ["f", "w", "b"], ["y"], {})], {"w": normal(288, 10), "b": normal(10)}),
    "Add": ([("Add", ["x", "c"], ["y"], {})], {"c": positive(1)}),
    "Sub": ([("Sub", ["x", "c"], ["y"], {})], {"c": positive(1)}),
    "Mul": ([("Mul", ["x", "c"], ["y"], {})], {"c": positive(1)}),
    "a sum of two": ([("Relu", ["x"], ["r"], {}), ("Add", ["x", "r"], ["y"], {})], {}),
    "Relu": ([("Relu", ["x"], ["y"], {})], {}),
    "Clip": ([("Clip", ["x", "low", "high"], ["y"], {})], {"low": np.float32(0), "high": np.float32(6)}),
    "LeakyRelu": ([("LeakyRelu", ["x"], ["y"], {"alpha": 0.2})], {}),
    "Sigmoid": ([("Sigmoid", ["x"], ["y"], {})], {}),
    "Tanh": ([("Tanh", ["x"], ["y"], {})], {}),
    "SiLU": ([("Sigmoid", ["x"], ["s"], {}), ("Mul", ["x", "s"], ["y"], {})], {}),
    "Softmax": ([("Softmax", ["x"], ["y"], {"axis": -1})], {}),
    "MaxPool": ([("MaxPool", ["x"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2]})], {}),
    "padded MaxPool": ([("MaxPool", ["x"], ["y"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]})], {}),
    "AveragePool": ([("AveragePool", ["x"], ["y"], {"kernel_shape": [2, 2], "strides": [2, 2]})], {}),
    "GlobalAveragePool": ([("GlobalAveragePool", ["x"], ["y"], {})], {}),
    "ReduceMax": ([("ReduceMax", ["x"], ["y"], {"axes": [2, 3], "keepdims": 1})], {}),
    "Concat": ([("Relu", ["x"], ["r"], {}), ("Concat", ["x", "r"], ["y"], {"axis": 1})], {}),
    "Pad": ([("Pad", ["x", "pads"], ["y"], {})], {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}),
    "Slice": ([("Slice", ["x", "s", "e", "a"], ["y"], {})], {"s": np.array([1]), "e": np.array([5]), "a": np.array([2])}),
    "Split": ([("Split", ["x"], ["p", "q"], {"axis": 1}), ("Add", ["p", "q"], ["y"], {})], {}),
    "Transpose": ([("Transpose", ["x"], ["t"], {"perm": [0, 3, 2, 1]}), ("Softmax", ["t"], ["y"], {"axis": 1})], {}),
    "nearest": ([("Resize", ["x", "", "sc"], ["y"], {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})], {"sc": np.array([1, 1, 2, 2], np.float32)}),
    "bilinear": ([("Resize", ["x", "", "sc"], ["y"], {"mode": "linear"})], {"sc": np.array([1, 1, 2, 2], np.float32)}),
    "Max": ([("Sigmoid", ["x"], ["s"], {}), ("Tanh", ["x"], ["t"], {}), ("Max", ["s", "t"], ["y"], {})], {}),
}  # fmt: skip


def lowered(graph: Graph, feeds: list) -> Lowered:
    legal = legalise(graph, edgetpu=False).graph
    quantization = assign(legal, calibrate(legal, feeds, execute), scheme="tflite-16x8")
    return lower(legal, precision="int16x8", quantization=quantization, edgetpu=False)


def answer(made: Lowered, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=made.files["model.tflite"], num_threads=1)
    interpreter.allocate_tensors()
    (port,), (result,) = made.inputs, made.outputs
    array = x.transpose(port.permutation) if port.permutation else x
    if port.engine.scale is not None:
        array = np.rint(array / port.engine.scale).astype(np.int16)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(array))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    real = found * np.float32(result.engine.scale) if result.engine.scale is not None else found
    return real.transpose(np.argsort(result.permutation)) if result.permutation else real


@pytest.mark.parametrize(("nodes", "constants"), OPERATORS.values(), ids=OPERATORS)
def test_an_operator_in_sixteen_bits_is_as_good_as_its_weights(bench, nodes, constants) -> None:
    graph = bench.graph({"x": SHAPE}, nodes, constants)
    feeds = [{"x": normal(*SHAPE)} for _ in range(4)]
    made = lowered(graph, feeds)
    assert made.float_layers == ()
    assert (made.inputs[0].engine.dtype, made.outputs[0].engine.dtype) == ("int16", "int16")
    expected = execute_(graph, feeds[0])
    noise = np.square(answer(made, feeds[0]["x"]) - expected).sum() / np.square(expected).sum()
    weighted = any(op in ("Conv", "ConvTranspose", "Gemm") for op, *_ in nodes)
    assert -10 * np.log10(noise + 1e-20) > (38 if weighted else 65)


def execute_(graph: Graph, feed):
    from edgekit.converters.graph_onnx import to_bytes

    return execute(to_bytes(graph))(feed)["y"]


def test_what_has_no_such_kernel_is_float_and_said(bench) -> None:
    nodes = [("Conv", ["x", "k"], ["c"], {}), ("HardSwish", ["c"], ["h"], {}), ("Conv", ["h", "k2"], ["y"], {})]
    graph = bench.graph({"x": SHAPE}, nodes, {"k": normal(8, 8, 3, 3), "k2": normal(8, 8, 3, 3)})
    made = lowered(graph, [{"x": normal(*SHAPE)} for _ in range(4)])
    assert made.float_layers == ("HardSwish_1",)


def test_a_bias_has_sixty_four_bits_however_large_it_is_beside_its_scale(bench) -> None:
    graph = bench.graph(
        {"x": SHAPE}, [("Conv", ["x", "k", "b"], ["y"], {})], {"k": 1e-4 * normal(4, 8, 3, 3), "b": 1e3 * positive(4)}
    )
    feeds = [{"x": normal(*SHAPE)} for _ in range(4)]
    expected = execute_(graph, feeds[0])
    assert answer(lowered(graph, feeds), feeds[0]["x"]) == pytest.approx(expected, rel=1e-3)


def test_versions_are_those_in_which_the_kernels_took_sixteen_bits() -> None:
    tensor = Tensor(name="t", shape=(1, 2, 2, 4), dtype="int16")
    weights = Tensor(name="w", shape=(4, 1, 1, 4), dtype="int8")
    known = {
        "CONV_2D": 4,
        "DEPTHWISE_CONV_2D": 5,
        "FULLY_CONNECTED": 7,
        "ADD": 3,
        "SUB": 5,
        "MUL": 4,
        "CONCATENATION": 3,
        "RESHAPE": 1,
    }
    for name, number in known.items():
        assert version(Operator(name=name, inputs=(tensor, weights), outputs=(tensor,))) == number
