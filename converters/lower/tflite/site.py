"""What an emitter sees: one node, its inputs as it wants them, and a place to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgekit.converters.graph import Array, Graph, Node
from edgekit.converters.lower.tflite.arrange import Arrangement
from edgekit.converters.lower.tflite.attributes import constant, given
from edgekit.converters.lower.tflite.emission import Emission, Stored
from edgekit.converters.lower.tflite.layout import Permutation, identity, stored
from edgekit.converters.lower.tflite.numbers import asymmetric, bias_params, equal, quantized_bias, roomy, symmetric
from edgekit.converters.lower.tflite.program import Option, Tensor
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.ranges.choose import fixed
from edgekit.core.errors import ConversionError

SMALL = 1024
"""Elements up to which a constant operand is not worth storing in half precision."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One node being emitted. `quantization` is None when the node computes in float; its weights may be `dynamic` integers."""

    node: Node
    graph: Graph
    arrangement: Arrangement
    emission: Emission
    quantization: Quantization | None
    dynamic: bool = False
    grids: Mapping[str, QuantParams] = field(default_factory=dict)
    """Parameters of weights, by name: those of a node that computes in float are used where its weights are `dynamic`."""

    @property
    def activation(self) -> str:
        """The schema's name of the activation fused into this node."""
        return self.node.text("activation", "NONE")

    def layout(self, index: int = 0) -> Permutation:
        """The permutation that an input is read in."""
        return self.arrangement.inputs[index] or identity(len(self.shape(index)))

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The source shape of an input."""
        return self.graph.shape(self.node.inputs[index])

    def axis(self, source: int, index: int = 0) -> int:
        """Where a source axis of an input stands in the engine."""
        layout = self.layout(index)
        return layout.index(source % len(layout))

    def value(self, index: int) -> Array | None:
        """The value of an input when it is there and constant."""
        return constant(self.graph, self.node, index)

    def params(self, name: str) -> QuantParams | None:
        """The integers a computed tensor is to be stored in, or None when this node computes in float."""
        return self.quantization.activations.get(name) if self.quantization else None

    def read(self, index: int = 0, *, like: QuantParams | None = None) -> Tensor:
        """An input as this node wants it, constants included; in the integers of `like` where ops need the same."""
        name = given(self.node, index)
        if name in self.graph.constants:
            return self._read_constant(name, index, like)
        return self.emission.read(name, self.layout(index), like if self.quantization and like else self._own(name))

    def rows(self) -> Tensor:
        """The first input, a matrix: in whatever stack its rows stand when there are several."""
        count, width = self.shape()
        name = self.node.inputs[0]
        if count == 1 or name in self.graph.constants:
            return self.read()
        stack = self.emission.elements(name, self.layout(), self._own(name))
        return stack if len(stack.shape) >= 2 and stack.shape[-1] == width else self.read()

    def elements(self, index: int, shape: tuple[int, ...]) -> Tensor:
        """An input in its layout, viewed in another shape."""
        name = self.node.inputs[index]
        known = name in self.graph.constants
        found = self.read(index) if known else self.emission.elements(name, self.layout(index), self._own(name))
        return self.emission.viewed(found, shape)

    def _own(self, name: str) -> QuantParams | None:
        """The integers a computed input is read in: those it has, else those it was given; None in float."""
        here = self.emission.values[name].tensor
        return here.params if self.quantization and here.params else self.params(name)

    def target(self, index: int = 0, *, like: Tensor | None = None, shape: tuple[int, ...] | None = None) -> Tensor:
        """A new tensor for an output. `like`: it keeps that tensor's integers, since the data only move.

        `shape`: the operator writes it without dims of size one, which a reader's view puts back.
        """
        name = self.node.outputs[index]
        spec, layout = self.graph.specs[name], self.arrangement.outputs[index]
        params = like.params if like is not None else self.params(name) if spec.dtype == "float32" else None
        dtype = params.dtype if params else spec.dtype
        tensor = Tensor(name=name, shape=stored(spec.shape, layout) if shape is None else shape, dtype=dtype, params=params)
        self.emission.values[name] = Stored(tensor=tensor, permutation=layout)
        return tensor

    def alias(self) -> None:
        """The first output is the first input by another name, in another layout or shape: nothing is emitted for it."""
        name = self.node.inputs[0]
        if name in self.graph.constants:
            tensor = self._read_constant(name, 0, None)
        else:
            tensor = self.emission.elements(name, self.layout(), self._own(name))
        self.emission.values[self.node.output] = Stored(tensor=tensor, permutation=self.arrangement.outputs[0])

    def emit(self, name: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], **options: Option) -> None:
        """Append an operator."""
        self.emission.emit(name, inputs, outputs, **options)

    def ints(self, label: str, values: Sequence[int]) -> Tensor:
        """A constant list of int32."""
        return self.emission.constant(label, np.asarray(values, np.int32))

    def fixed(self, tensor: Tensor) -> Tensor:
        """`tensor`, whose integers the kernel of this node fixes; raises `ConversionError` when it was given others."""
        needed = fixed(self.node.op, tensor.params.dtype) if tensor.params is not None else None
        if tensor.params is not None and needed is not None and not equal(tensor.params, needed):
            found, wanted = (f"{float(params.scale[0]):.6g}, {int(params.zero_point[0])}" for params in (tensor.params, needed))
            message = f"{self.node.op} at {self.node.name!r} writes {needed.dtype} of scale {wanted}, not of {found}"
            raise ConversionError(message, "quantize for the scheme 'tflite' or 'edgetpu'")
        return tensor

    def weights(self, order: Permutation, x: Tensor, *, channel: int = 0) -> tuple[Tensor, Tensor]:
        """The weights (input 1) transposed by `order`, and the bias (input 2, or zeros).

        `channel` is the source axis of the weights that counts output channels.
        """
        name, data, bias = self.node.inputs[1], self.needed(1), self.value(2)
        params = self._weight_params(data, channel, bias, x)
        moved = replace(params, axis=order.index(params.axis)) if params and params.axis is not None else params
        tensor = self.emission.weights(name, data.transpose(order), moved)
        flat = np.zeros(data.shape[channel], np.float32) if bias is None else bias.reshape(-1).astype(np.float32)
        return tensor, self._bias(flat, params, x)

    def needed(self, index: int) -> Array:
        """The value of an input that must be constant."""
        value = self.value(index)
        if value is None:
            raise ConversionError(f"input {index} of {self.node.op} at {self.node.name!r} is not constant")
        return value

    def _weight_params(self, data: Array, channel: int, bias: Array | None, x: Tensor) -> QuantParams | None:
        if self.quantization is None or x.params is None:
            return (self.grids.get(self.node.inputs[1]) or symmetric(data, None)) if self.dynamic else None
        params = self.quantization.weights.get(self.node.inputs[1]) or symmetric(data, channel)
        return params if x.dtype == "int16" else roomy(params, bias, float(x.params.scale[0]))

    def _bias(self, bias: Array, weights: QuantParams | None, x: Tensor) -> Tensor:
        name = given(self.node, 2) or f"{self.node.inputs[1]};bias"
        if weights is None or x.params is None:
            return self.emission.constant(name, bias)
        params = bias_params(float(x.params.scale[0]), weights, wide=x.dtype == "int16")
        return self.emission.constant(name, quantized_bias(bias, params, self.node.name), params)

    def _read_constant(self, name: str, index: int, like: QuantParams | None) -> Tensor:
        """A constant operand laid out like the computed ones (lower ranks get leading ones)."""
        layout, data = self.layout(index), self.graph.constants[name]
        data = data.reshape((1,) * (len(layout) - data.ndim) + data.shape).transpose(layout)
        if data.dtype != np.float32:
            return self.emission.constant(name, data)
        if self.quantization is None:
            return self.emission.weights(name, data, None) if data.size > SMALL else self.emission.constant(name, data)
        params = like or self.quantization.activations.get(name) or self._constant_params(name) or asymmetric(data)
        return self.emission.converted_constant(name, data, params)

    def _constant_params(self, name: str) -> QuantParams | None:
        """Parameters listed for a constant operand, when they are per tensor: what elementwise kernels take."""
        params = self.quantization.weights.get(name) if self.quantization else None
        return params if params and not params.per_channel else None
