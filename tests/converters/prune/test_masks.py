"""Zeros and shared values in kernels: as many as were asked for, and the outputs suffer less when samples are at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prune_graphs import feeds, network, networks, run_one_thread

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.prune.weights.cluster import cluster
from edgekit.converters.prune.weights.masks import sparsify
from edgekit.core.errors import UsageError


def error_of(graph: Graph, other: Graph, data: list[Any]) -> float:
    first, second = run_one_thread(to_bytes(graph)), run_one_thread(to_bytes(other))
    pairs = [(next(iter(first(feed).values())), next(iter(second(feed).values()))) for feed in data]
    return float(sum(np.square(a - b).sum() for a, b in pairs) / sum(np.square(a).sum() for a, _ in pairs))


def kernel(graph: Graph, name: str) -> Any:
    node = next(node for node in graph.nodes if node.name == name)
    return graph.constants[node.inputs[1]]


@settings(max_examples=8)
@given(networks, st.booleans())
def test_two_of_four_weights_in_a_row_of_inputs_are_zero(graph: Graph, seen: bool) -> None:
    found = sparsify(graph, samples=feeds(graph, 3) if seen else (), execute=run_one_thread if seen else None)
    for name, share in found.zeros.items():
        node = next(node for node in graph.nodes if node.name == name)
        weight = kernel(found.graph, name)
        rows = np.moveaxis(weight, 1, -1) if node.op == "Conv" else weight if node.integer("transB", 0) else weight.T
        assert (np.count_nonzero(rows.reshape(-1, 4), axis=1) <= 2).all()
        assert share >= 0.5
    assert set(found.zeros).isdisjoint(found.skipped)
    assert np.isfinite(error_of(graph, found.graph, feeds(graph)))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_share_of_zeros_is_the_one_asked_for(share: float) -> None:
    graph = network(("relu", "relu", "transpose"), 1)
    found = sparsify(graph, share=share, samples=feeds(graph, 4), execute=run_one_thread)
    assert found.zeros
    assert all(zeros == pytest.approx(share, abs=0.02) for zeros in found.zeros.values())


@pytest.mark.parametrize("share", [None, 0.5])
def test_with_samples_the_other_weights_make_up_for_those_that_went(share: float | None) -> None:
    graph = network(("relu", "relu", "residual"), 6)
    data = feeds(graph, 32)
    blind = sparsify(graph, share=share).graph
    seen = sparsify(graph, share=share, samples=data[:24], execute=run_one_thread).graph
    assert error_of(graph, seen, data[24:]) < 0.8 * error_of(graph, blind, data[24:])


def test_layers_that_stay_whole_are_named() -> None:
    found = sparsify(network(("depthwise",), 0))
    assert any("in groups" in reason for reason in found.skipped.values())
    assert any("no multiple of 4" in reason for reason in found.skipped.values())


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_of_zeros_that_makes_no_sense_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share of zeros"):
        sparsify(network(("relu",), 0), share=share)


@settings(max_examples=10)
@given(networks, st.integers(2, 40))
def test_a_clustered_kernel_holds_no_more_values_than_asked(graph: Graph, values: int) -> None:
    found = cluster(graph, values=values, smallest=64)
    for name, error in found.errors.items():
        assert len(np.unique(found.graph.constants[name])) <= values
        assert 0 <= error <= 1


def test_zeros_stay_zeros_and_more_values_are_nearer() -> None:
    graph = sparsify(network(("relu", "relu"), 3), share=0.5).graph
    few, many = (cluster(graph, values=count) for count in (4, 64))
    for name in few.errors:
        assert np.array_equal(many.graph.constants[name] == 0, graph.constants[name] == 0)
        assert many.errors[name] < few.errors[name]


def test_one_value_is_too_few() -> None:
    with pytest.raises(UsageError, match="too few"):
        cluster(network(("relu",), 0), values=1)
