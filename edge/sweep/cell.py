"""The nouns of a sweep: a cell of its table, and what became of it."""

from __future__ import annotations

from typing import Literal

from edgekit.conversion.made import FloatCost
from edgekit.core.schema import Accuracy, Parity, Recovery, Value

RECORD_VERSION = 1


class Wish(Value, frozen=True, kw_only=True):
    """One cell as it was asked for."""

    model: str
    target: str
    precision: str
    prune: float = 0.0


class Made(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An artifact of a sweep. `folder` is relative to the sweep's own; `precision` is what the artifact came to have."""

    folder: str
    sha256: str
    precision: str
    format: str
    bytes: int
    parity: Parity
    accuracy: Accuracy | None
    float_layers: tuple[str, ...]
    recovery: Recovery | None
    float_cost: FloatCost | None
    notes: tuple[str, ...]


class Failed(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Why there is no artifact. `lasting`: the same inputs would fail again, so it is not tried again."""

    error: str
    hint: str
    exit_code: int
    lasting: bool


class Latency(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The median of one inference on the machine that swept, or the reason why there is none.

    `own_engine`: in the engine that the board has, so that cells of one target may be compared; `on_target`: this is the board.
    """

    median_ms: float | None
    runtime: str
    machine: str
    own_engine: bool
    on_target: bool
    reason: str = ""


class Record(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What became of one cell: exactly one of `made` and `failed`. One JSON file each, named by its key."""

    version: int
    key: str
    wish: Wish
    seconds: float
    made: Made | None = None
    failed: Failed | None = None
    latency: Latency | None = None


class Row(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A record in the result: `cached` when it was there already, `pareto` when no other of its target is better in everything."""

    record: Record
    status: Literal["made", "cached", "failed"]
    pareto: bool


class Sweep(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The result: a row per cell, in the order of models, targets and precisions."""

    folder: str
    rows: tuple[Row, ...]

    @property
    def exit_code(self) -> int:
        """0 when anything was made, else the first failure's exit code."""
        failures = [row.record.failed for row in self.rows if row.record.failed is not None]
        return failures[0].exit_code if failures and len(failures) == len(self.rows) else 0
