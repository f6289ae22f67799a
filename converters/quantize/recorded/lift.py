"""Moves of integers said as moves of reals: what stands between a pair's ends then stands behind it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.names import Names
from edgekit.converters.quantize.parameters import QuantParams, dequantize
from edgekit.converters.quantize.recorded.grids import ACTIVATIONS, DEQUANTIZE, QUANTIZE, grid_of
from edgekit.converters.quantize.rules.roles import MOVES
from edgekit.core.schema import TensorSpec

CARRIERS = MOVES | {"MaxPool", "Resize", "Concat", "Clip"}
"""Operators that give integers back on the grid that they came on."""
CONSTANT_READERS = {"Clip": (1, 2), "Pad": (2,)}
"""Which inputs of a carrier are values of the grid, too."""


def lifted(graph: Graph) -> Graph:
    """The graph with each of `CARRIERS` on quantized tensors between a DequantizeLinear and a QuantizeLinear of their grid.

    Guarantees: every tensor keeps its name and its value; the same graph when nothing moves integers.
    """
    walk = _Walk(graph=graph, names=Names(graph))
    for node in graph.nodes:
        walk.take(node)
    return graph.with_nodes(walk.nodes, constants=walk.constants, specs=walk.specs) if walk.constants or walk.specs else graph


@dataclass(kw_only=True)
class _Walk:
    """Nodes written so far, and the Q node whose grid each tensor of integers is on."""

    graph: Graph
    names: Names
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    made_by: dict[str, Node] = field(default_factory=dict)

    def take(self, node: Node) -> None:
        """Write a node, lifted where it moves integers of a known grid."""
        if node.op == QUANTIZE and _one_grid(self.graph, node):
            self.made_by[node.output] = node
        data = node.inputs if node.op == "Concat" else node.inputs[:1]
        found = [self.made_by.get(name) for name in data]
        if node.op not in CARRIERS or not found or found[0] is None or any(not _same(found[0], one) for one in found):
            self.nodes.append(node)
            return
        self._lift(node, data, found[0])

    def _lift(self, node: Node, data: tuple[str, ...], quantize: Node) -> None:
        grid, params = quantize.inputs[1:], _one_grid(self.graph, quantize)
        assert params is not None
        reads = [self._real(name, DEQUANTIZE, (name, *grid)) for name in data]
        rest = list(node.inputs[len(data) :])
        for at in CONSTANT_READERS.get(node.op, ()):
            self._restate(node, rest, at - 1, params)
        hidden = tuple(self._named(name) for name in node.outputs)
        self.nodes.append(replace(node, inputs=(*reads, *rest), outputs=hidden))
        for name, source in zip(node.outputs, hidden, strict=True):
            step = Node(op=QUANTIZE, name=self.names.free(f"{name}/{QUANTIZE}"), inputs=(source, *grid), outputs=(name,))
            self.nodes.append(step)
            self.made_by[name] = replace(step, inputs=quantize.inputs)

    def _restate(self, node: Node, rest: list[str], at: int, params: QuantParams) -> None:
        """A constant of the grid as the real it stands for; padding that is left out is integer zero."""
        if at >= len(rest) and node.op != "Pad":
            return
        name = rest[at] if at < len(rest) else ""
        if not name and node.op != "Pad":
            return
        value = self.graph.constants[name] if name else np.zeros((), params.dtype)
        rest[at : at + 1] = [self.names.free(f"{node.name}/{at}/real")]
        self.constants[rest[at]] = dequantize(np.asarray(value), params)

    def _real(self, name: str, op: str, inputs: tuple[str, ...]) -> str:
        made = self._named(name)
        self.nodes.append(Node(op=op, name=self.names.free(f"{made}/{op}"), inputs=inputs, outputs=(made,)))
        return made

    def _named(self, name: str) -> str:
        made = self.names.free(f"{name}/real")
        self.specs[made] = TensorSpec(name=made, shape=self.graph.shape(name), dtype="float32")
        return made


def _one_grid(graph: Graph, node: Node) -> QuantParams | None:
    """The grid of a Q node over a whole tensor of activations."""
    params = grid_of(graph, node)
    return params if params is not None and not params.per_channel and params.dtype in ACTIVATIONS else None


def _same(first: Node, other: Node | None) -> bool:
    """Whether two Q nodes write one grid; told by the constants that they read."""
    return other is not None and first.inputs[1:] == other.inputs[1:]
