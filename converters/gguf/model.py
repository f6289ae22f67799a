"""A language model between reading and writing: what it says of itself, and its tensors, each read when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.gguf_file import ARRAY, NAMED, STRING, Typed

Array = NDArray[Any]
UINT32, INT32, FLOAT32, BOOL = 4, 5, 6, 7
VECTORS_ARE_FLOAT = 1
"""Tensors of one dimension (norms, biases) are never quantized: engines want them in float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightTensor:
    """One tensor. `stored` gives its bytes in its `kind`, as rows of uint8; `values` gives float32 of `shape`."""

    name: str
    shape: tuple[int, ...]
    kind: str
    stored: Callable[[], Array] = field(repr=False)
    values: Callable[[], Array] = field(repr=False)

    @property
    def size(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes it takes as it is."""
        return bytes_as(self.kind, self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """Metadata in GGUF's keys, and tensors in GGUF's names. Where it came from stands in `path` and `framework`."""

    path: Path
    framework: str
    values: Mapping[str, Typed]
    tensors: tuple[WeightTensor, ...]
    notes: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """As GGUF names it: llama, qwen2."""
        return str(self.values["general.architecture"].value)

    def number(self, key: str, default: int | float | None = None) -> Any:
        """A figure under the architecture's name. Raises `InputError` when it is missing."""
        found = self.values.get(f"{self.architecture}.{key}")
        if found is None and default is None:
            raise InputError(f"{self.path.name!r} does not say its {self.architecture}.{key}", "convert the model again")
        return default if found is None else found.value

    def tensor(self, name: str) -> WeightTensor | None:
        """The tensor of that name, or None."""
        return next((tensor for tensor in self.tensors if tensor.name == name), None)

    def saying(self, **values: Typed) -> LanguageModel:
        """The same model with other metadata; dots are written as two underscores."""
        more = {key.replace("__", "."): value for key, value in values.items()}
        return replace(self, values={**self.values, **more})


def bytes_as(kind: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes in that kind."""
    known = NAMED[kind]
    return prod(shape) // known.block * known.bytes


def in_memory(name: str, array: Array) -> WeightTensor:
    """A tensor around a float array: float16 stays, all else becomes float32."""
    kind = "F16" if array.dtype == np.float16 else "F32"
    kept = np.ascontiguousarray(array if kind == "F16" else array.astype(np.float32, copy=False))
    return WeightTensor(
        name=name,
        shape=kept.shape,
        kind=kind,
        stored=lambda: kept.reshape(kept.shape[0], -1).view(np.uint8) if kept.ndim > 1 else kept.view(np.uint8),
        values=lambda: kept.astype(np.float32, copy=False),
    )


def text(value: str) -> Typed:
    """A text value."""
    return Typed(type=STRING, value=value)


def count(value: int) -> Typed:
    """An unsigned number."""
    return Typed(type=UINT32, value=int(value))


def real(value: float) -> Typed:
    """A single-precision number."""
    return Typed(type=FLOAT32, value=float(value))


def truth(value: bool) -> Typed:
    """Yes or no."""
    return Typed(type=BOOL, value=bool(value))


def array(values: Sequence[Any], item: int) -> Typed:
    """An array; texts are given as str or bytes."""
    return Typed(type=ARRAY, item=item, value=tuple(values))
