"""Tables and figures in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def conditions(of: Mapping[str, Any]) -> str:
    """Under what a number was measured."""
    return "Conditions: " + "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in of.items()) + "."


def where(of: Mapping[str, Any]) -> str:
    """The machine and the day of a number that shares its table with others."""
    return f"{of['machine']}; {of['date']}"


def megabytes(size: int) -> str:
    """Bytes as megabytes."""
    return f"{size / 1e6:.2f} MB" if size < 10_000_000 else f"{size / 1e6:.0f} MB"


def result(name: str) -> Any:
    """What `benchmarks/NAME.py` wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
