"""What a channel is worth: the share of what its readers make that would be lost with it.

A reader's output varies by the sum over its inputs of kernel energy times variance; a channel's part of that sum is comparable
between layers, unlike a norm of its weights (cf. Molchanov et al., arXiv 1906.10771; the mean needs no channel, a bias carries it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Floats, Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.places import Places
from edgekit.converters.prune.coupling.walk import Coupling
from edgekit.converters.prune.layers import channel_axis, energy, without
from edgekit.converters.prune.measure.answers import some_rows
from edgekit.core.progress import Event, Progress, silent

JOINT = 1024
"""Channels of a tensor beyond which only each one's own variance is kept, not how they vary together (8 MB of sums)."""
POSITIONS = 128
"""Of each picture that are looked at."""
TOGETHER = 16
"""Samples whose rows are summed at once: many small products cost more than they compute."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Means [C] and covariance [C, C] of the channels of a tensor, float64; of a very wide one the diagonal alone, else zeros."""

    mean: Floats
    covariance: Floats

    @property
    def variance(self) -> Floats:
        """[C]"""
        return np.diagonal(self.covariance)


def read_tensors(graph: Graph, coupling: Coupling) -> Mapping[str, int]:
    """The tensors that prunable layers read, and their channel axes."""
    nodes = {node.name: node for node in graph.nodes}
    readers = [nodes[cut.node] for cut in coupling.cuts if cut.role == "reads"]
    return {node.inputs[0]: channel_axis(node, len(graph.shape(node.inputs[0]))) for node in readers}


def moments(
    graph: Graph,
    tensors: Mapping[str, int],
    samples: Iterable[Feed],
    execute: Executor,
    places: Places,
    progress: Progress = silent,
) -> Mapping[str, Moments]:
    """Mean and covariance of the channels of the named tensors over `samples`; of `TOGETHER` of them rows are held at a time."""
    run = execute(to_bytes(graph, tuple(tensors)))
    shapes = {name: without(graph.shape(name), axis) for name, axis in tensors.items()}
    sums = {name: _Sums.of(graph.shape(name)[axis]) for name, axis in tensors.items()}
    every = enumerate(samples)
    while some := list(islice(every, TOGETHER)):
        seen: dict[str, list[Array]] = {name: [] for name in tensors}
        for index, sample in some:
            outputs = {**sample, **run(sample)}
            for name, axis in tensors.items():
                seen[name].append(some_rows(outputs[name], axis, places.rows(index, shapes[name], POSITIONS)))
            progress(Event(stage="measure channels", done=index + 1))
        sums = {name: sums[name].with_rows(np.concatenate(seen[name]).astype(np.float64)) for name in tensors}
    return {name: total.moments() for name, total in sums.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Over rows of channels: how many, their sum [C], and the sum of their products [C, C], or of their squares [C] of a very wide one."""

    count: int
    total: Floats
    products: Floats

    @staticmethod
    def of(channels: int) -> _Sums:
        return _Sums(count=0, total=np.zeros(channels), products=np.zeros((channels,) * (2 if channels <= JOINT else 1)))

    def with_rows(self, rows: Floats) -> _Sums:
        more = rows.T @ rows if self.products.ndim == 2 else np.square(rows).sum(axis=0)
        return _Sums(count=self.count + len(rows), total=self.total + rows.sum(axis=0), products=self.products + more)

    def moments(self) -> Moments:
        mean, products = self.total / max(self.count, 1), self.products / max(self.count, 1)
        if products.ndim == 1:
            return Moments(mean=mean, covariance=np.diag(products - np.square(mean)))
        return Moments(mean=mean, covariance=products - np.outer(mean, mean))


def scores(graph: Graph, coupling: Coupling, measured: Mapping[str, Moments]) -> NDArray[np.float64]:
    """[labels]: at each root, what its set of channels is worth to all of its readers together.

    Without `measured` the energy of the kernels that make a channel stands for its variance.
    """
    nodes = {node.name: node for node in graph.nodes}
    made = _made_energy(graph, coupling)
    worth = np.zeros(len(coupling.roots))
    for cut in coupling.cuts:
        if cut.role != "reads":
            continue
        node = nodes[cut.node]
        roots = coupling.roots[cut.labels]
        found = measured.get(node.inputs[0])
        spread = made[roots] if found is None else np.maximum(found.variance, 0).reshape(-1, len(roots)).mean(axis=0)
        lost = energy(graph.constants[node.inputs[cut.index]], cut.axis) * spread
        np.add.at(worth, roots, lost / max(float(lost.sum()), np.finfo(np.float64).tiny))
    return worth


def given_scores(graph: Graph, coupling: Coupling, worths: Mapping[str, Floats]) -> NDArray[np.float64]:
    """[labels]: at each root, the sum of what its channels are worth in the tensors that layers read (`worths`: per channel).

    A tensor counts once, however many layers read it.
    """
    nodes = {node.name: node for node in graph.nodes}
    total = np.zeros(len(coupling.roots))
    seen: set[str] = set()
    for cut in coupling.cuts:
        name = nodes[cut.node].inputs[0]
        if cut.role == "reads" and name in worths and name not in seen:
            seen.add(name)
            np.add.at(total, coupling.roots[cut.labels], worths[name].reshape(-1, len(cut.labels)).sum(axis=0))
    return total


def _made_energy(graph: Graph, coupling: Coupling) -> NDArray[np.float64]:
    """[labels]: at each root, the energy of the kernels that make its channels."""
    nodes = {node.name: node for node in graph.nodes}
    total = np.zeros(len(coupling.roots))
    for cut in coupling.cuts:
        if cut.role == "makes":
            weight = graph.constants[nodes[cut.node].inputs[cut.index]]
            np.add.at(total, coupling.roots[cut.labels], energy(weight, cut.axis))
    return total
