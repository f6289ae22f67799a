"""What a conversion made: the artifact, and what was measured beside it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edgekit.core.schema import Artifact


class FloatCost(msgspec.Struct, frozen=True, kw_only=True):
    """Median milliseconds per run on this machine, all in integers and with the layers in float."""

    runtime: str
    int8_ms: float
    mixed_ms: float
    runs: int


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Median milliseconds per run on this machine, of the artifact and of the same model in float."""

    runtime: str
    artifact_ms: float
    float_ms: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The artifact, and what keeping layers in float costs in time where that was done and could be measured here."""

    artifact: Artifact
    float_cost: FloatCost | None = None
    pace: Pace | None = None
    """How fast a precision that is asked for by name only is beside float."""
