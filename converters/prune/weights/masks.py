"""Single weights set to zero, the rest of their row making up for it: 2:4 for engines that skip zeros, or any share of a layer.

SparseGPT (Frantar and Alistarh, arXiv 2301.00774): input by input, a weight goes where w^2 over the inverse Hessian's diagonal is
least, and its error is spread over the inputs still to come. Without samples the smallest weights go and nothing makes up for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgekit.converters.ends import LAYERS, made_axis
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Floats, Graph, Node
from edgekit.converters.places import Places
from edgekit.converters.prune.layers import NewWeights, with_weights
from edgekit.converters.prune.mend.original import MOST, samples_that_fit
from edgekit.converters.prune.mend.patches import PLACES, is_fittable, patches, row_shape
from edgekit.converters.prune.mend.stream import Stream
from edgekit.core.errors import UsageError
from edgekit.core.progress import Event, Progress, silent

DAMPING = 1e-2
"""Of the mean of the Hessian's diagonal, added to it."""
GROUP, KEPT = 4, 2
"""2:4: in every four inputs of a row two weights stay (NVIDIA Ampere's sparse tensor cores)."""
BLOCK = 128
"""Inputs among which the share of an unstructured mask is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sparse:
    """A graph with zeros in its kernels; `zeros` says for each layer which share of its kernel is zero, `skipped` why not."""

    graph: Graph
    zeros: Mapping[str, float]
    skipped: Mapping[str, str]


def sparsify(
    graph: Graph,
    *,
    share: float | None = None,
    samples: Iterable[Feed] = (),
    execute: Executor | None = None,
    progress: Progress = silent,
) -> Sparse:
    """`graph` with 2:4 kernels, or with `share` (0 to 1) of each kernel zero. Guarantees: same operators, shapes, inputs and outputs.

    Convolutions in groups and kernels whose inputs are no multiple of four (for 2:4) stay whole and are named. The last layers, whose
    outputs are the answer, are treated like the others. Raises `UsageError` for a share outside 0 to 1.
    """
    if share is not None and not 0 < share < 1:
        raise UsageError(f"the share of zeros is {share:.0%}, it must lie between 0 and 100 %", "leave it out for 2:4")
    seen = _Seen.of(graph, samples, execute)
    zeros: dict[str, float] = {}
    skipped: dict[str, str] = {}
    layers = [node for node in graph.nodes if node.op in LAYERS and node.inputs[1] in graph.constants]
    for index, node in enumerate(layers):
        progress(Event(stage="sparsify", done=index, total=len(layers)))
        reason = _reason(graph, node, share)
        if reason:
            skipped[node.name] = reason
        else:
            graph, zeros[node.name] = _sparse(graph, node, share, seen)
    return Sparse(graph=graph, zeros=zeros, skipped=skipped)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """The samples on their way through the graph, layer by layer, and the places of each that are looked at."""

    stream: Stream
    places: Places

    @staticmethod
    def of(graph: Graph, samples: Iterable[Feed], execute: Executor | None) -> _Seen | None:
        data = () if execute is None else tuple(islice(samples, samples_that_fit(graph, MOST)))
        if execute is None or not data:
            return None
        return _Seen(stream=Stream(graph, data, execute), places=Places())


def _sparse(graph: Graph, node: Node, share: float | None, seen: _Seen | None) -> tuple[Graph, float]:
    """The graph with zeros in one layer's kernel, and the share of it that is zero."""
    node = next(one for one in graph.nodes if one.name == node.name)
    rows = _as_rows(node, graph.constants[node.inputs[1]].astype(np.float64))
    sparse = _masked(rows, share) if seen is None else _mended(rows, _hessian(graph, node, seen), share)
    added = _as_kernel(node, sparse - rows, graph.shape(node.inputs[1]))
    changed = with_weights(graph, {node.name: NewWeights(kernel=added)})
    return _exactly(changed, node, sparse), float(np.mean(sparse == 0))


def _reason(graph: Graph, node: Node, share: float | None) -> str:
    """Why a layer stays whole, or nothing."""
    if not is_fittable(graph, node) or node.integer("group", 1) != 1:
        return "in groups, not over pictures, or too large to solve for"
    inputs = _as_rows(node, graph.constants[node.inputs[1]]).shape[1]
    channels = graph.shape(node.inputs[1])[1] if node.op == "Conv" else inputs
    if share is None and channels % GROUP:
        return f"{channels} inputs are no multiple of {GROUP}"
    return ""


def _as_rows(node: Node, kernel: Array) -> Floats:
    """[outputs, inputs], the channels of one tap of a convolution side by side: that is how engines count to four."""
    if node.op == "Conv":
        return np.moveaxis(kernel, 1, -1).reshape(kernel.shape[0], -1)
    return kernel if node.op == "Gemm" and node.integer("transB", 0) else kernel.T


def _as_kernel(node: Node, rows: Floats, shape: tuple[int, ...]) -> Floats:
    """The inverse of `_as_rows`."""
    if node.op == "Conv":
        return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    return rows if node.op == "Gemm" and node.integer("transB", 0) else rows.T


def _exactly(graph: Graph, node: Node, rows: Floats) -> Graph:
    """Zeros that are zeros: the sum of a weight and minus itself is, but that of two rounded numbers need not be."""
    current = next(one for one in graph.nodes if one.name == node.name)
    kernel = graph.constants[current.inputs[1]]
    exact = np.where(_as_kernel(node, rows, kernel.shape) == 0, 0, kernel).astype(kernel.dtype)
    return graph.with_nodes(graph.nodes, constants={current.inputs[1]: exact})


def _hessian(graph: Graph, node: Node, seen: _Seen) -> Floats:
    """The second moments of the layer's inputs, [inputs, inputs], in the order of `_as_rows`."""
    kernel, made = graph.shape(node.inputs[1]), graph.shape(node.output)
    size = int(np.prod(kernel)) // made[made_axis(node, len(made))]
    total = np.zeros((size, size))
    for index, (values, *_) in enumerate(seen.stream.before(graph, node.name)):
        rows = seen.places.rows(index, row_shape(node, made), PLACES)
        x = patches(node, values, made, kernel, rows).astype(np.float64)
        if node.op == "Conv":
            x = np.moveaxis(x.reshape(-1, *kernel[1:]), 1, -1).reshape(len(x), -1)
        total += x.T @ x
    return total


def _masked(rows: Floats, share: float | None) -> Floats:
    """The smallest weights set to zero."""
    sparse: Floats = rows.copy()
    for start, stop in _blocks(rows.shape[1], share):
        sparse[:, start:stop][_least(np.square(rows[:, start:stop]), share)] = 0
    return sparse


def _mended(rows: Floats, hessian: Floats, share: float | None) -> Floats:
    """The weights that matter least set to zero, one input after the other, the inputs to come making up for it."""
    count = len(hessian)
    damped = hessian + np.eye(count) * max(DAMPING * float(np.trace(hessian)) / count, 1e-12)
    inverse = np.linalg.cholesky(np.linalg.inv(damped)).T
    sparse: Floats = rows.copy()
    for start, stop in _blocks(count, share):
        gone = _least(np.square(sparse[:, start:stop] / np.diagonal(inverse)[start:stop]), share)
        for at in range(start, stop):
            error = np.where(gone[:, at - start], sparse[:, at], 0) / inverse[at, at]
            sparse[:, at:] -= np.outer(error, inverse[at, at:])
            sparse[gone[:, at - start], at] = 0
    return sparse


def _blocks(count: int, share: float | None) -> list[tuple[int, int]]:
    """The runs of inputs that are decided on together."""
    step = GROUP if share is None else BLOCK
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def _least(worth: Floats, share: float | None) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which weights of a block [outputs, inputs] go: two of four in each row, or the least worthy share of all."""
    gone = np.zeros(worth.shape, bool)
    if share is None:
        np.put_along_axis(gone, np.argsort(worth, axis=1, kind="stable")[:, : GROUP - KEPT], True, axis=1)
    else:
        gone.reshape(-1)[np.argsort(worth.reshape(-1), kind="stable")[: round(share * worth.size)]] = True
    return gone
