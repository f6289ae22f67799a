"""A GGUF file as a source: to quantize again, to prune, or to package as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.converters.gguf.model import Array, LanguageModel, WeightTensor
from edgekit.converters.gguf.quants import dequantized
from edgekit.core.errors import Unsupported
from edgekit.core.gguf_file import Header, Stored, TensorEntry, Typed, read_header


def load(path: Path) -> LanguageModel:
    """The model in the file at `path`; weights stay there until they are asked for. Raises `InputError`, `Unsupported`."""
    header = read_header(path)
    if header.get("split.count", 0) > 1:
        raise Unsupported(f"{path.name!r} is one of {header.get('split.count')} parts of a model", "llama-gguf-split --merge")
    return LanguageModel(
        path=path,
        framework="gguf",
        values={key: _whole(header, key, value) for key, value in header.values.items()},
        tensors=tuple(_tensor(path, entry) for entry in header.tensors),
    )


def _whole(header: Header, key: str, value: Typed) -> Typed:
    if not isinstance(value.value, Stored):
        return value
    return Typed(type=value.type, item=value.item, value=header.array(key))


def _tensor(path: Path, entry: TensorEntry) -> WeightTensor:
    stored = _stored(path, entry)
    return WeightTensor(
        name=entry.name,
        shape=entry.shape,
        kind=entry.kind,
        stored=stored,
        values=lambda: dequantized(stored(), entry.kind, entry.shape),
    )


def _stored(path: Path, entry: TensorEntry) -> Callable[[], Array]:
    rows = entry.size // entry.shape[-1]
    return lambda: np.memmap(path, np.uint8, "r", entry.offset, (rows, entry.bytes // rows))
