"""What a step in each weight of a graph is measured by: kernels by their filters, biases by how much their channel varies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edgekit.converters.ends import LAYERS, made_axis
from edgekit.converters.graph import Node
from edgekit.core.optional import need
from edgekit.gradients.interpreter import TorchGraph
from edgekit.train.filterwise import exact, unit

if TYPE_CHECKING:
    from torch import Tensor

KERNEL, BIAS = 1, 2
STILL = 0.01
"""A channel that hardly varies counts as if it varied this share of what is usual in its layer."""


def units(net: TorchGraph, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """By parameter, broadcasting against it. A parameter that is neither kernel nor bias of a layer is one filter."""
    layers = [node for node in net.graph.nodes if node.op in LAYERS]
    kernels = {node.inputs[KERNEL]: filter_axis(node, len(net.graph.shape(node.inputs[KERNEL]))) for node in layers}
    biases = {node.inputs[BIAS]: node for node in layers if len(node.inputs) > BIAS and node.inputs[BIAS] in net.parameters}
    spread = _spreads(net, biases, batches)
    return {name: spread[name] if name in spread else unit(value, kernels.get(name)) for name, value in net.parameters.items()}


def filter_axis(node: Node, rank: int) -> int:
    """The axis of a layer's kernel along which its filters, one per output channel, are counted."""
    if node.op == "Conv" or (node.op == "Gemm" and node.integer("transB", 0)):
        return 0
    return 1 if node.op == "ConvTranspose" else rank - 1


def _spreads(net: TorchGraph, biases: Mapping[str, Node], batches: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """By bias [C], the standard deviations of the channels it is added to."""
    torch = need("torch")
    seen: dict[str, list[Tensor]] = {name: [] for name, node in biases.items() if net.parameters[name].dim() == 1}
    with torch.no_grad():
        for feed in batches:
            values = net.run(feed, [biases[name].output for name in seen])
            for name in seen:
                value = values[biases[name].output]
                seen[name].append(value.movedim(made_axis(biases[name], value.dim()), -1).flatten(0, -2).var(0, unbiased=False))
    means = {name: torch.stack(found).mean(0).sqrt() for name, found in seen.items()}
    return {name: exact(mean.clamp(min=STILL * float(mean.mean()))) for name, mean in means.items()}
