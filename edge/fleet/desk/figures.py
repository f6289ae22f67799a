"""What the boards of a group measure, in one figure each: the median, now and from before the newest release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from edgekit.fleet.nouns import Report

FPS = ("edgekit_fps", "fps", "edgekit_camera_fps")
"""Names under which apps tell how many pictures a second they see."""
LATENCY = ("latency_ms",)
"""Of the artifact alone, as it was measured on the board with the order."""


def reading(metrics: Mapping[str, float], names: Iterable[str]) -> float | None:
    """The first of the readings that is there."""
    return next((metrics[name] for name in names if name in metrics), None)


def medians(reports: Iterable[Report], *, since_order: bool = False) -> dict[str, Any]:
    """Pictures a second and latency of these boards, and with `since_order` before their newest order; None for what none of them measured."""
    all_of_them = list(reports)
    found: dict[str, Any] = {"boards": len(all_of_them)}
    for name, names in (("fps", FPS), ("latency_ms", LATENCY)):
        found[name] = _median(reading(report.metrics, names) for report in all_of_them)
        found[f"{name}_before"] = _median(reading(report.before, names) for report in all_of_them) if since_order else None
    return found


def sentence(found: Mapping[str, Any]) -> str:
    """The same for a person; nothing where nothing was measured."""
    said = [
        f"{found[name]:.3g} {unit}" + ("" if found[f"{name}_before"] is None else f" (before {found[f'{name}_before']:.3g})")
        for name, unit in (("fps", "FPS"), ("latency_ms", "ms"))
        if found[name] is not None
    ]
    return f"{', '.join(said)}: medians of {found['boards']} boards" if said else ""


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None
