"""Numbers to blocks and back, through the `gguf` package: the same bytes as llama.cpp writes, and no compiler."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.converters.gguf.model import Array
from edgekit.core.errors import Unsupported
from edgekit.core.optional import need

OWN = frozenset({"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"})
"""What can be written without libllama."""


def quantized(values: Array, kind: str) -> Array:
    """Float32 rows as blocks of `kind`, a row of uint8 each."""
    if kind == "F32":
        return np.ascontiguousarray(values, np.float32).view(np.uint8)
    if kind == "F16":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values.astype(np.float16)).view(np.uint8)
    if kind not in OWN:
        raise Unsupported(f"{kind} is written by libllama only", 'pip install "edgekit[llama]"')
    stored: Array = np.ascontiguousarray(_quants().quantize(values, _number(kind))).view(np.uint8)
    return stored


def dequantized(stored: Array, kind: str, shape: tuple[int, ...]) -> Array:
    """The float32 values that rows of blocks stand for."""
    if kind in ("F32", "F16"):
        plain = np.ascontiguousarray(stored).view(np.float32 if kind == "F32" else np.float16)
        return plain.reshape(shape).astype(np.float32, copy=False)
    values: Array = np.asarray(_quants().dequantize(np.ascontiguousarray(stored), _number(kind)), np.float32)
    return values.reshape(shape)


def error(values: Array, stored: Array, kind: str) -> float:
    """Root mean square of what quantizing changed, in units of the tensor's own root mean square."""
    difference = dequantized(stored, kind, values.shape) - values
    own = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    off = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))
    return off / own if own else off


def _quants() -> Any:
    return need("gguf.quants")


def _number(kind: str) -> Any:
    return need("gguf").GGMLQuantizationType[kind]
