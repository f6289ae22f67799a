"""A graph in PyTorch: an interpreter with the weights as parameters, so that gradients flow; and the weights put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.graph import Array, Graph
from edgekit.core.errors import Unsupported
from edgekit.gradients.call import Call
from edgekit.gradients.ops import OPS
from edgekit.gradients.tensors import tensor

if TYPE_CHECKING:
    from torch import Tensor

TRAINED = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "BatchNormalization": (1, 2),
    "Add": (0, 1),
    "Mul": (0, 1),
}
"""Inputs that are learned where they are constant: kernels, biases, slopes, gains. Statistics of a batch norm are not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchGraph:
    """A graph whose float weights are PyTorch leaves. `parameters` and `fixed` together are its constants, by name."""

    graph: Graph
    parameters: Mapping[str, Tensor]
    fixed: Mapping[str, Tensor]

    def run(self, feed: Mapping[str, Tensor], wanted: Collection[str] = ()) -> Mapping[str, Tensor]:
        """The outputs and the `wanted` tensors. The first axis of the feed may hold more samples than the graph was made for.

        The feed may hold computed tensors: what leads to these alone is not run.
        """
        keep = {*self.graph.output_names, *wanted}
        needed = _needed(self.graph, keep, feed)
        values: dict[str, Tensor] = {**self.fixed, **self.parameters, **feed}
        found = {name: value for name, value in feed.items() if name in keep}
        last = _last_readers(self.graph)
        for node in self.graph.nodes:
            if node.name not in needed:
                continue
            call = Call(graph=self.graph, node=node, inputs=[values.get(name) if name else None for name in node.inputs])
            made = OPS[node.op](call)
            for name, value in zip(node.outputs, made, strict=False):
                values[name] = value
                if name in keep:
                    found[name] = value
            for name in last.get(node.name, ()):
                values.pop(name, None)
        return found

    def exported(self) -> Graph:
        """The graph with the parameters as they are now for its constants."""
        current = {name: value.detach().cpu().numpy().copy() for name, value in self.parameters.items()}
        return self.graph.with_nodes(
            self.graph.nodes, constants={n: _like(v, self.graph.constants[n]) for n, v in current.items()}
        )


def torch_graph(graph: Graph, *, trained: bool, device: str = "cpu", fixed: Collection[str] = ()) -> TorchGraph:
    """`graph` ready to run in PyTorch on a device; the constants in `fixed` are not learned.

    Raises `Unsupported` naming the first operator that has no counterpart here.
    """
    for node in graph.nodes:
        if node.op not in OPS or node.domain:
            raise Unsupported(
                f"op {node.op} at {node.name!r} has no gradients here yet",
                "prune without them: edgekit convert MODEL --prune 20%",
            )
    learned = _learned(graph).difference(fixed) if trained else frozenset[str]()
    tensors = {name: tensor(value, device) for name, value in graph.constants.items() if value.dtype.kind in "fiub"}
    return TorchGraph(
        graph=graph,
        parameters={name: value.float().requires_grad_() for name, value in tensors.items() if name in learned},
        fixed={name: value for name, value in tensors.items() if name not in learned},
    )


def _learned(graph: Graph) -> frozenset[str]:
    """Constants that are weights: of float type, more than one number, read where a layer has its weights."""
    found = {node.inputs[i] for node in graph.nodes for i in TRAINED.get(node.op, ()) if i < len(node.inputs)}
    values = ((name, graph.constant(name)) for name in found)
    return frozenset(name for name, value in values if value is not None and value.dtype == np.float32 and value.size > 1)


def _needed(graph: Graph, wanted: Collection[str], given: Collection[str]) -> frozenset[str]:
    """The names of the nodes that compute the wanted tensors from the given ones."""
    todo, found = {name for name in wanted if name not in given}, set[str]()
    for node in reversed(graph.nodes):
        if todo.intersection(node.outputs):
            found.add(node.name)
            todo.update(name for name in node.inputs if name not in given)
    return frozenset(found)


def _last_readers(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """Node name -> computed tensors that nothing reads after it."""
    last: dict[str, str] = {}
    for node in graph.nodes:
        last |= {name: node.name for name in node.inputs if name and name not in graph.constants}
    found: dict[str, list[str]] = {}
    for name, node_name in last.items():
        found.setdefault(node_name, []).append(name)
    return {name: tuple(names) for name, names in found.items()}


def _like(value: Array, old: Array) -> Array:
    return np.ascontiguousarray(value.astype(old.dtype))
