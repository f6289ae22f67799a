"""A TFLite model as values: tensors, operators, and nothing of the file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.converters.graph import Array
from edgekit.converters.quantize.parameters import QuantParams

Option = int | float | bool | str
"""Enumerations are given by their name in the schema ("SAME", "RELU6", "FLOAT32")."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tensor:
    """One tensor as the engine stores it. `params.axis` counts in `shape`; `data` is set for constants only."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    params: QuantParams | None = None
    data: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Operator:
    """One builtin operator, by its name in the schema ("CONV_2D"). An absent optional input is None."""

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """Operators in the order they run. `inputs` and `outputs` pair the source model's names with the engine's tensors."""

    name: str
    operators: tuple[Operator, ...]
    inputs: tuple[tuple[str, Tensor], ...]
    outputs: tuple[tuple[str, Tensor], ...]

    def count(self, name: str) -> int:
        """How many operators of that name there are."""
        return sum(operator.name == name for operator in self.operators)
