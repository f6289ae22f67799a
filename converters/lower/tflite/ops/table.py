"""The op table: what each ONNX operator needs to become TFLite. Adding an op is one decorated function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.arrange import Arrange
from edgekit.converters.lower.tflite.site import Site

Emit = Callable[[Site], None]
TRAINABLE = frozenset({"BatchNormalization", "Dropout", "LayerNormalization"})
Limits = Callable[[Graph, Node], "str | None"]


@dataclass(frozen=True, kw_only=True)
class Op:
    """One ONNX operator: its layout rule, its emitter, why a node may be refused, and whether TFLite has int8 for it."""

    arrange: Arrange
    emit: Emit
    limits: Limits
    int8: bool


TABLE: dict[str, Op] = {}


def no_limits(graph: Graph, node: Node) -> None:
    """Every node of the operator is taken."""


def op(*names: str, arrange: Arrange, limits: Limits = no_limits, int8: bool = True) -> Callable[[Emit], Emit]:
    """Put an emitter into the table under these ONNX names."""

    def register(emit: Emit) -> Emit:
        TABLE.update({name: Op(arrange=arrange, emit=emit, limits=limits, int8=int8) for name in names})
        return emit

    return register


def _unknown(node: Node) -> str:
    """Of some operators only what they compute when nobody trains is known."""
    used = [name for name in node.outputs if name]
    if node.integer("training_mode", 0) or (node.op in TRAINABLE and len(used) > 1):
        return "it is written for training; export the model in evaluation mode"
    return "no TFLite form is known for this operator"


def refusals(graph: Graph) -> Iterator[str]:
    """Why nodes of a legalised graph cannot be lowered, as "Op at 'node': reason"."""
    for node in graph.nodes:
        entry = TABLE.get(node.op) if not node.domain else None
        reason = entry.limits(graph, node) if entry else _unknown(node)
        if reason:
            yield f"op {node.op} at {node.name!r}: {reason}"
