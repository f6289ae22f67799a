"""Channels of a normalised tensor brought to like size, and the weights that read them to make up for it (arXiv 2211.10438).

A few channels behind a LayerNormalization of a transformer are often far larger than the rest, and one scale for all leaves those a few
steps each. The normalisation's own scale and bias divide a channel for free; the products behind it multiply. How far to go is a balance
between activations and weights that no rule knows (a ViT gains, a Swin may lose: it is tried and heard at the outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node, PassResult
from edgekit.converters.names import Names
from edgekit.converters.quantize.channels.reach import Reach
from edgekit.converters.quantize.ranges.weights import weight_name

ALPHAS = (0.15, 0.5)
"""How much of the difference between channels goes into the weights."""
WORTH = 0.95
"""Of the noise as it was: what lowers it by less may be chance."""
SMALLEST = 1e-5
"""Of the largest channel: what is smaller still is not lifted further."""
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Site:
    """A normalisation over the last axis with constants of its own, and the products with constant matrices that alone read it."""

    norm: Node
    products: tuple[Node, ...]


def smooth(
    graph: Graph, reach_of: Callable[[Sequence[str]], Mapping[str, Reach]], noise_of: Callable[[Graph], float]
) -> PassResult:
    """The graph with smoother activations where that leaves less noise at the heads; `changes` counts the normalisations.

    Guarantees: same inputs, outputs, nodes and, up to rounding, values. `reach_of` says how far each channel (last axis) of the named
    tensors goes, `noise_of` what integers do to a form of this graph. Both are asked only of a graph that has such a place.
    """
    sites = tuple(_sites(graph))
    if not sites:
        return PassResult(graph=graph, changes=0)
    reach = reach_of(tuple(site.norm.output for site in sites))
    least, best = noise_of(graph) * WORTH, graph
    for alpha in ALPHAS:
        candidate = _smoothed(graph, sites, reach, alpha)
        noise = noise_of(candidate)
        least, best = (noise, candidate) if noise < least else (least, best)
    return PassResult(graph=best, changes=len(sites) if best is not graph else 0)


def _sites(graph: Graph) -> Iterator[_Site]:
    for node in graph.nodes:
        if node.op != "LayerNormalization":
            continue
        constant = all(name in graph.constants for name in node.inputs[1:] if name)
        last = node.integer("axis", -1) in (-1, len(graph.shape(node.output)) - 1)
        products = _readers(graph, node.output) if constant and last and len(node.inputs) > 1 else None
        if products:
            yield _Site(norm=node, products=products)


def _readers(graph: Graph, name: str) -> tuple[Node, ...] | None:
    """The products that read a tensor, seen through views that keep its last axis; None when anything else does."""
    found: list[Node] = []
    if name in graph.output_names:
        return None
    for node in graph.consumers.get(name, ()):
        if node.op in VIEWS and graph.shape(node.output)[-1:] == graph.shape(name)[-1:]:
            behind = _readers(graph, node.output)
            if behind is None:
                return None
            found += behind
        elif _multiplies(graph, node, name):
            found.append(node)
        else:
            return None
    return tuple(found)


def _multiplies(graph: Graph, node: Node, name: str) -> bool:
    """Whether a node multiplies the tensor by a constant matrix."""
    if node.op not in ("Gemm", "MatMul") or node.inputs[0] != name or node.attributes.get("transA", 0):
        return False
    weight = weight_name(graph, node)
    return bool(weight) and weight == node.inputs[1] and graph.constants[weight].ndim == 2


def _smoothed(graph: Graph, sites: Sequence[_Site], reach: Mapping[str, Reach], alpha: float) -> Graph:
    """The graph with every site's factors moved from the normalisation into the products."""
    changed: dict[str, Mapping[str, Array]] = {}
    for site in sites:
        factors = factors_of(reach[site.norm.output], _largest(graph, site.products), alpha)
        changed[site.norm.name] = {name: _scaled(graph, name, 1 / factors, 0) for name in site.norm.inputs[1:] if name}
        for node in site.products:
            axis = 1 if node.attributes.get("transB", 0) else 0
            changed[node.name] = {node.inputs[1]: _scaled(graph, node.inputs[1], factors, axis)}
    return _with_own_constants(graph, changed)


def _with_own_constants(graph: Graph, changed: Mapping[str, Mapping[str, Array]]) -> Graph:
    """The graph in which each named node reads these constants in the place of those it read, which others may share."""
    names = Names(graph)
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    for node in graph.nodes:
        own = {name: names.free(f"{node.name}/smoothed/{name}") for name in changed.get(node.name, {})}
        constants |= {own[name]: changed[node.name][name] for name in own}
        nodes.append(replace(node, inputs=tuple(own.get(name, name) for name in node.inputs)))
    return graph.with_nodes(nodes, constants=constants)


def factors_of(reach: Reach, weights: Reach, alpha: float) -> NDArray[np.float64]:
    """What each channel is divided by: reach^alpha / weights^(1 - alpha), with a geometric mean of one; channels that are dead keep 1.

    alpha = 0 equalises the weights alone, alpha = 1 the activations alone.
    """
    alive = (reach > 0) & (weights > 0)
    if not alive.any():
        return np.ones_like(reach)
    x, w = (np.maximum(values, SMALLEST * values.max() + np.finfo(np.float64).tiny) for values in (reach, weights))
    logs = np.where(alive, alpha * np.log(x) - (1 - alpha) * np.log(w), 0.0)
    return np.asarray(np.exp(np.where(alive, logs - logs[alive].mean(), 0.0)))


def _largest(graph: Graph, products: Sequence[Node]) -> Reach:
    """The largest weight that reads each channel."""
    rows = (np.abs(graph.constants[node.inputs[1]]).max(axis=0 if node.attributes.get("transB", 0) else 1) for node in products)
    return np.asarray(np.max(np.stack(list(rows)), axis=0).astype(np.float64))


def _scaled(graph: Graph, name: str, factors: NDArray[np.float64], axis: int) -> Array:
    """A constant with its slices along `axis` scaled."""
    value = graph.constants[name]
    shape = tuple(-1 if dim == axis else 1 for dim in range(value.ndim))
    return (value * factors.reshape(shape)).astype(value.dtype)
