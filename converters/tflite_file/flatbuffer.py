"""Reads tables out of a flatbuffer that may be damaged or hostile: every offset and length is checked against the buffer.

Format: https://flatbuffers.dev/internals/. The `flatbuffers` package trusts its input; a length field of four billion would
keep it busy for hours. Here a reader also has a budget of elements, a small multiple of the file's size, so that tables
which point at one another over and over end in an error as well.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import DTypeLike

from edgekit.core.errors import InputError

ELEMENTS_PER_BYTE = 4


class Buffer:
    """The bytes and how many more elements may be read from them."""

    __slots__ = ("budget", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = ELEMENTS_PER_BYTE * len(data) + 1024

    def root(self) -> Table:
        """The table that the first four bytes point at."""
        return Table(self, self.unsigned(0))

    def unsigned(self, at: int) -> int:
        """A 32-bit offset or length."""
        return int(self.unpack("<I", at))

    def unpack(self, layout: str, at: int) -> int | float:
        """One number of that `struct` layout."""
        if at < 0:
            raise broken(f"offset {at} is before its start")
        try:
            (value,) = struct.unpack_from(layout, self.data, at)
        except struct.error as exc:
            raise broken(f"offset {at} is past its {len(self.data)} bytes") from exc
        return float(value) if layout[-1] in "fd" else int(value)

    def spend(self, elements: int) -> None:
        """Count elements read; more than the file could hold without sharing is a sign of a loop."""
        self.budget -= elements
        if self.budget < 0:
            raise broken("its tables point at one another without end")

    def span(self, at: int, size: int) -> tuple[int, int]:
        """First and last offset of a vector's elements of `size` bytes each, checked."""
        count = self.unsigned(at)
        if count * size > len(self.data) - at - 4:
            raise broken(f"a vector of {count} elements does not fit its {len(self.data)} bytes")
        return at + 4, count


class Table:
    """One table. Fields are asked for by slot, their position in the schema; an absent field gives the default."""

    __slots__ = ("_at", "_buffer", "_fields", "_vtable")

    def __init__(self, buffer: Buffer, at: int) -> None:
        buffer.spend(1)
        self._buffer = buffer
        self._at = at
        self._vtable = at - int(buffer.unpack("<i", at))
        self._fields = (int(buffer.unpack("<H", self._vtable)) - 4) // 2

    def number(self, slot: int, layout: str, default: int = 0) -> int:
        """An integer field of that `struct` layout ("<i" int32, "<b" int8, "<B" uint8 or enum, "<?" bool, …)."""
        at = self._field(slot)
        return default if at is None else int(self._buffer.unpack(layout, at))

    def real(self, slot: int, default: float = 0.0) -> float:
        """A float32 field."""
        at = self._field(slot)
        return default if at is None else float(self._buffer.unpack("<f", at))

    def table(self, slot: int) -> Table | None:
        """A table field."""
        at = self._target(slot)
        return None if at is None else Table(self._buffer, at)

    def tables(self, slot: int) -> tuple[Table, ...]:
        """A field that is a vector of tables."""
        at = self._target(slot)
        if at is None:
            return ()
        first, count = self._buffer.span(at, 4)
        self._buffer.spend(count)
        places = range(first, first + 4 * count, 4)
        return tuple(Table(self._buffer, place + self._buffer.unsigned(place)) for place in places)

    def numbers(self, slot: int, dtype: DTypeLike) -> tuple[int | float, ...]:
        """A field that is a vector of numbers."""
        at = self._target(slot)
        if at is None:
            return ()
        kind = np.dtype(dtype)
        first, count = self._buffer.span(at, kind.itemsize)
        self._buffer.spend(count)
        return tuple(np.frombuffer(self._buffer.data, kind.newbyteorder("<"), count, first).tolist())

    def integers(self, slot: int, dtype: DTypeLike = np.int32) -> tuple[int, ...]:
        """A field that is a vector of integers."""
        return tuple(int(value) for value in self.numbers(slot, dtype))

    def text(self, slot: int) -> str:
        """A string field; bytes that are not UTF-8 are replaced."""
        data = self.raw(slot)
        self._buffer.spend(len(data))
        return bytes(data).decode("utf-8", "replace")

    def raw(self, slot: int) -> memoryview:
        """A field that is a vector of bytes, not copied."""
        at = self._target(slot)
        if at is None:
            return memoryview(b"")
        first, count = self._buffer.span(at, 1)
        return memoryview(self._buffer.data)[first : first + count]

    def _field(self, slot: int) -> int | None:
        """Where the field's value is, or None when the table does not have it."""
        if slot >= self._fields:
            return None
        offset = int(self._buffer.unpack("<H", self._vtable + 4 + 2 * slot))
        return self._at + offset if offset else None

    def _target(self, slot: int) -> int | None:
        """Where the field's offset points."""
        at = self._field(slot)
        return None if at is None else at + self._buffer.unsigned(at)


def broken(why: str) -> InputError:
    """The file does not hold together."""
    return InputError(f"the flatbuffer is damaged: {why}", "is the file complete? copy or convert it again")
