"""What a nonlinear operator makes of its input, so that ranges are chosen by the error that is left behind it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Graph, Node
from edgekit.converters.quantize.ranges.choose import Response, identity


def response_of(graph: Graph, name: str) -> Response:
    """What all readers of a tensor together make of it: a bounded function or a gated one (SiLU), else the identity."""
    if name in graph.output_names:
        return identity
    readers = graph.consumers.get(name, ())
    if len(readers) == 1:
        return RESPONSES.get(readers[0].op, identity)
    return silu if _is_silu(graph, name, readers) else identity


def _is_silu(graph: Graph, name: str, readers: tuple[Node, ...]) -> bool:
    """Whether the readers are a Sigmoid and the Mul that alone reads it: x * sigmoid(x)."""
    gate = next((node for node in readers if node.op == "Sigmoid"), None)
    product = graph.sole_consumer(gate.output) if gate is not None else None
    return (
        product is not None
        and product.op == "Mul"
        and {node.name for node in readers} == {gate.name if gate else "", product.name}
    )


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def silu(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """x * sigmoid(x)."""
    return values * sigmoid(values)


def hard_swish(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """x * clip(x / 6 + 0.5, 0, 1)."""
    return values * np.clip(values / 6 + 0.5, 0.0, 1.0)


RESPONSES: Mapping[str, Response] = {"Sigmoid": sigmoid, "Tanh": np.tanh, "HardSwish": hard_swish}
