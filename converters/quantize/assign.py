"""Where integers stand in a graph, and their parameters, for one family of engines."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.floats.closing import closing, moved_between
from edgekit.converters.quantize.floats.dynamic import plain_lstms
from edgekit.converters.quantize.floats.faint import faint
from edgekit.converters.quantize.floats.islands import islands
from edgekit.converters.quantize.floats.places import places
from edgekit.converters.quantize.floats.recurrences import recurrences
from edgekit.converters.quantize.floats.tail import float_tail
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.observe.histogram import Histogram, merge_all, observe
from edgekit.converters.quantize.observe.masks import bounded
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.ranges.choose import Range, choose, fixed, identity, min_max, parameters
from edgekit.converters.quantize.ranges.responses import response_of
from edgekit.converters.quantize.ranges.weights import output_axis, weight_name, weight_params, widest
from edgekit.converters.quantize.recorded.grids import in_scheme
from edgekit.converters.quantize.rules.groups import same_scale_groups
from edgekit.converters.quantize.rules.roles import HEAVY, absorbed_by, bias_of, data_inputs, is_float
from edgekit.converters.quantize.rules.schemes import Dialect, SchemeName, Style, dialect_of
from edgekit.converters.quantize.rules.tensorrt import excluded, quantized_inputs
from edgekit.core.errors import ConversionError

STANDARD = Style()


def assign(
    graph: Graph,
    calibration: Calibration,
    *,
    scheme: SchemeName,
    keep_float: Collection[str] = (),
    style: Style = STANDARD,
    searched: Collection[str] | None = None,
    own: Mapping[str, QuantParams] = MappingProxyType({}),
) -> Quantization:
    """Parameters for every tensor that `scheme` stores as integers, and the nodes it leaves in float.

    Except for "tensorrt" (inputs of heavy operators only), every float tensor that a quantized node reads or writes has
    parameters, graph inputs and outputs included; `weights` also holds those of constant operands of elementwise nodes.
    Nodes named in `keep_float` stay float besides those that the scheme leaves so by itself; a tensor that only such nodes
    touch has no parameters. `own` grids, which a source that came quantized has for its tensors, are kept where the scheme's integers
    can say them and the operator does not prescribe others. Where only some tensors are `searched`, the ranges of the others are from minimum to maximum: enough
    for a question about those. Raises `ConversionError` when the calibration did not see one of the graph's activations, or
    when there is no node of a name in `keep_float`.
    """
    _ensure_named(graph, keep_float)
    dialect = dialect_of(scheme, style)
    plan = _plan(graph, calibration, dialect, frozenset(keep_float), searched, own)
    wanted = quantized_inputs(graph, plan.float_nodes) if dialect.heavy_inputs_only else _touched(graph, plan.float_nodes)
    operands = _operands(graph, plan.float_nodes) if not dialect.heavy_inputs_only else frozenset()
    chosen = _parameters(graph, plan, dialect, wanted | operands)
    activations = {name: chosen[name] for name in plan.activations if name in wanted}
    dynamic = _dynamic(graph, dialect) - frozenset(keep_float)
    weights = {**_weights(graph, plan.float_nodes, activations, dialect), **_met_by_floats(graph, dynamic)}
    return Quantization(
        activations=activations,
        weights={**{name: chosen[name] for name in sorted(operands)}, **weights},
        float_nodes=plan.float_nodes,
        dynamic=dynamic,
    )


def _dynamic(graph: Graph, dialect: Dialect) -> frozenset[str]:
    """Nodes of recurrent layers whose weights alone are integers: steps that were written out, or LSTMs as they are."""
    if dialect.float_islands:
        return recurrences(graph).products - closing(graph)
    return plain_lstms(graph) if dialect.dynamic_lstms else frozenset()


def _met_by_floats(graph: Graph, dynamic: frozenset[str]) -> Mapping[str, QuantParams]:
    """Parameters of the weights of such products: there is no scale of an input that their biases would have to fit."""
    products = (node for node in graph.nodes if node.name in dynamic and weight_of(graph, node))
    return {weight_of(graph, n): weight_params(graph.constants[weight_of(graph, n)], output_axis(graph, n)) for n in products}


def _ensure_named(graph: Graph, names: Collection[str]) -> None:
    known = {node.name for node in graph.nodes}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ConversionError(f"there is no node {name!r} to keep in float", f"did you mean {close[0]!r}?" if close else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """What is known before parameters are chosen: nodes in float, and the histograms of all float tensors that matter."""

    float_nodes: frozenset[str]
    activations: tuple[str, ...]
    histograms: Mapping[str, Histogram]
    unclipped: frozenset[str]
    ungrouped: frozenset[str]
    searched: Collection[str] | None
    own: Mapping[str, QuantParams]


def _plan(
    graph: Graph,
    calibration: Calibration,
    dialect: Dialect,
    kept: frozenset[str],
    searched: Collection[str] | None,
    own: Mapping[str, QuantParams],
) -> _Plan:
    activations = tuple(name for name in _computed(graph) if is_float(graph, name))
    histograms = {name: calibration.histogram(name) for name in activations}
    ranges = {name: min_max(histogram) for name, histogram in histograms.items()}
    tail = float_tail(graph, ranges)
    unfit = {node.name for node in graph.nodes if not _fits(graph, node, dialect)}
    float_nodes = tail | unfit | kept | places(graph)
    if dialect.float_islands:
        float_nodes |= islands(graph) | faint(graph, ranges, dialect.activations.dtype)
    if dialect.float_end:
        float_nodes |= closing(graph)
        float_nodes |= moved_between(graph, float_nodes)
    reach = {name: interval.reach for name, interval in ranges.items()}
    constants = {name: observe(bounded(graph, name, reach)) for name in _operands(graph, float_nodes)}
    return _Plan(
        float_nodes=float_nodes,
        activations=activations,
        histograms={**histograms, **constants},
        ungrouped=tail if dialect.heavy_inputs_only else float_nodes,
        unclipped=graph.output_names | {spec.name for spec in graph.inputs} | _read_by(graph, tail),
        searched=searched,
        own=own,
    )


def _computed(graph: Graph) -> Iterator[str]:
    """Graph inputs and every tensor that a node writes and something reads, in order."""
    yield from (spec.name for spec in graph.inputs)
    for node in graph.nodes:
        yield from (name for name in node.outputs if name in graph.consumers or name in graph.output_names)


def _fits(graph: Graph, node: Node, dialect: Dialect) -> bool:
    """Whether a node can compute on integers: a supported operator, with constant finite weights where it needs them."""
    if dialect.heavy_inputs_only and excluded(graph, node):
        return False
    if node.op not in dialect.operators or not any(is_float(graph, name) for name in node.inputs):
        return False
    if not all(_is_finite(graph, name) for name in node.inputs):
        return False
    if node.op == "Softmax" and dialect.one_row_softmax:
        shape = graph.shape(node.inputs[0])
        return math.prod(shape) == shape[node.integer("axis", -1)]
    if node.op == "MatMul":
        return not dialect.heavy_inputs_only or bool(weight_name(graph, node))
    if node.op in HEAVY:
        unscaled = node.attributes.get("alpha", 1.0) == 1.0 and node.attributes.get("beta", 1.0) == 1.0
        return (
            bool(weight_name(graph, node))
            and unscaled
            and (len(node.inputs) < 3 or not node.inputs[2] or bias_of(graph, node) is not None)
        )
    return True


def _is_finite(graph: Graph, name: str) -> bool:
    value = graph.constants.get(name)
    return value is None or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _touched(graph: Graph, float_nodes: frozenset[str]) -> frozenset[str]:
    """Every tensor that a quantized node reads as data or writes."""
    quantized = [node for node in graph.nodes if node.name not in float_nodes]
    return frozenset(name for node in quantized for name in (*data_inputs(graph, node), *node.outputs) if name)


def _read_by(graph: Graph, names: frozenset[str]) -> frozenset[str]:
    return frozenset(name for node in graph.nodes if node.name in names for name in node.inputs)


def _operands(graph: Graph, float_nodes: frozenset[str]) -> frozenset[str]:
    """Float constants that quantized nodes read as data rather than as weights."""
    nodes = (node for node in graph.nodes if node.name not in float_nodes and not weight_of(graph, node))
    return frozenset(
        name for node in nodes for name in data_inputs(graph, node) if name in graph.constants and graph.constants[name].size
    )


def weight_of(graph: Graph, node: Node) -> str:
    """The constant weight of a heavy node, or empty."""
    return weight_name(graph, node) if node.op in HEAVY else ""


def _parameters(graph: Graph, plan: _Plan, dialect: Dialect, wanted: frozenset[str]) -> Mapping[str, QuantParams]:
    """Parameters of the wanted tensors, at least: one choice per same-scale group, clamped tensors as their clamp's output."""
    pinned = dict(_pinned(graph, plan, dialect))
    ranges = {name: min_max(histogram) for name, histogram in plan.histograms.items()}
    clamped = dict(_clamped(graph, plan))
    needed = {clamped.get(name, name) for name in wanted}
    chosen: dict[str, QuantParams] = {}
    for group in same_scale_groups(graph, ranges, pinned, without=plan.ungrouped):
        if needed.isdisjoint(group):
            continue
        params = next((pinned[name] for name in group if name in pinned), None)
        chosen |= dict.fromkeys(group, params or parameters(_range(graph, group, plan, dialect), dialect.activations))
    return chosen | {name: chosen[output] for name, output in clamped.items() if output in chosen}


def _clamped(graph: Graph, plan: _Plan) -> Iterator[tuple[str, str]]:
    """Tensors whose producer does the work of the clamp behind, with that clamp's output."""
    for name in plan.activations:
        clamp = absorbed_by(graph, name)
        if clamp is not None and clamp.name not in plan.ungrouped:
            yield name, clamp.output


def _pinned(graph: Graph, plan: _Plan, dialect: Dialect) -> Iterator[tuple[str, QuantParams]]:
    """Tensors whose parameters do not depend on data: the source's own, and outputs that an operator prescribes. (TensorRT quantizes none.)"""
    for name, params in plan.own.items():
        kept = in_scheme(params, dialect.activations) if name in plan.histograms else None
        if kept is not None:
            yield name, kept
    for node in graph.nodes:
        said = None if dialect.heavy_inputs_only else fixed(node.op, dialect.activations.dtype)
        if said is not None and node.name not in plan.float_nodes and node.output in plan.histograms:
            yield node.output, said


def _range(graph: Graph, group: tuple[str, ...], plan: _Plan, dialect: Dialect) -> Range:
    histogram = merge_all([plan.histograms[name] for name in group])
    unsearched = plan.searched is not None and set(group).isdisjoint(plan.searched)
    if unsearched or not dialect.clip or plan.unclipped & set(group):
        return min_max(histogram)
    return choose(histogram, dialect.activations, response_of(graph, group[0]) if len(group) == 1 else identity)


def _weights(
    graph: Graph, float_nodes: frozenset[str], activations: Mapping[str, QuantParams], dialect: Dialect
) -> Mapping[str, QuantParams]:
    """Parameters of the weights of quantized heavy nodes; a weight that several nodes share gets scales that suit all."""
    found: dict[str, QuantParams] = {}
    for node in graph.nodes:
        name = weight_of(graph, node) if node.name not in float_nodes else ""
        if name:
            params = _weight(graph, node, activations, dialect)
            found[name] = widest(found[name], params) if name in found else params
    return found


def _weight(graph: Graph, node: Node, activations: Mapping[str, QuantParams], dialect: Dialect) -> QuantParams:
    """Parameters of one node's weight, with room for its bias where the engine stores that as int32."""
    name, bias = weight_of(graph, node), bias_of(graph, node)
    source = next((activations[other] for other in node.inputs[:2] if other != name and other in activations), None)
    return weight_params(
        graph.constants[name],
        output_axis(graph, node) if node.op in dialect.per_channel else None,
        bias=graph.constants[bias] if bias and not dialect.heavy_inputs_only and not dialect.wide else None,
        input_scale=float(source.scale[0]) if source is not None else None,
    )
