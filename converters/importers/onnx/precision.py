"""One precision inside: half, bfloat16 and double models are read as single; constants that are no numbers are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from msgspec.structs import replace as with_fields
from onnx import TensorProto

from edgekit.converters.graph import Array, Attribute, Graph, Node
from edgekit.converters.importers.onnx.shapes import static_graph
from edgekit.core.errors import InputError

OTHERS: Mapping[str, str] = {"float16": "half precision", "bfloat16": "bfloat16", "float64": "double precision"}
CODES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype"})
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "BatchNormalization"})


def in_single(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """The graph with every float in single precision, and a note when it was not so (the same graph when it was).

    Raises `InputError` for constants that single precision cannot hold.
    """
    found = {spec.dtype for spec in (*graph.specs.values(), *graph.inputs) if spec.dtype in OTHERS}
    if not found:
        return graph, ()
    single = replace(
        graph,
        inputs=tuple(with_fields(spec, dtype=_dtype(spec.dtype)) for spec in graph.inputs),
        outputs=tuple(with_fields(spec, dtype="") for spec in graph.outputs),
        constants={name: _narrowed(name, value) for name, value in graph.constants.items()},
        nodes=tuple(replace(node, attributes=dict(_attributes(node))) for node in graph.nodes),
    )
    kinds = " and ".join(sorted(OTHERS[dtype] for dtype in found))
    note = f"the model came in {kinds}; it is computed in single precision until it is lowered"
    return static_graph(replace(single, specs={})), (note,)


def ensure_finite(graph: Graph) -> None:
    """Raise `InputError` naming a constant with NaN, or a weight with infinity (a mask may hold infinity)."""
    weights = {name for node in graph.nodes if node.op in WEIGHTED for name in node.inputs[1:]}
    for name, value in graph.constants.items():
        if value.dtype.kind != "f" or np.isfinite(value).all():
            continue
        kind = "NaN" if np.isnan(value).any() else "infinity" if name in weights else ""
        if kind:
            count = int((~np.isfinite(value)).sum())
            raise InputError(
                f"the constant {name!r} holds {kind} in {count} of {value.size} places",
                "did the training diverge? export again",
            )


def _dtype(name: str) -> str:
    return "float32" if name in OTHERS else name


def _narrowed(name: str, value: Array) -> Array:
    if _name(value) not in OTHERS:
        return value
    with np.errstate(over="ignore"):
        single = value.astype(np.float32)
    lost = np.isinf(single) & np.isfinite(value.astype(np.float64))
    if lost.any():
        raise InputError(
            f"the constant {name!r} holds numbers beyond single precision in {int(lost.sum())} places", "scale the model"
        )
    return single


def _name(value: Array) -> str:
    return str(np.dtype(value.dtype).name)


def _attributes(node: Node) -> Iterator[tuple[str, Attribute]]:
    for key, value in node.attributes.items():
        if isinstance(value, np.ndarray):
            yield key, _narrowed(f"{node.name}.{key}", value)
        elif key in TYPE_ATTRIBUTES and value in CODES:
            yield key, int(TensorProto.FLOAT)
        else:
            yield key, value
