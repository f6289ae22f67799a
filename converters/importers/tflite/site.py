"""One operator of the file where it is drawn: what it reads, what it decides, what it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from edgekit.converters.graph import Array, Attribute
from edgekit.converters.importers.tflite.drawing import Drawing
from edgekit.converters.importers.tflite.layouts import FIRST, LAST, Layout, arranged, own, permutation
from edgekit.converters.tflite_file.read import Operator
from edgekit.core.errors import Unsupported

FUSED = {1: ("Relu",), 2: ("Clip", -1.0, 1.0), 3: ("Clip", 0.0, 6.0), 4: ("Tanh",)}
"""ActivationFunctionType of the schema, as ONNX operators."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where an operator stands. Inputs and outputs count in the operator's own list."""

    drawing: Drawing
    operator: Operator

    @property
    def name(self) -> str:
        """The operator goes by the tensor it writes."""
        return self.drawing.called(self.operator.outputs[0]) if self.operator.outputs else f"operator {self.operator.index}"

    def refuse(self, why: str) -> NoReturn:
        """This operator has no form in the graph."""
        raise Unsupported(
            f"op {self.operator.op} at {self.name!r} {why}", "export the model without it, or start from its source"
        )

    def has(self, place: int) -> bool:
        """Whether an optional input is there."""
        return place < len(self.operator.inputs) and self.operator.inputs[place] >= 0

    def index(self, place: int) -> int:
        """The tensor of an input."""
        if not self.has(place):
            self.refuse(f"has no input {place}")
        return self.operator.inputs[place]

    def shape(self, place: int) -> tuple[int, ...]:
        """Shape of an input, in the file's order."""
        return self.drawing.tensor(self.index(place)).shape

    def result(self, place: int = 0) -> tuple[int, ...]:
        """Shape of an output, in the file's order."""
        return self.drawing.tensor(self.output(place)).shape

    def output(self, place: int) -> int:
        """The tensor of an output."""
        if place >= len(self.operator.outputs):
            self.refuse(f"has {len(self.operator.outputs)} outputs")
        return self.operator.outputs[place]

    def constant(self, place: int) -> bool:
        """Whether an input is a constant of the file."""
        return self.drawing.tensor(self.index(place)).constant

    def integer(self, place: int) -> int:
        """The value of a constant integer input that is one number."""
        values = self.integers(place)
        if len(values) != 1:
            self.refuse(f"has {len(values)} numbers as its input {place}, where one belongs")
        return values[0]

    def dtype(self, place: int = 0) -> str:
        """Type of an output."""
        return self.drawing.tensor(self.output(place)).dtype

    def integers(self, place: int) -> tuple[int, ...]:
        """The value of a constant integer input, flat. Raises `Unsupported` when it is computed."""
        tensor = self.drawing.tensor(self.index(place))
        if not tensor.constant and 0 not in tensor.shape:
            self.refuse(f"computes its input {place} at run time")
        return tensor.integers()

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= value < rank:
            self.refuse(f"names the axis {value} of {rank}")
        return value % rank

    def read(self, place: int, layout: Layout | None = None) -> str:
        """An input in that layout (by default the file's own)."""
        return self.drawing.read(self.index(place), layout)

    def native(self, *places: int) -> Layout:
        """The layout in which most of these inputs are held already: no operator that asks for it needs a transpose more."""
        held = [(self.drawing.layout(self.index(p)), self.shape(p)) for p in places if not self.constant(p)]
        if not held or any(len(layout) != 4 for layout, _ in held):
            rank = max((len(self.shape(p)) for p in places), default=0)
            return self._widest(rank, places)
        first = sum(int(np.prod(shape)) * (1 if layout == FIRST else -1) for layout, shape in held)
        return FIRST if first > 0 else LAST

    def _widest(self, rank: int, places: tuple[int, ...]) -> Layout:
        """Operands of different ranks follow one of full rank that is held channels first."""
        full = [self.drawing.layout(self.index(p)) for p in places if len(self.shape(p)) == rank and not self.constant(p)]
        return FIRST if rank == 4 and FIRST in full else own(rank)

    def lifted(self, place: int, layout: Layout) -> str:
        """An operand of a broadcast in a layout of higher rank: ones are put before its shape."""
        shape = self.shape(place)
        missing = len(layout) - len(shape)
        if missing <= 0 or int(np.prod(shape)) == 1:
            return self.read(place, layout if missing == 0 else None)
        wide = (1,) * missing + shape
        name = self.step("Reshape", [self.read(place), self.numbers("shape", wide)])
        return self.drawing.transpose(name, permutation(own(len(layout)), layout), self.name)

    def numbers(self, name: str, values: Sequence[int] | Array) -> str:
        """A constant of int64 numbers."""
        return self.drawing.constant(f"{self.name}/{name}", np.asarray(values, np.int64))

    def real(self, name: str, value: float) -> str:
        """A float32 scalar."""
        return self.drawing.constant(f"{self.name}/{name}", np.asarray(value, np.float32))

    def step(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Attribute] | None = None) -> str:
        """A node with one output."""
        return self.drawing.node(op, inputs, self.name, attributes)[0]

    def steps(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Attribute], outputs: int) -> tuple[str, ...]:
        """A node with several outputs."""
        return self.drawing.node(op, inputs, self.name, attributes, outputs)

    def write(self, name: str, layout: Layout | None = None, place: int = 0) -> None:
        """The graph tensor that an output is."""
        self.drawing.write(self.output(place), name, layout)

    def fused(self, name: str, code: int) -> str:
        """The activation that the file has fused into the operator."""
        if code == 0:
            return name
        if code not in FUSED:
            self.refuse(f"has the fused activation {code}, which is not supported")
        op, *bounds = FUSED[code]
        return self.step(str(op), [name, *(self.real(f"bound_{value:g}", float(value)) for value in bounds)])

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """A reshape to that shape."""
        return self.step("Reshape", [name, self.numbers("shape", shape)])

    def held(self, shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
        """A shape of the file as the graph holds it in that layout."""
        return arranged(shape, layout)
