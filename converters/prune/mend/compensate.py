"""What a removed channel gave goes to its readers: they take it from the channels that stay, and its mean into their biases.

The optimal brain surgeon's update (Hassibi, Stork and Wolff, ICNN 1993) for a set of inputs at once: the reader's output is kept as
well as inputs that vary together allow. It needs no pass over the data, only the covariance of what was removed with what stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.converters.graph import Floats, Graph, Node
from edgekit.converters.prune.coupling.channels import Ints
from edgekit.converters.prune.coupling.walk import Coupling, Cut
from edgekit.converters.prune.layers import NewWeights, has_bias, with_weights
from edgekit.converters.prune.measure.eliminate import damped
from edgekit.converters.prune.measure.importance import Moments


def compensated(graph: Graph, coupling: Coupling, removed: Ints, measured: Mapping[str, Moments]) -> Graph:
    """`graph`, still whole, its kernels and biases ready for the channels in `removed` to go.

    Exact for channels that are constant, or sums of others, but for the border of a padded convolution. A layer without a bias takes
    what it can in its kernel; a convolution in groups takes means alone.
    """
    nodes = {node.name: node for node in graph.nodes}
    changes: dict[str, NewWeights] = {}
    for cut in coupling.cuts:
        node = nodes[cut.node]
        if cut.role == "reads" and node.inputs[0] in measured and np.isin(coupling.roots[cut.labels], removed).any():
            changes[node.name] = _change(graph, coupling, cut, removed, measured[node.inputs[0]])
    return with_weights(graph, changes) if changes else graph


def _change(graph: Graph, coupling: Coupling, cut: Cut, removed: Ints, found: Moments) -> NewWeights:
    """What one reader's kernel and bias gain."""
    node = next(node for node in graph.nodes if node.name == cut.node)
    kernel, biased = graph.constants[node.inputs[cut.index]].astype(np.float64), has_bias(graph, node)
    gone = np.isin(_labels(coupling, node.inputs[0], cut.labels), removed)
    added = np.zeros_like(kernel)
    if len(gone) == kernel.shape[cut.axis]:
        rows, change = np.moveaxis(kernel, cut.axis, 0), np.moveaxis(added, cut.axis, 0)
        change[~gone] = _taken_over(found, gone, rows[gone].reshape(gone.sum(), -1), centred=biased).reshape(rows[~gone].shape)
    if not biased:
        return NewWeights(kernel=added)
    lost = _through(kernel, cut.axis, np.where(gone, found.mean, 0.0), node)
    gained = _through(added, cut.axis, np.where(gone, 0.0, found.mean), node)
    return NewWeights(kernel=added, bias=lost - gained)


def _taken_over(found: Moments, gone: np.ndarray[tuple[int], np.dtype[np.bool_]], rows: Floats, *, centred: bool) -> Floats:
    """[channels left, outputs x taps]: the least-squares image of the removed channels' `rows` in the others."""
    if gone.all():
        return np.zeros((0, rows.shape[1]))
    together = found.covariance if centred else found.covariance + np.outer(found.mean, found.mean)
    return np.asarray(np.linalg.solve(damped(together)[np.ix_(~gone, ~gone)], together[np.ix_(~gone, gone)] @ rows))


def _labels(coupling: Coupling, tensor: str, labels: Ints) -> Ints:
    """The roots of all of a tensor's channels, of which `labels` may be one group's."""
    every = next(
        a
        for a in coupling.axes[tensor]
        if a is not None and len(a) % len(labels) == 0 and np.array_equal(a[: len(labels)], labels)
    )
    return coupling.roots[every]


def _through(kernel: Floats, axis: int, mean: Floats, node: Node) -> Floats:
    """What constant inputs `mean` [C] add to each output of a layer with that kernel."""
    if kernel.ndim == 2:
        return np.asarray(np.tensordot(kernel, mean, axes=([axis], [0])))
    if axis == 0:
        return np.asarray(np.tensordot(mean, kernel.mean(axis=tuple(range(2, kernel.ndim))), axes=([0], [0])))
    taps, group = kernel.sum(axis=tuple(range(2, kernel.ndim))), node.integer("group", 1)
    parts = zip(taps.reshape(group, -1, taps.shape[1]), mean.reshape(group, -1), strict=True)
    return np.concatenate([part @ inputs for part, inputs in parts])
