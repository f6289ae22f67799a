"""What a channel is worth: the share of what its readers make that would be lost with it.

A reader's output varies by the sum over its inputs of kernel energy times variance; a channel's part of that sum is comparable
between layers, unlike a norm of its weights (cf. Molchanov et al., arXiv 1906.10771; the mean needs no channel, a bias carries it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.prune.coupling import Coupling
from edgekit.converters.prune.ends import Executor, Feed, some_rows
from edgekit.converters.prune.layers import Floats, channel_axis, energy, without
from edgekit.converters.prune.places import Places
from edgekit.core.progress import Event, Progress, silent

JOINT = 1024
"""Channels of a tensor beyond which only each one's own variance is kept, not how they vary together (8 MB of sums)."""
POSITIONS = 256
"""Of each picture that are looked at."""


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
    """Mean and covariance of the channels of the named tensors over `samples`; one sample's activations are held at a time."""
    run = execute(to_bytes(graph, tuple(tensors)))
    sums = {name: np.zeros(graph.shape(name)[axis]) for name, axis in tensors.items()}
    products = {name: np.zeros((len(total), len(total))) for name, total in sums.items()}
    shapes = {name: without(graph.shape(name), axis) for name, axis in tensors.items()}
    count = 0
    for sample in samples:
        outputs = {**sample, **run(sample)}
        for name, axis in tensors.items():
            rows = some_rows(outputs[name], axis, places.rows(count, shapes[name], POSITIONS)).astype(np.float64)
            sums[name] += rows.mean(axis=0)
            together = rows.T @ rows if rows.shape[1] <= JOINT else np.diag(np.square(rows).sum(axis=0))
            products[name] += together / len(rows)
        count += 1
        progress(Event(stage="measure channels", done=count))
    return {name: _moments(total / max(count, 1), products[name] / max(count, 1)) for name, total in sums.items()}


def _moments(mean: Floats, products: Floats) -> Moments:
    wide = len(mean) > JOINT
    return Moments(mean=mean, covariance=products - (np.diag(np.square(mean)) if wide else np.outer(mean, mean)))


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
