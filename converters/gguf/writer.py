"""Writing GGUF, version 3: the header, then one tensor after the other, so that no model need fit into memory twice."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgekit.converters.gguf.model import Array, bytes_as
from edgekit.core.files import said_plainly
from edgekit.core.gguf_file import ALIGNMENT, ARRAY, MAGIC, NAMED, PACKED, STRING, Typed

VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor that will be written: `data` gives its bytes when its turn has come."""

    name: str
    shape: tuple[int, ...]
    kind: str
    data: Callable[[], Array]

    @property
    def bytes(self) -> int:
        """How many bytes it takes in the file."""
        return bytes_as(self.kind, self.shape)


def write(path: Path, values: Mapping[str, Typed], entries: Sequence[Entry]) -> None:
    """Write the file at `path`, which must not be one that a tensor is read from. Raises `EdgekitError` for a full disk."""
    with said_plainly(path), path.open("xb") as file:
        head = _head(values, entries)
        file.write(head)
        _pad(file, len(head))
        for entry in entries:
            data = np.ascontiguousarray(entry.data()).view(np.uint8).reshape(-1)
            if data.size != entry.bytes:
                raise ValueError(f"tensor {entry.name} has {data.size} bytes, its shape and type take {entry.bytes}")
            file.write(data.data)
            _pad(file, entry.bytes)


def _head(values: Mapping[str, Typed], entries: Sequence[Entry]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(entries), len(values))]
    for key, value in values.items():
        parts += [_text(key), struct.pack("<I", value.type), _value(value)]
    offset = 0
    for entry in entries:
        shape = entry.shape[::-1]
        parts.append(_text(entry.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        parts.append(struct.pack("<IQ", NAMED[entry.kind].number, offset))
        offset += _padded(entry.bytes)
    return b"".join(parts)


def _value(value: Typed) -> bytes:
    if value.type == STRING:
        return _text(value.value)
    if value.type != ARRAY:
        return struct.pack(f"<{PACKED[value.type]}", value.value)
    head = struct.pack("<IQ", value.item, len(value.value))
    return head + _items(value.item, value.value)


def _items(kind: int, items: Iterable[object]) -> bytes:
    if kind == STRING:
        return b"".join(_text(item) for item in items)  # type: ignore[arg-type]
    known = tuple(items)
    return struct.pack(f"<{len(known)}{PACKED[kind]}", *known)


def _text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _pad(file: BinaryIO, written: int) -> None:
    file.write(b"\0" * (_padded(written) - written))
