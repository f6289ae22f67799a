"""Dynamic range for ONNX Runtime: weights are int8, and what meets them is quantized while it runs.

Products become DynamicQuantizeLinear and MatMulInteger, which ONNX Runtime fuses into one kernel; an LSTM becomes its own
DynamicQuantizeLSTM. Its integer convolution is slower than the float one, so convolutions stay in float.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.converters.graph import Array, Attribute, Graph, Node
from edgekit.converters.graph_onnx import element_type
from edgekit.converters.names import Names
from edgekit.converters.quantize.floats.dynamic import dynamic_range, plain_lstms
from edgekit.converters.quantize.parameters import Quantization, quantize
from edgekit.converters.quantize.ranges.weights import weight_params
from edgekit.core.schema import TensorSpec

PRODUCTS = frozenset({"Gemm", "MatMul"})
MICROSOFT = "com.microsoft"
OWN = frozenset({"hidden_size", "direction", "input_forget"})
"""Attributes of an LSTM that DynamicQuantizeLSTM has too; others must be as they are by default."""


def with_dynamic_range(graph: Graph) -> tuple[Graph, Quantization]:
    """The graph with int8 weights in its products, tables and LSTMs, and which those are; inputs and outputs stay as they are."""
    found, lstms = dynamic_range(graph, PRODUCTS), plain_lstms(graph)
    walk = _Walk(graph=graph, quantization=found, names=Names(graph))
    for node in graph.nodes:
        if node.name in found.dynamic and walk.is_product(node):
            walk.product(node)
        elif node.output in found.activations:
            walk.table(node)
        elif node.name in lstms:
            walk.lstm(node)
        else:
            walk.nodes.append(node)
    floats = frozenset(node.name for node in graph.nodes) - walk.done
    return graph.with_nodes(walk.nodes, constants=walk.constants, specs=walk.specs), replace(found, float_nodes=floats)


def with_integer_lstms(graph: Graph, names: Collection[str]) -> Graph:
    """The graph with int8 weights in these LSTMs (of `plain_lstms`)."""
    walk = _Walk(graph=graph, quantization=Quantization(activations={}, weights={}), names=Names(graph))
    for node in graph.nodes:
        if node.name in names:
            walk.lstm(node)
        else:
            walk.nodes.append(node)
    return graph.with_nodes(walk.nodes, constants=walk.constants, specs=walk.specs)


@dataclass(kw_only=True)
class _Walk:
    """What a walk over the nodes has built so far."""

    graph: Graph
    quantization: Quantization
    names: Names
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    quantized: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def is_product(self, node: Node) -> bool:
        """Whether the constant is a matrix on the right, and a bias, if there is one, is a vector for its columns."""
        plain = node.inputs[1] in self.graph.constants and self.graph.constants[node.inputs[1]].ndim == 2
        return plain and not node.attributes.get("transA", 0)

    def product(self, node: Node) -> None:
        """x W + b as integers times scales."""
        weight, params = self.graph.constants[node.inputs[1]], self.quantization.weights[node.inputs[1]]
        stored = quantize(weight, params)
        matrix = np.ascontiguousarray(stored.T) if node.attributes.get("transB", 0) else stored
        integers, scale, zero = self._input(node.inputs[0])
        rows = self.graph.shape(node.output)
        own = [self.constant(f"{node.inputs[1]}/int8", matrix), self.constant(f"{node.name}/zero", np.zeros((), np.int8))]
        sums = self.step("MatMulInteger", (integers, own[0], zero, own[1]), node, "sums", rows, "int32")
        real = self.step("Cast", (sums,), node, "real", rows, "float32", to=element_type("float32"))
        steps = self.constant(f"{node.inputs[1]}/scale", params.scale.astype(np.float32))
        both = self.step("Mul", (scale, steps), node, "scale", (params.scale.size,), "float32")
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        result = self.step("Mul", (real, both), node, "product", rows, "float32", into="" if bias else node.output)
        if bias:
            self.step("Add", (result, bias), node, "sum", rows, "float32", into=node.output)
        self.done.add(node.name)

    def table(self, node: Node) -> None:
        """Rows of integers, made real when they are picked."""
        params = self.quantization.activations[node.output]
        table = self.constant(f"{node.inputs[0]}/int8", quantize(self.graph.constants[node.inputs[0]], params))
        grid = (self.constant(f"{node.name}/scale", params.scale[0]), self.constant(f"{node.name}/zero", np.zeros((), np.int8)))
        shape = self.graph.shape(node.output)
        picked = self.names.free(f"{node.name}/picked")
        self.specs[picked] = TensorSpec(name=picked, shape=shape, dtype="int8")
        self.nodes.append(replace(node, inputs=(table, *node.inputs[1:]), outputs=(picked,)))
        self.step("DequantizeLinear", (picked, *grid), node, "real", shape, "float32", into=node.output)
        self.done.add(node.name)

    def lstm(self, node: Node) -> None:
        """Both matrices of every direction turned, with a scale per column."""
        (first, first_grid), (second, second_grid) = (self._gates(name) for name in node.inputs[1:3])
        given = (*node.inputs, *("",) * (8 - len(node.inputs)))
        inputs = (given[0], first, second, *given[3:7], "", *first_grid, *second_grid)
        own = {key: value for key, value in node.attributes.items() if key in OWN}
        self.nodes.append(replace(node, op="DynamicQuantizeLSTM", domain=MICROSOFT, inputs=inputs, attributes=own))
        self.done.add(node.name)

    def _gates(self, name: str) -> tuple[str, tuple[str, str]]:
        matrices = self.graph.constants[name]
        params = [weight_params(matrix, 0) for matrix in matrices]
        stored = np.stack([quantize(matrix, one).T for matrix, one in zip(matrices, params, strict=True)])
        scales = np.stack([one.scale for one in params]).astype(np.float32)
        zeros = self.constant(f"{name}/zero", np.zeros(scales.shape, np.int8))
        return self.constant(f"{name}/int8", np.ascontiguousarray(stored)), (self.constant(f"{name}/scale", scales), zeros)

    def _input(self, name: str) -> tuple[str, str, str]:
        """A tensor as uint8, its scale and its zero point; once, whoever reads it."""
        if name not in self.quantized:
            made = [self.names.free(f"{name}/{part}") for part in ("uint8", "scale", "zero")]
            shapes, dtypes = (self.graph.shape(name), (), ()), ("uint8", "float32", "uint8")
            for one, shape, dtype in zip(made, shapes, dtypes, strict=True):
                self.specs[one] = TensorSpec(name=one, shape=shape, dtype=dtype)
            named = self.names.free(f"{name}/DynamicQuantizeLinear")
            self.nodes.append(Node(op="DynamicQuantizeLinear", name=named, inputs=(name,), outputs=tuple(made)))
            self.quantized[name] = (made[0], made[1], made[2])
        return self.quantized[name]

    def constant(self, name: str, value: Array) -> str:
        chosen = self.names.free(name)
        self.constants[chosen] = np.asarray(value)
        return chosen

    def step(
        self,
        op: str,
        inputs: tuple[str, ...],
        node: Node,
        part: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        into: str = "",
        **attributes: Attribute,
    ) -> str:
        """A node in the place of `node` that writes `into`, or a new tensor."""
        target = into or self.names.free(f"{node.name}/{part}")
        if not into:
            self.specs[target] = TensorSpec(name=target, shape=shape, dtype=dtype)
        self.nodes.append(
            Node(op=op, name=self.names.free(f"{node.name}/{op}"), inputs=inputs, outputs=(target,), attributes=attributes)
        )
        return target
