"""Weights rounded with an eye on each other: what one weight is rounded by, those after it take back as far as the data let them.

To round each weight to its nearest step is best only for inputs that have nothing to do with one another. Given the second moments of a
layer's input, its squared output error is a quadratic form in the rounding errors of a row of weights; rounding one column after the
other and moving those still to come where that form is least (arXiv 2210.17323) brings it down by a third to a half at eight bits. The
objective is that of AdaRound (arXiv 2004.10568), without its hours of descent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph, Node, PassResult
from edgekit.converters.quantize.mend.patches import patches
from edgekit.converters.quantize.observe.fetch import fetch, portions
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.ranges.weights import LIMIT, output_axis

FEWEST = 2
"""Samples: some to learn from, one to judge by."""
WIDEST = 4608
"""Inputs of a row beyond which even those who wait are not kept waiting."""
SOON = 1e9
"""Multiplications that are done in about a second; the narrowest layers come first."""
BLOCK = 64
"""Columns between two updates of all that are left."""
BUDGET_BYTES = 256 << 20
"""Second moments that are kept at a time; more layers are taken in turn, each time with a pass over the samples."""
DAMPING = 0.01
"""Of the mean second moment, added to each: few samples know little of a thousand directions."""

Real = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Layer:
    """A layer whose weights are rounded together: matrices [groups, rows, inputs], and their scale in that shape."""

    node: Node
    name: str
    weights: Real
    scale: Real


def round_weights(
    graph: Graph, quantization: Quantization, samples: Sequence[Feed], execute: Executor, *, work: float = SOON
) -> PassResult:
    """The graph with weights that lie on their grids already, chosen together; `changes` counts the layers.

    The widest layers are left as they are when all would be more `work` than this many multiplications.

    Guarantees: the same nodes and tensors, the grids of `quantization` hold. The last sample judges: a row stays as it would be rounded
    by itself where that is better there. With fewer than `FEWEST` samples nothing changes.
    """
    layers = tuple(_affordable(_layers(graph, quantization), work)) if len(samples) >= FEWEST else ()
    if not layers:
        return PassResult(graph=graph, changes=0)
    constants: dict[str, Array] = {}
    for portion in portions([(layer.name, moment_bytes(layer.weights)) for layer in layers], BUDGET_BYTES):
        here = {layer.name: layer for layer in layers if layer.name in portion}
        learnt, judged = _moments(graph, here, samples, execute)
        new = {name: _rounded(layer, learnt[name], judged[name]) for name, layer in here.items()}
        constants |= {name: _as_stored(graph, here[name], value) for name, value in new.items()}
    return PassResult(graph=graph.with_nodes(list(graph.nodes), constants=constants), changes=len(constants))


def moment_bytes(weights: Real) -> int:
    """What the second moments of a layer's inputs take while it is rounded: two sets, and two more to solve with."""
    groups, _, inputs = weights.shape
    return int(4 * 8 * groups * inputs**2)


def _affordable(layers: Iterable[_Layer], work: float) -> Iterator[_Layer]:
    """The narrowest layers, as many as that much work allows."""
    for layer in sorted(layers, key=lambda each: each.weights.shape[-1]):
        groups, rows, inputs = layer.weights.shape
        work -= groups * inputs**2 * (inputs + rows)
        if work >= 0:
            yield layer


def _layers(graph: Graph, quantization: Quantization) -> Iterator[_Layer]:
    """Quantized layers whose weights nobody else reads: Gemm, and Conv with its channels all together or all apart."""
    for node in graph.nodes:
        params = quantization.weights.get(node.inputs[1]) if node.op in ("Conv", "Gemm") else None
        if params is None or node.name in quantization.float_nodes or graph.sole_consumer(node.inputs[1]) is not node:
            continue
        layer = _layer(graph, node, params)
        if layer is not None and layer.weights.shape[-1] <= WIDEST:
            yield layer


def _layer(graph: Graph, node: Node, params: QuantParams) -> _Layer | None:
    """The weights as matrices, or None for a form that is not known here."""
    value = graph.constants[node.inputs[1]].astype(np.float64)
    axis = output_axis(graph, node)
    groups = node.integer("group", 1) if node.op == "Conv" else 1
    if axis is None or (groups > 1 and value.shape[1] > 1) or (node.op == "Conv" and value.ndim != 4):
        return None
    rows = np.moveaxis(value, axis, 0).reshape(groups, value.shape[axis] // groups, -1)
    scale = np.broadcast_to(params.scale.astype(np.float64), (value.shape[axis],)).reshape(groups, -1, 1)
    return _Layer(node=node, name=node.inputs[1], weights=rows, scale=scale)


def _moments(
    graph: Graph, layers: Mapping[str, _Layer], samples: Sequence[Feed], execute: Executor
) -> tuple[Mapping[str, Real], Mapping[str, Real]]:
    """Per layer the second moments of its inputs, [groups, inputs, inputs]: over all samples but the last, and over the last."""
    readers: dict[str, list[_Layer]] = {}
    for layer in layers.values():
        readers.setdefault(layer.node.inputs[0], []).append(layer)
    learnt: dict[str, Real] = {}
    judged: dict[str, Real] = {}
    for index, (_, activations) in enumerate(fetch(graph, tuple(readers), samples, execute)):
        found, phase = (learnt, index) if index < len(samples) - 1 else (judged, 0)
        for name, values in activations:
            for layer in readers[name]:
                seen = patches(graph, layer.node, values, phase=phase)
                moments = seen.transpose(0, 2, 1) @ seen
                found.setdefault(layer.name, np.zeros(moments.shape, np.float64))
                found[layer.name] += moments
    return learnt, judged


def _rounded(layer: _Layer, learnt: Real, judged: Real) -> Real:
    """Each row as it is better on the judging moments: rounded together, or each weight by itself."""
    together, alone = compensated(layer.weights, layer.scale, learnt), nearest(layer.weights, layer.scale)
    better = squared_error(layer.weights - together, judged) < squared_error(layer.weights - alone, judged)
    return np.where(better[..., None], together, alone)


def nearest(weights: Real, scale: Real) -> Real:
    """Every weight at the step of [-127, 127] next to it."""
    return np.asarray(np.clip(np.rint(weights / scale), -LIMIT, LIMIT) * scale)


def squared_error(errors: Real, moments: Real) -> Real:
    """What errors of weights [..., rows, inputs] do to the outputs: [..., rows]."""
    return np.asarray(np.einsum("...ri,...ri->...r", errors @ moments, errors))


def compensated(weights: Real, scale: Real, moments: Real) -> Real:
    """Weights [..., rows, inputs] on the grid of `scale` [..., rows, 1], rounded in turn, for inputs of these second moments.

    Inputs that vary most come first, while there are others left to make up for them.
    """
    energy = np.diagonal(moments, axis1=-2, axis2=-1)
    order = np.argsort(-energy.sum(axis=tuple(range(energy.ndim - 1))), kind="stable")
    form = _damped(moments)[..., order[:, None], order[None, :]]
    factor = inverse_root(form).astype(np.float32)
    left, steps = weights[..., order].astype(np.float32), scale.astype(np.float32)
    for start in range(0, left.shape[-1], BLOCK):
        here = slice(start, start + BLOCK)
        left[..., here], shares = _block(left[..., here], steps, factor[..., here, here])
        left[..., start + BLOCK :] -= shares @ factor[..., here, start + BLOCK :]
    return nearest(left[..., np.argsort(order)].astype(np.float64), scale)


def inverse_root(form: Real) -> Real:
    """The upper triangle U with U^T U the inverse of `form`: that of the V with V V^T the form, which is had without its inverse."""
    root = np.linalg.cholesky(form[..., ::-1, ::-1])[..., ::-1, ::-1]
    return np.asarray(np.linalg.inv(root))


def _block(weights: NDArray[np.float32], scale: NDArray[np.float32], factor: NDArray[np.float32]) -> tuple[Any, Any]:
    """Some columns rounded in turn, and each one's error in units of its place in `factor`, for the columns behind."""
    left, shares = weights.copy(), np.zeros_like(weights)
    for column in range(left.shape[-1]):
        exact = left[..., column]
        rounded = np.clip(np.rint(exact / scale[..., 0]), -LIMIT, LIMIT) * scale[..., 0]
        share = (exact - rounded) / factor[..., column, column][..., None]
        left[..., column + 1 :] -= share[..., None] * factor[..., None, column, column + 1 :]
        left[..., column], shares[..., column] = rounded, share
    return left, shares


def _damped(moments: Real) -> Real:
    """The moments with something added to each direction, so that none is without cost."""
    mean = np.diagonal(moments, axis1=-2, axis2=-1).mean(axis=-1)[..., None, None]
    return np.asarray(moments + (DAMPING * mean + np.finfo(np.float32).tiny) * np.eye(moments.shape[-1]))


def _as_stored(graph: Graph, layer: _Layer, value: Real) -> Array:
    """The matrices back in the shape and order of the constant."""
    stored, axis = graph.constants[layer.name], output_axis(graph, layer.node) or 0
    others = tuple(size for index, size in enumerate(stored.shape) if index != axis)
    return np.moveaxis(value.reshape(stored.shape[axis], *others), 0, axis).astype(stored.dtype)
