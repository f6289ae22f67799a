"""Writing the nodes that stand in one node's place when they are many and end in several outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.converters.graph import Array, Attribute, Graph, Node
from edgekit.converters.rewriting import Replacement
from edgekit.core.schema import TensorSpec

Attributes = Mapping[str, Attribute]
GEMM: Attributes = {"transA": 0, "transB": 1, "alpha": 1.0, "beta": 1.0}
"""What ONNX calls the product that a fully connected layer is."""


class Sheet:
    """Nodes in the order they are written. What they make is named `NODE/LABEL`, where no tensor is named so."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.node = graph, node
        self.dtype = graph.specs[node.inputs[0]].dtype
        self._prefix = _free_prefix(graph, node.name)
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._specs: dict[str, TensorSpec] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor made here or there before."""
        if name in self._constants:
            return tuple(self._constants[name].shape)
        return self._specs[name].shape if name in self._specs else self.graph.shape(name)

    def constant(self, label: str, value: object, dtype: str = "") -> str:
        """A new constant, of the node's own type unless another is given; returns its name."""
        name = f"{self._prefix}{label}"
        self._constants[name] = np.asarray(value, dtype or self.dtype)
        return name

    def known(self, name: str) -> Array | None:
        """The value of a constant, made here or not."""
        return self._constants.get(name, self.graph.constants.get(name))

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        label: str,
        *,
        output: str = "",
        attributes: Attributes | None = None,
        dtype: str = "",
    ) -> str:
        """A new node with one output: a tensor of that label, or `output`, one of the replaced node's own. Returns its name."""
        made = {output or f"{self._prefix}{label}": tuple(shape)}
        return self._write(op, inputs, made, label, attributes or {}, dtype)[0]

    def several(
        self, op: str, inputs: Sequence[str], outputs: Mapping[str, TensorSpec], attributes: Attributes
    ) -> tuple[str, ...]:
        """A new node with several outputs, each like a spec: the replaced node's own, or tensors of that label. Returns their names."""
        names = [key if key in self.node.outputs else f"{self._prefix}{key}" for key in outputs]
        self._specs |= {
            name: TensorSpec(name=name, shape=spec.shape, dtype=spec.dtype)
            for name, spec in zip(names, outputs.values(), strict=True)
        }
        node = Node(op=op, name=f"{self._prefix}{op}", inputs=tuple(inputs), outputs=tuple(names), attributes=attributes)
        self._nodes.append(node)
        return tuple(names)

    def split(self, name: str, sizes: Sequence[int], axis: int, label: str) -> tuple[str, ...]:
        """The parts of a tensor along an axis; one part is the tensor itself."""
        if len(sizes) == 1:
            return (name,)
        shape = self.shape(name)
        parts = {f"{self._prefix}{label}/{i}": (*shape[:axis], size, *shape[axis + 1 :]) for i, size in enumerate(sizes)}
        return self._write("Split", [name, self.constant(f"{label}/sizes", sizes, "int64")], parts, label, {"axis": axis})

    def part(self, name: str, start: int, size: int, axis: int, label: str, *, output: str = "") -> str:
        """Some of a tensor along an axis."""
        shape = self.shape(name)
        bounds = [
            self.constant(f"{label}/{key}", [at], "int64")
            for key, at in (("start", start), ("end", start + size), ("axis", axis))
        ]
        return self.add("Slice", [name, *bounds], (*shape[:axis], size, *shape[axis + 1 :]), label, output=output)

    def view(self, name: str, shape: Sequence[int], label: str, *, output: str = "", dtype: str = "") -> str:
        """The same elements in another shape."""
        target = self.constant(f"{label}/shape", shape, "int64")
        return self.add("Reshape", [name, target], shape, label, output=output, dtype=dtype)

    def moved(self, name: str, permutation: tuple[int, ...], label: str, *, output: str = "") -> str:
        """The tensor with its axes in another order."""
        shape = tuple(self.shape(name)[axis] for axis in permutation)
        return self.add("Transpose", [name], shape, label, output=output, attributes={"perm": permutation})

    def weights(self, matrix: Array, bias: Array | None, label: str) -> tuple[str, ...]:
        """The constants of a product with `matrix` transposed, for `product`."""
        names = (self.constant(f"{label}/weights", matrix),)
        return names if bias is None else (*names, self.constant(f"{label}/bias", bias))

    def product(self, rows: str, weights: Sequence[str], label: str) -> str:
        """rows * matrix^T + bias: [rows, columns]."""
        columns = len(self._constants[weights[0]])
        return self.add("Gemm", [rows, *weights], (self.shape(rows)[0], columns), label, attributes=GEMM)

    def same(self, op: str, inputs: Sequence[str], label: str) -> str:
        """An elementwise node whose output is shaped like its first input."""
        return self.add(op, inputs, self.shape(inputs[0]), label)

    def finish(self, op: str = "", inputs: Sequence[str] = (), attributes: Attributes | None = None) -> Replacement:
        """Everything written, in place of the node; with an operator, that one last: it writes the node's outputs."""
        if op:
            last = Node(
                op=op, name=self.node.name, inputs=tuple(inputs), outputs=self.node.outputs, attributes=attributes or {}
            )
            self._nodes.append(last)
        return Replacement(nodes=tuple(self._nodes), constants=self._constants, specs=self._specs)

    def _write(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: dict[str, tuple[int, ...]],
        label: str,
        attributes: Attributes,
        dtype: str = "",
    ) -> tuple[str, ...]:
        self._specs |= {name: TensorSpec(name=name, shape=shape, dtype=dtype or self.dtype) for name, shape in outputs.items()}
        name = f"{self._prefix}{label}"
        self._nodes.append(Node(op=op, name=name, inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes))
        return tuple(outputs)


def _free_prefix(graph: Graph, name: str) -> str:
    """`name/`, or `name/` with a number, that begins no name of a tensor. (Node names begin names of other nodes.)"""
    number, prefix = 1, f"{name}/"
    while any(other.startswith(prefix) for other in graph.specs):
        number, prefix = number + 1, f"{name}/{number + 1}/"
    return prefix
