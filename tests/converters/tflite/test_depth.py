"""Windows over depth, height and width compute in LiteRT what ONNX Runtime computes, in float and in integers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.lower.tflite import legalise, lower
from edgekit.core.errors import Unsupported

RNG = np.random.default_rng(11)
VIDEO = (1, 3, 5, 7, 8)
TWO = (2, 3, 5, 7, 8)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


CASES = {
    "conv 3x3x3": (VIDEO, "Conv", [normal(6, 3, 3, 3, 3), normal(6)], {"pads": [1] * 6}),
    "conv of stride 2": (VIDEO, "Conv", [normal(6, 3, 3, 3, 3), normal(6)], {"pads": [1] * 6, "strides": [2, 2, 2]}),
    "conv of no depth": (VIDEO, "Conv", [normal(6, 3, 1, 3, 3)], {"pads": [0, 1, 1, 0, 1, 1]}),
    "conv of depth alone": (
        VIDEO,
        "Conv",
        [normal(6, 3, 3, 1, 1), normal(6)],
        {"pads": [1, 0, 0, 1, 0, 0], "strides": [2, 1, 1]},
    ),
    "conv 1x1x1": (VIDEO, "Conv", [normal(6, 3, 1, 1, 1)], {}),
    "conv that skips frames": (VIDEO, "Conv", [normal(6, 3, 1, 1, 1)], {"strides": [2, 2, 2]}),
    "conv without pads": (VIDEO, "Conv", [normal(6, 3, 3, 3, 3)], {}),
    "conv of all frames": (VIDEO, "Conv", [normal(6, 3, 5, 3, 3)], {}),
    "conv dilated": (VIDEO, "Conv", [normal(6, 3, 3, 3, 3)], {"dilations": [2, 2, 2], "pads": [2] * 6}),
    "conv padded beyond its frames": (VIDEO, "Conv", [normal(6, 3, 3, 1, 1)], {"pads": [4, 0, 0, 3, 0, 0]}),
    "conv SAME_UPPER": (VIDEO, "Conv", [normal(6, 3, 2, 2, 2)], {"auto_pad": "SAME_UPPER", "strides": [2, 2, 2]}),
    "conv SAME_LOWER": (VIDEO, "Conv", [normal(6, 3, 2, 3, 2)], {"auto_pad": "SAME_LOWER"}),
    "conv depthwise": (VIDEO, "Conv", [normal(3, 1, 3, 3, 3), normal(3)], {"group": 3, "pads": [1] * 6}),
    "conv grouped": ((1, 4, 5, 7, 8), "Conv", [normal(6, 2, 3, 3, 3), normal(6)], {"group": 2, "pads": [1] * 6}),
    "conv of two videos": (TWO, "Conv", [normal(6, 3, 3, 3, 3), normal(6)], {"pads": [1] * 6, "strides": [2, 1, 1]}),
    "max pool": (VIDEO, "MaxPool", [], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}),
    "max pool padded": (VIDEO, "MaxPool", [], {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": [1] * 6}),
    "max pool of frames": (VIDEO, "MaxPool", [], {"kernel_shape": [1, 3, 3], "strides": [1, 2, 2], "pads": [0, 1, 1, 0, 1, 1]}),
    "max pool rounding up": ((1, 3, 6, 7, 8), "MaxPool", [], {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "ceil_mode": 1}),
    "max pool dilated in depth": (VIDEO, "MaxPool", [], {"kernel_shape": [2, 1, 1], "dilations": [3, 1, 1]}),
    "max pool dilated": (VIDEO, "MaxPool", [], {"kernel_shape": [2, 2, 2], "dilations": [2, 3, 2], "pads": [1] * 6}),
    "max pool of two videos": (TWO, "MaxPool", [], {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": [1] * 6}),
    "average pool": (VIDEO, "AveragePool", [], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}),
    "average pool of all frames": (VIDEO, "AveragePool", [], {"kernel_shape": [5, 7, 7]}),
    "average pool padded": (VIDEO, "AveragePool", [], {"kernel_shape": [3, 3, 3], "pads": [1] * 6}),
    "average pool, padding counted": (
        VIDEO,
        "AveragePool",
        [],
        {"kernel_shape": [3, 3, 3], "pads": [1] * 6, "count_include_pad": 1},
    ),
    "average pool rounding up": (
        (1, 3, 6, 8, 8),
        "AveragePool",
        [],
        {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "ceil_mode": 1},
    ),
    "average pool of two videos": (TWO, "AveragePool", [], {"kernel_shape": [3, 3, 3], "pads": [1] * 6}),
    "global average pool": (VIDEO, "GlobalAveragePool", [], {}),
    "global average pool of two videos": (TWO, "GlobalAveragePool", [], {}),
}


def one(bench, case):
    """The graph of a case: its operator alone."""
    shape, op, constants, attributes = CASES[case]
    names = [f"k{index}" for index in range(len(constants))]
    return bench.graph({"x": shape}, [(op, ["x", *names], ["y"], attributes)], dict(zip(names, constants, strict=True)))


@pytest.mark.parametrize("case", CASES)
def test_windows_with_a_depth_agree(bench, case):
    bench.check_float(one(bench, case), tolerance=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if "video" not in case])
def test_they_are_integers_as_well(bench, case):
    assert bench.sqnr(one(bench, case)) > 30


@given(data=st.data())
@settings(max_examples=60)
def test_any_convolution_over_depth_is_one_over_frames(bench, data):
    sizes = st.integers(1, 3)
    kernel, strides, dilations = ([data.draw(sizes) for _ in range(3)] for _ in range(3))
    pads = [data.draw(st.integers(0, 2)) for _ in range(6)]
    group = data.draw(st.sampled_from([1, 2, 4]))
    shape = (data.draw(st.integers(1, 2)), 4, *(7 + data.draw(st.integers(0, 2)) for _ in range(3)))
    attributes = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
    weights = np.random.default_rng(0).normal(size=(4, 4 // group, *kernel)).astype(np.float32)
    graph = bench.graph({"x": shape}, [("Conv", ["x", "w"], ["y"], attributes)], {"w": weights})
    legal = legalise(graph, edgetpu=False).graph
    feed = bench.feed(graph)
    bench.compare(bench.onnx(legal, feed), bench.onnx(graph, feed), 1e-5)


@given(data=st.data())
@settings(max_examples=60)
def test_any_pool_over_depth_is_one_over_frames(bench, data):
    kernel, strides = ([data.draw(st.integers(1, 3)) for _ in range(3)] for _ in range(2))
    pads = [data.draw(st.integers(0, size - 1)) for size in (*kernel, *kernel)]
    shape = (data.draw(st.integers(1, 2)), 2, *(5 + data.draw(st.integers(0, 2)) for _ in range(3)))
    op = data.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    if op == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    graph = bench.graph({"x": shape}, [(op, ["x"], ["y"], attributes)])
    legal = legalise(graph, edgetpu=False).graph
    feed = bench.feed(graph)
    bench.compare(bench.onnx(legal, feed), bench.onnx(graph, feed), 1e-5)


def block(bench):
    """A residual block with a gate, as video networks are made of: convolution, normalisation, activation, squeeze, concatenation."""
    constants = {
        "w1": normal(8, 3, 3, 3, 3), "w2": normal(8, 1, 3, 3, 3), "w3": normal(8, 8, 1, 1, 1), "w4": normal(8, 8, 1, 1, 1),
        "scale": np.abs(normal(8)), "shift": normal(8), "mean": normal(8), "var": np.abs(normal(8)) + 1,
        "half": np.float32(0.5), "row": normal(1, 8, 1, 1, 1),
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "w1"], ["c1"], {"pads": [1] * 6, "strides": [1, 2, 2]}),
        ("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n"], {}),
        ("Relu", ["n"], ["r"], {}),
        ("Conv", ["r", "w2"], ["c2"], {"pads": [1] * 6, "group": 8}),
        ("GlobalAveragePool", ["c2"], ["g"], {}),
        ("Conv", ["g", "w3"], ["s"], {}),
        ("Sigmoid", ["s"], ["gate"], {}),
        ("Mul", ["c2", "gate"], ["m"], {}),
        ("Conv", ["m", "w4"], ["c3"], {}),
        ("Mul", ["c3", "half"], ["h"], {}),
        ("Add", ["h", "row"], ["b"], {}),
        ("Add", ["b", "r"], ["a"], {}),
        ("Concat", ["a", "c2"], ["j"], {"axis": 1}),
        ("ReduceMean", ["j"], ["y"], {"axes": [2, 3, 4], "keepdims": 0}),
    ]
    return bench.graph({"x": VIDEO}, nodes, constants)


def test_a_network_stays_in_frames_from_its_first_window_to_its_last(bench):
    graph = block(bench)
    bench.check_float(graph)
    legal = legalise(graph, edgetpu=False).graph
    ops = Counter(node.op for node in legal.nodes)
    assert ops["Transpose"] == 1  # the input's
    assert max(len(legal.shape(name)) for node in legal.nodes[2:] for name in node.outputs) == 4
    assert bench.sqnr(graph) > 20


def test_a_transposed_convolution_over_depth_is_named(bench):
    graph = bench.graph({"x": VIDEO}, [("ConvTranspose", ["x", "w"], ["y"], {})], {"w": normal(3, 4, 2, 2, 2)})
    with pytest.raises(Unsupported, match="a transposed convolution over other than 2 dimensions"):
        lower(legalise(graph, edgetpu=False).graph, precision="fp32", quantization=None, edgetpu=False)
