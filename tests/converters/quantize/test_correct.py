"""Bias correction: what rounding shifts is taken back, what a few samples happened to show is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.lower.onnx import with_integers
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.mend.correct import CERTAIN, FEWEST, MOST, certain_mean, correct_biases
from edgekit.converters.quantize.mend.tuned import tuned
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.observe.replay import Replay
from edgekit.converters.quantize.parameters import Quantization
from edgekit.core.progress import Event
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
Feed = Mapping[str, NDArray[Any]]


def kernel(*shape: int, size: float = 0.3) -> NDArray[np.float32]:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * size).astype(np.float32)


def feeds(graph: Graph, count: int = 16, seed: int = 5) -> list[Feed]:
    """Positive inputs, as behind a Relu: what rounds a weight up then shifts the mean."""
    random = np.random.default_rng(seed)
    return [
        {spec.name: random.uniform(0, 2, size=spec.shape).astype(np.float32) for spec in graph.inputs} for _ in range(count)
    ]


def two_convs(build: Build, *, bias: bool = True) -> Graph:
    """Two layers whose large first weight makes the steps of the others coarse."""
    first, second = kernel(4, 3, 3, 3, size=0.02), kernel(4, 4, 3, 3, size=0.02)
    first[:, 0, 0, 0], second[:, 0, 0, 0] = 2.0, 2.0
    more: dict[str, Any] = {"b": kernel(4)} if bias else {}
    nodes = [("Conv", ["x", "w", *more], ["c"], {}), ("Relu", ["c"], ["r"], {}), ("Conv", ["r", "v", *more], ["y"], {})]
    return build(nodes, inputs={"x": (1, 3, 16, 16)}, outputs=["y"], constants={"w": first, "v": second, **more})


def quantized(graph: Graph) -> Quantization:
    return assign(graph, calibrate(graph, feeds(graph), execute), scheme="ort-x86")


def shifted(graph: Graph, other: Graph, quantization: Quantization) -> NDArray[np.float64]:
    """How far the mean output of the integers is from that of the float graph, per channel, on samples not seen before."""
    exact, rounded = execute(to_bytes(graph)), execute(to_bytes(with_integers(other, quantization)))
    errors = [rounded(feed)["y"].astype(np.float64) - exact(feed)["y"] for feed in feeds(graph, 8, seed=77)]
    return np.asarray(np.abs(np.mean(errors, axis=(0, 1, 3, 4))))


@pytest.mark.parametrize("bias", [True, False])
def test_a_mean_shift_is_taken_back_also_where_there_was_no_bias(build: Build, bias: bool) -> None:
    graph = two_convs(build, bias=bias)
    quantization = quantized(graph)
    found = correct_biases(graph, quantization, feeds(graph), execute)
    assert found.changes == 2
    before, after = shifted(graph, graph, quantization), shifted(graph, found.graph, quantization)
    assert after.max() < before.max() / 4


def test_nodes_and_tensors_stay_and_a_shared_bias_becomes_one_for_each_layer(build: Build) -> None:
    graph = two_convs(build)
    found = correct_biases(graph, quantized(graph), feeds(graph), execute).graph
    assert [(node.name, node.op, node.outputs) for node in found.nodes] == [(n.name, n.op, n.outputs) for n in graph.nodes]
    biases = [node.inputs[2] for node in found.nodes if node.op == "Conv"]
    assert len(set(biases)) == 2
    assert np.array_equal(found.constants["b"], graph.constants["b"])


def test_gemm_is_corrected_along_its_last_axis(build: Build) -> None:
    weight = kernel(8, 5, size=0.02)
    weight[0] = 2.0
    graph = build(
        [("Gemm", ["x", "w", "b"], ["y"], {})], inputs={"x": (3, 8)}, outputs=["y"], constants={"w": weight, "b": kernel(5)}
    )
    found = correct_biases(graph, quantized(graph), feeds(graph), execute)
    assert found.changes == 1
    assert found.graph.constants["y_node/corrected/bias"].shape == (5,)


def test_layers_kept_in_float_keep_their_bias(build: Build) -> None:
    graph = two_convs(build)
    calibration = calibrate(graph, feeds(graph), execute)
    quantization = assign(graph, calibration, scheme="ort-x86", keep_float=["c_node"])
    found = correct_biases(graph, quantization, feeds(graph), execute).graph
    assert next(node for node in found.nodes if node.name == "c_node").inputs[2] == "b"


def test_with_too_few_samples_nothing_changes(build: Build) -> None:
    graph = two_convs(build)
    found = correct_biases(graph, quantized(graph), feeds(graph, FEWEST - 1), execute)
    assert found.changes == 0
    assert found.graph is graph


def test_no_more_samples_are_read_than_are_needed_and_every_layer_is_told(build: Build) -> None:
    graph, told, read = two_convs(build), list[Event](), list[int]()

    def stream() -> Any:
        for index, feed in enumerate(feeds(graph)):
            read.append(index)
            yield feed

    correct_biases(graph, quantized(graph), stream(), execute, progress=told.append)
    assert len(read) == MOST
    assert [(event.done, event.total) for event in told] == [(1, 2), (2, 2)]


@given(arrays(np.float64, (8, 3), elements=st.floats(-1e3, 1e3)))
def test_a_correction_never_goes_beyond_the_mean_and_is_zero_where_that_may_be_chance(errors: NDArray[np.float64]) -> None:
    found, mean = certain_mean(errors), errors.mean(axis=0)
    assert (np.abs(found) <= np.abs(mean) + 1e-12).all()
    assert (found * mean >= 0).all()
    doubt = CERTAIN * errors.std(axis=0, ddof=1) / np.sqrt(8)
    assert (found[np.abs(mean) <= doubt] == 0).all()


def test_an_error_that_every_sample_shows_alike_is_corrected_whole() -> None:
    assert certain_mean(np.full((8, 2), [0.5, -2.0])).tolist() == [0.5, -2.0]
    assert certain_mean(np.zeros((8, 1))).tolist() == [0.0]


def test_a_replay_gives_what_a_run_gives_and_forgets_what_nothing_reads_any_more(build: Build) -> None:
    graph = two_convs(build)
    samples = feeds(graph, 2)
    replay, run = Replay.of(graph, samples, execute), execute(to_bytes(graph, ["c"]))
    assert all(np.array_equal(a, run(feed)["c"]) for a, feed in zip(replay.until("c"), samples, strict=True))
    assert all(np.allclose(a, run(feed)["y"], atol=1e-6) for a, feed in zip(replay.until("y"), samples, strict=True))
    assert [list(state) for state in replay.states] == [["y"], ["y"]]


def test_what_follows_a_shifted_tensor_reads_the_shift(build: Build) -> None:
    graph = build([("Relu", ["x"], ["r"], {}), ("Neg", ["r"], ["y"], {})], inputs={"x": (1, 4)}, outputs=["y"])
    replay = Replay.of(graph, [{"x": np.array([[-1, 0, 1, 2]], np.float32)}], execute)
    replay.until("r")
    replay.shift("r", np.array([[10, 0, 0, 0]], np.float32))
    assert replay.until("y")[0].tolist() == [[-10, 0, -1, -2]]


def test_tuning_keeps_corrected_biases_only_where_they_leave_less_noise(build: Build) -> None:
    graph = two_convs(build)
    calibration = calibrate(graph, feeds(graph), execute)
    good = tuned(graph, calibration, feeds(graph), execute, scheme="ort-x86")
    assert good.corrected == 2
    assert shifted(graph, good.graph, good.quantization).max() < shifted(graph, graph, good.quantization).max() / 4
    misled = [{"x": feed["x"] * 20} for feed in feeds(graph, MOST)] + feeds(graph, 4)
    assert tuned(graph, calibration, misled, execute, scheme="ort-x86").corrected == 0


def test_what_few_samples_teach_is_judged_on_those_that_were_held_back(build: Build) -> None:
    graph = two_convs(build)
    calibration = calibrate(graph, feeds(graph), execute)
    misled = [{"x": feed["x"] * 20} for feed in feeds(graph, 4)] + feeds(graph, 2)
    assert tuned(graph, calibration, misled, execute, scheme="ort-x86").corrected == 0
    assert tuned(graph, calibration, feeds(graph, 6), execute, scheme="ort-x86").corrected == 2


def test_without_samples_tuning_is_assigning(build: Build) -> None:
    graph = two_convs(build)
    found = tuned(graph, calibrate(graph, feeds(graph), execute), (), execute, scheme="tflite", keep_float=["c_node"])
    assert found.graph is graph
    assert found.quantization.float_nodes == {"c_node"}
