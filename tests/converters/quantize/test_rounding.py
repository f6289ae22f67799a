"""Weights that are rounded together leave less error at the output than weights rounded each by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.mend.patches import patches
from edgekit.converters.quantize.mend.rounding import compensated, inverse_root, nearest, round_weights, squared_error
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.fetch import portions
from edgekit.converters.quantize.parameters import dequantize, quantize
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]


def problem(seed: int, rows: int, inputs: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, their scale, and the second moments of inputs that depend on one another."""
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(200, inputs)) + spread * rng.normal(size=(200, 1))
    weights = rng.normal(size=(1, rows, inputs))
    return weights, np.abs(weights).max(axis=-1, keepdims=True) / 127, (seen.T @ seen)[None]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(1, 150), st.floats(0, 5))
def test_every_weight_lies_on_its_grid_within_reach(seed: int, rows: int, inputs: int, spread: float) -> None:
    weights, scale, moments = problem(seed, rows, inputs, spread)
    steps = compensated(weights, scale, moments) / scale
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert np.abs(steps).max() <= 127.001


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**20), st.floats(1, 5))
def test_inputs_that_move_together_let_weights_make_up_for_each_other(seed: int, spread: float) -> None:
    weights, scale, moments = problem(seed, 8, 60, spread)
    together = squared_error(weights - compensated(weights, scale, moments), moments).sum()
    assert together < 0.85 * squared_error(weights - nearest(weights, scale), moments).sum(), (
        "far less in most draws, never as much"
    )


def test_inputs_that_have_nothing_to_do_with_one_another_leave_each_weight_at_its_nearest_step() -> None:
    weights, scale, _ = problem(0, 4, 30, 0.0)
    moments = np.diag(np.linspace(1, 2, 30))[None]
    assert compensated(weights, scale, moments) == pytest.approx(nearest(weights, scale))


def test_moments_of_inputs_that_never_vary_break_nothing() -> None:
    weights, scale, _ = problem(0, 4, 30, 0.0)
    assert np.isfinite(compensated(weights, scale, np.zeros((1, 30, 30)))).all()


@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_root_of_an_inverse_is_a_triangle_whose_square_undoes_the_form(size: int, seed: int) -> None:
    seen = np.random.default_rng(seed).normal(size=(2, 50, size))
    form = seen.transpose(0, 2, 1) @ seen + np.eye(size)
    root = inverse_root(form)
    assert np.allclose(root, np.triu(root))
    np.testing.assert_allclose(root.transpose(0, 2, 1) @ root @ form, np.broadcast_to(np.eye(size), form.shape), atol=1e-8)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 150))
def test_layers_are_taken_in_turn_where_all_at_once_would_not_fit(sizes: list[int], budget: int) -> None:
    found = list(portions([(str(index), size) for index, size in enumerate(sizes)], budget))
    assert [int(name) for part in found for name in part] == list(range(len(sizes)))
    assert all(sum(sizes[int(name)] for name in part) <= budget or len(part) == 1 for part in found)


CONVS = {
    "plain": {},
    "padded": {"pads": [1, 0, 2, 1]},
    "strided": {"strides": [2, 3], "pads": [1, 1, 1, 1]},
    "dilated": {"dilations": [2, 1]},
    "same": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same, before": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    "depthwise": {"group": 4, "pads": [1, 1, 1, 1]},
}


@pytest.mark.parametrize("attributes", CONVS.values(), ids=CONVS)
def test_patches_times_weights_are_the_convolution(build: Build, attributes: dict) -> None:
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(4 if "group" in attributes else 6, 1 if "group" in attributes else 4, 3, 2)).astype(np.float32)
    nodes = [("Conv", ["x", "k"], ["y"], attributes)]
    graph = build(nodes, inputs={"x": (2, 4, 9, 8)}, outputs=["y"], constants={"k": kernel})
    x = rng.normal(size=(2, 4, 9, 8)).astype(np.float32)
    groups = attributes.get("group", 1)
    found = patches(graph, graph.nodes[0], x) @ kernel.reshape(groups, kernel.shape[0] // groups, -1).transpose(0, 2, 1)
    expected = execute(to_bytes(graph))({"x": x})["y"].transpose(0, 2, 3, 1).reshape(-1, kernel.shape[0])
    assert found.transpose(1, 0, 2).reshape(expected.shape) == pytest.approx(expected, abs=1e-4)


def test_of_a_large_picture_some_places_are_enough(build: Build) -> None:
    kernel = np.ones((2, 3, 3, 3), np.float32)
    graph = build([("Conv", ["x", "k"], ["y"], {})], inputs={"x": (1, 3, 90, 90)}, outputs=["y"], constants={"k": kernel})
    first, second = (patches(graph, graph.nodes[0], np.random.default_rng(0).random((1, 3, 90, 90)), phase=p) for p in (0, 1))
    assert first.shape[0] == 1 and 200 < first.shape[1] < 400 and first.shape[2] == 27
    assert not np.array_equal(first[:, :200], second[:, :200])


def network(build: Build) -> Graph:
    rng = np.random.default_rng(5)
    nodes = [
        ("Conv", ["x", "k"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("Relu", ["c"], ["r"], {}),
        ("Conv", ["r", "k2"], ["y"], {"group": 8}),
    ]
    constants = {"k": rng.normal(size=(8, 4, 3, 3)).astype(np.float32), "k2": rng.normal(size=(8, 1, 3, 3)).astype(np.float32)}
    return build(nodes, inputs={"x": (1, 4, 12, 12)}, outputs=["y"], constants=constants)


def feeds(count: int, seed: int = 0) -> list[dict]:
    """Pictures in which neighbours are alike."""
    rng = np.random.default_rng(seed)
    return [{"x": rng.random((1, 1, 4, 4), np.float32).repeat(3, 2).repeat(3, 3).repeat(4, 1)} for _ in range(count)]


def test_rounded_weights_are_stored_as_they_are_and_leave_less_noise_on_new_data(build: Build) -> None:
    graph, samples = network(build), feeds(8)
    quantization = assign(graph, calibrate(graph, samples, execute), scheme="tflite")
    found = round_weights(graph, quantization, samples, execute)
    assert found.changes == 2
    for name, params in quantization.weights.items():
        value = found.graph.constants[name]
        assert dequantize(quantize(value, params), params) == pytest.approx(value, abs=1e-6)
    plain = graph.with_nodes(
        graph.nodes, constants={n: dequantize(quantize(graph.constants[n], p), p) for n, p in quantization.weights.items()}
    )
    exact, alone, together = (execute(to_bytes(each)) for each in (graph, plain, found.graph))
    errors = [[np.square(run(feed)["y"] - exact(feed)["y"]).sum() for feed in feeds(8, seed=1)] for run in (alone, together)]
    assert sum(errors[1]) < 0.8 * sum(errors[0])


def test_with_one_sample_nothing_could_be_judged_and_nothing_changes(build: Build) -> None:
    graph, samples = network(build), feeds(1)
    quantization = assign(graph, calibrate(graph, samples, execute), scheme="tflite")
    assert round_weights(graph, quantization, samples, execute).graph is graph


def test_a_layer_that_is_too_wide_and_one_in_float_are_left(build: Build) -> None:
    graph, samples = network(build), feeds(4)
    quantization = assign(graph, calibrate(graph, samples, execute), scheme="tflite", keep_float=["y_node"])
    assert round_weights(graph, quantization, samples, execute).changes == 1
    assert round_weights(graph, quantization, samples, execute, work=1000).changes == 0
