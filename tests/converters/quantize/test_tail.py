"""The float tail is found by structure: decoders stay float, classifiers and plain heads do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.floats.tail import float_tail
from edgekit.converters.quantize.ranges.choose import Range

Build = Callable[..., Graph]
WEIGHTS = {"w": np.ones((4, 3, 1, 1), np.float32), "v": np.ones((4, 3, 1, 1), np.float32)}
HEADS = [("Conv", ["x", "w"], ["a"], {}), ("Conv", ["x", "v"], ["b"], {})]


def tail(build: Build, nodes: list[object], outputs: list[str], ranges: dict[str, float], **constants: object) -> set[str]:
    graph = build([*HEADS, *nodes], inputs={"x": (1, 3, 4, 4)}, outputs=outputs, constants={**WEIGHTS, **constants})
    reach = {name: Range(low=-ranges.get(name, 1.0), high=ranges.get(name, 1.0)) for name in graph.specs}
    return {name.removesuffix("_node") for name in float_tail(graph, reach)}


def test_boxes_with_scores_stay_float(build: Build) -> None:
    nodes = [("Sigmoid", ["a"], ["s"], {}), ("Concat", ["b", "s"], ["y"], {"axis": 1})]
    assert tail(build, nodes, ["y"], {"b": 1.0}) == {"s", "y"}


def test_a_concat_of_unlike_ranges_stays_float_with_all_that_follows(build: Build) -> None:
    nodes = [("Concat", ["a", "b"], ["j"], {"axis": 1}), ("Transpose", ["j"], ["y"], {"perm": [0, 2, 3, 1]})]
    assert tail(build, nodes, ["y"], {"a": 640.0}) == {"j", "y"}
    assert tail(build, nodes, ["y"], {"a": 3.0}) == set()


def test_moves_and_absorbed_clamps_before_the_decoder_stay_integers(build: Build) -> None:
    nodes = [
        ("Relu", ["a"], ["r"], {}),
        ("Transpose", ["b"], ["t"], {"perm": [0, 1, 3, 2]}),
        ("Exp", ["t"], ["e"], {}),
        ("Concat", ["r", "e"], ["y"], {"axis": 1}),
    ]
    assert tail(build, nodes, ["y"], {}) == {"e", "y"}


def test_a_grid_of_anchors_is_a_decoder_and_a_plain_factor_is_not(build: Build) -> None:
    nodes = [("Mul", ["a", "k"], ["y"], {})]
    assert tail(build, nodes, ["y", "b"], {}, k=np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)) == {"y"}
    assert tail(build, nodes, ["y", "b"], {}, k=np.float32(2)) == set()


def test_a_final_softmax_or_sigmoid_needs_no_float_tail(build: Build) -> None:
    nodes = [("Softmax", ["a"], ["y"], {"axis": 1}), ("Sigmoid", ["b"], ["z"], {})]
    assert tail(build, nodes, ["y", "z"], {}) == set()


def test_each_end_of_the_graph_is_judged_alone(build: Build) -> None:
    nodes = [("Exp", ["a"], ["y"], {}), ("Sigmoid", ["b"], ["z"], {})]
    assert tail(build, nodes, ["y", "z"], {}) == {"y"}


def test_nothing_before_a_convolution_is_a_tail(build: Build) -> None:
    nodes = [("Exp", ["a"], ["e"], {}), ("Conv", ["e", "u"], ["y"], {})]
    assert tail(build, nodes, ["y", "b"], {}, u=np.ones((2, 4, 1, 1), np.float32)) == set()


def test_the_expected_value_of_a_box_distribution_belongs_to_the_tail(build: Build) -> None:
    nodes = [
        ("Softmax", ["a"], ["s"], {"axis": 1}),
        ("Conv", ["s", "u"], ["e"], {}),
        ("Concat", ["e", "b"], ["y"], {"axis": 1}),
    ]
    found = tail(build, nodes, ["y"], {"b": 16.0}, u=np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1))
    assert found == {"s", "e", "y"}
