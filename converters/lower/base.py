"""What every lowering returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.core.schema import Port


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A model in an engine's own format, in memory.

    `files` maps a file name to its bytes, `roles` the same names to their role in the manifest; exactly one has the role
    "model". `inputs` and `outputs` are in the source model's order.
    """

    files: Mapping[str, bytes]
    roles: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    float_layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
