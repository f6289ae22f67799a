"""Tensors on their way into a program: layout, number type and view are changed only where a reader asks, and only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from edgekit.converters.graph import Array, Graph
from edgekit.converters.lower.tflite.layout import Permutation, same_data, stored
from edgekit.converters.lower.tflite.numbers import equal
from edgekit.converters.lower.tflite.program import Operator, Option, Tensor
from edgekit.converters.quantize.parameters import QuantParams, quantize

HALF_LIMIT = 65504.0
REAL = ("float32", "int8", "int16")
"""Types of tensors that stand for real numbers."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a source tensor is: its elements in the order of `permutation`, in an engine tensor of any shape."""

    tensor: Tensor
    permutation: Permutation


class Emission:
    """The operators emitted so far and where every source tensor stands. Emitters see it through a `Site`."""

    def __init__(self, graph: Graph, *, half: bool) -> None:
        self.graph = graph
        self.half = half
        self.operators: list[Operator] = []
        self.values: dict[str, Stored] = {}
        self._derived: dict[tuple[object, ...], Tensor] = {}
        self._origin: dict[Tensor, Tensor] = {}

    def emit(self, name: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], **options: Option) -> None:
        """Append an operator."""
        self.operators.append(Operator(name=name, inputs=tuple(inputs), outputs=tuple(outputs), options=options))

    def read(self, name: str, permutation: Permutation, params: QuantParams | None) -> Tensor:
        """A computed tensor in the wanted permutation and numbers (`params` None: as floats; ignored for integers)."""
        return self.viewed(self.elements(name, permutation, params), stored(self.graph.shape(name), permutation))

    def elements(self, name: str, permutation: Permutation, params: QuantParams | None) -> Tensor:
        """The same as `read`, but in whatever shape the elements are: what a reader that only renames them wants."""
        here, shape = self.values[name], self.graph.shape(name)
        tensor = self.converted(here.tensor, params) if here.tensor.dtype in REAL else here.tensor
        if same_data(shape, here.permutation, permutation):
            return tensor
        moves = tuple(here.permutation.index(axis) for axis in permutation)
        return self.transposed(self.viewed(tensor, stored(shape, here.permutation)), moves)

    def viewed(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The same elements in another shape: nothing when it has that shape, else one RESHAPE of what was first written."""
        origin = self._origin.get(tensor, tensor)
        if origin.shape == shape:
            return origin
        return self._once(("RESHAPE", origin, shape), lambda: self._reshape(origin, shape))

    def transposed(self, tensor: Tensor, moves: tuple[int, ...]) -> Tensor:
        """The elements really moved."""
        return self._once(("TRANSPOSE", tensor, moves), lambda: self._transpose(tensor, moves))

    def copied(self, tensor: Tensor) -> Tensor:
        """The same elements in a tensor of their own."""
        return self._reshape(tensor, tensor.shape)

    def converted(self, tensor: Tensor, params: QuantParams | None) -> Tensor:
        """The tensor as integers of `params`, or as floats when that is None."""
        if (tensor.params is None and params is None) or (tensor.params and params and equal(tensor.params, params)):
            return tensor
        if params is None:
            return self._once(("DEQUANTIZE", tensor), lambda: self._convert("DEQUANTIZE", tensor, None))
        key = ("QUANTIZE", tensor, params.scale.tobytes(), params.zero_point.tobytes())
        return self._once(key, lambda: self._convert("QUANTIZE", tensor, params))

    def constant(self, name: str, data: Array, params: QuantParams | None = None) -> Tensor:
        """A constant with these very elements; the same elements are stored once."""
        data = np.ascontiguousarray(data).reshape(data.shape)
        grid = (params.scale.tobytes(), params.zero_point.tobytes(), params.axis) if params else None
        key = ("constant", data.dtype.name, data.shape, blake2b(data.data).digest(), grid)
        make = Tensor(name=name, shape=data.shape, dtype=data.dtype.name, params=params, data=data)
        return self._once(key, lambda: make)

    def converted_constant(self, name: str, data: Array, params: QuantParams | None) -> Tensor:
        """A float constant as integers of `params`, or as it is when that is None."""
        return self.constant(name, data if params is None else quantize(data, params), params)

    def weights(self, name: str, data: Array, params: QuantParams | None) -> Tensor:
        """A constant that carries a model's size: integers, or floats stored in half precision when asked for."""
        if params is not None:
            return self.converted_constant(name, data, params)
        if not self.half or np.abs(data).max(initial=0.0) > HALF_LIMIT:
            return self.constant(name, data)
        half = self.constant(f"{name};half", data.astype(np.float16))
        return self._once(("DEQUANTIZE", half), lambda: self._convert("DEQUANTIZE", half, None))

    def by_reference(self, tensor: Tensor) -> Tensor:
        """A constant as the result of an operator, so that no delegate makes a packed copy of it for every reader."""
        return self._once(("by reference", tensor), lambda: self._referred(tensor))

    def _once(self, key: tuple[object, ...], make: Callable[[], Tensor]) -> Tensor:
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def _reshape(self, origin: Tensor, shape: tuple[int, ...]) -> Tensor:
        result = replace(origin, name=f"{origin.name};view", shape=shape)
        self._origin[result] = origin
        self.emit("RESHAPE", [origin, self.constant("shape", np.asarray(shape, np.int32))], [result])
        return result

    def _referred(self, tensor: Tensor) -> Tensor:
        result = replace(tensor, name=f"{tensor.name};shared", data=None)
        self.emit("RESHAPE", [tensor, self.constant("shape", np.asarray(tensor.shape, np.int32))], [result])
        return result

    def _transpose(self, tensor: Tensor, moves: tuple[int, ...]) -> Tensor:
        result = replace(tensor, name=f"{tensor.name};transposed", shape=stored(tensor.shape, moves))
        self.emit("TRANSPOSE", [tensor, self.constant("permutation", np.asarray(moves, np.int32))], [result])
        return result

    def _convert(self, operator: str, tensor: Tensor, params: QuantParams | None) -> Tensor:
        dtype = params.dtype if params else "float32"
        result = replace(tensor, name=f"{tensor.name};{dtype}", dtype=dtype, params=params, data=None)
        self.emit(operator, [tensor], [result])
        return result
