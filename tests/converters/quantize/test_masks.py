"""Masks of minus infinity, or nearly, do not stretch the ranges of what they mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.lower.onnx import with_integers
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.masks import NEGLIGIBLE, infinite, without_masked
from edgekit.converters.quantize.ranges.choose import spanned
from edgekit.core.errors import InputError
from edgekit.runtimes.onnxruntime import execute, simulate

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(4)
FEEDS = [{"x": RANDOM.normal(size=(1, 6, 8)).astype(np.float32)} for _ in range(8)]
BORDER = np.array([0, 0, 1, 1, 0, 0, 1, 1])


def attention(build: Build, masked: float) -> Graph:
    """Each of six places looks only at itself and those before it."""
    mask = np.where(np.tril(np.ones((6, 6))) > 0, 0, masked).astype(np.float32)
    nodes = [
        ("MatMul", ["x", "w"], ["q"], {}),
        ("Transpose", ["x"], ["k"], {"perm": [0, 2, 1]}),
        ("MatMul", ["q", "k"], ["s"], {}),
        ("Add", ["s", "m"], ["a"], {}),
        ("Softmax", ["a"], ["p"], {"axis": -1}),
        ("MatMul", ["p", "x"], ["y"], {}),
    ]
    weight = RANDOM.normal(size=(8, 8)).astype(np.float32) / 4
    return build(nodes, inputs={"x": (1, 6, 8)}, outputs=["y"], constants={"w": weight, "m": mask})


@pytest.mark.parametrize("masked", [-np.inf, float(np.finfo(np.float32).min), -1e9, -1e4])
@pytest.mark.parametrize("scheme", ["ort-x86", "ort-arm", "tflite"])
def test_a_masked_attention_is_as_exact_as_one_without_a_mask(build: Build, masked: float, scheme: str) -> None:
    graph = attention(build, masked)
    quantization = assign(graph, calibrate(graph, FEEDS, execute), scheme=scheme)  # type: ignore[arg-type]
    exact, rounded = execute(to_bytes(graph)), simulate(to_bytes(with_integers(graph, quantization)))
    pairs = [(exact(feed)["y"], rounded(feed)["y"]) for feed in FEEDS]
    error = np.sqrt(np.mean([(a - b) ** 2 for a, b in pairs]) / np.mean([a**2 for a, _ in pairs]))
    assert error < 0.04


def test_a_pooling_border_of_minus_infinity_takes_no_range(build: Build) -> None:
    nodes = [
        ("Conv", ["x", "w"], ["c"], {}),
        ("Pad", ["c", "pads", "v"], ["d"], {}),
        ("MaxPool", ["d"], ["y"], {"kernel_shape": [3, 3]}),
    ]
    weight = RANDOM.normal(size=(4, 3, 1, 1)).astype(np.float32)
    constants = {"w": weight, "pads": BORDER, "v": np.float32(-np.inf)}
    graph = build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y"], constants=constants)
    feeds = [{"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(8)]
    quantization = assign(graph, calibrate(graph, feeds, execute), scheme="ort-x86")
    assert spanned(quantization.activations["d"]).low > -100
    run, exact = execute(to_bytes(with_integers(graph, quantization))), execute(to_bytes(graph))
    assert np.abs(run(feeds[0])["y"] - exact(feeds[0])["y"]).max() < 0.2


def test_an_infinity_that_the_model_did_not_put_there_is_still_refused(build: Build) -> None:
    graph = build([("Exp", ["x"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"])
    with pytest.raises(InputError, match="sample 0: tensor 'y': it holds infinity"):
        calibrate(graph, [{"x": np.full((1, 4), 1000, np.float32)}], execute)


def test_infinities_are_followed_from_their_constant_to_what_ends_them(build: Build) -> None:
    assert infinite(attention(build, -np.inf)) == {"m", "a"}
    assert infinite(attention(build, -1e9)) == frozenset()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_layer_whose_weights_are_not_finite_stays_float(build: Build, wrong: float) -> None:
    weight = np.ones((8, 8), np.float32)
    weight[0, 0] = wrong
    nodes = [("MatMul", ["x", "w"], ["a"], {}), ("Relu", ["x"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 6, 8)}, outputs=["a", "y"], constants={"w": weight})
    calibration = calibrate(build([nodes[1]], inputs={"x": (1, 6, 8)}, outputs=["y"]), FEEDS, execute)
    both = type(calibration)(
        histograms={**calibration.histograms, "a": calibration.histograms["y"]}, samples=8, sha256=calibration.sha256
    )
    assert assign(graph, both, scheme="tflite").float_nodes == {"a_node"}


def test_what_a_softmax_cannot_see_is_raised_to_where_it_ends() -> None:
    values = np.array([[0.0, 5.0, -1e9], [-1e9, -1e9, 3.0]])
    floor = [5 - NEGLIGIBLE, 3 - NEGLIGIBLE]
    assert without_masked(values, -1, infinities=False).tolist() == [[0, 5, floor[0]], [floor[1], floor[1], 3]]


def test_of_nothing_but_infinities_a_zero_is_left() -> None:
    assert without_masked(np.full(3, -np.inf), None, infinities=True).tolist() == [0.0]
