"""ONNX operators as TFLite: one file per kind, one small function per operator."""

from edgekit.converters.lower.tflite.ops import (
    convolution,
    elementwise,
    matrix,
    movement,
    pooling,
    reduction,
    resize,
)
from edgekit.converters.lower.tflite.ops.table import TABLE, Op, op, refusals

__all__ = [
    "TABLE",
    "Op",
    "convolution",
    "elementwise",
    "matrix",
    "movement",
    "op",
    "pooling",
    "reduction",
    "refusals",
    "resize",
]
