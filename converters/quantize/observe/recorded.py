"""A graph that comes quantized: taken apart into its float form and the ranges that its own Q/DQ pairs record.

The inverse of `qdq.dress`. The ranges then stand for a calibration, so that every target's scheme can place integers its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.observe.histogram import observe
from edgekit.converters.quantize.parameters import LIMITS, Quantization, QuantParams, dequantize
from edgekit.converters.quantize.ranges.choose import Range

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
LEVELS = 256
RELU6 = 6.0
MOST = 127
WHOLE = 1e-3
"""How far float32 may be from a whole number of steps."""
SIGNED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Mul", "BatchNormalization"})
"""Operators that give values on both sides of zero."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Undressed:
    """A graph in floats, and the ranges that its activations were quantized to, by tensor."""

    graph: Graph
    ranges: Mapping[str, Range]


def undress(graph: Graph) -> Undressed:
    """Take out every Q/DQ pair on an activation and turn stored integers into the reals they stand for.

    Guarantees: inputs and outputs keep their names; weights keep their values. Pairs whose scale is computed, whose type is
    not int8 or uint8, or whose ends are used apart from one another stay as they are. A grid that begins at zero behind an
    operator that does not is the file's ReLU (or ReLU6, where it ends at six): it becomes one.
    """
    constants = {node.output: value for node in graph.nodes if (value := _stored(graph, node)) is not None}
    pairs = {after.output: (graph.producers[after.inputs[0]], after) for after in graph.nodes if _closes(graph, after)}
    walk = _Walk(graph=graph, names={}, ranges={}, constants=dict(constants))
    gone = set(constants) | {name for before, after in pairs.values() for name in (*before.outputs, *after.outputs)}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.output in pairs:
            nodes += walk.alias(node.output, *pairs[node.output])
        elif node.output not in gone or node.output in graph.output_names:
            nodes.append(replace(node, inputs=tuple(walk.names.get(name, name) for name in node.inputs)))
    return Undressed(graph=graph.with_nodes(nodes, constants=walk.constants), ranges=walk.ranges)


def with_ranges(calibration: Calibration, ranges: Mapping[str, Range]) -> Calibration:
    """The calibration with the recorded ranges in the place of what was seen of those tensors."""
    known = {name: ranges[name] for name in calibration.histograms if name in ranges}
    spread = {name: observe(np.linspace(span.low, span.high, LEVELS, dtype=np.float32)) for name, span in known.items()}
    note = f"the ranges of {len(known)} of {len(calibration.histograms)} tensors are those that the source file records"
    return replace(calibration, histograms={**calibration.histograms, **spread}, notes=(note,))


@dataclass(kw_only=True)
class _Walk:
    """What a pair's far end is called from now on, and the range that the pair records."""

    graph: Graph
    names: dict[str, str]
    ranges: dict[str, Range]
    constants: dict[str, Array]

    def alias(self, name: str, before: Node, after: Node) -> list[Node]:
        """Readers of `name` read what went into the pair; an output gets it passed on."""
        source = self.names.get(before.inputs[0], before.inputs[0])
        params = _params(self.graph, after)
        if params is not None:
            span, producer = _range(params), self.graph.producers.get(source)
            if span.low == 0.0 and producer is not None and producer.op in SIGNED:
                self.ranges[name] = span
                return [self._rectified(after, source, span)]
            self.ranges.setdefault(source, span)
            self.ranges.setdefault(name, span)
        self.names[name] = source
        if name not in self.graph.output_names:
            return []
        return [Node(op="Identity", name=f"{after.name}/Identity", inputs=(source,), outputs=(name,))]

    def _rectified(self, after: Node, source: str, span: Range) -> Node:
        """The activation that saturation stands for."""
        if abs(span.high - RELU6) > span.high / LEVELS:
            return Node(op="Relu", name=f"{after.name}/Relu", inputs=(source,), outputs=after.outputs)
        low, high = f"{after.name}/zero", f"{after.name}/six"
        self.constants |= {low: np.array(0.0, np.float32), high: np.array(RELU6, np.float32)}
        return Node(op="Clip", name=f"{after.name}/Clip", inputs=(source, low, high), outputs=after.outputs)


def _stored(graph: Graph, node: Node) -> Array | None:
    """The reals behind a DequantizeLinear of a constant."""
    if node.op != DEQUANTIZE or node.inputs[0] not in graph.constants or node.output in graph.output_names:
        return None
    params = _params(graph, node)
    return None if params is None else dequantize(graph.constants[node.inputs[0]], params)


def _closes(graph: Graph, node: Node) -> bool:
    """Whether a node is the DequantizeLinear of a pair on an activation with one and the same grid on both sides."""
    before = graph.producers.get(node.inputs[0]) if node.op == DEQUANTIZE else None
    if before is None or before.op != QUANTIZE or before.output in graph.output_names:
        return False
    first, second = _params(graph, before), _params(graph, node)
    if first is None or second is None or first.per_channel or first.dtype not in ("int8", "uint8"):
        return False
    readers = graph.consumers.get(before.output, ())
    same = first.scale == second.scale and first.zero_point == second.zero_point and first.dtype == second.dtype
    return bool(np.all(same)) and all(reader.op == DEQUANTIZE for reader in readers)


def _params(graph: Graph, node: Node) -> QuantParams | None:
    """The grid of a Q or DQ node, when it is constant and in blocks of a whole tensor or a whole channel."""
    scale = graph.constant(node.inputs[1])
    zero = graph.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if scale is None or (len(node.inputs) > 2 and node.inputs[2] and zero is None) or scale.ndim > 1:
        return None
    dtype = _dtype(graph, node, zero)
    if dtype not in LIMITS:
        return None
    rank = len(graph.shape(node.inputs[0]))
    axis = node.integer("axis", 1) % max(rank, 1) if scale.size > 1 else None
    flat = scale.astype(np.float32).reshape(-1)
    zeros = np.zeros(flat.shape, np.int32) if zero is None else zero.astype(np.int32).reshape(-1)
    return QuantParams(scale=flat, zero_point=zeros, dtype=dtype, axis=axis)  # type: ignore[arg-type]


def _dtype(graph: Graph, node: Node, zero: Array | None) -> str:
    """The integer type of a grid: its zero point's, or that of the stored tensor."""
    if zero is not None:
        return str(zero.dtype.name)
    return graph.specs[node.inputs[0]].dtype if node.op == DEQUANTIZE else "uint8"


def _range(params: QuantParams) -> Range:
    """The reals from the lowest step of the grid to the highest."""
    low, high = LIMITS[params.dtype]
    scale, zero = float(params.scale[0]), int(params.zero_point[0])
    return Range(low=min(scale * (low - zero), 0.0), high=max(scale * (high - zero), 0.0))


def on_own_grids(graph: Graph, quantization: Quantization) -> Quantization:
    """The quantization with each weight channel on the steps that its values are multiples of already, where there are such.

    A weight that was integers once is then the same integers again, instead of being rounded a second time.
    """
    weights = {
        name: _on_own_grid(graph.constants[name], params) if name in graph.constants else params
        for name, params in quantization.weights.items()
    }
    return replace(quantization, weights=weights)


def _on_own_grid(values: Array, params: QuantParams) -> QuantParams:
    """Symmetric parameters whose scale is the values' own step, channel by channel."""
    if params.dtype != "int8" or np.any(params.zero_point) or not values.size:
        return params
    rows = (
        np.moveaxis(values, params.axis, 0).reshape(params.scale.size, -1) if params.axis is not None else values.reshape(1, -1)
    )
    steps = [_step(row.astype(np.float64)) or float(scale) for row, scale in zip(rows, params.scale, strict=True)]
    return replace(params, scale=np.array(steps, np.float32))


def _step(row: NDArray[np.float64]) -> float | None:
    """The step of which every value is a whole multiple of at most 127, or None."""
    reach = float(np.abs(row).max())
    if reach == 0.0:
        return None
    few = row[: 4 * MOST]
    counts = np.arange(MOST, 0, -1.0)
    multiples = few[None, :] * (counts[:, None] / reach)
    fits = np.abs(multiples - np.rint(multiples)).max(axis=1) < WHOLE
    for count in counts[fits]:
        exact = row * (count / reach)
        if np.abs(exact - np.rint(exact)).max() < WHOLE:
            return reach / float(count)
    return None
