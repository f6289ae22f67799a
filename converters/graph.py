"""The graph every converter stage takes and returns: a frozen, static-shaped view of a model in ONNX operators.

A `Graph` is always executable ONNX (`to_model`), so that any stage can be compared with the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.schema import TensorSpec

Array = NDArray[Any]
Floats = NDArray[np.float64]
Attribute = int | float | str | bytes | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One operator. Absent optional inputs and outputs are empty strings, as in ONNX. `name` is never empty and is unique."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    domain: str = ""

    @property
    def output(self) -> str:
        """The first output's name."""
        return self.outputs[0]

    def integer(self, key: str, default: int) -> int:
        """An integer attribute."""
        value = self.attributes.get(key, default)
        return value if isinstance(value, int) else self._refuse(key, value)

    def number(self, key: str, default: float) -> float:
        """A real attribute."""
        value = self.attributes.get(key, default)
        return float(value) if isinstance(value, (int, float)) else self._refuse(key, value)

    def text(self, key: str, default: str) -> str:
        """A text attribute."""
        value = self.attributes.get(key, default)
        return value if isinstance(value, str) else self._refuse(key, value)

    def integers(self, key: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A list-of-integers attribute."""
        value = self.attributes.get(key, default)
        if not isinstance(value, tuple):
            return self._refuse(key, value)
        return tuple(item if isinstance(item, int) else self._refuse(key, value) for item in value)

    def _refuse(self, key: str, value: Attribute) -> NoReturn:
        raise InputError(
            f"op {self.op} at {self.name!r} has the attribute {key}={value!r}, which is of the wrong type", "export again"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes in topological order, constants as arrays, and the static spec of every tensor (constants included)."""

    name: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    specs: Mapping[str, TensorSpec]

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """Tensor name -> the node that writes it (graph inputs and constants have none)."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Tensor name -> the nodes that read it, each once, in order."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def output_names(self) -> frozenset[str]:
        """Names of the graph outputs."""
        return frozenset(spec.name for spec in self.outputs)

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a tensor."""
        return self.specs[name].shape

    def constant(self, name: str) -> Array | None:
        """The value of a constant, or None when the tensor is computed."""
        return self.constants.get(name)

    def sole_consumer(self, name: str) -> Node | None:
        """The one node that reads `name`, or None when several do, none does, or it is a graph output."""
        readers = self.consumers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.output_names else None

    def unused(self, name: str) -> str:
        """`name`, or `name` with a number, that no tensor of the graph has."""
        taken, number, candidate = self.specs.keys() | self.constants.keys(), 1, name
        while candidate in taken:
            number, candidate = number + 1, f"{name}{number}"
        return candidate

    def with_nodes(
        self,
        nodes: Iterable[Node],
        *,
        constants: Mapping[str, Array] | None = None,
        specs: Mapping[str, TensorSpec] | None = None,
    ) -> Graph:
        """A graph with other nodes (in any valid order) and with constants and specs added."""
        return replace(
            self,
            nodes=tuple(nodes),
            constants={**self.constants, **(constants or {})},
            specs={**self.specs, **(specs or {}), **{k: spec_of(k, v) for k, v in (constants or {}).items()}},
        )


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """What a pass returns: the graph (the same object when nothing changed) and how many places it changed."""

    graph: Graph
    changes: int


class Pass(Protocol):
    """A graph pass: a pure function. Its docstring says what it guarantees."""

    def __call__(self, graph: Graph) -> PassResult: ...


def spec_of(name: str, value: Array) -> TensorSpec:
    """The spec of a constant array."""
    return TensorSpec(name=name, shape=tuple(int(d) for d in value.shape), dtype=np.dtype(value.dtype).name)
