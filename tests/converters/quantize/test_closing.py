"""Last layers that cost nothing stay in float on a CPU, and so does what only moves data between floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.floats.closing import closing, moved_between
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RNG = np.random.default_rng(2)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def network(build: Build, classes: int = 4, channels: int = 16) -> Graph:
    """A convolution over a picture, its average, a hidden product, a classifier and its probabilities."""
    nodes = [
        ("Conv", ["x", "k"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("GlobalAveragePool", ["c"], ["g"], {}),
        ("Flatten", ["g"], ["f"], {}),
        ("Gemm", ["f", "w"], ["logits"], {}),
        ("Softmax", ["logits"], ["y"], {}),
    ]
    constants = {"k": normal(channels, 8, 3, 3), "w": normal(channels, classes)}
    return build(nodes, inputs={"x": (1, 8, 32, 32)}, outputs=["y"], constants=constants)


def test_a_small_classifier_and_what_follows_it_stay_in_float(build: Build) -> None:
    assert closing(network(build)) == {"logits_node", "y_node"}


def test_a_classifier_with_many_weights_does_not(build: Build) -> None:
    assert closing(network(build, classes=2000)) == set()


def test_one_that_is_much_of_the_arithmetic_does_not(build: Build) -> None:
    nodes = [("Gemm", ["x", "a"], ["h"], {}), ("Gemm", ["h", "b"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 16)}, outputs=["y"], constants={"a": normal(16, 16), "b": normal(16, 8)})
    assert closing(graph) == set()


def test_a_product_that_something_else_reads_too_is_no_end(build: Build) -> None:
    graph = network(build)
    more = build(
        [
            ("Conv", ["x", "k"], ["c"], {"pads": [1, 1, 1, 1]}),
            ("GlobalAveragePool", ["c"], ["g"], {}),
            ("Flatten", ["g"], ["f"], {}),
            ("Gemm", ["f", "w"], ["h"], {}),
            ("Reshape", ["h", "picture"], ["r"], {}),
            ("Conv", ["r", "k2"], ["y"], {}),
        ],
        inputs={"x": (1, 8, 32, 32)},
        outputs=["y"],
        constants={**graph.constants, "picture": np.array([1, 4, 1, 1]), "k2": normal(3, 4, 1, 1)},
    )
    assert closing(more) == set()


@pytest.mark.parametrize(("scheme", "kept"), [("tflite", True), ("ort-x86", True), ("edgetpu", False)])
def test_only_a_cpu_gets_float_where_it_costs_nothing(build: Build, scheme: str, kept: bool) -> None:
    graph = network(build)
    samples = [{"x": normal(1, 8, 32, 32)} for _ in range(4)]
    found = assign(graph, calibrate(graph, samples, execute), scheme=scheme)  # type: ignore[arg-type]
    assert ("logits_node" in found.float_nodes) is kept
    assert "c_node" not in found.float_nodes


def test_moves_between_floats_are_no_detour_through_integers(build: Build) -> None:
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 2, 1]}),
        ("Erf", ["t"], ["e"], {}),
        ("Reshape", ["e", "flat"], ["r"], {}),
        ("Transpose", ["r"], ["u"], {"perm": [1, 0]}),
        ("Erf", ["u"], ["y"], {}),
        ("Reshape", ["e", "flat"], ["z"], {}),
    ]
    graph = build(nodes, inputs={"x": (1, 3, 4)}, outputs=["y", "z"], constants={"flat": np.array([4, 3])})
    assert moved_between(graph, {"e_node", "y_node"}) == {"t_node", "r_node", "u_node"}
    assert moved_between(graph, {"e_node"}) == {"t_node"}
