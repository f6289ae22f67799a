"""What a step is measured by: each filter of a kernel, and how much the channel behind a bias varies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prune_graphs import KINDS, feeds, network

from edgekit.converters.graph import Graph
from edgekit.converters.prune import prune

torch = pytest.importorskip("torch", reason="distillation needs PyTorch")


def found(graph: Graph) -> tuple[Any, dict[str, Any]]:
    from edgekit.distill.units import units
    from edgekit.gradients.interpreter import torch_graph

    net = torch_graph(graph, trained=True)
    batches = [{name: torch.from_numpy(value) for name, value in feed.items()} for feed in feeds(graph, 8)]
    return net, units(net, batches)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unknown"])
def test_every_weight_has_a_unit_that_broadcasts(kind: str) -> None:
    net, by_name = found(network((kind, "relu"), 4))
    assert set(by_name) == set(net.parameters)
    for name, value in net.parameters.items():
        assert (value / by_name[name]).shape == value.shape
        assert bool((by_name[name] > 0).all())


def test_a_filter_and_its_bias_are_measured_in_proportion_to_their_channel() -> None:
    graph = network(("relu", "relu"), 2)
    first = next(node for node in graph.nodes if node.op == "Conv")
    weight, bias = (graph.constants[name].copy() for name in first.inputs[1:])
    weight[1] *= 1024
    bias[1] *= 1024
    _, plain = found(graph)
    _, scaled = found(graph.with_nodes(graph.nodes, constants={first.inputs[1]: weight, first.inputs[2]: bias}))
    for name in first.inputs[1:]:
        grown = (scaled[name] / plain[name]).reshape(-1)
        assert float(grown[1]) == 1024
        assert bool((grown[2:] >= 1).all())
    kernel = (scaled[first.inputs[1]] / plain[first.inputs[1]]).reshape(-1)
    assert bool((kernel[2:] == 1).all())


def test_a_pruned_folded_network_is_taught_although_its_filters_differ_a_thousand_times() -> None:
    """Channels between the first convolution and its depthwise one are scaled up or down, which changes no answer."""
    from edgekit.distill.loop import Trainer, train
    from edgekit.distill.match import matches
    from edgekit.distill.pictures import prepared
    from edgekit.distill.settings import Settings

    graph = network(("relu", "depthwise", "relu"), 2)
    source = rescaled(graph)
    pruned = prune(source, share=0.3, multiple=2)
    with prepared(feeds(graph, 240, seed=5), graph.inputs, limit=240) as samples:
        trainer = Trainer(
            source,
            pruned.graph,
            matches(source, pruned.graph, pruned.kept, 0.2),
            samples,
            Settings(epochs=8, batch=16, device="cpu", learning_rate=1e-2),
        )
        before = trainer.best_score.loss
        train(trainer, lambda epoch: None)
    assert trainer.best_score.loss < 0.6 * before


def rescaled(graph: Graph) -> Graph:
    """The graph with each channel between a convolution and the depthwise one behind it in another size."""
    deep = next(node for node in graph.nodes if node.op == "Conv" and node.integer("group", 1) > 1)
    maker = graph.producers[deep.inputs[0]]
    while maker.op != "Conv":
        maker = graph.producers[maker.inputs[0]]
    sizes = np.logspace(-1.5, 1.5, graph.shape(deep.inputs[0])[1]).astype(np.float32)
    column = sizes.reshape(-1, 1, 1, 1)
    changed = {
        maker.inputs[1]: graph.constants[maker.inputs[1]] * column,
        maker.inputs[2]: graph.constants[maker.inputs[2]] * sizes,
        deep.inputs[1]: graph.constants[deep.inputs[1]]
        / np.repeat(column, graph.shape(deep.inputs[1])[0] // len(sizes), axis=0),
    }
    return graph.with_nodes(graph.nodes, constants=changed)
