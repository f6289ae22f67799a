"""Dynamic range in ONNX Runtime: products, tables and LSTMs with int8 weights, in the forms that it has kernels for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.lower.onnx import MODEL, lower
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.floats.dynamic import plain_lstms
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.core.errors import Unsupported
from edgekit.runtimes.onnxruntime import execute, simulate

Build = Callable[..., Graph]
RNG = np.random.default_rng(6)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def sqnr(exact: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10(np.square(exact).sum() / np.square(found - exact).sum()))


PRODUCTS = {
    "Gemm": ((3, 64), "Gemm", ["x", "w", "b"], {}, (64, 40)),
    "Gemm, turned": ((3, 64), "Gemm", ["x", "w", "b"], {"transB": 1}, (40, 64)),
    "Gemm without a bias": ((3, 64), "Gemm", ["x", "w"], {}, (64, 40)),
    "MatMul of a stack": ((2, 5, 64), "MatMul", ["x", "w"], {}, (64, 40)),
}


@pytest.mark.parametrize(("shape", "op", "reads", "attributes", "weights"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_is_one_of_integers_with_a_scale_per_column(
    build: Build, shape: tuple, op: str, reads: list, attributes: dict, weights: tuple
) -> None:
    constants = {"w": normal(*weights), **({"b": normal(40)} if "b" in reads else {})}
    graph = build([(op, reads, ["y"], attributes)], inputs={"x": shape}, outputs=["y"], constants=constants)
    lowered = lower(graph, precision="dynamic")
    assert lowered.float_layers == ()
    feed = {"x": normal(*shape)}
    exact, found = execute(to_bytes(graph))(feed)["y"], simulate(lowered.files[MODEL])(feed)["y"]
    assert found.shape == exact.shape
    assert 36 < sqnr(exact, found) < 70
    assert len(lowered.files[MODEL]) < 64 * 40 + 3000


def test_a_tensor_that_several_products_read_is_quantized_once(build: Build) -> None:
    nodes = [("MatMul", ["x", "q"], ["a"], {}), ("MatMul", ["x", "k"], ["b"], {}), ("Add", ["a", "b"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 64)}, outputs=["y"], constants={"q": normal(64, 32), "k": normal(64, 32)})
    assert lower(graph, precision="dynamic").files[MODEL].count(b"DynamicQuantizeLinear") <= 4


def recurrent(build: Build, directions: int = 1, **attributes: object) -> Graph:
    nodes = [("LSTM", ["x", "w", "r", "b"], ["y", "", ""], {"hidden_size": 16, **attributes})]
    if directions == 2:
        nodes[0][3]["direction"] = "bidirectional"
    constants = {"w": normal(directions, 64, 8) / 2, "r": normal(directions, 64, 16) / 4, "b": normal(directions, 128) / 4}
    return build(
        [("LSTM", nodes[0][1], ["y", "h", "c"], nodes[0][3])],
        inputs={"x": (7, 1, 8)},
        outputs=["y", "h", "c"],
        constants=constants,
    )


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("precision", ["dynamic", "int8"])
def test_an_lstm_has_int8_weights_and_reads_floats(build: Build, directions: int, precision: str) -> None:
    graph = recurrent(build, directions)
    samples = [{"x": normal(7, 1, 8)} for _ in range(4)]
    quantization = assign(graph, calibrate(graph, samples, execute), scheme="ort-x86") if precision == "int8" else None
    lowered = lower(graph, precision=precision, quantization=quantization)  # type: ignore[arg-type]
    assert b"DynamicQuantizeLSTM" in lowered.files[MODEL]
    assert lowered.float_layers == ()
    exact, found = execute(to_bytes(graph))(samples[0]), simulate(lowered.files[MODEL])(samples[0])
    assert sqnr(exact["y"], found["y"]) > 30


def test_an_lstm_that_is_kept_in_float_keeps_its_weights(build: Build) -> None:
    graph = recurrent(build)
    samples = [{"x": normal(7, 1, 8)} for _ in range(4)]
    quantization = assign(graph, calibrate(graph, samples, execute), scheme="ort-x86", keep_float=["y_node"])
    assert b"DynamicQuantizeLSTM" not in lower(graph, precision="int8", quantization=quantization).files[MODEL]


@pytest.mark.parametrize("special", [{"clip": 3.0}, {"activations": ["Sigmoid", "Relu", "Tanh"]}, {"input_forget": 1}])
def test_an_unusual_lstm_stays_as_it_is(build: Build, special: dict) -> None:
    assert plain_lstms(recurrent(build)) == {"y_node"}
    assert plain_lstms(recurrent(build, **special)) == set()


def test_a_model_that_has_nothing_for_it_is_refused_by_name(build: Build) -> None:
    graph = build(
        [("Conv", ["x", "k"], ["y"], {})], inputs={"x": (1, 32, 8, 8)}, outputs=["y"], constants={"k": normal(64, 32, 3, 3)}
    )
    with pytest.raises(Unsupported, match="not for convolutions"):
        lower(graph, precision="dynamic")
