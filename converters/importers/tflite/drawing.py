"""The graph while it is drawn: TFLite tensors, each in the layouts it has been needed in, over ONNX nodes and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekit.converters.graph import Array, Attribute, Node
from edgekit.converters.importers.tflite.layouts import Layout, own, permutation
from edgekit.converters.names import free_name
from edgekit.converters.tflite_file.flatbuffer import broken
from edgekit.converters.tflite_file.read import Tensor, TFLiteFile
from edgekit.converters.tflite_file.values import value_of

GRIDS = frozenset({"int8", "uint8"})
"""Activations of these types, with a scale, stand for real numbers and are drawn as QuantizeLinear and DequantizeLinear."""


@dataclass(kw_only=True)
class Drawing:
    """What has been drawn so far. `held` maps a tensor of the file to the graph tensors that hold it, by layout."""

    file: TFLiteFile
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    held: dict[int, dict[Layout, str]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    turned: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    """Tensors that are a transpose of another: name -> (the other, perm), so that two in a row become one or none."""
    turns: dict[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)

    notes: list[str] = field(default_factory=list)
    """What the graph does another way than the file's kernels do."""

    def tensor(self, index: int) -> Tensor:
        """A tensor of the file."""
        return self.file.tensors[index]

    def called(self, index: int) -> str:
        """What a tensor is called in messages and names; files may leave the name out."""
        return self.tensor(index).name or f"tensor_{index}"

    def free(self, name: str) -> str:
        """`name`, or the first of `name_2`, `name_3` ... that nothing else is called."""
        return free_name(name, self.taken)

    def constant(self, name: str, value: Array) -> str:
        """A constant of the graph."""
        chosen = self.free(name)
        self.constants[chosen] = value
        return chosen

    def node(
        self, op: str, inputs: Sequence[str], target: str, attributes: Mapping[str, Attribute] | None = None, outputs: int = 1
    ) -> tuple[str, ...]:
        """A node called after the tensor it serves; returns the names of its outputs."""
        name = self.free(f"{target}/{op}")
        made = tuple(self.free(f"{name}:{place}") for place in range(outputs))
        self.nodes.append(Node(op=op, name=name, inputs=tuple(inputs), outputs=made, attributes=dict(attributes or {})))
        return made

    def transpose(self, name: str, perm: tuple[int, ...], target: str) -> str:
        """A tensor's transpose; a transpose of a transpose is one, and of its own inverse none."""
        source, before = self.turned.get(name, (name, own(len(perm))))
        together = tuple(before[axis] for axis in perm)
        if together == own(len(perm)):
            return source
        if (source, together) not in self.turns:
            (made,) = self.node("Transpose", [source], target, {"perm": together})
            self.turns[source, together], self.turned[made] = made, (source, together)
        return self.turns[source, together]

    def layout(self, index: int) -> Layout:
        """The layout in which a tensor was first drawn; the file's own for constants."""
        return next(iter(self.held.get(index, {})), own(len(self.tensor(index).shape)))

    def read(self, index: int, layout: Layout | None = None) -> str:
        """The graph tensor that holds a tensor in that layout (by default the file's own)."""
        wanted = own(len(self.tensor(index).shape)) if layout is None else layout
        forms = self.held.setdefault(index, {})
        if sorted(wanted) != list(range(len(self.tensor(index).shape))):
            raise broken(f"the tensor {self.called(index)!r} has {len(self.tensor(index).shape)} dimensions, not {len(wanted)}")
        if wanted not in forms:
            if forms:
                first, name = next(iter(forms.items()))
                forms[wanted] = self.transpose(name, permutation(first, wanted), self.called(index))
            else:
                forms[wanted] = self._constant(index, wanted)
        return forms[wanted]

    def value(self, index: int) -> Array:
        """The value of a constant of the file; raises `InputError` when nothing has made the tensor."""
        if not self.tensor(index).constant:
            raise broken(f"the tensor {self.called(index)!r} is read and nothing makes it")
        return value_of(self.tensor(index))

    def write(self, index: int, name: str, layout: Layout | None = None) -> None:
        """Say which graph tensor holds a tensor; a quantized one goes through its grid first."""
        tensor = self.tensor(index)
        if tensor.dtype in GRIDS and len(tensor.scale) == 1:
            grid = self.grid(self.called(index), tensor)
            (stored,) = self.node("QuantizeLinear", [name, *grid], self.called(index))
            (name,) = self.node("DequantizeLinear", [stored, *grid], self.called(index))
        written = own(len(tensor.shape)) if layout is None else layout
        if len(written) != len(tensor.shape):
            raise broken(
                f"the tensor {self.called(index)!r} has {len(tensor.shape)} dimensions, its operator gives {len(written)}"
            )
        self.held[index] = {written: name}

    def grid(self, name: str, tensor: Tensor) -> tuple[str, ...]:
        """The scale and zero point of a tensor as constants; int32 has no zero point in ONNX, and none in TFLite."""
        scale = np.asarray(tensor.scale, np.float32)
        if not np.all(np.isfinite(scale) & (scale > 0)):
            raise broken(f"the tensor {name!r} has a scale that is not a positive number")
        if len(tensor.zero_point) not in (0, 1, scale.size):
            raise broken(f"the tensor {name!r} has {scale.size} scales and {len(tensor.zero_point)} zero points")
        zeros = np.broadcast_to(np.asarray(tensor.zero_point or 0, np.int64), scale.shape)
        shape = () if scale.size == 1 else (-1,)
        first = self.constant(f"{name}/scale", scale.reshape(shape))
        if tensor.dtype == "int32":
            return (first,)
        limits = np.iinfo("int8" if tensor.dtype == "int4" else tensor.dtype)
        if zeros.min() < limits.min or zeros.max() > limits.max:
            raise broken(f"the tensor {name!r} has the zero point {int(zeros.min())}, outside {limits.dtype}")
        return first, self.constant(f"{name}/zero_point", zeros.astype(limits.dtype).reshape(shape))

    def _constant(self, index: int, layout: Layout) -> str:
        tensor, name, value = self.tensor(index), self.called(index), self.value(index)
        stored = self.constant(name, np.ascontiguousarray(value.transpose(layout)))
        if not tensor.scale or tensor.dtype not in (*GRIDS, "int4", "int32"):
            return stored
        if len(tensor.scale) == 1:
            return self.dequantized(stored, tensor, None)
        if len(layout) == 1:
            return self.dequantized(stored, tensor, 0)
        if tensor.quantized_dimension not in layout:
            raise broken(f"the constant {name!r} of {len(layout)} dimensions has scales along {tensor.quantized_dimension}")
        return self.dequantized(stored, tensor, layout.index(tensor.quantized_dimension))

    def dequantized(self, stored: str, tensor: Tensor, axis: int | None) -> str:
        """A DequantizeLinear after a constant; `axis` where it has a scale per channel."""
        if axis is not None and self.constants[stored].shape[axis] != len(tensor.scale):
            size = self.constants[stored].shape[axis]
            raise broken(f"the constant {tensor.name!r} has {len(tensor.scale)} scales for {size} channels")
        attributes: dict[str, Attribute] = {} if axis is None else {"axis": axis}
        (made,) = self.node("DequantizeLinear", [stored, *self.grid(stored, tensor)], stored, attributes)
        return made
