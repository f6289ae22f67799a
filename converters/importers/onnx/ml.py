"""Shapes of classic machine learning's operators, which onnx's inference knows in part and only in newer versions."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.graph import Graph, Node
from edgekit.converters.graph_onnx import ML_DOMAIN
from edgekit.core.schema import TensorSpec

SAME = frozenset({"Scaler", "Normalizer", "Imputer", "Binarizer"})
TARGETS = {"TreeEnsembleRegressor": "n_targets", "LinearRegressor": "targets"}
CLASSIFIERS = frozenset({"TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier"})


def ml_specs(graph: Graph) -> Mapping[str, TensorSpec]:
    """What the outputs of the graph's classic operators are, as far as their inputs are known; rows stay rows."""
    found: dict[str, TensorSpec] = {}
    for node in graph.nodes:
        if node.domain != ML_DOMAIN:
            continue
        source = graph.specs.get(node.inputs[0]) or found.get(node.inputs[0])
        shapes = _outputs(node, source.shape) if source is not None and source.shape else ()
        for name, (shape, dtype) in zip(node.outputs, shapes, strict=False):
            found[name] = graph.specs.get(name) or TensorSpec(name=name, shape=shape, dtype=dtype)
    return found


def _outputs(node: Node, shape: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], str], ...]:
    rows = shape[0] if len(shape) > 1 else 1
    if node.op in SAME:
        return ((shape, "float32"),)
    if node.op in TARGETS:
        return (((rows, node.integer(TARGETS[node.op], 1)), "float32"),)
    labels = node.attributes.get("classlabels_int64s") or node.attributes.get("classlabels_ints")
    if node.op in CLASSIFIERS and isinstance(labels, tuple):
        return (((rows,), "int64"), ((rows, len(labels)), "float32"))
    return ()
