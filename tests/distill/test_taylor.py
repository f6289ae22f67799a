"""Channels judged by gradients: what no answer depends on is worth nothing, and what changes them most is worth most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prune_graphs import feeds, network, run_one_thread

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.prune import prune
from edgekit.converters.prune.coupling.walk import couple
from edgekit.converters.prune.measure.importance import given_scores, read_tensors
from edgekit.core.errors import UsageError
from edgekit.distill.distill import Request, distill
from edgekit.distill.settings import Settings
from edgekit.distill.taylor import taylor

pytest.importorskip("torch", reason="gradients need PyTorch")
GRAPH = network(("relu", "residual", "relu"), 2)


def outputs(graph: Graph, feed: Any) -> list[Any]:
    return list(run_one_thread(to_bytes(graph))(feed).values())


def test_a_channel_that_nothing_reads_is_worth_nothing() -> None:
    read = read_tensors(GRAPH, couple(GRAPH))
    reader = next(
        node
        for node in GRAPH.nodes
        if node.op in ("Conv", "Gemm") and node.inputs[0] in read and GRAPH.sole_consumer(node.inputs[0])
    )
    weight = GRAPH.constants[reader.inputs[1]].copy()
    axis = 0 if reader.op == "Gemm" and not reader.integer("transB", 0) else 1
    np.moveaxis(weight, axis, 0)[1] = 0
    blind = GRAPH.with_nodes(GRAPH.nodes, constants={reader.inputs[1]: weight})
    found = taylor(blind, read, feeds(blind, 8))[reader.inputs[0]]
    assert found[0] > 0
    assert found[1] == 0


def test_the_worth_of_a_channel_grows_with_the_square_of_what_it_changes() -> None:
    read = read_tensors(GRAPH, couple(GRAPH))
    found = taylor(GRAPH, read, feeds(GRAPH, 8))
    assert set(found) == set(read)
    assert all(np.isfinite(worth).all() and (worth >= 0).all() for worth in found.values())
    coupling = couple(GRAPH)
    scored = given_scores(GRAPH, coupling, found)
    doubled = given_scores(GRAPH, coupling, {name: 4 * worth for name, worth in found.items()})
    np.testing.assert_allclose(doubled, 4 * scored)


def test_the_same_samples_give_the_same_worth() -> None:
    read = read_tensors(GRAPH, couple(GRAPH))
    one, two = (taylor(GRAPH, read, feeds(GRAPH, 4)) for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_pruning_by_gradients_loses_less_than_pruning_against_them() -> None:
    data = feeds(GRAPH, 48, seed=3)

    def error(sign: float) -> float:
        pruned = prune(
            GRAPH,
            share=0.3,
            samples=data[:16],
            execute=run_one_thread,
            multiple=2,
            importance="taylor",
            gradients=lambda read: {n: w**sign for n, w in taylor(GRAPH, read, data[:16]).items()},
        )
        pairs = [(outputs(pruned.graph, feed)[0], outputs(GRAPH, feed)[0]) for feed in data[16:]]
        return float(np.mean([np.square(made - right).mean() for made, right in pairs]))

    with np.errstate(divide="ignore"):
        assert error(1.0) < error(-1.0)


@pytest.mark.parametrize("importance", ["weights", "activations", "taylor"])
def test_a_distillation_prunes_by_what_was_asked_for(importance: Any, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(to_bytes(GRAPH))
    settings = Settings(epochs=1, batch=16, importance=importance, multiple=4)
    request = Request(
        model=tmp_path / "net.onnx", data=feeds(GRAPH, 64), out=tmp_path / "o.onnx", share=0.3, settings=settings, bench_s=0
    )
    found = distill(request)
    assert found.macs_after <= 0.7 * found.macs_before
    assert found.settings.importance == importance


@pytest.mark.parametrize("given", [{"importance": "taylor"}, {"importance": "luck"}, {"gradients": lambda read: {}}])
def test_an_importance_without_what_it_needs_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="importance"):
        prune(GRAPH, share=0.3, **given)
