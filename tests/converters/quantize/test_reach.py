"""How far channels go: over every value of every sample, in as little memory as calibration takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.quantize.channels.reach import channel_reach, spreads
from edgekit.core.errors import InputError
from edgekit.core.progress import Event
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
RANDOM = np.random.default_rng(4)
FEEDS = [{"x": RANDOM.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(5)]


@pytest.fixture
def graph(build: Build) -> Graph:
    nodes = [("Conv", ["x", "w"], ["c"], {}), ("Relu", ["c"], ["r"], {}), ("Neg", ["r"], ["y"], {})]
    weight = RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
    return build(nodes, inputs={"x": (1, 3, 8, 8)}, outputs=["y"], constants={"w": weight})


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=5, max_side=5), elements=st.floats(-(2.0**100), 2.0**100, width=32))
)
def test_the_reach_is_the_largest_absolute_value_of_each_slice(values: NDArray[np.float32]) -> None:
    expected = [float(np.abs(values[:, channel]).max()) for channel in range(values.shape[1])]
    assert channel_reach(values).tolist() == expected
    assert channel_reach(np.asfortranarray(values)).tolist() == expected


@pytest.mark.parametrize("budget", [1, 1 << 28], ids=["a tensor at a time", "all at once"])
def test_named_tensors_are_measured_over_all_samples_and_no_others(graph: Graph, budget: int) -> None:
    told: list[Event] = []
    found = spreads(graph, ("x", "r"), FEEDS, execute, budget_bytes=budget, progress=told.append)
    assert [(event.done, event.total) for event in told] == [(count, 5) for count in range(1, 6)]
    run = execute(to_bytes(graph, ("r",)))
    assert set(found) == {"x", "r"}
    assert found["x"].largest.tolist() == np.abs(np.concatenate([feed["x"] for feed in FEEDS])).max(axis=(0, 2, 3)).tolist()
    assert np.allclose(found["r"].largest, np.concatenate([run(feed)["r"] for feed in FEEDS]).max(axis=(0, 2, 3)), rtol=1e-5)


def test_a_channel_that_overflows_says_so(build: Build) -> None:
    graph = build([("Exp", ["x"], ["y"], {})], inputs={"x": (1, 2, 1, 1)}, outputs=["y"])
    feed = {"x": np.array([0, 1000], np.float32).reshape(1, 2, 1, 1)}
    assert spreads(graph, ("y",), [feed], execute)["y"].largest.tolist() == [1.0, np.inf]


def test_channels_are_known_by_their_size_and_by_how_much_samples_differ(graph: Graph) -> None:
    seen = np.stack([feed["x"][0].reshape(3, -1) for feed in FEEDS]).astype(np.float64)
    found = spreads(graph, ("x",), FEEDS, execute)["x"]
    assert np.allclose(found.mean_square, np.square(seen).mean(axis=(0, 2)), rtol=1e-5)
    assert np.allclose(found.deviation, np.abs(seen).max(axis=2).std(axis=0), rtol=1e-5)


def test_without_samples_nothing_is_known(graph: Graph) -> None:
    with pytest.raises(InputError, match="no calibration samples"):
        spreads(graph, ("r",), [], execute)


def test_a_bad_sample_is_refused_by_its_number(graph: Graph) -> None:
    with pytest.raises(InputError, match="sample 1: input 'x' holds NaN"):
        spreads(graph, ("r",), [FEEDS[0], {"x": np.full((1, 3, 8, 8), np.nan, np.float32)}], execute)
