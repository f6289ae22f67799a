"""Equalise channels that must share one scale: a channel a hundred times smaller than its neighbour keeps only rounding noise.

Multiplying a channel by a power of two where it is made and dividing by it where it is read changes nothing in float and everything
in integers (cross-layer equalization, arXiv 1906.04721). Through Relu and LeakyRelu the factor passes for free. Through SiLU,
x * sigmoid(x), it passes in the product while the gate reads the channel divided again. That costs one more Mul, which is spent
only where the outputs were heard to suffer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node, PassResult
from edgekit.converters.names import Names
from edgekit.converters.quantize.channels.reach import Reach, Spread
from edgekit.converters.quantize.ranges.weights import LIMIT
from edgekit.converters.quantize.rules.roles import integer
from edgekit.core.schema import TensorSpec

Factors = NDArray[np.float64]
LARGEST = 64.0
"""Beyond it, int8 weights of the reading layer would fade in turn."""
APART = 3.0
"""How far the median channel must lie below the largest: nearer ones are served as well by per-channel weights alone."""
MARGIN = 2.0
"""Standard deviations from sample to sample for which there must be room above what was seen: few samples do not tell how far a channel goes."""
STEPS = 255
"""Of an activation's range."""
TOGETHER = 0.5
"""Of their noise by themselves is what weights keep that are rounded together, and whose biases are corrected (`tuned`)."""
HEARD = 0.01
"""A gate is worth its time where rounding the site alone makes more noise than this share of what the heads vary by."""
SATURATED = 8.0
"""Below minus this a SiLU has nothing left to say (x * sigmoid(x) > -0.003), so a range may be cut there."""
HOMOGENEOUS = frozenset({"Relu", "LeakyRelu"})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Site:
    """A Conv, the tensor behind its activation, the Convs that alone read that, and a SiLU's gate if there is one."""

    maker: Node
    result: str
    readers: tuple[Node, ...]
    gate: Node | None


def equalise(
    graph: Graph,
    spreads_of: Callable[[Sequence[str]], Mapping[str, Spread]],
    noises_of: Callable[[Sequence[tuple[str, str]]], Sequence[float]],
) -> PassResult:
    """The graph with channels of like size where a Conv feeds only Convs. Guarantees: same inputs, outputs and, up to rounding, values.

    `spreads_of` says how the channels of the named tensors spread (`reach.spreads`), `noises_of` for each pair of tensors what
    rounding them alone does at the heads (`Probe.noise_of`). Both are costly and asked at most once: the first of a graph that has a
    place to equalise, the second where that would take a gate.
    """
    weights = {node.name: [graph.constants[name] for name in node.inputs[1:]] for node in graph.nodes if _is_plain(graph, node)}
    gates: dict[str, NDArray[np.float32]] = {}
    changes = 0
    sites = tuple(_sites(graph, weights))
    spreads = spreads_of(_measured(sites)) if sites else {}
    uneven = [(site, factors) for site in sites if (factors := _factors(graph, spreads, site)) is not None]
    for site, factors in _worthwhile(uneven, noises_of):
        changes += 1
        weights[site.maker.name] = [_along_outputs(value, factors) for value in weights[site.maker.name]]
        for reader in site.readers:
            kernel, *rest = weights[reader.name]
            weights[reader.name] = [_along_inputs(kernel, 1 / factors, _is_depthwise(graph, reader)), *rest]
        if site.gate is not None:
            gates[site.gate.name] = (1 / factors).astype(np.float32).reshape(1, -1, 1, 1)
    return PassResult(graph=_rebuilt(graph, weights, gates), changes=changes) if changes else PassResult(graph=graph, changes=0)


def _worthwhile(
    uneven: Sequence[tuple[_Site, Factors]], noises_of: Callable[[Sequence[tuple[str, str]]], Sequence[float]]
) -> Iterator[tuple[_Site, Factors]]:
    """The sites without a gate, and those whose gate is worth its time."""
    gated = [(site.maker.output, site.result) for site, _ in uneven if site.gate is not None]
    heard = dict(zip(gated, noises_of(gated), strict=True)) if gated else {}
    for site, factors in uneven:
        if site.gate is None or heard[site.maker.output, site.result] > HEARD:
            yield site, factors


def _is_plain(graph: Graph, node: Node) -> bool:
    """A Conv over images with constant weights whose channels are all together or all apart."""
    constant = node.op == "Conv" and all(name in graph.constants for name in node.inputs[1:])
    return constant and len(graph.shape(node.output)) == 4 and (integer(node, "group", 1) == 1 or _is_depthwise(graph, node))


def _is_depthwise(graph: Graph, node: Node) -> bool:
    group = integer(node, "group", 1)
    return group > 1 and group == graph.shape(node.inputs[0])[1] == graph.shape(node.output)[1]


def _sites(graph: Graph, plain: Mapping[str, object]) -> Iterator[_Site]:
    for maker in graph.nodes:
        found = _activation(graph, maker.output) if maker.name in plain else None
        if found is None:
            continue
        result, gate = found
        readers = graph.consumers.get(result, ())
        only_data = all(node.name in plain and node.inputs.count(result) == 1 and node.inputs[0] == result for node in readers)
        if readers and only_data and result not in graph.output_names:
            yield _Site(maker=maker, result=result, readers=readers, gate=gate)


def _activation(graph: Graph, name: str) -> tuple[str, Node | None] | None:
    """The tensor behind the homogeneous or SiLU activation of a Conv, with the SiLU's Sigmoid; None for any other."""
    if name in graph.output_names:
        return None
    readers = graph.consumers.get(name, ())
    if len(readers) == 1:
        return (readers[0].output if readers[0].op in HOMOGENEOUS else name), None
    gate = next((node for node in readers if node.op == "Sigmoid"), None)
    product = graph.sole_consumer(gate.output) if gate is not None else None
    if product is None or product.op != "Mul" or {node.op for node in readers} != {"Sigmoid", "Mul"} or len(readers) != 2:
        return None
    return (product.output, gate) if product in readers else None


def _measured(sites: Sequence[_Site]) -> tuple[str, ...]:
    """The tensors whose channels decide: behind the activation, and what a SiLU reads."""
    read = [site.maker.output for site in sites if site.gate is not None]
    return tuple(dict.fromkeys([*read, *(site.result for site in sites)]))


def _factors(graph: Graph, spreads: Mapping[str, Spread], site: _Site) -> Factors | None:
    """Powers of two that lift small channels as far as it pays, or None where that gains too little or the data is not finite."""
    reach, after = _reach(spreads, site), spreads[site.result]
    if reach.size < 2 or reach.max() <= 0 or not np.isfinite(reach).all():
        return None
    least = reach.max() / LARGEST
    if np.median(reach.max() / np.maximum(reach, least)) < APART:
        return None
    room = reach.max() / np.maximum(reach + MARGIN * after.deviation, least)
    balance = _balance(graph, site, step=reach.max() / STEPS, power=after.mean_square)
    factors = np.asarray(2.0 ** np.floor(np.log2(np.maximum(np.minimum(room, balance * np.sqrt(2)), 1))))
    return factors if factors.max() > 1 else None


def _balance(graph: Graph, site: _Site, *, step: float, power: Reach) -> Factors:
    """How far to lift each channel so that its own rounding and that of the weights that read it do least harm together.

    A channel that is lifted by f loses f^2 of the noise of its own `step`, while its weights, f times smaller than their neighbours,
    are off by f^2 times as much for its mean square `power`. Depthwise weights have scales of their own and lose nothing. Where a gate
    was heard to be worth its time, the channel is lifted all the way: what the gate itself rounds is in no such account.
    """
    weights = [graph.constants[node.inputs[1]].astype(np.float64) for node in site.readers if not _is_depthwise(graph, node)]
    if site.gate is not None or not weights:
        return np.full_like(power, LARGEST)
    own = [graph.constants[node.inputs[1]].astype(np.float64) for node in site.readers if _is_depthwise(graph, node)]
    felt = sum((np.square(w).sum(axis=(0, 2, 3)) for w in weights), sum((np.square(w).sum(axis=(1, 2, 3)) for w in own), 0.0))
    lost = sum(np.square(np.abs(w).max(axis=(1, 2, 3)) / LIMIT).sum() * w.shape[2] * w.shape[3] for w in weights)
    gained, paid = step**2 * felt, TOGETHER * lost * power
    most = np.full_like(power, LARGEST**4)
    return np.asarray(np.divide(gained, paid, out=most, where=paid > gained / LARGEST**4) ** 0.25)


def _reach(spreads: Mapping[str, Spread], site: _Site) -> Reach:
    """How far each channel goes behind the activation; behind a SiLU at least as far as what it reads of the channel."""
    after = spreads[site.result].largest
    if site.gate is None:
        return after
    return np.asarray(np.maximum(after, np.minimum(spreads[site.maker.output].largest, SATURATED)))


def _along_outputs(value: Array, factors: Factors) -> Array:
    """A Conv's kernel or bias with its output channels scaled."""
    return (value * factors.reshape(-1, *([1] * (value.ndim - 1)))).astype(value.dtype)


def _along_inputs(kernel: Array, factors: Factors, depthwise: bool) -> Array:
    """A Conv's kernel with its input channels scaled."""
    return _along_outputs(kernel, factors) if depthwise else (kernel * factors.reshape(1, -1, 1, 1)).astype(kernel.dtype)


def _rebuilt(graph: Graph, weights: Mapping[str, list[Array]], gates: Mapping[str, NDArray[np.float32]]) -> Graph:
    """The graph with new kernels and biases, each under a name of its own, and a Mul before each gate."""
    names = Names(graph)
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    specs: dict[str, TensorSpec] = {}
    for node in graph.nodes:
        if node.name in gates:
            factor = names.free(f"{node.name}/equalised/factor")
            constants[factor] = gates[node.name]
            nodes.append(_restoring(node, factor, names))
            specs[nodes[-1].output] = TensorSpec(name=nodes[-1].output, shape=graph.shape(node.inputs[0]), dtype="float32")
            nodes.append(replace(node, inputs=(nodes[-1].output,)))
        elif _is_new(graph, node, weights):
            parts = ("kernel", "bias")[: len(node.inputs) - 1]
            own = tuple(names.free(f"{node.name}/equalised/{part}") for part in parts)
            constants |= dict(zip(own, weights[node.name], strict=True))
            nodes.append(replace(node, inputs=(node.inputs[0], *own)))
        else:
            nodes.append(node)
    return graph.with_nodes(nodes, constants=constants, specs=specs)


def _restoring(gate: Node, factor: str, names: Names) -> Node:
    """The Mul that gives a gate its channels as they were."""
    restored = names.free(f"{gate.name}/equalised")
    return Node(op="Mul", name=names.free(f"{restored}/Mul"), inputs=(gate.inputs[0], factor), outputs=(restored,))


def _is_new(graph: Graph, node: Node, weights: Mapping[str, list[Array]]) -> bool:
    """Whether a layer's kernel or bias was scaled."""
    current = weights.get(node.name, ())
    return any(value is not graph.constants[name] for name, value in zip(node.inputs[1:], current, strict=False))
