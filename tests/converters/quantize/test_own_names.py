"""Constants that a pass adds get names of their own, also in a graph that uses those names already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph, PassResult
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.channels.equalise import equalise
from edgekit.converters.quantize.channels.reach import last_reaches, spreads
from edgekit.converters.quantize.channels.smooth import smooth
from edgekit.converters.quantize.mend.correct import correct_biases
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(8)
SAMPLES = [{"x": RANDOM.uniform(0, 2, (1, 4, 8, 8)).astype(np.float32)} for _ in range(8)]
FAR_APART = np.array([30, 0.1, 0.1, 0.1], np.float32)
LOUD = 1.0
"""What a gate is told that it does at the outputs, so that it is spent."""


def network(build: Build, taken: str) -> Graph:
    """A Conv and its SiLU, a Conv, a normalisation with its product; beside them an output that is a constant called `taken`, added to x."""
    nodes = [
        ("Conv", ["x", "w"], ["c"], {}),
        ("Sigmoid", ["c"], ["g"], {}),
        ("Mul", ["c", "g"], ["m"], {}),
        ("Conv", ["m", "v", "b"], ["d"], {}),
        ("LayerNormalization", ["d", "scale"], ["n"], {}),
        ("MatMul", ["n", "k"], ["y"], {}),
        ("Add", ["x", taken], ["z"], {}),
    ]
    constants = {
        "w": RANDOM.normal(size=(4, 4, 1, 1)).astype(np.float32) * FAR_APART.reshape(4, 1, 1, 1),
        "v": RANDOM.normal(size=(4, 4, 1, 1)).astype(np.float32) / FAR_APART.reshape(1, 4, 1, 1),
        "b": RANDOM.normal(size=4).astype(np.float32),
        "scale": np.linspace(0.1, 30, 8, dtype=np.float32),
        "k": RANDOM.normal(size=(8, 5)).astype(np.float32),
        taken: np.full((1, 4, 8, 8), 7, np.float32),
    }
    return build(nodes, inputs={"x": (1, 4, 8, 8)}, outputs=["y", "z"], constants=constants)


def even(graph: Graph) -> PassResult:
    return equalise(graph, lambda names: spreads(graph, names, SAMPLES, execute), lambda pairs: [LOUD] * len(pairs))


def smoothed(graph: Graph) -> PassResult:
    quieter = iter((1.0, 0.5, 0.25))
    return smooth(graph, lambda names: last_reaches(graph, names, SAMPLES, execute), lambda candidate: next(quieter))


def corrected(graph: Graph) -> PassResult:
    quantization = assign(graph, calibrate(graph, SAMPLES, execute), scheme="tflite")
    return correct_biases(graph, quantization, SAMPLES, execute)


PASSES: Mapping[str, tuple[Callable[[Graph], PassResult], float]] = {
    "c_node/equalised/kernel": (even, 1e-3),
    "g_node/equalised/factor": (even, 1e-3),
    "g_node/equalised": (even, 1e-3),
    "n_node/smoothed/scale": (smoothed, 1e-3),
    "d_node/corrected/bias": (corrected, np.inf),
}
"""A name that a pass gives, the pass, and by how much it may change the other output (biases are meant to)."""


@pytest.mark.parametrize("taken", PASSES)
def test_a_constant_that_has_the_name_already_keeps_its_value(build: Build, taken: str) -> None:
    graph, (change, tolerance) = network(build, taken), PASSES[taken]
    found = change(graph)
    assert found.changes > 0
    assert len({*found.graph.constants} - {*graph.constants}) > 0
    before, after = answers(graph), answers(found.graph)
    np.testing.assert_array_equal(after["z"], before["z"])
    assert np.abs(after["y"] - before["y"]).max() <= tolerance * np.abs(before["y"]).max()


def answers(graph: Graph) -> Mapping[str, NDArray[np.float32]]:
    return execute(to_bytes(graph))(SAMPLES[0])
