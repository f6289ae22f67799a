"""Safetensors, read with suspicion: a length, a JSON header, and arrays that must lie inside the file and apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.gguf.model import Array
from edgekit.core.errors import InputError, NotFound

MOST_HEADER_BYTES = 100 << 20
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of the types that weights come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """One array of a file: where it is, and how it is stored."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    offset: int

    def values(self) -> Array:
        """Float32, read now."""
        plain = self.raw()
        if self.kind == "BF16":
            return (plain.astype(np.uint32) << 16).view(np.float32)
        return plain.astype(np.float32)

    def raw(self) -> Array:
        """As it is stored: bfloat16 as uint16; float64, which no engine reads, as float32."""
        size = prod(self.shape) * SIZES[self.kind]
        mapped: Any = np.memmap(self.path, np.uint8, "r", self.offset, (size,)) if size else np.zeros(0, np.uint8)
        plain: Array = mapped.view({"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}[self.kind]).reshape(self.shape)
        return plain.astype(np.float32) if self.kind == "F64" else plain


def read(path: Path) -> Mapping[str, StoredArray]:
    """The arrays of a file by name. Raises `InputError` for whatever is no whole safetensors file, `NotFound` for none."""
    if not path.is_file():
        raise NotFound(f"{str(path)!r} is missing", "is the folder whole?")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(MOST_HEADER_BYTES, size - 8):
            raise InputError(f"{path.name!r} is no safetensors file: {_look(head)}", "git lfs pull, or download it again")
        header = _decoded(file.read(length), path)
    start = 8 + length
    found = {name: _array(path, name, entry, start, size) for name, entry in header.items() if name != "__metadata__"}
    if not found:
        raise InputError(f"{path.name!r} holds no weights")
    return found


def _look(head: bytes) -> str:
    return "it begins as a Git LFS pointer does" if head.startswith(b"version ") else f"it begins with {head!r}"


def _decoded(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path.name!r} has a header that is no JSON: {exc}") from exc
    if not isinstance(header, dict):
        raise InputError(f"{path.name!r} has a header that is no object")
    return header


def _array(path: Path, name: str, entry: Any, start: int, size: int) -> StoredArray:
    try:
        kind, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as exc:
        raise InputError(f"{path.name!r}: array {name!r} is not described as safetensors has it") from exc
    if kind not in SIZES:
        raise InputError(f"{path.name!r}: array {name!r} is stored as {kind}; {', '.join(SIZES)} can be read")
    if not whole or end - begin != prod(shape) * SIZES[kind] or start + end > size:
        raise InputError(f"{path.name!r} is truncated or damaged at array {name!r}", "download it again")
    return StoredArray(path=path, kind=kind, shape=shape, offset=start + begin)
