"""Bias correction: rounded weights shift what a layer gives on average, and its bias takes that back.

Sequential and empirical (arXiv 1906.04721, section 4.2; "full" bias correction in NNCF): layer by layer in topological order, each
behind predecessors that are quantized and corrected already. The mean of a few samples is itself uncertain: a late layer of a
detector has hundreds of positions of one scene, and to "correct" what the scene happened to show once cost YOLOX-nano most of its
detections. Each channel's correction is therefore shrunk by how uncertain it is from sample to sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.cost import graph_cost
from edgekit.converters.executor import Executor, Feed
from edgekit.converters.graph import Array, Graph, Node, PassResult
from edgekit.converters.names import Names
from edgekit.converters.quantize.observe.fetch import fetch
from edgekit.converters.quantize.observe.replay import Replay, along
from edgekit.converters.quantize.parameters import Quantization
from edgekit.converters.quantize.qdq import dress, dressing_of
from edgekit.converters.quantize.rules.roles import absorbed_by, bias_of
from edgekit.core.progress import Event, Progress, silent

FEWEST, MOST = 4, 8
"""Samples: below the least nothing is known of the uncertainty; more than the most improved no model that was measured."""
BUDGET_BYTES = 256 << 20
"""Activations of all samples together, in both graphs."""
CERTAIN = 4.0
"""Standard errors below which a mean is taken for chance."""
BIASED = frozenset({"Conv", "ConvTranspose", "Gemm"})


def correct_biases(
    graph: Graph,
    quantization: Quantization,
    samples: Iterable[Feed],
    execute: Executor,
    *,
    exact: Graph | None = None,
    progress: Progress = silent,
) -> PassResult:
    """The graph with new biases in the quantized layers whose mean output is shifted; `changes` counts the layers.

    `exact` is what it should compute where its weights are rounded already: the same nodes with the weights as they were.

    Guarantees: the same nodes and tensors; only constants of biases are new (a layer without one gets one). Uses the first samples
    (`MOST`, or fewer where their activations would not fit `BUDGET_BYTES`); with fewer than `FEWEST` nothing changes.
    """
    few = tuple(islice(samples, _affordable(graph)))
    layers = tuple(_layers(graph, quantization))
    if len(few) < FEWEST or not layers:
        return PassResult(graph=graph, changes=0)
    biases: dict[str, Array] = {}
    for done, (node, shift) in enumerate(_shifts(graph, quantization, layers, few, execute, exact or graph), start=1):
        if shift.any():
            biases[node.name] = _corrected(graph, node, shift)
        progress(Event(stage="correct biases", done=done, total=len(layers)))
    return PassResult(graph=_with_biases(graph, biases), changes=len(biases))


def _affordable(graph: Graph) -> int:
    return int(np.clip(BUDGET_BYTES // max(2 * graph_cost(graph).activation_bytes, 1), FEWEST, MOST))


def _layers(graph: Graph, quantization: Quantization) -> Iterator[Node]:
    """Quantized layers with a constant weight, and a bias that is constant or absent."""
    for node in graph.nodes:
        biased = len(node.inputs) > 2 and node.inputs[2] != ""
        quantized = node.op in BIASED and node.name not in quantization.float_nodes and node.inputs[1] in quantization.weights
        if quantized and (not biased or bias_of(graph, node) is not None):
            yield node


def _shifts(
    graph: Graph,
    quantization: Quantization,
    layers: Sequence[Node],
    samples: Sequence[Feed],
    execute: Executor,
    reference: Graph,
) -> Iterator[tuple[Node, NDArray[np.float64]]]:
    """Each layer with what its output is short of, per channel, once those before it are corrected."""
    bare = frozenset(name for name in quantization.activations if absorbed_by(graph, name) is not None)
    dressed = dress(graph, dressing_of(quantization, reads=lambda node, name: True, integers=True, bare=bare))
    outputs = {node.name: node.output for node in dressed.nodes}
    wanted, rounded = _mean_outputs(reference, layers, samples, execute), Replay.of(dressed, samples, execute)
    for node in layers:
        given = rounded.until(outputs[node.name])
        axis, rank = _channel_axis(node), given[0].ndim
        shift = certain_mean(wanted[node.output] - np.stack([_means(values, axis) for values in given]))
        rounded.shift(outputs[node.name], along(shift, axis, rank))
        yield node, shift


def _mean_outputs(
    graph: Graph, layers: Sequence[Node], samples: Sequence[Feed], execute: Executor
) -> Mapping[str, NDArray[np.float64]]:
    """[samples, channels] of each layer's output: its mean."""
    axes = {node.output: _channel_axis(node) for node in layers}
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in axes}
    for _, activations in fetch(graph, tuple(axes), samples, execute):
        for name, values in activations:
            found[name].append(_means(values, axes[name]))
    return {name: np.stack(means) for name, means in found.items()}


def certain_mean(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over samples (axis 0) per channel, shrunk towards zero by its uncertainty: zero within `CERTAIN` standard errors.

    The factor 1 - (k * standard error / mean)^2, not below 0, is the positive-part James-Stein form with k = `CERTAIN`.
    """
    mean = errors.mean(axis=0)
    doubt = CERTAIN * errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    share = 1 - np.square(np.divide(doubt, np.abs(mean), out=np.ones_like(mean), where=np.abs(mean) > doubt))
    return np.asarray(mean * share)


def _channel_axis(node: Node) -> int:
    return -1 if node.op == "Gemm" else 1


def _means(values: Array, axis: int) -> NDArray[np.float64]:
    others = tuple(dim for dim in range(values.ndim) if dim != axis % values.ndim)
    return np.asarray(values.mean(axis=others, dtype=np.float64))


def _corrected(graph: Graph, node: Node, shift: NDArray[np.float64]) -> Array:
    name = bias_of(graph, node)
    bias = np.zeros(1) if name is None else graph.constants[name].astype(np.float64).reshape(-1)
    return (bias + shift).astype(graph.constants[node.inputs[1]].dtype)


def _with_biases(graph: Graph, biases: Mapping[str, Array]) -> Graph:
    """The graph in which each named node reads a bias of its own."""
    free = Names(graph)
    names = {node: free.free(f"{node}/corrected/bias") for node in biases}
    nodes = [replace(node, inputs=(*node.inputs[:2], names[node.name])) if node.name in names else node for node in graph.nodes]
    return graph.with_nodes(nodes, constants={names[node]: value for node, value in biases.items()})
