"""The constants of a TFLite file as arrays: packed, sparse and half-precision ones included, all lengths checked."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Array
from edgekit.converters.tflite_file.flatbuffer import Table, broken
from edgekit.converters.tflite_file.read import Tensor
from edgekit.core.errors import Unsupported

DENSE, CSR = 0, 1
INDEX_TYPES = {1: np.int32, 2: np.uint16, 3: np.uint8}
"""Tables Int32Vector, Uint16Vector and Uint8Vector of the schema's union SparseIndexVector."""
GROWTH_LIMIT = 1 << 10
"""A sparse tensor that unpacks to more than a thousand times the bytes of its values is a bomb."""


class _Level(NamedTuple):
    """One level of a sparse tensor: every coordinate below `size`, or those that `indices` names between `segments`."""

    size: int
    segments: NDArray[np.int64]
    indices: NDArray[np.int64]


def value_of(tensor: Tensor) -> Array:
    """The value of a constant, in its shape. Raises `InputError` when its bytes are not as many as its shape needs."""
    flat = _flat(tensor)
    if tensor.sparsity is not None:
        return _dense(tensor, tensor.sparsity, flat)
    count = math.prod(tensor.shape)
    if flat.size < count or min(tensor.shape, default=0) < 0:
        raise broken(f"the constant {tensor.name!r} of shape {tensor.shape} has {flat.size} values")
    try:
        return flat[:count].reshape(tensor.shape)
    except ValueError:
        raise broken(f"the constant {tensor.name!r} has the shape {tensor.shape}") from None


def _flat(tensor: Tensor) -> Array:
    if tensor.dtype == "int4":
        return _nibbles(np.frombuffer(tensor.data, np.uint8))
    try:
        kind = np.dtype(tensor.dtype).newbyteorder("<")
    except TypeError:
        raise Unsupported(f"the constant {tensor.name!r} is of the type {tensor.dtype}, which has no array form") from None
    whole = len(tensor.data) - len(tensor.data) % kind.itemsize
    return np.frombuffer(tensor.data[:whole], kind).astype(kind.newbyteorder("="), copy=False)


def _nibbles(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Two signed values a byte, the low half first."""
    pairs = np.stack([packed & 15, packed >> 4], axis=-1).astype(np.int8).reshape(-1)
    return np.where(pairs > 7, pairs - 16, pairs).astype(np.int8)


def _dense(tensor: Tensor, sparsity: Table, flat: Array) -> Array:
    """Levels are visited in `traversal_order`; those after the tensor's own axes are blocks of the axes in `block_map`.

    Source: the comments at SparsityParameters in tensorflow/lite/schema/schema.fbs.
    """
    rank, order = len(tensor.shape), sparsity.integers(0)
    blocks, levels = sparsity.integers(1), tuple(_level(table) for table in sparsity.tables(2))
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order) or not set(blocks) <= set(range(rank)):
        raise broken(f"the sparse constant {tensor.name!r} does not describe its {rank} axes")
    if math.prod(tensor.shape) > GROWTH_LIMIT * max(flat.size, 1) or min(tensor.shape, default=1) < 0:
        raise broken(f"the sparse constant {tensor.name!r} of {flat.size} values claims the shape {tensor.shape}")
    found = _coordinates(tensor, levels, flat.size)
    sizes = {axis: level.size for axis, level in zip(order, levels, strict=True)}
    place = {axis: found[:, position] for position, axis in enumerate(order)}
    for block, axis in enumerate(blocks):
        place[axis] = place[axis] * sizes[rank + block] + place[rank + block]
    at = tuple(place[axis] for axis in range(rank))
    if any(column.size and int(column.max()) >= size for column, size in zip(at, tensor.shape, strict=True)):
        raise broken(f"the sparse constant {tensor.name!r} puts values outside its shape {tensor.shape}")
    dense = np.zeros(tensor.shape, flat.dtype)
    dense[at] = flat[: len(found)]
    return dense


def _level(table: Table) -> _Level:
    if table.number(0, "<b") == DENSE:
        return _Level(table.number(1, "<i"), np.zeros(0, np.int64), np.zeros(0, np.int64))
    segments, indices = _vector(table, 2), _vector(table, 4)
    if segments.size < 2 or np.any(np.diff(segments) < 0) or segments[0] != 0 or segments[-1] > indices.size:
        raise broken("a sparse constant's segments do not fit its indices")
    return _Level(0, segments, indices)


def _vector(table: Table, slot: int) -> NDArray[np.int64]:
    vector = table.table(slot + 1)
    kind = INDEX_TYPES.get(table.number(slot, "<B"))
    return np.array(vector.integers(0, kind) if vector is not None and kind is not None else (), np.int64)


def _coordinates(tensor: Tensor, levels: tuple[_Level, ...], limit: int) -> NDArray[np.int64]:
    """One row per stored value, one column per level; never more rows than values."""
    rows, parents = np.zeros((1, 0), np.int64), np.zeros(1, np.int64)
    for level in levels:
        if level.segments.size:
            if parents.size and int(parents.max()) + 1 >= level.segments.size:
                raise broken(f"the sparse constant {tensor.name!r} has too few segments")
            counts = level.segments[parents + 1] - level.segments[parents]
            children = np.concatenate([np.arange(level.segments[p], level.segments[p + 1]) for p in parents] or [parents])
            column = level.indices[children]
        else:
            counts = np.full(parents.size, max(level.size, 0))
            if int(counts.sum()) > limit:
                raise broken(f"the sparse constant {tensor.name!r} needs more than its {limit} values")
            column = np.tile(np.arange(max(level.size, 0)), parents.size)
            children = np.repeat(parents, counts) * level.size + column
        rows, parents = np.concatenate([np.repeat(rows, counts, axis=0), column[:, None]], axis=1), children
        if len(rows) > limit:
            raise broken(f"the sparse constant {tensor.name!r} needs more than its {limit} values")
    return rows
