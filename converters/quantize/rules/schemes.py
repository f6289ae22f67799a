"""How each family of engines wants its integers: types, symmetry, which operators, which weights per channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edgekit.converters.quantize.ranges.choose import Scheme
from edgekit.converters.quantize.rules.roles import HEAVY, MOVES, TFLITE_INT8, TFLITE_INT16

SchemeName = Literal["tflite", "tflite-16x8", "edgetpu", "ort-x86", "ort-arm", "tensorrt"]

ORT_INT8 = frozenset(
    {
        *("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Where", "Relu", "Clip"),
        *("Sigmoid", "Softmax", "LeakyRelu", "AveragePool", "GlobalAveragePool", "MaxPool", "Resize"),
        *(MOVES - {"Pad", "Tile", "Dropout", "Identity"}),
    }
)
"""Operators that ONNX Runtime's CPU provider fuses with surrounding Q/DQ or moves Q/DQ across (qdq_selector_action_transformer.cc)."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way to put integers into a graph.

    `operators` may compute on integers; `heavy_inputs_only` quantizes nothing but what multiply-accumulate operators read;
    `one_row_softmax` leaves a Softmax of several rows in float, since the Edge TPU has none; `float_islands` leaves
    normalisations, attention and wide depthwise convolutions in float, `float_end` last layers that cost nothing; `clip` lets
    outliers be cut off; `dynamic_lstms` says that an LSTM may read floats and have weights of integers.
    """

    activations: Scheme
    operators: frozenset[str]
    per_channel: frozenset[str]
    heavy_inputs_only: bool = False
    one_row_softmax: bool = False
    float_islands: bool = False
    float_end: bool = False
    dynamic_lstms: bool = False
    clip: bool = True

    @property
    def wide(self) -> bool:
        """Whether activations have sixteen bits: sums and biases then have sixty-four."""
        return self.activations.dtype == "int16"


@dataclass(frozen=True, kw_only=True)
class Style:
    """What may be done more plainly than a scheme would: one scale per weight, ranges from minimum to maximum.

    Some engines and some comparisons ask for that; it costs accuracy.
    """

    per_channel: bool = True
    clip: bool = True
    float_end: bool = True
    """Whether last layers that cost nothing may stay in float; not where a source's own integers are to come back."""


DIALECTS: Mapping[SchemeName, Dialect] = {
    "tflite": Dialect(
        activations=Scheme(dtype="int8"), operators=TFLITE_INT8, per_channel=HEAVY, float_islands=True, float_end=True
    ),
    "tflite-16x8": Dialect(
        activations=Scheme(dtype="int16", symmetric=True),
        operators=TFLITE_INT16,
        per_channel=HEAVY,
        float_islands=True,
        float_end=True,
        clip=False,
    ),
    "edgetpu": Dialect(
        activations=Scheme(dtype="int8"), operators=TFLITE_INT8, per_channel=HEAVY - {"Gemm", "MatMul"}, one_row_softmax=True
    ),
    "ort-x86": Dialect(
        activations=Scheme(dtype="uint8"), operators=ORT_INT8, per_channel=HEAVY, float_end=True, dynamic_lstms=True
    ),
    "ort-arm": Dialect(
        activations=Scheme(dtype="int8"), operators=ORT_INT8, per_channel=HEAVY, float_end=True, dynamic_lstms=True
    ),
    "tensorrt": Dialect(
        activations=Scheme(dtype="int8", symmetric=True), operators=HEAVY, per_channel=HEAVY, heavy_inputs_only=True
    ),
}


def dialect_of(scheme: SchemeName, style: Style) -> Dialect:
    """The dialect of a scheme in that style."""
    dialect = DIALECTS[scheme]
    return replace(
        dialect,
        per_channel=dialect.per_channel if style.per_channel else frozenset(),
        clip=dialect.clip and style.clip,
        float_end=dialect.float_end and style.float_end,
    )
