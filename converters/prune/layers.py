"""The layers that pruning mends: which input they read, along which axis, and their weights as a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edgekit.converters.ends import made_axis
from edgekit.converters.graph import Array, Floats, Graph, Node


def channel_axis(node: Node, rank: int) -> int:
    """The axis of the first input that a layer sums over."""
    if node.op in ("Conv", "ConvTranspose"):
        return 1
    return 0 if node.op == "Gemm" and node.integer("transA", 0) else rank - 1


def channels_of(graph: Graph, node: Node) -> int:
    """How many channels a layer makes."""
    shape = graph.shape(node.output)
    return shape[made_axis(node, len(shape))]


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape with one axis less."""
    return shape[:axis] + shape[axis + 1 :]


def energy(weight: Array, axis: int) -> Floats:
    """The sum of squares at each position along `axis`."""
    others = tuple(at for at in range(weight.ndim) if at != axis)
    return np.asarray(np.square(weight.astype(np.float64)).sum(axis=others))


def has_bias(graph: Graph, node: Node) -> bool:
    """Whether the layer has a constant bias with one value per output channel."""
    if node.op not in ("Conv", "ConvTranspose", "Gemm") or len(node.inputs) < 3 or not node.inputs[2]:
        return False
    if node.op == "Gemm" and (node.number("alpha", 1.0) != 1.0 or node.number("beta", 1.0) != 1.0):
        return False
    bias = graph.constant(node.inputs[2])
    return bias is not None and bias.ndim == 1


@dataclass(frozen=True, kw_only=True, eq=False)
class NewWeights:
    """What replaces a layer's constants: additions to its kernel and bias, in their own shapes."""

    kernel: Array | None = None
    bias: Array | None = None


def with_weights(graph: Graph, changes: Mapping[str, NewWeights]) -> Graph:
    """The graph with the named nodes' kernels and biases changed; constants that other nodes read too stay theirs."""
    constants: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        change, inputs = changes.get(node.name), list(node.inputs)
        for index, added in ((1, change.kernel), (2, change.bias)) if change else ():
            if added is not None:
                old = graph.constants[inputs[index]]
                inputs[index] = f"{node.name}/rebuilt/{index}"
                constants[inputs[index]] = (old.astype(np.float64) + added).astype(old.dtype)
        nodes.append(replace(node, inputs=tuple(inputs)))
    return graph.with_nodes(nodes, constants=constants)
