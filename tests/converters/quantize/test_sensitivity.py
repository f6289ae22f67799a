"""Keeping nodes in float: what assign makes of it, and the order in which a scan says to do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.lower.onnx import with_integers
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.mend.heads import heads, noise
from edgekit.converters.quantize.mend.sensitivity import LOOKED_AT, scan
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.rules.blocks import blocks
from edgekit.core.errors import ConversionError, InputError
from edgekit.core.progress import Event
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
Feed = Mapping[str, NDArray[Any]]


def kernel(*shape: int, size: float = 0.3) -> NDArray[np.float32]:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * size).astype(np.float32)


def feeds(graph: Graph, count: int = 8) -> list[Feed]:
    random = np.random.default_rng(5)
    return [{spec.name: random.normal(size=spec.shape).astype(np.float32) for spec in graph.inputs} for _ in range(count)]


def seen(graph: Graph) -> Calibration:
    return calibrate(graph, feeds(graph), execute)


def chain(build: Build, *, outlier: float = 1.0) -> Graph:
    """Three Convs with Relus; one channel of the second is `outlier` times as large, and the third takes that back."""
    second, third = kernel(4, 4, 3, 3), kernel(4, 4, 3, 3)
    second[3] *= outlier
    third[:, 3] /= outlier
    nodes = [
        ("Conv", ["x", "w1"], ["a"], {}),
        ("Relu", ["a"], ["r"], {}),
        ("Conv", ["r", "w2"], ["b"], {}),
        ("Relu", ["b"], ["s"], {}),
        ("Conv", ["s", "w3"], ["y"], {}),
    ]
    weights = {"w1": kernel(4, 3, 3, 3), "w2": second, "w3": third}
    return build(nodes, inputs={"x": (1, 3, 12, 12)}, outputs=["y"], constants=weights)


def left(graph: Graph, kept: tuple[str, ...] = ()) -> float:
    """The noise at the outputs of the x86 form of a graph with nodes kept float."""
    quantization = assign(graph, seen(graph), scheme="ort-x86", keep_float=kept)
    exact, rounded = execute(to_bytes(graph)), execute(to_bytes(with_integers(graph, quantization)))
    names, data = [spec.name for spec in graph.outputs], feeds(graph, 4)
    return noise(*([[run(feed)[name] for name in names] for feed in data] for run in (exact, rounded)))


def test_a_node_that_is_kept_float_has_no_weights_and_what_only_it_touches_has_no_parameters(build: Build) -> None:
    graph = chain(build)
    found = assign(graph, seen(graph), scheme="tflite", keep_float=["b_node", "s_node"])
    assert found.float_nodes == {"b_node", "s_node"}
    assert set(found.weights) == {"w1", "w3"}
    assert set(found.activations) == {"x", "a", "r", "s", "y"}


def test_an_input_that_only_float_nodes_read_stays_float(build: Build) -> None:
    graph = chain(build)
    assert "x" not in assign(graph, seen(graph), scheme="tflite", keep_float=["a_node"]).activations


def test_with_every_node_kept_float_nothing_is_quantized(build: Build) -> None:
    graph = chain(build)
    found = assign(graph, seen(graph), scheme="ort-x86", keep_float=[node.name for node in graph.nodes])
    assert not found.activations
    assert not found.weights
    assert left(graph, tuple(node.name for node in graph.nodes)) < 1e-9


@pytest.mark.parametrize("scheme", ["tflite", "edgetpu", "ort-x86", "ort-arm", "tensorrt"])
def test_every_scheme_keeps_what_it_is_told_to(build: Build, scheme: Any) -> None:
    graph = chain(build)
    assert "w2" not in assign(graph, seen(graph), scheme=scheme, keep_float=["b_node"]).weights


def test_a_node_that_does_not_exist_is_named_with_one_that_is_like_it(build: Build) -> None:
    graph = chain(build)
    with pytest.raises(ConversionError, match="no node 'b_nod'") as caught:
        assign(graph, seen(graph), scheme="tflite", keep_float=["b_nod"])
    assert caught.value.hint == "did you mean 'b_node'?"


def test_a_block_is_a_heavy_node_with_what_is_computed_on_its_result(build: Build) -> None:
    nodes = [
        ("Mul", ["x", "k"], ["n"], {}),
        ("Conv", ["n", "w"], ["a"], {}),
        ("Sigmoid", ["a"], ["g"], {}),
        ("Mul", ["a", "g"], ["s"], {}),
        ("Conv", ["s", "v"], ["b"], {}),
        ("Add", ["s", "b"], ["y"], {}),
    ]
    constants = {"k": np.float32(0.5), "w": kernel(4, 3, 1, 1), "v": kernel(4, 4, 1, 1)}
    graph = build(nodes, inputs={"x": (1, 3, 4, 4)}, outputs=["y"], constants=constants)
    named = [tuple(node.output for node in block) for block in blocks(graph)]
    assert named == [("n",), ("a", "g", "s"), ("b", "y")]


def test_noise_is_looked_for_before_a_float_tail_and_not_behind_it(build: Build) -> None:
    nodes = [
        ("Conv", ["x", "w"], ["a"], {}),
        ("Conv", ["x", "v"], ["b"], {}),
        ("Exp", ["a"], ["e"], {}),
        ("Sigmoid", ["b"], ["p"], {}),
        ("Concat", ["e", "p"], ["y"], {"axis": 1}),
    ]
    graph = build(
        nodes, inputs={"x": (1, 3, 4, 4)}, outputs=["y"], constants={"w": kernel(4, 3, 1, 1), "v": kernel(2, 3, 1, 1)}
    )
    assert heads(graph, assign(graph, seen(graph), scheme="tflite")) == ("a", "b")


def test_noise_is_relative_to_variance_and_a_constant_tensor_says_nothing() -> None:
    true = [[np.array([0.0, 2.0]), np.ones(3)], [np.array([0.0, 2.0]), np.ones(3)]]
    given = [[np.array([0.5, 2.5]), np.zeros(3)], [np.array([0.5, 1.5]), np.zeros(3)]]
    assert noise(true, given) == pytest.approx(0.25)


@pytest.mark.parametrize("scheme", ["tflite", "ort-x86", "tensorrt"])
def test_a_scan_names_every_quantized_node_once_and_adds_up_its_macs(build: Build, scheme: Any) -> None:
    graph = chain(build)
    groups = scan(graph, seen(graph), feeds(graph), execute, scheme=scheme)
    names = [name for group in groups for name in group.nodes]
    quantized = {node.name for node in graph.nodes} - assign(graph, seen(graph), scheme=scheme).float_nodes
    assert sorted(names) == sorted(quantized)
    assert all(group.noise >= 0 for group in groups)
    heavy = sum(group.macs for group in groups)
    assert heavy == (3 * 100 + 4 * 64 + 4 * 36) * 9 * 4 or scheme == "tensorrt"


def test_the_layer_that_was_spoiled_comes_first_and_keeping_it_removes_most_of_the_noise(build: Build) -> None:
    graph = chain(build, outlier=300.0)
    groups = scan(graph, seen(graph), feeds(graph), execute, scheme="ort-x86")
    assert "b_node" in groups[0].nodes
    assert groups[0].noise > 10 * sum(group.noise for group in groups[1:])
    assert left(graph, groups[0].nodes) < left(graph) / 10


def test_each_further_group_leaves_less_noise(build: Build) -> None:
    graph = chain(build, outlier=30.0)
    groups = scan(graph, seen(graph), feeds(graph), execute, scheme="ort-x86")
    kept = [tuple(name for group in groups[:count] for name in group.nodes) for count in range(len(groups) + 1)]
    levels = [left(graph, names) for names in kept]
    assert levels == sorted(levels, reverse=True)


def test_a_scan_reads_few_samples_and_says_how_far_it_is(build: Build) -> None:
    graph, told, read = chain(build), list[Event](), list[int]()

    def stream() -> Any:
        for index, feed in enumerate(feeds(graph)):
            read.append(index)
            yield feed

    scan(graph, seen(graph), stream(), execute, scheme="tflite", progress=told.append)
    assert len(read) == LOOKED_AT
    assert [(event.done, event.total) for event in told] == [(index + 1, len(told)) for index in range(len(told))]


def test_a_scan_without_samples_is_an_error(build: Build) -> None:
    graph = chain(build)
    with pytest.raises(InputError, match="no samples to measure noise on"):
        scan(graph, seen(graph), [], execute, scheme="tflite")


def test_a_graph_without_anything_to_quantize_has_no_groups(build: Build) -> None:
    graph = build([("Erf", ["x"], ["y"], {})], inputs={"x": (1, 8)}, outputs=["y"])
    assert scan(graph, seen(graph), feeds(graph), execute, scheme="tflite") == ()
