"""What pruning did not change is not learned: its gradients need not be computed."""

from __future__ import annotations

import numpy as np
import pytest
from prune_graphs import feeds, network

from edgekit.converters.ends import LAYERS
from edgekit.converters.prune.coupling.families import families
from edgekit.converters.prune.coupling.walk import couple
from edgekit.converters.prune.cut import remove
from edgekit.distill.untouched import Untouched, untouched


def test_layers_before_the_first_cut_are_untouched_and_all_from_there_on_are_not() -> None:
    graph = network(("relu", "relu", "relu", "relu"), 1)
    coupling = couple(graph)
    layers = [node for node in graph.nodes if node.op in LAYERS]
    cut = next(one for one in families(coupling) if one.name == layers[2].name)
    pruned = remove(graph, coupling, cut.units[:2])
    still = untouched(graph, pruned).constants
    names = {node.name: set(node.inputs[1:3]) for node in pruned.nodes if node.op in LAYERS}
    assert all(names[node.name] <= still for node in layers[:2])
    assert all(names[node.name].isdisjoint(still) for node in layers[2:])


def test_a_weight_that_rounding_moved_is_the_same_and_one_that_was_mended_is_not() -> None:
    graph = network(("relu", "relu"), 1)
    first, second = (node for node in graph.nodes if node.op == "Conv")
    kernels = {node.inputs[1]: graph.constants[node.inputs[1]] for node in (first, second)}
    moved = {
        first.inputs[1]: kernels[first.inputs[1]] * np.float32(1 + 1e-6),
        second.inputs[1]: kernels[second.inputs[1]] * np.float32(1.01),
    }
    still = untouched(graph, graph.with_nodes(graph.nodes, constants=moved)).constants
    assert first.inputs[1] in still
    assert second.inputs[1] not in still


def test_where_nothing_was_touched_everything_is_learned() -> None:
    graph = network(("relu",), 0)
    assert untouched(graph, graph) == Untouched()


def test_fixed_weights_come_out_as_they_went_in() -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    from edgekit.gradients.interpreter import torch_graph

    graph = network(("relu", "relu"), 1)
    first = next(node for node in graph.nodes if node.op == "Conv")
    net = torch_graph(graph, trained=True, fixed=first.inputs[1:3])
    assert net.parameters.keys().isdisjoint(first.inputs)
    for value in net.parameters.values():
        value.data.mul_(2)
    exported = net.exported()
    np.testing.assert_array_equal(exported.constants[first.inputs[1]], graph.constants[first.inputs[1]])


def test_what_the_source_makes_up_to_there_need_not_be_made_again() -> None:
    torch = pytest.importorskip("torch", reason="distillation needs PyTorch")
    from edgekit.gradients.interpreter import torch_graph

    graph = network(("relu", "residual", "relu", "relu"), 1)
    coupling = couple(graph)
    last = [node for node in graph.nodes if node.op == "Conv"][-1]
    cut = next(one for one in families(coupling) if one.name == last.name)
    pruned = remove(graph, coupling, cut.units[:2])
    shared = untouched(graph, pruned).tensors
    assert shared
    assert shared <= untouched(graph, pruned).made <= graph.producers.keys()
    feed = {name: torch.from_numpy(value) for name, value in feeds(graph)[0].items()}
    net = torch_graph(pruned, trained=True)
    with torch.no_grad():
        told = torch_graph(graph, trained=False).run(feed, shared)
        begun, whole = net.run({name: told[name] for name in shared}), net.run(feed)
    for name, value in whole.items():
        torch.testing.assert_close(begun[name], value)
