"""Recurrent layers written out keep a float state on a CPU, and integer weights; what only looks recurrent is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import from_model
from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.floats.recurrences import recurrences
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

STEPS, WIDTH, HIDDEN = 5, 6, 16
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def graph_of(
    op: str, *, edgetpu: bool = False, layers: int = 1, steps: int = STEPS, after: bool = False, **attributes: Any
) -> Graph:
    """Layers of a recurrent operator on x [steps, 1, width], a matrix product on the last state and maybe one more; legalised."""
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {"flat": np.int64([1, HIDDEN]), "one": np.int64([1])}
    nodes, x, width = [], "x", WIDTH
    for i in range(layers):
        rows = GATES[op] * HIDDEN
        sizes = {"w": (1, rows, width), "r": (1, rows, HIDDEN), "b": (1, 2 * rows)}
        constants |= {f"{key}{i}": (rng.normal(size=size) / 4).astype(np.float32) for key, size in sizes.items()}
        read = [x, f"w{i}", f"r{i}", f"b{i}"]
        nodes.append(helper.make_node(op, read, [f"y{i}", f"h{i}"], name=f"layer{i}", hidden_size=HIDDEN, **attributes))
        nodes.append(helper.make_node("Squeeze", [f"y{i}", "one"], [f"x{i}"], name=f"squeeze{i}"))
        x, width = f"x{i}", HIDDEN
    constants |= {"wo": rng.normal(size=(3, HIDDEN)).astype(np.float32)}
    nodes.append(helper.make_node("Reshape", [f"h{layers - 1}", "flat"], ["last"], name="last"))
    nodes.append(helper.make_node("Gemm", ["last", "wo"], ["made" if after else "out"], name="head", transB=1))
    if after:
        constants["wa"] = np.eye(3, dtype=np.float32)
        nodes.append(helper.make_node("Gemm", ["made", "wa"], ["out"], name="after", transB=1))
    proto = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (steps, 1, WIDTH))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph = from_model(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))
    return legalise(graph, edgetpu=edgetpu).graph


def feeds(graph: Graph, count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{spec.name: rng.normal(size=spec.shape).astype(np.float32) for spec in graph.inputs} for _ in range(count)]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("op", sorted(GATES))
def test_every_step_of_every_layer_is_found_and_nothing_else(op: str, layers: int) -> None:
    graph = graph_of(op, layers=layers, after=True)
    found = recurrences(graph)
    assert found.nodes == {node.name for node in graph.nodes} - {"after"}
    assert found.products == {node.name for node in graph.nodes if node.op == "Gemm"} - {"after"}


SPECIAL = [
    ("LSTM", {"clip": 0.75}),
    ("LSTM", {"input_forget": 1}),
    ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Elu"], "activation_alpha": [0.2, 0.5]}),
    ("GRU", {"activations": ["Sigmoid", "Softplus"]}),
    ("RNN", {"activations": ["LeakyRelu"]}),
]


@pytest.mark.parametrize(("op", "attributes"), SPECIAL)
def test_the_steps_of_an_unusual_cell_are_found_too(op: str, attributes: dict[str, Any]) -> None:
    graph = graph_of(op, after=True, **attributes)
    assert recurrences(graph).nodes == {node.name for node in graph.nodes} - {"after"}


def test_one_step_alone_is_no_recurrence() -> None:
    assert recurrences(graph_of("LSTM", steps=1)).nodes == frozenset()


def test_branches_that_share_a_weight_are_no_recurrence() -> None:
    """A siamese network: the same product twice, side by side."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], name="left", transB=1),
        helper.make_node("Relu", ["x"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w"], ["b"], name="right", transB=1),
        helper.make_node("Sub", ["a", "b"], ["y"], name="difference"),
    ]
    info = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    proto = helper.make_graph(nodes, "g", info, outputs, [numpy_helper.from_array(np.ones((4, 4), np.float32), "w")])
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert recurrences(from_model(onnx.shape_inference.infer_shapes(model))).nodes == frozenset()


def snr_db(graph: Graph, scheme: Any, *, keep_float: tuple[str, ...] = ()) -> tuple[float, set[str]]:
    """Signal to noise at the output on new inputs, and the types of the weights of the recurrent products."""
    from ai_edge_litert.interpreter import Interpreter

    quantization = assign(graph, calibrate(graph, feeds(graph, 128, 1), execute), scheme=scheme, keep_float=keep_float)
    lowered = lower(graph, precision="int8", quantization=quantization, edgetpu=scheme == "edgetpu")
    interpreter = Interpreter(model_content=lowered.files["model.tflite"], num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    from edgekit.converters.graph_onnx import to_bytes

    run, signal, noise = execute(to_bytes(graph)), 0.0, 0.0
    port, answer = lowered.inputs[0].engine, lowered.outputs[0].engine
    for feed in feeds(graph, 16, 2):
        x = feed["x"].reshape(given["shape"])
        x = x if port.scale is None else np.clip(np.rint(x / port.scale) + port.zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        found = interpreter.get_tensor(taken["index"]).astype(np.float64)
        found = found if answer.scale is None else (found - answer.zero_point) * answer.scale
        expected = run(feed)["out"]
        signal, noise = signal + float(np.sum(expected**2)), noise + float(np.sum((expected - found) ** 2))
    kinds = {
        detail["dtype"].__name__ for detail in interpreter.get_tensor_details() if detail["name"].endswith("state/weights")
    }
    return 10 * np.log10(signal / noise), kinds


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_on_a_cpu_weights_are_integers_and_the_state_is_float(op: str) -> None:
    graph = graph_of(op)
    cpu, kinds = snr_db(graph, "tflite")
    edge, _ = snr_db(graph_of(op, edgetpu=True), "edgetpu")
    assert kinds == {"int8"}
    assert cpu > 35
    assert cpu > edge + 6


def test_steps_that_the_user_keeps_float_have_float_weights() -> None:
    graph = graph_of("LSTM")
    names = tuple(node.name for node in graph.nodes)
    exact, kinds = snr_db(graph, "tflite", keep_float=names)
    assert kinds == {"float32"}
    assert exact > 100


def test_on_the_edge_tpu_everything_is_integers() -> None:
    graph = graph_of("LSTM", edgetpu=True)
    quantization = assign(graph, calibrate(graph, feeds(graph, 4, 1), execute), scheme="edgetpu")
    assert not quantization.float_nodes
    assert not quantization.dynamic
