"""Equalising lifts small channels where it pays, and changes no value in float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np
import pytest

from edgekit.converters.graph import Graph, PassResult
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.lower.onnx import with_integers
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.channels.equalise import HEARD, equalise
from edgekit.converters.quantize.channels.reach import Spread, spread_of, spreads
from edgekit.converters.quantize.mend.probe import Probe
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(11)
FEEDS = [{"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(8)]
SILU = [("Sigmoid", ["c"], ["g"], {}), ("Mul", ["c", "g"], ["m"], {})]
UNEVEN = np.array([30, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 0.1], np.float32).reshape(8, 1, 1, 1)


def network(build: Build, activation: list[object], result: str, *, depthwise: bool, uneven: bool = True) -> Graph:
    size = UNEVEN if uneven else np.ones_like(UNEVEN)
    kernel = RANDOM.normal(size=(8, 3, 3, 3)).astype(np.float32) * size
    reader = RANDOM.normal(size=(8, 1 if depthwise else 8, 1, 1)).astype(np.float32)
    weights = {
        "w": kernel,
        "b": (RANDOM.normal(size=8) * size.reshape(-1)).astype(np.float32),
        "v": reader / size if depthwise else reader / size.reshape(1, 8, 1, 1),
    }
    nodes = [
        ("Conv", ["x", "w", "b"], ["c"], {"pads": [1, 1, 1, 1]}),
        *activation,
        ("Conv", [result, "v"], ["y"], {"group": 8 if depthwise else 1}),
    ]
    return build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y"], constants=weights)


def equalised(graph: Graph) -> PassResult:
    calibration = calibrate(graph, FEEDS, execute)
    quantization = assign(graph, calibration, scheme="tflite")
    probe = Probe(graph=graph, quantization=quantization, samples=FEEDS, execute=execute)
    return equalise(graph, spreads_of(graph), lambda pairs: [probe.noise_of(pair) for pair in pairs])


def spreads_of(graph: Graph) -> Callable[[Sequence[str]], Mapping[str, Spread]]:
    return lambda names: spreads(graph, names, FEEDS, execute)


def outputs(graph: Graph) -> np.ndarray:
    run = execute(to_bytes(graph))
    return np.stack([run(feed)["y"] for feed in FEEDS])


def integer_error(graph: Graph, reference: np.ndarray) -> float:
    quantized = with_integers(graph, assign(graph, calibrate(graph, FEEDS, execute), scheme="ort-x86"))
    return float(np.square(outputs(quantized) - reference).mean())


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize(
    ("activation", "result"), [(SILU, "m"), ([("Relu", ["c"], ["r"], {})], "r"), ([], "c")], ids=["silu", "relu", "linear"]
)
def test_values_do_not_change_in_float_and_errors_shrink_in_integers(
    build: Build, activation: list[object], result: str, depthwise: bool
) -> None:
    graph = network(build, activation, result, depthwise=depthwise)
    done = equalised(graph)
    reference = outputs(graph)
    assert done.changes == 1
    assert np.allclose(outputs(done.graph), reference, rtol=1e-5, atol=1e-5 * np.abs(reference).max())
    assert integer_error(done.graph, reference) < integer_error(graph, reference) / 4


def test_a_gate_is_spent_only_where_an_output_suffers(build: Build) -> None:
    graph = network(build, SILU, "m", depthwise=True)
    asked: list[tuple[str, str]] = []

    def unheard(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        asked.extend(pairs)
        return [HEARD] * len(pairs)

    assert equalise(graph, spreads_of(graph), unheard).changes == 0
    assert asked == [("c", "m")]
    free = network(build, [("Relu", ["c"], ["r"], {})], "r", depthwise=True)
    assert equalise(free, spreads_of(free), unheard).changes == 1


def test_only_tensors_of_candidates_are_measured_and_nothing_is_asked_without_one(build: Build) -> None:
    asked: list[tuple[str, ...]] = []

    def measured(names: Sequence[str]) -> Mapping[str, Spread]:
        asked.append(tuple(names))
        return {name: seen(np.ones(8)) for name in names}

    def silence(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        raise AssertionError(f"nothing is uneven, yet {pairs} were listened to")

    for graph in (
        network(build, SILU, "m", depthwise=True),
        network(build, [("Relu", ["c"], ["r"], {})], "r", depthwise=True),
        build([("Relu", ["x"], ["y"], {})], inputs={"x": (1, 3, 8, 8)}, outputs=["y"]),
    ):
        assert equalise(graph, measured, silence).changes == 0
    assert asked == [("c", "m"), ("r",)]


def seen(*samples: np.ndarray) -> Spread:
    """Channels of one value each, that much in each of the samples."""
    return reduce(add, (spread_of(values.reshape(1, -1, 1, 1)) for values in samples))


def loud(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
    return [1.0] * len(pairs)


def test_channels_that_are_not_finite_are_left_to_the_calibration_that_names_them(build: Build) -> None:
    graph = network(build, [("Relu", ["c"], ["r"], {})], "r", depthwise=True)
    for value in (np.nan, np.inf):
        wild = seen(np.array([30, 0.1, 0.1, value, 0.1, 0.1, 0.2, 0.1]))
        assert equalise(graph, lambda names, wild=wild: dict.fromkeys(names, wild), loud).changes == 0


def factors(graph: Graph, spread: Spread) -> list[float]:
    """What each channel behind the first Conv is multiplied by."""
    done = equalise(graph, lambda names: dict.fromkeys(names, spread), loud).graph
    kernel = done.constants[done.producers["c"].inputs[1]]
    return (kernel / graph.constants["w"])[:, 0, 0, 0].tolist()


def test_a_channel_is_lifted_to_where_its_own_rounding_and_that_of_its_weights_are_alike(build: Build) -> None:
    sizes = np.array([32.0, 1, 1, 1, 4, 4, 1, 1])
    for depthwise, lifted in ((True, [1, 32, 32, 32, 8, 8, 32, 32]), (False, [1, 4, 4, 4, 2, 2, 4, 4])):
        graph = network(build, [("Relu", ["c"], ["r"], {})], "r", depthwise=depthwise, uneven=False)
        even = graph.with_nodes(list(graph.nodes), constants={"v": np.ones_like(graph.constants["v"])})
        assert factors(even, seen(sizes)) == lifted


def test_a_channel_that_samples_disagree_about_is_given_room(build: Build) -> None:
    graph = network(build, [("Relu", ["c"], ["r"], {})], "r", depthwise=True)
    steady, restless = np.array([64.0, 1, 1, 1, 1, 1, 1, 1]), np.array([64.0, 9, 1, 1, 1, 1, 1, 1])
    assert factors(graph, seen(restless, restless)) == [1, 4, 64, 64, 64, 64, 64, 64]
    assert factors(graph, seen(steady, restless)) == [1, 2, 64, 64, 64, 64, 64, 64]


def test_even_channels_are_left_alone(build: Build) -> None:
    graph = network(build, SILU, "m", depthwise=True, uneven=False)
    done = equalised(graph)
    assert done.changes == 0
    assert done.graph is graph


@pytest.mark.parametrize(
    "activation", [[("Tanh", ["c"], ["t"], {})], [("Clip", ["c", "lo", "hi"], ["t"], {})]], ids=["tanh", "relu6"]
)
def test_activations_that_a_factor_does_not_pass_are_left_alone(build: Build, activation: list[object]) -> None:
    weights = {"w": RANDOM.normal(size=(8, 3, 1, 1)).astype(np.float32) * UNEVEN, "v": np.ones((2, 8, 1, 1), np.float32)}
    bounds = {"lo": np.float32(0), "hi": np.float32(6)} if activation[0][0] == "Clip" else {}  # type: ignore[index]
    nodes = [("Conv", ["x", "w"], ["c"], {}), *activation, ("Conv", ["t", "v"], ["y"], {})]
    graph = build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y"], constants={**weights, **bounds})
    assert equalised(graph).changes == 0


def test_a_tensor_that_something_else_reads_too_is_left_alone(build: Build) -> None:
    weights = {"w": RANDOM.normal(size=(8, 3, 1, 1)).astype(np.float32) * UNEVEN, "v": np.ones((2, 8, 1, 1), np.float32)}
    nodes = [
        ("Conv", ["x", "w"], ["c"], {}),
        ("Relu", ["c"], ["r"], {}),
        ("Conv", ["r", "v"], ["y"], {}),
        ("Neg", ["r"], ["n"], {}),
    ]
    graph = build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y", "n"], constants=weights)
    assert equalised(graph).changes == 0


def test_a_kernel_that_two_layers_share_is_scaled_for_the_one_only(build: Build) -> None:
    weights = {"w": RANDOM.normal(size=(8, 3, 1, 1)).astype(np.float32) * UNEVEN, "v": np.ones((2, 8, 1, 1), np.float32)}
    nodes = [("Conv", ["x", "w"], ["c"], {}), ("Conv", ["c", "v"], ["y"], {}), ("Conv", ["x", "w"], ["z"], {})]
    graph = build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y", "z"], constants=weights)
    done = equalised(graph)
    before, after = execute(to_bytes(graph))(FEEDS[0]), execute(to_bytes(done.graph))(FEEDS[0])
    assert done.changes == 1
    assert all(np.allclose(before[name], after[name], rtol=1e-5, atol=1e-4) for name in ("y", "z"))
