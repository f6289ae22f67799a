"""Which nodes must not compute in half precision: what they read, write or sum up could leave float16's range."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.half import LARGEST
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.ranges.choose import min_max

MARGIN = 2.0
"""How far beyond the calibrated range other data may go."""
TINIEST = 2.0**-25
"""What is smaller becomes zero in float16."""
MASK = 1e30
"""Numbers beyond this stand for infinity (attention masks); float16's largest number does the same."""
FEW = 32
"""Constants with more values than this are weights: one that becomes zero does not matter."""
SQUARES = frozenset({"LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization"})
SUMS = frozenset({"ReduceMean", "ReduceSum", "ReduceL1", "GlobalAveragePool"})
SUMS_OF_SQUARES = frozenset({"ReduceL2", "ReduceSumSquare"}) | SQUARES
POWERS = frozenset({"Exp", "Pow", "ReduceLogSumExp", "ReduceProd", "CumSum"})
"""Operators whose results grow faster than what they read. (A Softmax subtracts its largest input first and cannot overflow;
convolutions and matrix products accumulate in float32.)"""


def unsafe(graph: Graph, calibration: Calibration | None) -> Mapping[str, str]:
    """Names of the nodes that must stay in float32, each with the reason.

    Ranges come from the calibration; without one, nodes that sum or raise are kept, since nothing says what they meet.
    """
    largest = _largest(calibration)
    return {node.name: reason for node in graph.nodes if (reason := next(_reasons(graph, node, largest), ""))}


def within(graph: Graph, reasons: Mapping[str, str]) -> Mapping[str, str]:
    """The same for a later form of the graph, in which a node may have become several whose names begin with its own."""
    found = {}
    for node in graph.nodes:
        owner = next((name for name in _owners(node.name) if name in reasons), "")
        if owner:
            found[node.name] = reasons[owner]
    return found


def _owners(name: str) -> Iterator[str]:
    """A node's name, and every prefix of it that ends before a slash."""
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def summary(graph: Graph, reasons: Mapping[str, str]) -> str:
    """One sentence for people; empty when nothing stays."""
    ops = Counter(node.op for node in graph.nodes if node.name in reasons)
    listed = ", ".join(f"{op} {count}" for op, count in sorted(ops.items()))
    first = next(iter(reasons.items()), None)
    verb = "node computes" if ops.total() == 1 else "nodes compute"
    return f"{ops.total()} {verb} in float32 ({listed}); the first, {first[0]!r}: {first[1]}" if first else ""


def _largest(calibration: Calibration | None) -> Mapping[str, float]:
    """The largest magnitude of each tensor that was calibrated."""
    histograms = calibration.histograms if calibration is not None else {}
    return {name: min_max(seen).reach for name, seen in histograms.items()}


def _reasons(graph: Graph, node: Node, largest: Mapping[str, float]) -> Iterator[str]:
    for name in (*node.inputs, *node.outputs):
        if LARGEST < largest.get(name, 0.0) * MARGIN < MASK:
            yield f"{name!r} reaches {largest[name]:.3g}"
    for name in node.inputs:
        if name in graph.constants and (said := _constant_reason(graph, name)):
            yield f"its constant {name!r} {said}"
    inner = _inner(graph, node, largest)
    if inner is not None and inner > LARGEST:
        yield "nothing tells the range of what it reads" if math.isinf(inner) else f"it may reach {inner:.3g} inside"


def _constant_reason(graph: Graph, name: str) -> str:
    value = graph.constants[name]
    if value.dtype != np.float32 or not value.size:
        return ""
    size = np.abs(value[np.isfinite(value)])
    beyond = size[(size > LARGEST) & (size < MASK)]
    if beyond.size:
        return f"is {beyond.max():.3g}"
    lost = size[(size > 0) & (size < TINIEST)]
    return f"is {lost.min():.3g}, which would become 0" if lost.size and value.size <= FEW else ""


def _inner(graph: Graph, node: Node, largest: Mapping[str, float]) -> float | None:
    """How large a sum or a power inside the node may become; None for operators that have none."""
    if node.op not in SUMS | SUMS_OF_SQUARES | POWERS:
        return None
    size = largest.get(node.inputs[0], math.inf) * MARGIN
    if math.isinf(size):
        return None if node.op == "GlobalAveragePool" else size
    if node.op in SUMS:
        return size * _summed(graph, node)
    if node.op in SUMS_OF_SQUARES:
        return size * size * _summed(graph, node)
    return _power(graph, node, size)


def _power(graph: Graph, node: Node, size: float) -> float:
    if node.op == "Pow":
        exponent = graph.constants.get(node.inputs[1])
        return math.inf if exponent is None else max(size, 1.0) ** min(float(np.max(exponent, initial=1.0)), 64.0)
    if node.op == "Exp":
        return math.exp(min(size, 700.0))
    return math.inf


def _summed(graph: Graph, node: Node) -> float:
    """How many elements of the input go into one of its sums."""
    before = math.prod(graph.shape(node.inputs[0]))
    if node.op in {"LayerNormalization", "RMSNormalization"}:
        shape = graph.shape(node.inputs[0])
        return float(math.prod(shape[node.integer("axis", -1) % len(shape) :]))
    if node.op in {"InstanceNormalization", "GroupNormalization"}:
        return float(math.prod(graph.shape(node.inputs[0])[2:]))
    return before / max(math.prod(graph.shape(node.output)), 1)
