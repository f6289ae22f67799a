"""Dynamic range: floats meet weights of int8, without calibration, and the file is nearly as small as an int8 one."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.converters.lower.tflite import legalise, lower
from edgekit.converters.quantize.floats.dynamic import FEWEST, dynamic_range

RNG = np.random.default_rng(3)
OPERATORS = {"Gemm", "Conv"}


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def made(graph):
    legal = legalise(graph, edgetpu=False).graph
    return lower(legal, precision="dynamic", quantization=dynamic_range(legal, OPERATORS), edgetpu=False)


LAYERS = {
    "Gemm": ((4, 64), [("Gemm", ["x", "w", "b"], ["y"], {})], {"w": normal(64, 40), "b": normal(40)}),
    "Conv": (
        (1, 16, 9, 9),
        [("Conv", ["x", "w", "b"], ["y"], {"pads": [1, 1, 1, 1]})],
        {"w": normal(32, 16, 3, 3), "b": normal(32)},
    ),
    "depthwise": ((1, 128, 9, 9), [("Conv", ["x", "w"], ["y"], {"group": 128})], {"w": normal(128, 1, 3, 3)}),
}


@pytest.mark.parametrize(("shape", "nodes", "constants"), LAYERS.values(), ids=LAYERS)
def test_a_layer_with_weights_of_int8_takes_and_gives_floats(bench, shape, nodes, constants) -> None:
    graph = bench.graph({"x": shape}, nodes, constants)
    lowered, feed = made(graph), bench.feed(graph)
    assert (lowered.inputs[0].engine.dtype, lowered.outputs[0].engine.dtype) == ("float32", "float32")
    assert lowered.float_layers == ()
    found, expected = bench.tflite(lowered, feed)["y"], bench.onnx(graph, feed)["y"]
    assert 38 < 10 * np.log10(np.square(expected).sum() / np.square(found - expected).sum()) < 70
    assert len(lowered.files["model.tflite"]) < constants["w"].size * 1.2 + 4000


def test_channels_of_any_size_have_scales_of_their_own(bench) -> None:
    weights = normal(64, 40) * np.geomspace(1e-3, 1e3, 40).astype(np.float32)
    graph = bench.graph({"x": (4, 64)}, [("Gemm", ["x", "w"], ["y"], {})], {"w": weights})
    feed = bench.feed(graph)
    found, expected = bench.tflite(made(graph), feed)["y"], bench.onnx(graph, feed)["y"]
    assert (np.abs(found - expected).max(axis=0) < 0.05 * np.abs(expected).max(axis=0)).all()


def test_what_integers_would_not_make_smaller_stays_float_and_is_named(bench) -> None:
    nodes = [("Gemm", ["x", "w"], ["h"], {}), ("Gemm", ["h", "v"], ["y"], {})]
    graph = bench.graph({"x": (1, 64)}, nodes, {"w": normal(64, 40), "v": normal(40, 4)})
    assert FEWEST > 40 * 4
    assert made(graph).float_layers == ("Gemm_1",)


def test_rows_of_a_table_are_picked_as_integers(bench) -> None:
    nodes = [("Cast", ["x"], ["i"], {"to": 7}), ("Gather", ["t", "i"], ["g"], {}), ("Erf", ["g"], ["y"], {})]
    graph = bench.graph({"x": (5,)}, nodes, {"t": normal(200, 16)})
    lowered = made(graph)
    assert len(lowered.files["model.tflite"]) < 200 * 16 + 4000
    feed = {"x": np.arange(5, dtype=np.float32)}
    assert bench.tflite(lowered, feed)["y"] == pytest.approx(bench.onnx(graph, feed)["y"], abs=0.02)
