"""A graph that comes quantized: taken apart into its float form and the grids that its own Q/DQ pairs record.

The inverse of `qdq.dress`. The grids then stand for a calibration, so that every target's scheme can place integers its own way.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.observe.histogram import observe
from edgekit.converters.quantize.parameters import QuantParams, quantize
from edgekit.converters.quantize.ranges.choose import Range, spanned
from edgekit.converters.quantize.recorded.grids import ACTIVATIONS, DEQUANTIZE, QUANTIZE, grid_of, reals
from edgekit.converters.quantize.recorded.lift import lifted

LEVELS = 256
RELU6 = 6.0
SIGNED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "BatchNormalization"})
"""Operators that give values on both sides of zero."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Undressed:
    """A graph in floats, and the grids that its activations were quantized to, by tensor."""

    graph: Graph
    grids: Mapping[str, QuantParams] = field(default_factory=dict)

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The reals that the grids span."""
        return {name: reals(params) for name, params in self.grids.items()}


def undress(graph: Graph) -> Undressed:
    """Take out every Q/DQ pair on an activation and turn stored integers into the reals they stand for.

    Guarantees: inputs and outputs keep their names; weights keep their values. Pairs whose scale is computed, whose type is
    none of `ACTIVATIONS`, or whose ends are used apart from one another stay as they are. A grid that begins at zero behind an
    operator that does not is the file's ReLU (or ReLU6, where it ends at six): it becomes one.
    """
    if not any(node.op == DEQUANTIZE for node in graph.nodes):
        return Undressed(graph=graph)
    graph = lifted(graph)
    constants = stored_reals(graph)
    pairs = {after.output: (graph.producers[after.inputs[0]], after) for after in graph.nodes if _closes(graph, after)}
    walk = _Walk(graph=graph, constants=dict(constants))
    gone = set(constants) | {name for before, after in pairs.values() for name in (*before.outputs, *after.outputs)}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.output in pairs and node.output not in constants:
            nodes += walk.alias(node.output, *pairs[node.output])
        elif node.output not in gone or node.output in graph.output_names:
            nodes.append(replace(node, inputs=tuple(walk.names.get(name, name) for name in node.inputs)))
    return Undressed(graph=graph.with_nodes(_read(graph, nodes), constants=walk.constants), grids=walk.grids)


def _read(graph: Graph, nodes: Sequence[Node]) -> list[Node]:
    """The nodes without a QuantizeLinear that nothing reads any more."""
    wanted = {name for node in nodes for name in node.inputs} | graph.output_names
    return [node for node in nodes if node.op != QUANTIZE or node.output in wanted]


def with_ranges(calibration: Calibration, ranges: Mapping[str, Range]) -> Calibration:
    """The calibration with the recorded ranges in the place of what was seen of those tensors."""
    known = {name: ranges[name] for name in calibration.histograms if name in ranges}
    spread = {name: observe(np.linspace(span.low, span.high, LEVELS, dtype=np.float32)) for name, span in known.items()}
    note = f"the ranges of {len(known)} of {len(calibration.histograms)} tensors are those that the source file records"
    return replace(calibration, histograms={**calibration.histograms, **spread}, notes=(note,))


@dataclass(kw_only=True)
class _Walk:
    """What a pair's far end is called from now on, and the grid that the pair records."""

    graph: Graph
    constants: dict[str, Array]
    names: dict[str, str] = field(default_factory=dict)
    grids: dict[str, QuantParams] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)

    def alias(self, name: str, before: Node, after: Node) -> list[Node]:
        """Readers of `name` read what went into the pair; an output gets it passed on."""
        source = self.names.get(before.inputs[0], before.inputs[0])
        params = grid_of(self.graph, after)
        if params is not None:
            producer = self.graph.producers.get(source)
            if reals(params).low == 0.0 and producer is not None and producer.op in SIGNED:
                return self._cut(after, before.output, source, params)
            self.grids[source] = self.grids[name] = _wider(self.grids.get(source, params), params)
        return self._called(after, source)

    def _called(self, after: Node, source: str) -> list[Node]:
        self.names[after.output] = source
        if after.output not in self.graph.output_names:
            return []
        return [Node(op="Identity", name=f"{after.name}/Identity", inputs=(source,), outputs=after.outputs)]

    def _cut(self, after: Node, integers: str, source: str, params: QuantParams) -> list[Node]:
        """What saturation does to `source`, once for all that read the same integers."""
        self.grids[after.output] = params
        if len(self.graph.consumers[source]) == 1:
            self.grids.setdefault(source, params)  # integers are cut where they are made
        if integers in self.cut:
            return self._called(after, self.cut[integers])
        self.cut[integers] = after.output
        return [self._rectified(after, source, reals(params))]

    def _rectified(self, after: Node, source: str, span: Range) -> Node:
        """The activation that saturation stands for."""
        if abs(span.high - RELU6) > span.high / LEVELS:
            return Node(op="Relu", name=f"{after.name}/Relu", inputs=(source,), outputs=after.outputs)
        low, high = f"{after.name}/zero", f"{after.name}/six"
        self.constants |= {low: np.array(0.0, np.float32), high: np.array(RELU6, np.float32)}
        return Node(op="Clip", name=f"{after.name}/Clip", inputs=(source, low, high), outputs=after.outputs)


def _wider(first: QuantParams, other: QuantParams) -> QuantParams:
    """Of two grids of one tensor the one that reaches further: it loses less."""
    return other if spanned(other).span > spanned(first).span else first


def stored_reals(graph: Graph) -> Mapping[str, Array]:
    """The reals behind each DequantizeLinear of constants, stored as integers or rounded to some by a QuantizeLinear before."""
    integers: dict[str, Array] = {}
    found: dict[str, Array] = {}
    known = ChainMap(integers, dict(graph.constants))
    for node in graph.nodes:
        if node.op not in (QUANTIZE, DEQUANTIZE) or not all(name in known for name in node.inputs if name):
            continue
        if node.op == DEQUANTIZE and node.output not in graph.output_names:
            found[node.output] = _reals_of(graph, node, known[node.inputs[0]])
        elif node.op == QUANTIZE and (params := grid_of(graph, node)) is not None:
            integers[node.output] = quantize(known[node.inputs[0]], params)
    return found


def _reals_of(graph: Graph, node: Node, values: Array) -> NDArray[np.float32]:
    """(values - zero point) * scale: of a tensor, a channel, or blocks along an axis; of any type."""
    scale = _along(node, values, graph.constants[node.inputs[1]])
    named = len(node.inputs) > 2 and node.inputs[2]
    zero = _along(node, values, graph.constants[node.inputs[2]]) if named else np.zeros((), np.float64)
    return np.asarray((values.astype(np.float64) - zero) * scale, np.float32)


def _along(node: Node, values: Array, grid: Array) -> NDArray[np.float64]:
    """Scales or zero points in a shape that broadcasts over `values`."""
    real = grid.astype(np.float64)
    if real.size == 1:
        return real.reshape(())
    axis = node.integer("axis", 1) % values.ndim
    if real.ndim == 1:
        return real.reshape(tuple(-1 if d == axis else 1 for d in range(values.ndim)))
    spread = np.repeat(real, node.integer("block_size", 1), axis=axis)
    return np.take(spread, np.arange(values.shape[axis]), axis=axis)


def _closes(graph: Graph, node: Node) -> bool:
    """Whether a node is the DequantizeLinear of a pair on an activation with one and the same grid on both sides."""
    before = graph.producers.get(node.inputs[0]) if node.op == DEQUANTIZE else None
    if before is None or before.op != QUANTIZE or before.output in graph.output_names:
        return False
    first, second = grid_of(graph, before), grid_of(graph, node)
    if first is None or second is None or first.per_channel or first.dtype not in ACTIVATIONS:
        return False
    readers = graph.consumers.get(before.output, ())
    same = first.scale == second.scale and first.zero_point == second.zero_point and first.dtype == second.dtype
    return bool(np.all(same)) and all(reader.op == DEQUANTIZE for reader in readers)
