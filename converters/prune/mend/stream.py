"""A graph run over many samples at once, layer by layer: each node once, and of what it makes only what is still to be read is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from edgekit.converters.ends import LAYERS
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.rewriting import without_dead


class Stream:
    """The values of a graph that may change ahead of where the stream is, never behind it."""

    def __init__(self, graph: Graph, samples: Sequence[Feed], execute: Executor) -> None:
        self._execute, self._count, self._done = execute, len(samples), 0
        self._values = {spec.name: [sample[spec.name] for sample in samples] for spec in graph.inputs}

    def before(self, graph: Graph, name: str) -> Iterator[tuple[Array, ...]]:
        """For each sample what the node `name` reads and does not hold as a constant, all nodes before it having run.

        `graph` has the nodes that the stream was begun with, in that order, perhaps with other weights.
        """
        at = next(index for index, node in enumerate(graph.nodes) if node.name == name)
        self._run_to(graph, at)
        read = [name for name in graph.nodes[at].inputs if name and name not in graph.constants]
        return zip(*(self._values[name] for name in dict.fromkeys(read)), strict=True)

    def made_by(self, graph: Graph, node: Node) -> list[Array]:
        """For each sample what a node makes that the stream has come to."""
        return self._made(_part(graph, (node,), {node.output}))[node.output]

    def _run_to(self, graph: Graph, at: int) -> None:
        """Run the nodes before the one at `at`; forget what no node from there on reads."""
        later = {name for node in graph.nodes[at:] for name in node.inputs}
        segment = graph.nodes[self._done : at]
        wanted = {name for node in segment for name in node.outputs if name in later}
        if wanted:
            self._values |= self._made(_part(graph, segment, wanted))
        self._values = {name: values for name, values in self._values.items() if name in later}
        self._done = at

    def _made(self, part: Graph) -> Mapping[str, list[Array]]:
        run, names = self._execute(to_bytes(part)), [spec.name for spec in part.inputs]
        made: dict[str, list[Array]] = {spec.name: [] for spec in part.outputs}
        for sample in range(self._count):
            for name, value in run({name: self._values[name][sample] for name in names}).items():
                made[name].append(value)
        return made


def _part(graph: Graph, nodes: Sequence[Node], wanted: set[str]) -> Graph:
    """These nodes as a graph of their own, with what they read as inputs."""
    made = {name for node in nodes for name in node.outputs}
    outputs = tuple(graph.specs[name] for node in nodes for name in node.outputs if name in wanted)
    alive = without_dead(replace(graph, nodes=tuple(nodes), outputs=outputs, inputs=()))
    read = dict.fromkeys(name for node in alive.nodes for name in node.inputs if name)
    inputs = tuple(graph.specs[name] for name in read if name not in made and name not in graph.constants)
    return replace(alive, inputs=inputs, specs={**alive.specs, **{spec.name: spec for spec in inputs}})


def live_bytes(graph: Graph) -> int:
    """The most that a stream holds of one sample at any time: what lies before one layer, and before the next."""
    stops = [at for at, node in enumerate(graph.nodes) if node.op in LAYERS]
    held = [*(_held(graph, at) for at in stops), set[str]()]
    return max((sum(_bytes(graph, name) for name in one | after) for one, after in pairwise(held)), default=0)


def _held(graph: Graph, at: int) -> set[str]:
    """The computed tensors and inputs that nodes from there on read of what lies before."""
    known = {spec.name for spec in graph.inputs} | {name for node in graph.nodes[:at] for name in node.outputs}
    return known & {name for node in graph.nodes[at:] for name in node.inputs}


def _bytes(graph: Graph, name: str) -> int:
    return 4 * math.prod(graph.shape(name)) if name in graph.specs else 0
