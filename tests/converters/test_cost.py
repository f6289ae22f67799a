"""What a model costs, against sums made by hand and against published figures of well-known networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import Op, T, tflite, tiny_onnx, tiny_tflite

from edgekit.converters.cost import Cost, graph_cost, tflite_cost
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.tflite_file import read as tflite_file


def cost(folder: Path, op: str, data: Sequence[int], weights: Sequence[Sequence[int]], **attributes: Any) -> Cost:
    """The cost of one ONNX operator on an input of that shape with weights of those shapes."""
    names = [f"w{i}" for i in range(len(weights))]
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, data)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in zip(names, weights, strict=True)],
    )
    path = folder / "one.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return graph_cost(onnx_file.load(path).graph)


@pytest.mark.parametrize(
    ("op", "data", "weights", "attributes", "macs"),
    [
        ("Conv", (1, 8, 10, 10), [(16, 8, 3, 3)], {"kernel_shape": [3, 3]}, 16 * 8 * 8 * 8 * 9),
        ("Conv", (1, 8, 10, 10), [(8, 1, 3, 3)], {"kernel_shape": [3, 3], "group": 8, "strides": [2, 2]}, 8 * 4 * 4 * 9),
        ("ConvTranspose", (1, 8, 5, 5), [(8, 4, 2, 2)], {"kernel_shape": [2, 2], "strides": [2, 2]}, 8 * 25 * 4 * 4),
        ("Gemm", (3, 8), [(8, 5)], {}, 3 * 8 * 5),
        ("Gemm", (8, 3), [(5, 8)], {"transA": 1, "transB": 1}, 3 * 8 * 5),
        ("MatMul", (2, 3, 8), [(8, 5)], {}, 2 * 3 * 8 * 5),
        ("LSTM", (7, 1, 4), [(1, 12, 4), (1, 12, 3)], {"hidden_size": 3}, 7 * (12 * 4 + 12 * 3)),
    ],
    ids=["conv", "depthwise", "transposed", "gemm", "gemm of transposes", "matmul", "lstm"],
)
def test_multiply_accumulates_of_one_operator(
    op: str, data: Sequence[int], weights: Sequence[Sequence[int]], attributes: Any, macs: int, tmp_path: Path
) -> None:
    found = cost(tmp_path, op, data, weights, **attributes)
    assert found.macs == macs
    assert found.params == sum(int(np.prod(shape)) for shape in weights)
    assert found.ops == {op: 1}


def test_the_same_model_costs_the_same_in_both_formats(tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_onnx())
    onnx, lite = graph_cost(onnx_file.load(path).graph), tflite_cost(tflite_file.parse(tiny_tflite(quantized=False)))
    assert (onnx.macs, onnx.params, onnx.activation_bytes) == (lite.macs, lite.params, lite.activation_bytes)
    assert (lite.macs, lite.params, lite.parameter_bytes, lite.activation_bytes) == (2 * 3 * 16, 8, 32, 4 * (48 + 32))


def test_an_int8_model_holds_a_quarter_of_the_bytes() -> None:
    found = tflite_cost(tflite_file.parse(tiny_tflite(quantized=True)))
    assert (found.parameter_bytes, found.activation_bytes, found.macs) == (6, 48 + 32, 96)


def test_scales_and_zero_points_of_a_quantized_graph_are_no_parameters(tmp_path: Path) -> None:
    arrays = {"w": np.zeros((2, 3, 1, 1), np.int8), "s": np.float32(0.1), "z": np.int8(0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"]),
        helper.make_node("Conv", ["x", "wf"], ["y"], kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    path = tmp_path / "q.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    found = graph_cost(onnx_file.load(path).graph)
    assert (found.params, found.parameter_bytes, found.macs) == (6, 6, 96)


def test_an_operator_without_its_weights_costs_nothing_rather_than_an_error() -> None:
    tensors = [T(name="x", shape=(1, 4)), T(name="y", shape=(1, 4))]
    data = tflite(tensors, [Op(op="CONV_2D", inputs=("x",), outputs=("y",))], ["x"], ["y"])
    assert tflite_cost(tflite_file.parse(data)).macs == 0


def test_each_operator_has_its_own_products_and_bytes(tmp_path: Path) -> None:
    (found,) = cost(tmp_path, "Conv", (1, 8, 10, 10), [(16, 8, 3, 3)], kernel_shape=[3, 3]).operators
    assert (found.op, found.macs) == ("Conv", 16 * 8 * 8 * 8 * 9)
    assert (found.read_bytes, found.parameter_bytes, found.written_bytes) == (8 * 100 * 4, 16 * 8 * 9 * 4, 16 * 64 * 4)
    assert found.bytes == found.read_bytes + found.parameter_bytes + found.written_bytes


def test_a_reshape_moves_nothing_and_a_lookup_reads_only_what_it_gives(tmp_path: Path) -> None:
    arrays = {"table": np.zeros((1000, 16), np.float32), "shape": np.array([4, 8])}
    nodes = [
        helper.make_node("Gather", ["table", "i"], ["rows"]),
        helper.make_node("Add", ["rows", "x"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 16)),
            helper.make_tensor_value_info("i", TensorProto.INT64, (2,)),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    path = tmp_path / "lookup.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    lookup, add, reshape = graph_cost(onnx_file.load(path).graph).operators
    assert (lookup.read_bytes, lookup.parameter_bytes, lookup.written_bytes) == (2 * 8, 2 * 16 * 4, 2 * 16 * 4)
    assert (add.read_bytes, add.written_bytes) == (2 * 2 * 16 * 4, 2 * 16 * 4)
    assert reshape.bytes == 0


def test_a_transposed_first_factor_sums_over_its_rows() -> None:
    tensors = [T(name="a", shape=(7, 3)), T(name="b", shape=(7, 5)), T(name="y", shape=(3, 5))]
    data = tflite(
        tensors,
        [Op(op="BATCH_MATMUL", inputs=("a", "b"), outputs=("y",), options_type="BatchMatMulOptions", options={"adjX": True})],
        ["a", "b"],
        ["y"],
    )
    assert tflite_cost(tflite_file.parse(data)).macs == 3 * 5 * 7


@pytest.mark.parametrize("op", ["CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_damaged_operator_costs_something_or_nothing_but_is_no_crash(op: str, count: int) -> None:
    tensors = [T(name=name, shape=(4,)) for name in "abcy"]
    data = tflite(tensors, [Op(op=op, inputs=tuple("abc"[:count]), outputs=("y",))], ["a"], ["y"])
    assert tflite_cost(tflite_file.parse(data)).macs >= 0


@pytest.mark.parametrize(
    ("file", "macs", "params"),
    [
        # arXiv 1801.04381 table 4: 300 M MACs, 3.4 M parameters; the file has 1001 classes.
        ("models_coral/mobilenet_v2_1.0_224_quant.tflite", 300e6, 3.47e6),
        # arXiv 1704.04861 table 7: 0.25 MobileNet-128 has 14 M MACs and 0.5 M parameters.
        ("models_coral/mobilenet_v1_0.25_128_quant.tflite", 14e6, 0.47e6),
        # github.com/Megvii-BaseDetection/YOLOX README: YOLOX-Nano at 416 has 1.08 GFLOPs (two per MAC) and 0.91 M parameters.
        ("models_onnx/yolox_nano.onnx", 0.54e9, 0.91e6),
    ],
)
def test_well_known_networks_cost_what_their_authors_say(file: str, macs: float, params: float, shared_data: Path) -> None:
    path = shared_data / file
    found = graph_cost(onnx_file.load(path).graph) if path.suffix == ".onnx" else tflite_cost(tflite_file.load(path))
    assert found.macs == pytest.approx(macs, rel=0.04)
    assert found.params == pytest.approx(params, rel=0.02)
