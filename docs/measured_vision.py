"""The tables of docs/vision.md, from the results that its benchmarks wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tables import conditions, result, table


def pipeline() -> str:
    """The whole way beside the bare model and beside others' loops, a row for each detector, number of threads and clip."""
    rows = sorted(result("pipeline")["loops"], key=lambda row: (row["detector"], row["threads"]))
    header = (
        "detector",
        "threads",
        "clip",
        "bare",
        "edgekit",
        "of bare",
        "at most",
        "of `supervision` with `trackers`",
        "of a `cv2` loop",
    )
    loads = sorted(float(row["conditions"]["load_average"]) for row in rows)
    same = {name: value for name, value in rows[0]["conditions"].items() if name != "load_average"}
    told = f"Frames a second, medians of rounds in turns. {conditions(same)} Load average {loads[0]:g} to {loads[-1]:g}."
    return f"{table(header, map(_pipeline_row, rows))}\n\n{told}"


def _pipeline_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    fps, share = row["fps"], row["edgekit_of"]
    of = [f"{share[name]:.2f}" for name in ("bare", "supervision", "loop")]
    of.insert(1, f"{row['at_most']:.2f}" if "at_most" in row else "")
    return (row["detector"], str(row["threads"]), row["size"], f"{fps['bare']:.1f}", f"{fps['edgekit']:.1f}", *of)
