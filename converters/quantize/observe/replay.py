"""A graph run piece by piece over a few samples, so that a tensor can be changed before what follows reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import to_bytes


@dataclass(kw_only=True, eq=False)
class Replay:
    """Every node runs once per sample; a tensor is kept only while something later reads it."""

    graph: Graph
    execute: Executor
    states: list[dict[str, Array]]
    position: int = field(default=0, init=False)

    @classmethod
    def of(cls, graph: Graph, samples: Sequence[Feed], execute: Executor) -> Replay:
        """A replay that stands before the first node."""
        return cls(graph=graph, execute=execute, states=[dict(sample) for sample in samples])

    def until(self, name: str) -> list[Array]:
        """Run on to the node that writes `name`; the tensor, for each sample. Names must come in the order of the nodes."""
        stop = self._written[name]
        if stop >= self.position:
            self._run(self.graph.nodes[self.position : stop + 1], stop, name)
            self.position = stop + 1
        return [state[name] for state in self.states]

    def before(self, position: int) -> list[dict[str, Array]]:
        """Run on to where the node at `position` comes next: per sample, every tensor that it or a later node reads."""
        if position > self.position:
            self._run(self.graph.nodes[self.position : position], position - 1, "")
            self.position = position
        return self.states

    def shift(self, name: str, by: Array) -> None:
        """Add `by` (broadcast) to a tensor that was just written."""
        for state in self.states:
            state[name] = (state[name] + by).astype(state[name].dtype)

    def _run(self, nodes: Sequence[Node], stop: int, wanted: str) -> None:
        made = [name for node in nodes for name in node.outputs if name]
        kept = tuple(self.graph.specs[name] for name in made if name == wanted or self._last.get(name, -1) > stop)
        read = dict.fromkeys(name for node in nodes for name in node.inputs if name)
        needed = tuple(self.graph.specs[name] for name in read if name not in made and name not in self.graph.constants)
        piece = replace(self.graph, inputs=needed, outputs=kept, nodes=tuple(nodes))
        run = self.execute(to_bytes(piece)) if kept else _nothing
        for state in self.states:
            state.update(run({spec.name: state[spec.name] for spec in needed}))
            for name in [name for name in state if name != wanted and self._last.get(name, -1) <= stop]:
                del state[name]

    @cached_property
    def _written(self) -> Mapping[str, int]:
        """Which node writes each tensor."""
        return {name: index for index, node in enumerate(self.graph.nodes) for name in node.outputs if name}

    @cached_property
    def _last(self) -> Mapping[str, int]:
        """Which node reads each tensor last."""
        return {name: index for index, node in enumerate(self.graph.nodes) for name in node.inputs}


def _nothing(feed: Feed) -> Feed:
    """What nodes give that nobody reads any more."""
    return {}


def along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """A vector shaped so that it broadcasts along `axis` of an array of that rank."""
    return values.reshape(tuple(-1 if dim == axis % rank else 1 for dim in range(rank)))
