"""Smoothing moves what differs between channels from activations into weights, changes no value in float, and is heard before it stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.channels.reach import last_reaches
from edgekit.converters.quantize.channels.smooth import factors_of, smooth
from edgekit.converters.quantize.mend.probe import Probe
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RNG = np.random.default_rng(4)
FEEDS = [{"x": RNG.normal(size=(1, 6, 16)).astype(np.float32)} for _ in range(12)]
OUTLIER = np.where(np.arange(16) == 3, 60.0, 1.0).astype(np.float32)
"""One channel far larger than the rest, as trained transformers have them."""


def block(build: Build, *, residual: bool = False, gain: np.ndarray = OUTLIER) -> Graph:
    nodes = [
        ("LayerNormalization", ["x", "g", "b"], ["n"], {}),
        ("MatMul", ["n", "q"], ["a"], {}),
        ("Reshape", ["n", "rows"], ["r"], {}),
        ("Gemm", ["r", "k"], ["h"], {"transB": 1}),
        ("Reshape", ["h", "back"], ["c"], {}),
        ("Add", ["a", "n" if residual else "c"], ["y"], {}),
        *([("Neg", ["c"], ["z"], {})] if residual else []),
    ]
    constants = {
        "g": gain,
        "b": RNG.normal(size=16).astype(np.float32),
        "q": RNG.normal(size=(16, 16)).astype(np.float32) / gain[:, None],
        "k": RNG.normal(size=(16, 16)).astype(np.float32) / gain,
        "rows": np.array([6, 16]),
        "back": np.array([1, 6, 16]),
    }
    return build(nodes, inputs={"x": (1, 6, 16)}, outputs=["y", "z"] if residual else ["y"], constants=constants)


def noise_of(graph: Graph) -> float:
    quantization = assign(graph, calibrate(graph, FEEDS[:8], execute), scheme="ort-x86")
    probe = Probe(graph=graph, quantization=quantization, samples=FEEDS[8:], execute=execute)
    return probe.noise(quantization.activations, quantization.weights)


def smoothed(graph: Graph, heard: Callable[[Graph], float] = noise_of) -> Graph:
    return smooth(graph, lambda names: last_reaches(graph, names, FEEDS, execute), heard).graph


def test_an_outlying_channel_is_evened_out_where_the_outputs_gain(build: Build) -> None:
    graph = block(build)
    found = smoothed(graph)
    assert noise_of(found) < 0.5 * noise_of(graph)
    for feed in FEEDS[:3]:
        assert execute(to_bytes(found))(feed)["y"] == pytest.approx(execute(to_bytes(graph))(feed)["y"], abs=1e-4)


def test_what_the_outputs_do_not_gain_by_is_left(build: Build) -> None:
    graph = block(build)
    asked: list[Graph] = []
    assert smoothed(graph, lambda each: asked.append(each) or 1.0) is graph
    assert len(asked) == 3
    assert smoothed(block(build, gain=np.ones(16, np.float32)), lambda each: 0.0).nodes


def test_a_normalised_tensor_that_something_else_reads_is_left_and_nothing_is_measured(build: Build) -> None:
    graph = block(build, residual=True)
    assert smooth(graph, pytest.fail, pytest.fail).graph is graph


sizes = arrays(np.float64, 6, elements=st.just(0.0) | st.floats(1e-6, 1e6))


@given(sizes, sizes, st.floats(0, 1))
def test_factors_are_positive_of_geometric_mean_one_and_leave_dead_channels(
    reach: np.ndarray, weights: np.ndarray, alpha: float
) -> None:
    factors = factors_of(reach, weights, alpha)
    alive = (reach > 0) & (weights > 0)
    assert np.isfinite(factors).all() and (factors > 0).all()
    assert (factors[~alive] == 1).all()
    assert np.log(factors).mean() == pytest.approx(0, abs=1e-9)


def test_with_alpha_one_all_channels_reach_as_far() -> None:
    reach = np.array([1.0, 8.0, 0.5])
    smooth_ones = reach / factors_of(reach, np.ones(3), 1.0)
    assert smooth_ones == pytest.approx(smooth_ones[0])
