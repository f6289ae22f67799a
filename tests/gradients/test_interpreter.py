"""A graph in PyTorch: what ONNX Runtime computes, and gradients that say how the answer moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from prune_graphs import KINDS, feeds, network, run_one_thread

from edgekit.converters.graph_onnx import to_bytes
from edgekit.core.errors import Unsupported
from edgekit.gradients.interpreter import torch_graph

torch = pytest.importorskip("torch", reason="the interpreter needs PyTorch")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unknown"])
def test_pytorch_computes_what_onnx_runtime_does(kind: str) -> None:
    graph = network((kind, "relu"), 4)
    feed = feeds(graph)[0]
    with torch.no_grad():
        made = torch_graph(graph, trained=True).run({name: torch.from_numpy(value) for name, value in feed.items()})
    for name, right in run_one_thread(to_bytes(graph))(feed).items():
        np.testing.assert_allclose(made[name].numpy(), right, rtol=1e-3, atol=1e-4 * np.abs(right).max())


def test_weights_go_out_and_come_back_unchanged() -> None:
    graph = network(("relu", "norm", "prelu"), 1)
    assert to_bytes(torch_graph(graph, trained=True).exported()) == to_bytes(graph)


def test_an_operator_without_gradients_is_named() -> None:
    with pytest.raises(Unsupported, match="op LRN at 'lrn_1_node' has no gradients here"):
        torch_graph(network(("unknown",), 0), trained=True)


def test_gradients_tell_how_the_answer_moves_with_the_picture() -> None:
    graph = network(("relu", "residual"), 3)
    net = torch_graph(graph, trained=False)
    feed = {name: torch.from_numpy(value).double() for name, value in feeds(graph)[0].items()}
    net = replace(
        net, fixed={name: value.double() if value.is_floating_point() else value for name, value in net.fixed.items()}
    )
    (name,), chance = feed, np.random.default_rng(0)
    step = torch.from_numpy(chance.normal(size=feed[name].shape))
    asked = feed[name].clone().requires_grad_()
    (answer,) = net.run({name: asked}).values()
    (gradient,) = torch.autograd.grad(answer.sum(), [asked])
    (ahead,), (behind,) = (net.run({name: feed[name] + sign * 1e-6 * step}).values() for sign in (1, -1))
    moved = float((ahead.sum() - behind.sum()).detach() / 2e-6)
    assert moved == pytest.approx(float((gradient * step).sum()), rel=1e-4)
