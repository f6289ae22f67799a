"""What an activity rule answers: whether its condition holds now, how surely, and by which numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """`score` 0..1 grows with the margin over the thresholds; `evidence` holds the measured numbers; `since_s` when it began."""

    activity: str
    score: float
    since_s: float
    evidence: Mapping[str, float] = field(default_factory=dict)


def margin(value: float, threshold: float, sure: float) -> float:
    """0.5 at the threshold, 1 at `sure`, in between and beyond on a line, within 0..1."""
    return min(max(0.5 + 0.5 * (value - threshold) / (sure - threshold), 0.0), 1.0)
