"""What a graph did before it was pruned: the samples it is asked about, the places of each that are looked at, and its values there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.ends import LAYERS
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.places import Places, places_that_matter
from edgekit.converters.prune.layers import channels_of
from edgekit.converters.prune.mend.patches import PLACES, output_rows, row_shape
from edgekit.converters.prune.mend.stream import live_bytes

MOST = 128
"""Samples that are looked at; more tell little."""
LIVE_BYTES = 512 << 20
"""What the values on their way through a graph may take; of larger pictures fewer are looked at."""
TARGET_BYTES = 256 << 20
"""What the values of all layers may take; the fewer places of each picture are looked at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Original:
    """A graph and what it makes of some samples."""

    graph: Graph
    samples: Sequence[Feed]
    execute: Executor
    places: Places
    limit: int
    """Places of each sample that layers are fitted on."""
    values: Mapping[str, Sequence[Array]]
    """By the output of each layer, for each sample [places, channels]."""

    def rows(self, sample: int, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Which positions of a layer's output without its channels."""
        return self.places.rows(sample, shape, self.limit)


def samples_that_fit(graph: Graph, count: int) -> int:
    """How many of `count` samples are looked at: their values stay within `LIVE_BYTES` on the way through the graph; at least one."""
    return max(1, min(count, MOST, LIVE_BYTES // max(live_bytes(graph), 1)))


def original(
    graph: Graph, samples: Iterable[Feed], execute: Executor, each: Callable[[int], None] = lambda done: None
) -> Original:
    """Ask the graph, in one pass for the places and one for the values; `each` is told how many samples have been asked about."""
    data = tuple(samples)
    layers = layers_of(graph)
    channels = sum(channels_of(graph, node) for node in layers)
    limit = min(PLACES, max(1, TARGET_BYTES // (4 * max(channels * len(data), 1))))
    places = places_that_matter(graph, data, execute)
    run = execute(to_bytes(graph, [node.output for node in layers]))
    found: dict[str, list[Array]] = {node.output: [] for node in layers}
    for index, sample in enumerate(data):
        outputs = run(sample)
        for node in layers:
            rows = places.rows(index, row_shape(node, graph.shape(node.output)), limit)
            found[node.output].append(output_rows(node, outputs[node.output], rows).astype(np.float32))
        each(index + 1)
    return Original(graph=graph, samples=data, execute=execute, places=places, limit=limit, values=found)


def layers_of(graph: Graph) -> list[Node]:
    """The layers whose kernel is constant."""
    return [node for node in graph.nodes if node.op in LAYERS and node.inputs[1] in graph.constants]
