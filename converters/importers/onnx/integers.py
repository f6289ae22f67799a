"""Operators that compute on integers (ONNX Runtime's QOperator form): said as what they compute on reals, between grids.

`QLinearConv` reads and writes integers; the same is a `Conv` behind DequantizeLinear nodes and before a QuantizeLinear. That is the
form in which later stages read a quantized model, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgekit.converters.graph_onnx import default_opset, names_in
from edgekit.converters.names import free_name
from edgekit.core.errors import Unsupported

MICROSOFT = "com.microsoft"
SOFTMAX_BY_ROWS_OPSET = 13
"""Before this set a Softmax flattened what lies behind its axis."""
WIDE_OPSET = 21
"""The set in which QuantizeLinear learned types other than of eight bits."""
FLOAT_MODEL = "convert the float model that it was made from"
Grid = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class _Form:
    """Which operator a node stands for, and where among its inputs stand: tensors with their scale and zero point, the grid of
    what it writes, a bias, and what is passed on as it is."""

    op: str
    reads: tuple[Grid, ...]
    writes: tuple[int, int]
    bias: int | None = None
    passed: tuple[int, ...] = ()


ONE, TWO = ((0, 1, 2),), ((0, 1, 2), (3, 4, 5))
FORMS: Mapping[tuple[str, str], _Form] = {
    ("", "QLinearConv"): _Form(op="Conv", reads=TWO, writes=(6, 7), bias=8),
    ("", "QLinearMatMul"): _Form(op="MatMul", reads=TWO, writes=(6, 7)),
    (MICROSOFT, "QLinearAdd"): _Form(op="Add", reads=TWO, writes=(6, 7)),
    (MICROSOFT, "QLinearMul"): _Form(op="Mul", reads=TWO, writes=(6, 7)),
    (MICROSOFT, "QGemm"): _Form(op="Gemm", reads=TWO, writes=(7, 8), bias=6),
    (MICROSOFT, "QLinearWhere"): _Form(op="Where", reads=((1, 2, 3), (4, 5, 6)), writes=(7, 8), passed=(0,)),
    (MICROSOFT, "QLinearConcat"): _Form(op="Concat", reads=(), writes=(0, 1)),
    **{
        (MICROSOFT, f"QLinear{op}"): _Form(op=op, reads=ONE, writes=(3, 4))
        for op in ("LeakyRelu", "Sigmoid", "Softmax", "AveragePool", "GlobalAveragePool")
    },
}
PLAIN = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators that ONNX Runtime also has in a domain of its own, where they are the same."""
NOT_SAID = frozenset({"opset", "channels_last"})
"""Attributes that the plain operators do not have."""


def with_integers_unfolded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each of `FORMS` as its plain operator between Q/DQ nodes; the same model when there is none.

    Raises `Unsupported` for one whose scales are computed, or whose layout or operator set has no plain form.
    """
    if not any(_stands_for_others(node) for node in model.graph.node):
        return model
    unfolded = onnx.ModelProto()
    unfolded.CopyFrom(model)
    walk = _Walk(opset=default_opset(model), constants=_constants(model), taken=names_in(model))
    for node in model.graph.node:
        walk.take(node)
    del unfolded.graph.node[:]
    unfolded.graph.node.extend(walk.nodes)
    unfolded.graph.initializer.extend(walk.added)
    return unfolded


def _stands_for_others(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) in FORMS or (node.domain == MICROSOFT and node.op_type in PLAIN)


def _constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    return stored


@dataclass(kw_only=True)
class _Walk:
    """The nodes written so far, and the constants that they need besides the model's own."""

    opset: int
    constants: Mapping[str, onnx.TensorProto]
    taken: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    added: list[onnx.TensorProto] = field(default_factory=list)

    def take(self, node: onnx.NodeProto) -> None:
        """Write a node in its plain form."""
        form = FORMS.get((node.domain, node.op_type))
        if form is not None:
            _ensure_plain(node, self.opset)
            self._unfold(node, form)
            return
        plain = onnx.NodeProto()
        plain.CopyFrom(node)
        if node.domain == MICROSOFT and node.op_type in PLAIN and not self._is_wide(node):
            plain.domain = ""
        self.nodes.append(plain)

    def _is_wide(self, node: onnx.NodeProto) -> bool:
        """Whether a grid has more bits than the model's operator set allows."""
        zero = self.constants.get(_at(node, 2))
        return (
            self.opset < WIDE_OPSET
            and zero is not None
            and zero.data_type not in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
        )

    def _unfold(self, node: onnx.NodeProto, form: _Form) -> None:
        reads = form.reads or tuple((at, at + 1, at + 2) for at in range(2, len(node.input), 3))
        inputs = [*(node.input[at] for at in form.passed), *(self._reals(node, form, grid) for grid in reads)]
        if form.bias is not None and _at(node, form.bias):
            inputs.append(self._bias(node, form.bias))
        scale, zero = (_at(node, at) for at in form.writes)
        made = self._free(f"{node.output[0]}/real") if scale else node.output[0]
        plain = helper.make_node(form.op, inputs, [made], name=node.name)
        plain.attribute.extend(item for item in node.attribute if item.name not in NOT_SAID)
        self.nodes.append(plain)
        if scale:
            grid = [self._scalar(scale), *([self._scalar(zero)] if zero else [])]
            self.nodes.append(helper.make_node("QuantizeLinear", [made, *grid], [node.output[0]], name=self._free(f"{made}/Q")))

    def _reals(self, node: onnx.NodeProto, form: _Form, at: Grid) -> str:
        """What a tensor of integers stands for."""
        values, scale, zero = (_at(node, index) for index in at)
        grid = [self._scalar(scale), *([self._scalar(zero)] if zero else [])]
        axis = self._axis(node, form, values) if at == TWO[1] and self._size(scale) > 1 else None
        return self._dequantized(values, grid, axis)

    def _axis(self, node: onnx.NodeProto, form: _Form, weight: str) -> int:
        """Along which dimension a weight has scales of its own: that of the channels it makes."""
        if form.op == "MatMul":
            return len(self.constants[weight].dims) - 1 if weight in self.constants else 1
        if form.op == "Gemm":
            return 0 if any(item.name == "transB" and item.i for item in node.attribute) else 1
        return 0

    def _bias(self, node: onnx.NodeProto, at: int) -> str:
        """Integers of the scale input * weight."""
        alpha = next((item.f for item in node.attribute if item.name == "alpha"), 1.0)
        scale = self._value(node, 1).astype(np.float64) * self._value(node, 4) * alpha
        name = self._free(f"{node.input[at]}/scale")
        self._add(name, np.squeeze(scale).astype(np.float32))
        return self._dequantized(node.input[at], [name], 0 if scale.size > 1 else None)

    def _dequantized(self, values: str, grid: list[str], axis: int | None) -> str:
        made = self._free(f"{values}/real")
        attributes = {} if axis is None else {"axis": axis}
        self.nodes.append(
            helper.make_node("DequantizeLinear", [values, *grid], [made], name=self._free(f"{made}/DQ"), **attributes)
        )
        return made

    def _value(self, node: onnx.NodeProto, at: int) -> NDArray[np.float32]:
        stored = self.constants.get(node.input[at])
        if stored is None:
            raise Unsupported(f"op {node.op_type} at {node.name!r} computes its scale {node.input[at]!r}", FLOAT_MODEL)
        value: NDArray[np.float32] = numpy_helper.to_array(stored)
        return value

    def _size(self, name: str) -> int:
        return int(np.prod(self.constants[name].dims)) if name in self.constants else 1

    def _scalar(self, name: str) -> str:
        """The constant without dimensions where it holds one number: a vector of one would mean a channel."""
        stored = self.constants.get(name)
        if stored is None or not stored.dims or self._size(name) != 1:
            return name
        scalar = self._free(f"{name}/scalar")
        self._add(scalar, numpy_helper.to_array(stored).reshape(()))
        return scalar

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        self.added.append(numpy_helper.from_array(value, name))

    def _free(self, wanted: str) -> str:
        return free_name(wanted, self.taken)


def _at(node: onnx.NodeProto, index: int) -> str:
    """The name of an input, or nothing where it is left out."""
    return str(node.input[index]) if index < len(node.input) else ""


def _ensure_plain(node: onnx.NodeProto, opset: int) -> None:
    said = {item.name: item.i for item in node.attribute}
    if said.get("channels_last"):
        raise Unsupported(
            f"op {node.op_type} at {node.name!r} has its channels last", "quantize the model that ONNX Runtime read"
        )
    if node.op_type == "QLinearSoftmax" and (said.get("opset", opset) < SOFTMAX_BY_ROWS_OPSET) != (
        opset < SOFTMAX_BY_ROWS_OPSET
    ):
        raise Unsupported(
            f"op QLinearSoftmax at {node.name!r} is of operator set {said['opset']} in a model of {opset}", FLOAT_MODEL
        )
