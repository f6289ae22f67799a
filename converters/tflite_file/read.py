"""A TFLite file as it stands: its tensors and operators, read with every length checked.

Slots are the positions of the fields in the published schema (tensorflow/lite/schema/schema.fbs); the names of operators
and types come from the enumerations that LiteRT ships.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from edgekit.converters.tflite_file.flatbuffer import Buffer, Table, broken
from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.core.optional import need

IDENTIFIER = b"TFL3"
CUSTOM = "CUSTOM"
PLACEHOLDER_CODE = 127
"""In the old one-byte field: the operator's number stands in the newer field."""
MAX_RANK = 32
"""More than any kernel takes; a damaged file may say millions."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor. `data` is empty unless it is a constant; `scale` and `zero_point` are empty unless it is quantized.

    `dynamic` says that a size is left open; an open batch alone does not count, since Keras leaves it open in every file
    and the file's own shape has 1 there.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: memoryview
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int = 0
    variable: bool = False
    dynamic: bool = False
    sparsity: Table | None = None

    @property
    def constant(self) -> bool:
        """Whether its value is in the file."""
        return len(self.data) > 0

    @property
    def elements(self) -> int:
        """How many numbers it holds; an unknown size counts as one."""
        return math.prod(max(dim, 1) for dim in self.shape)

    @property
    def bytes(self) -> int:
        """Memory it takes: what the file holds of a constant, else elements times the type's size."""
        return len(self.data) or self.elements * _item_size(self.dtype)

    def integers(self) -> tuple[int, ...]:
        """The value of an integer constant, flat; empty when it is not one."""
        if not self.constant or self.dtype not in ("int32", "int64", "int16", "int8", "uint8"):
            return ()
        whole = len(self.data) - len(self.data) % _item_size(self.dtype)
        return tuple(int(value) for value in np.frombuffer(self.data[:whole], self.dtype))


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator. `inputs` and `outputs` count into the tensors; -1 stands for an absent optional input."""

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom_code: str = ""
    options: Table | None = None

    def option(self, slot: int, layout: str, default: int = 0) -> int:
        """A number among the builtin options, or its default."""
        return default if self.options is None else self.options.number(slot, layout, default)

    def real(self, slot: int, default: float = 0.0) -> float:
        """A float32 among the builtin options, or its default."""
        return default if self.options is None else self.options.real(slot, default)


@dataclass(frozen=True, kw_only=True)
class TFLiteFile:
    """The main subgraph of a file. `inputs` and `outputs` count into `tensors`."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def producers(self) -> Mapping[int, Operator]:
        """Tensor index -> the operator that writes it."""
        return {index: operator for operator in self.operators for index in operator.outputs}

    def of(self, indices: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The tensors of an operator's inputs or outputs, absent ones left out."""
        return tuple(self.tensors[index] for index in indices if index >= 0)


def load(path: Path) -> TFLiteFile:
    """Read a file. Raises what `read` and `parse` raise."""
    return parse(read(path))


def read(path: Path) -> bytes:
    """The bytes of a file. Raises `NotFound`, and `InputError` when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise NotFound(f"no file {str(path)!r}") from exc
    except OSError as exc:
        raise InputError(f"could not read {str(path)!r}: {exc.strerror}") from exc


def parse(data: bytes) -> TFLiteFile:
    """Read the bytes of a file.

    Raises `InputError` when they are not a TFLite model or are damaged, `Unsupported` when it has several subgraphs.
    """
    if data[4:8] != IDENTIFIER:
        raise InputError("not a TFLite file: the identifier TFL3 is not at its place", "is it a .tflite file, and complete?")
    model = Buffer(data).root()
    subgraphs = model.tables(2)
    if not subgraphs:
        raise broken("it has no graph")
    if len(subgraphs) > 1:
        raise Unsupported(f"the file has {len(subgraphs)} subgraphs (control flow); one is supported")
    buffers = tuple(_bytes_of(table, data) for table in model.tables(4))
    codes = tuple(_code(table) for table in model.tables(1))
    return _graph(subgraphs[0], codes, buffers)


def _graph(graph: Table, codes: tuple[tuple[str, str, int], ...], buffers: tuple[memoryview, ...]) -> TFLiteFile:
    tensors = tuple(_tensor(table, buffers) for table in graph.tables(0))
    operators = tuple(_operator(index, table, codes, len(tensors)) for index, table in enumerate(graph.tables(3)))
    inputs, outputs = graph.integers(1), graph.integers(2)
    if not all(0 <= index < len(tensors) for index in (*inputs, *outputs)):
        raise broken("an input or output is not one of its tensors")
    return TFLiteFile(tensors=tensors, operators=operators, inputs=inputs, outputs=outputs)


def _bytes_of(buffer: Table, data: bytes) -> memoryview:
    """A constant's bytes: inside the flatbuffer, or after it in files of more than two gigabytes."""
    offset, size = buffer.number(1, "<Q"), buffer.number(2, "<Q")
    if offset <= 1:
        return buffer.raw(0)
    if offset + size > len(data):
        raise broken(f"{size} bytes of constants at {offset} are past its {len(data)} bytes")
    return memoryview(data)[offset : offset + size]


def _code(table: Table) -> tuple[str, str, int]:
    """Operator name, custom code and version."""
    old, new = table.number(0, "<b"), table.number(3, "<i")
    number = new if old == PLACEHOLDER_CODE or new > old else old
    return _operator_names().get(number, f"OPERATOR_{number}"), table.text(1), table.number(2, "<i", 1)


def _tensor(table: Table, buffers: tuple[memoryview, ...]) -> Tensor:
    quantization = table.table(4)
    buffer, kind = table.number(2, "<I"), table.number(1, "<b")
    if buffer >= len(buffers) and buffer != 0:
        raise broken(f"a tensor's value is buffer {buffer} of {len(buffers)}")
    shape = table.integers(0)
    if len(shape) > MAX_RANK:
        raise broken(f"a tensor has {len(shape)} dimensions")
    return Tensor(
        name=table.text(3),
        shape=shape,
        dtype=_type_names().get(kind, f"type{kind}"),
        data=buffers[buffer] if buffers else memoryview(b""),
        scale=quantization.numbers(2, np.float32) if quantization else (),
        zero_point=quantization.integers(3, np.int64) if quantization else (),
        quantized_dimension=quantization.number(6, "<i") if quantization else 0,
        variable=bool(table.number(5, "<?")),
        dynamic=any(dim < 0 for dim in (*shape, *table.integers(7)[1:])),
        sparsity=table.table(6),
    )


def _operator(index: int, table: Table, codes: tuple[tuple[str, str, int], ...], tensors: int) -> Operator:
    code = table.number(0, "<I")
    inputs, outputs = table.integers(1), table.integers(2)
    if code >= len(codes):
        raise broken(f"operator {index} has code {code} of {len(codes)}")
    if not all(-1 <= tensor < tensors for tensor in inputs) or not all(0 <= tensor < tensors for tensor in outputs):
        raise broken(f"operator {index} reads or writes a tensor that is not among its {tensors}")
    op, custom, version = codes[code]
    return Operator(
        index=index, op=op, version=version, inputs=inputs, outputs=outputs, custom_code=custom, options=table.table(4)
    )


@cache
def _operator_names() -> Mapping[int, str]:
    schema = need("ai_edge_litert.schema_py_generated")
    return {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


@cache
def _type_names() -> Mapping[int, str]:
    """TFLite's types by numpy's names: `FLOAT32` -> `float32`."""
    schema = need("ai_edge_litert.schema_py_generated")
    return {number: name.lower() for name, number in vars(schema.TensorType).items() if not name.startswith("_")}


def _item_size(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 1
