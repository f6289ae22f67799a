"""Writing graph passes: a rule looks at one node and says what stands there instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgekit.converters.graph import Array, Attribute, Graph, Node, PassResult
from edgekit.converters.rewriting import Replacement, Rule
from edgekit.core.schema import TensorSpec

__all__ = ["AXES_AS_INPUT", "DIMS", "Replacement", "Rule", "Scribe", "rewrite", "without_unread"]

AXES_AS_INPUT = 18
"""The first operator set whose reductions take their axes as an input; ReduceSum did so before."""
DIMS = 6
"""The most dimensions that XNNPACK knows (XNN_MAX_TENSOR_DIMS), and that LiteRT's own kernels broadcast over."""


def rewrite(graph: Graph, rule: Rule) -> PassResult:
    """The graph with `rule` applied to every node; each application sees the graph with the earlier ones done.

    Guarantees: outputs keep their names; nodes that nobody reads any more are gone.
    """
    changes = 0
    for node in graph.nodes:
        found = rule(graph, node)
        if found is None:
            continue
        changes += 1
        index = graph.nodes.index(node)
        nodes = (*graph.nodes[:index], *found.nodes, *graph.nodes[index + 1 :])
        graph = graph.with_nodes(nodes, constants=found.constants, specs=found.specs)
    return PassResult(graph=without_unread(graph) if changes else graph, changes=changes)


def without_unread(graph: Graph) -> Graph:
    """The graph without nodes and constants that lead to no output."""
    wanted = set(graph.output_names)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    constants = {name: value for name, value in graph.constants.items() if name in wanted}
    return replace(graph, nodes=tuple(reversed(kept)), constants=constants)


class Scribe:
    """Writes the replacement of one node; what it makes is named after the node's output."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._specs: dict[str, TensorSpec] = {}

    def constant(self, label: str, value: object, dtype: str = "float32") -> str:
        """A new constant; returns its name."""
        name = self._unused(f"{self.node.output}/{label}")
        self._constants[name] = np.asarray(value, dtype)
        return name

    def add(self, op: str, inputs: Sequence[str], shape: Sequence[int], label: str, **attributes: Attribute) -> str:
        """A new node with one output of that shape, of the type of the node's own output; returns the output's name."""
        return self.add_as(self.graph.specs[self.node.output].dtype, op, inputs, shape, label, **attributes)

    def add_as(
        self, dtype: str, op: str, inputs: Sequence[str], shape: Sequence[int], label: str, **attributes: Attribute
    ) -> str:
        """The same for an output of another type."""
        name = self._unused(f"{self.node.output}/{label}")
        self._specs[name] = TensorSpec(name=name, shape=tuple(int(size) for size in shape), dtype=dtype)
        self._nodes.append(Node(op=op, name=name, inputs=tuple(inputs), outputs=(name,), attributes=attributes))
        return name

    def finish(self, op: str, inputs: Sequence[str], **attributes: Attribute) -> Replacement:
        """The last node, which writes the node's own outputs under its own name."""
        last = Node(op=op, name=self.node.name, inputs=tuple(inputs), outputs=self.node.outputs, attributes=attributes)
        return Replacement(nodes=(*self._nodes, last), constants=self._constants, specs=self._specs)

    def result(self, name: str) -> Replacement:
        """What was written so far, when `name` is what the node's output stands for."""
        if not self._nodes or self._nodes[-1].outputs != (name,):
            return self.finish("Identity", [name])
        last = self._nodes.pop()
        self._specs.pop(name)
        return self.finish(last.op, last.inputs, **last.attributes)

    def again(self, inputs: Sequence[str], **changed: Attribute) -> Replacement:
        """The node itself as the last one, with other inputs and some attributes changed."""
        return self.finish(self.node.op, inputs, **{**self.node.attributes, **changed})

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, made here or not."""
        return self._specs[name].shape if name in self._specs else self.graph.shape(name)

    def known(self, name: str) -> Array | None:
        """The value of a constant, made here or not."""
        return self._constants.get(name, self.graph.constants.get(name))

    def view(self, name: str, shape: Sequence[int], label: str) -> str:
        """The same elements in another shape; returns the name."""
        dtype = (self._specs.get(name) or self.graph.specs[name]).dtype
        return self.add_as(dtype, "Reshape", [name, self.constant(f"{label}_shape", shape, "int64")], shape, label)

    def reduced(self, op: str, name: str, axes: Sequence[int], label: str) -> str:
        """A reduction that keeps its dims with size one; returns its output."""
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(self.shape(name)))
        inputs, attributes = self.reduction(op, axes)
        return self.add(op, [name, *inputs], shape, label, **attributes)

    def reduction(self, op: str, axes: Sequence[int]) -> tuple[list[str], dict[str, Attribute]]:
        """How a reduction is told its axes in the graph's operator set: further inputs, and attributes."""
        if self.graph.opset < AXES_AS_INPUT and op != "ReduceSum":
            return [], {"axes": tuple(axes), "keepdims": 1}
        return [self.constant(f"{op}_axes", axes, "int64")], {"keepdims": 1}

    def _unused(self, name: str) -> str:
        taken = self.graph.specs.keys() | self._specs.keys() | self._constants.keys()
        number, candidate = 1, name
        while candidate in taken:
            number, candidate = number + 1, f"{name}{number}"
        return candidate
